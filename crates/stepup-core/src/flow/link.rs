//! Tokens that travel by mail in a link: made, read, looked up, spent.
//!
//! A token is the name of its challenge and 256 random bits. Only a keyed digest of these bits is stored, and the challenge's
//! one conditional write decides who spends it (R-OTP-3). Each kind has a prefix and a key of its own, so that none is taken
//! for another (R-TOK-3), and each token belongs to one credential epoch of its user: whatever raises that ends it
//! (threat A-OTP-19). To look a token up spends nothing, so that a page can ask first.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::delivery::NoticeLink;
use crate::error::Fault;
use crate::id::{ChallengeId, TenantId, UserId};
use crate::keyring::{Keyring, Purpose};
use crate::parts::Parts;
use crate::record::challenge::{Answer, Binding, Challenge, MACS, SLOTS, Slot};
use crate::record::user::User;
use crate::secret::{Mac, Secret};
use crate::storage::Payment;
use crate::time::Timestamp;

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkKind {
    /// A new password.
    Reset,
    /// The proof of an address.
    Verify,
    /// The end of a first second factor, or of a change of a contact, and of all that was signed in with it.
    Undo,
    /// Leave for one session to add the first second factor.
    Confirm,
}

impl LinkKind {
    /// What its text begins with. A token that leaked is told by it, by people and by scanners.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Reset => "reset_",
            Self::Verify => "verify_",
            Self::Undo => "undo_",
            Self::Confirm => "confirm_",
        }
    }

    /// The purpose of its challenge.
    pub(crate) const fn purpose(self) -> &'static str {
        match self {
            Self::Reset => "link:reset",
            Self::Verify => "link:verify",
            Self::Undo => "link:undo",
            Self::Confirm => "link:confirm",
        }
    }

    /// The page that it leads to: the website's below its base path, or one of our own.
    const fn page(self) -> Page {
        match self {
            Self::Reset => Page::Website("reset-password"),
            Self::Verify => Page::Website("verify-email"),
            Self::Undo => Page::Own("factor/undo"),
            Self::Confirm => Page::Own("factor/confirm"),
        }
    }

    const fn key(self) -> Purpose {
        match self {
            Self::Reset => Purpose::ResetLink,
            Self::Verify => Purpose::VerifyLink,
            Self::Undo => Purpose::UndoLink,
            Self::Confirm => Purpose::ConfirmLink,
        }
    }
}

/// Where a token leads.
enum Page {
    Website(&'static str),
    /// Below the API's base path: it works although the website has no such page.
    Own(&'static str),
}

/// A token as it is sent, and what is to be stored of it by [`put_challenge`](crate::storage::ChallengeStore::put_challenge).
#[derive(Debug)]
pub(crate) struct NewLink {
    pub(crate) token: Secret<String>,
    pub(crate) challenge: Challenge,
}

/// Makes a token for `user`, which is sent to `destination` and works for `lifetime`. Nothing is stored yet.
pub(crate) fn make(
    parts: &Parts,
    kind: LinkKind,
    user: &User,
    destination: &str,
    lifetime: Duration,
) -> Result<NewLink, Fault> {
    make_with(parts, kind, user, destination, lifetime, "")
}

/// Makes a token that undoes something for `user`, and keeps `note` of what it was; empty for the first second factor.
pub(crate) fn make_undo(parts: &Parts, user: &User, note: &str) -> Result<NewLink, Fault> {
    let lifetime = parts.config.links.undo;
    make_with(parts, LinkKind::Undo, user, &undone(&user.id), lifetime, note)
}

fn make_with(
    parts: &Parts,
    kind: LinkKind,
    user: &User,
    destination: &str,
    lifetime: Duration,
    note: &str,
) -> Result<NewLink, Fault> {
    let now = parts.now();
    let name: [u8; NAME] = parts.random()?;
    let secret: Zeroizing<[u8; SECRET]> = Zeroizing::new(parts.random()?);
    let id = ChallengeId::new(URL_SAFE_NO_PAD.encode(name));
    let mut binding = binding(kind, &user.id, &id, user.epoch);
    if !note.is_empty() {
        binding.session = format!("{}:{note}", binding.session).into();
    }
    let bound = (kind, &user.tenant, &id, &binding, destination);
    let expires_at = now.plus(lifetime);
    let mac = parts.keyring.mac(kind.key(), &message(&bound, &*secret));
    let mut slots = [None; SLOTS];
    slots[0] = Some(Slot { mac, expires_at });
    let token = [name.as_slice(), secret.as_slice()].concat();
    let token = Zeroizing::new(token);
    let token = format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(&*token));
    Ok(NewLink {
        token: Secret::new(token),
        challenge: Challenge {
            tenant: user.tenant.clone(),
            destination: destination.to_owned(),
            binding,
            id,
            failed: 0,
            // Nobody comes near by guessing.
            max_failures: 1,
            slots,
            sends: 1,
            // No second secret is ever added to it.
            next_send_at: expires_at,
            closed: false,
            created_at: now,
            ends_at: expires_at,
        },
    })
}

/// Where a token leads: a page that asks, by the configuration alone (threat A-OTP-17).
pub(crate) fn url(
    parts: &Parts,
    kind: LinkKind,
    tenant: &TenantId,
    token: &Secret<String>,
) -> Secret<String> {
    let token = token.expose();
    Secret::new(match kind.page() {
        Page::Website(page) => {
            let (origin, base) = (parts.app.website_origin(), parts.app.website_base_path());
            format!("{origin}{base}/{page}?token={token}&tenantId={tenant}")
        }
        Page::Own(page) => format!("{}/{tenant}/{page}?token={token}", parts.app.issuer()),
    })
}

/// Makes a link that verifies `address`, for a notice that is about to be written.
pub(crate) async fn verifying(parts: &Parts, user: &User, address: &str) -> Result<NoticeLink, Fault> {
    let lifetime = parts.config.links.verification;
    let link = make(parts, LinkKind::Verify, user, address, lifetime)?;
    parts.store.put_challenge(&link.challenge).await?;
    let url = url(parts, LinkKind::Verify, &user.tenant, &link.token);
    Ok(NoticeLink::new(&url))
}

/// A token that works still, as far as its row tells.
#[derive(Debug)]
pub(crate) struct LiveLink {
    pub(crate) challenge: Challenge,
    macs: Vec<Mac>,
}

/// Looks `token` up; none if it is of another kind or tenant, unknown, used or too old. It spends nothing.
pub(crate) async fn find(
    parts: &Parts,
    kind: LinkKind,
    tenant: &TenantId,
    token: &str,
) -> Result<Option<LiveLink>, Fault> {
    let Some((id, secret)) = read(kind, token) else {
        return Ok(None);
    };
    let Some(challenge) = parts.store.challenge(tenant, &id).await? else {
        return Ok(None);
    };
    if challenge.binding.purpose != kind.purpose() {
        return Ok(None);
    }
    let macs = macs(&parts.keyring, kind, &challenge, &secret);
    // On a copy: what is looked up is not spent, and what is wrong is not charged.
    let answer = challenge.clone().answer(&challenge.binding, &macs, parts.now());
    Ok((answer == Answer::Right).then_some(LiveLink { challenge, macs }))
}

impl LiveLink {
    /// Whether it was made in the credential epoch that `user` has still.
    pub(crate) fn is_of(&self, kind: LinkKind, user: &User) -> bool {
        let Challenge {
            tenant,
            id,
            binding: bound,
            ..
        } = &self.challenge;
        // The row's own word of what it undoes is part of its name, and of what its token is bound to.
        let mut own = binding(kind, &user.id, id, user.epoch);
        if let Some(note) = note(&self.challenge) {
            own.session = format!("{}:{note}", own.session).into();
        }
        *tenant == user.tenant && *bound == own
    }

    /// What pays for a verb of the store, which then spends it.
    pub(crate) fn payment(&self, now: Timestamp) -> Payment {
        Payment {
            challenge: self.challenge.id.clone(),
            binding: self.challenge.binding.clone(),
            macs: self.macs.clone(),
            now,
        }
    }

    /// Spends it. Whether this call did: of many with one token exactly one is told so.
    pub(crate) async fn spend(&self, parts: &Parts) -> Result<bool, Fault> {
        let Challenge {
            tenant, id, binding, ..
        } = &self.challenge;
        let answer = parts
            .store
            .answer(tenant, id, binding, &self.macs, parts.now())
            .await?;
        Ok(answer == Answer::Right)
    }
}

/// The binding of a token. Its own name stands in the place of a session, so that several live side by side; and the epoch,
/// so that none outlives it, however late it was written.
///
/// What undoes an enrollment, or a change of a contact, has to outlive whatever the thief who made it does next, every one of
/// which ends the user's challenges: it is bound to no user but by its destination ([`undone`]), and to no epoch.
fn binding(kind: LinkKind, user: &UserId, id: &ChallengeId, epoch: i64) -> Binding {
    let (user, session) = match kind {
        LinkKind::Undo => (UserId::from(""), format!("link:{id}")),
        LinkKind::Reset | LinkKind::Verify | LinkKind::Confirm => {
            (user.clone(), format!("link:{epoch}:{id}"))
        }
    };
    Binding {
        purpose: kind.purpose().to_owned(),
        user,
        session: session.into(),
    }
}

/// What a challenge that undoes something keeps of what it was; none for the first second factor, and for other links.
pub(crate) fn note(challenge: &Challenge) -> Option<&str> {
    let Binding { purpose, session, .. } = &challenge.binding;
    let rest = session.as_str().strip_prefix("link:")?;
    let note = rest.strip_prefix(challenge.id.as_str())?.strip_prefix(':')?;
    (purpose == LinkKind::Undo.purpose()).then_some(note)
}

/// The destination of what undoes an enrollment of `user`. No address looks like it.
pub(crate) fn undone(user: &UserId) -> String {
    format!("{UNDONE}{user}")
}

/// Whose enrollment a token undoes.
pub(crate) fn undoes(link: &LiveLink) -> Option<UserId> {
    link.challenge.destination.strip_prefix(UNDONE).map(UserId::from)
}

const UNDONE: &str = "user:";

/// The name and the secret in a token. Of one token there is one text: other base64 of the same bytes is none.
fn read(kind: LinkKind, token: &str) -> Option<(ChallengeId, Zeroizing<Vec<u8>>)> {
    let text = token.strip_prefix(kind.prefix())?;
    if text.len() != TEXT {
        return None;
    }
    let mut name = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
    if name.len() != NAME + SECRET {
        return None;
    }
    let secret = Zeroizing::new(name.split_off(NAME));
    Some((ChallengeId::new(URL_SAFE_NO_PAD.encode(&*name)), secret))
}

fn macs(keyring: &Keyring, kind: LinkKind, challenge: &Challenge, secret: &[u8]) -> Vec<Mac> {
    let Challenge {
        tenant,
        id,
        binding,
        destination,
        ..
    } = challenge;
    let mut macs = keyring.macs(
        kind.key(),
        &message(&(kind, tenant, id, binding, destination), secret),
    );
    macs.truncate(MACS);
    macs
}

/// All that a token is bound to.
type Bound<'a> = (LinkKind, &'a TenantId, &'a ChallengeId, &'a Binding, &'a str);

fn message<'a>((kind, tenant, id, binding, destination): &Bound<'a>, secret: &'a [u8]) -> [&'a [u8]; 7] {
    [
        kind.purpose().as_bytes(),
        tenant.as_str().as_bytes(),
        id.as_str().as_bytes(),
        binding.user.as_str().as_bytes(),
        binding.session.as_str().as_bytes(),
        destination.as_bytes(),
        secret,
    ]
}

/// Bytes of the name, of the secret, and characters of both in base64.
const NAME: usize = 16;
const SECRET: usize = 32;
const TEXT: usize = (NAME + SECRET) / 3 * 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_one_text_and_one_kind() {
        let text = format!("reset_{}", "A".repeat(TEXT));
        let (id, secret) = read(LinkKind::Reset, &text).unwrap();
        assert_eq!((id.as_str().len(), secret.len()), (22, SECRET));
        let bare = &text["reset_".len()..];
        let others = [
            bare.to_owned(),
            format!("Reset_{bare}"),
            format!("verify_{bare}"),
            format!("{text}="),
            format!("{text}A"),
            text[..text.len() - 1].to_owned(),
            format!(" {text}"),
            format!("reset_{}+", &bare[1..]),
            format!("reset_{}\u{e4}", &bare[2..]),
            String::new(),
        ];
        for other in others {
            assert!(read(LinkKind::Reset, &other).is_none(), "{other}");
        }
    }

    #[test]
    fn a_token_is_bound_to_an_epoch_and_stands_beside_others() {
        let of = |id: &str, epoch| binding(LinkKind::Reset, &"ann".into(), &id.into(), epoch);
        assert_eq!(of("a", 1), of("a", 1));
        assert_ne!(of("a", 1), of("a", 2));
        assert_ne!(of("a", 1).session, of("b", 1).session);
    }

    #[test]
    fn what_undoes_an_enrollment_outlives_the_epoch_and_the_users_other_challenges() {
        let of = |epoch| binding(LinkKind::Undo, &"ann".into(), &"a".into(), epoch);
        assert_eq!(of(1), of(2));
        assert_eq!(of(1).user.as_str(), "");
    }
}
