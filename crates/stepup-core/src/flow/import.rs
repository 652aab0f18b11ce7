//! Import of a user: what is brought along, judged as a whole, and written in one step.

use crate::contact::{EmailAddress, PhoneNumber};
use crate::delivery::Channel;
use crate::digest::HashFault;
use crate::entropy::{self, Entropy};
use crate::error::{Fault, StoreError};
use crate::evidence::Kind;
use crate::factor::passwordless;
use crate::flow::{password, user};
use crate::id::{CredentialId, FactorId, MethodId, TenantId, UserId};
use crate::import::{ImportProblem, ImportRefusal, Imported, ImportedFactor, ImportedUser};
use crate::keyring::{Keyring, Purpose};
use crate::parts::channel_of;
use crate::record::credential::{Credential, CredentialKind};
use crate::record::user::{Enrolled, Identifier, IdentifierKind, Method, Summary, User, UserState};
use crate::secret::Secret;
use crate::storage::{AccountOutcome, NewAccount, Storage};
use crate::time::Timestamp;

/// What an import needs of stepup; it needs no more, so that a tool beside a running site has it as well.
pub(crate) struct Importer<'a> {
    pub(crate) store: &'a dyn Storage,
    pub(crate) keyring: &'a Keyring,
    pub(crate) entropy: &'a dyn Entropy,
    pub(crate) now: Timestamp,
    /// Whether there is such a tenant.
    pub(crate) knows: &'a (dyn Fn(&TenantId) -> bool + Sync),
    /// Judges the text of a hash; the text to keep.
    pub(crate) admit: &'a (dyn Fn(&str) -> Result<Secret<String>, HashFault> + Sync),
}

/// How often a user that changes at the same moment is looked at anew.
const TRIES: u32 = 3;

/// The longest id, in bytes: it stands in keys of tables and in every token.
const MAX_ID: usize = 255;

impl Importer<'_> {
    /// Imports `imported`, or says all that is wrong with it.
    pub(crate) async fn import(
        &self,
        imported: &ImportedUser,
    ) -> Result<Result<Imported, ImportRefusal>, Fault> {
        let (plan, wrong) = self.plan(imported);
        for _ in 0..TRIES {
            let mut problems = wrong.clone();
            match self.find(&plan, &mut problems).await? {
                Some(there) if problems.is_empty() => return Ok(Ok(Imported::AlreadyThere(there))),
                _ => self.taken(&plan, &mut problems).await?,
            }
            if !problems.is_empty() {
                return Ok(Err(ImportRefusal { problems }));
            }
            let account = self.account(&plan)?;
            match self.store.create_account(&account).await {
                Ok(AccountOutcome::Created) => return Ok(Ok(Imported::Created(account.user.id))),
                // Somebody was quicker: it is looked at anew, and told by what.
                Ok(AccountOutcome::IdentifierTaken) => {}
                Err(StoreError::Conflict(_)) => {
                    if self.store.user(&plan.tenant, plan.id()?).await?.is_none() {
                        let problems = vec![ImportProblem::FactorIdTaken];
                        return Ok(Err(ImportRefusal { problems }));
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Fault::Busy)
    }

    /// Reads what was brought along into normal forms. What is wrong is left out, and told.
    fn plan(&self, imported: &ImportedUser) -> (Plan, Vec<ImportProblem>) {
        let mut problems = Vec::new();
        let tenant = imported.tenant.clone().unwrap_or_else(TenantId::public);
        if !(self.knows)(&tenant) {
            problems.push(ImportProblem::UnknownTenant);
        }
        let joined_at = imported.joined_at.unwrap_or(self.now);
        if joined_at > self.now || joined_at.as_ms() <= 0 {
            problems.push(ImportProblem::Malformed("joinedAt"));
        }
        let ways = ways(imported, joined_at, &mut problems);
        let hash = self.hash(imported, &ways, &mut problems);
        let seconds = seconds(imported, &ways, &mut problems);
        metadata(imported, &mut problems);
        let ids = match &imported.id {
            Some(id) => {
                let plain = !id.as_str().chars().any(char::is_control);
                if !(1..=MAX_ID).contains(&id.as_str().len()) || !plain {
                    problems.push(ImportProblem::Malformed("id"));
                }
                vec![id.clone()]
            }
            None => self.derived(&tenant, &ways),
        };
        if ways.is_empty() && imported.id.is_none() && problems.is_empty() {
            problems.push(ImportProblem::NothingSignsIn);
        }
        let plan = Plan {
            tenant,
            ids,
            named: imported.id.is_some(),
            ways,
            hash,
            seconds,
            imported: imported.clone(),
            joined_at,
        };
        (plan, problems)
    }

    fn hash(
        &self,
        imported: &ImportedUser,
        ways: &[Way],
        problems: &mut Vec<ImportProblem>,
    ) -> Option<Secret<String>> {
        let text = imported.password_hash.as_ref()?;
        let has_method = ways
            .iter()
            .any(|way| way.method.factor == FactorId::EMAIL_PASSWORD);
        if imported.email.is_none() || (!has_method && problems.is_empty()) {
            problems.push(ImportProblem::HashWithoutEmail);
        }
        match (self.admit)(text.expose()) {
            Ok(text) => Some(text),
            Err(fault) => {
                problems.push(ImportProblem::Hash(fault));
                None
            }
        }
    }

    /// Ids that only this user can have got at an earlier import, that of the newest secret first. Nobody guesses one.
    fn derived(&self, tenant: &TenantId, ways: &[Way]) -> Vec<UserId> {
        let mut named: Vec<[&str; 2]> = ways
            .iter()
            .map(|way| [way.identifier.kind.as_str(), way.identifier.value.as_str()])
            .collect();
        named.sort_unstable();
        let parts: Vec<&[u8]> = std::iter::once(tenant.as_str())
            .chain(named.iter().flatten().copied())
            .map(str::as_bytes)
            .collect();
        let macs = self.keyring.macs(Purpose::ImportedUser, &parts);
        let id = |mac: crate::secret::Mac| {
            let (half, _) = mac.as_bytes().split_first_chunk::<16>()?;
            Some(UserId::new(entropy::uuid_of(*half)))
        };
        macs.into_iter().filter_map(id).collect()
    }

    /// The same user, if an earlier import made it. Another one of that id is a problem.
    async fn find(&self, plan: &Plan, problems: &mut Vec<ImportProblem>) -> Result<Option<UserId>, Fault> {
        for id in &plan.ids {
            let Some(there) = self.store.user(&plan.tenant, id).await? else {
                continue;
            };
            if there.state == UserState::Deleted {
                problems.push(ImportProblem::Deleted);
            } else if !plan.named || plan.is(&there) {
                return Ok(Some(there.id));
            } else {
                problems.push(ImportProblem::IdTaken);
            }
        }
        Ok(None)
    }

    /// Tells which of the ways to sign in are somebody else's.
    async fn taken(&self, plan: &Plan, problems: &mut Vec<ImportProblem>) -> Result<(), Fault> {
        for way in &plan.ways {
            let owner = self.store.user_by_identifier(&plan.tenant, &way.identifier);
            if let Some(owner) = owner.await?
                && !plan.ids.contains(&owner.user.id)
            {
                problems.push(ImportProblem::Taken(way.name));
            }
        }
        Ok(())
    }

    /// The rows.
    fn account(&self, plan: &Plan) -> Result<NewAccount, Fault> {
        let id = plan.id()?;
        let fresh = || Ok::<_, Fault>(CredentialId::new(entropy::uuid(self.entropy)?));
        let credential = |kind, id, public, sealed| Credential {
            tenant: plan.tenant.clone(),
            user: plan.id().cloned().unwrap_or_else(|_| UserId::from("")),
            kind,
            id,
            public,
            sealed,
            version: 1,
            created_at: self.now,
        };
        let mut credentials = Vec::new();
        if let Some(hash) = &plan.hash {
            let fresh = fresh()?;
            let sealed = password::seal(
                self.keyring,
                self.entropy,
                (&plan.tenant, id, &fresh),
                hash.expose(),
            )?;
            credentials.push(credential(
                CredentialKind::Password,
                fresh,
                serde_json::json!({}),
                Some(sealed),
            ));
        }
        let mut summary = Summary {
            enrolled: Vec::new(),
            required: plan.imported.required_factors.clone(),
        };
        for second in &plan.seconds {
            let own = match &second.id {
                Some(id) => id.clone(),
                None => fresh()?,
            };
            let ImportedFactor { factor, contact, .. } = second;
            let channel = channel(factor);
            let public = serde_json::json!({ "factor": factor, "channel": channel, "address": contact });
            credentials.push(credential(CredentialKind::Contact, own.clone(), public, None));
            summary.enrolled.push(Enrolled {
                factor: factor.clone(),
                credential: own,
                kind: Kind::Possession,
                channel: Some(channel_of(channel, contact)),
                contact: Some(contact.clone()),
                at: plan.joined_at,
            });
        }
        let mut identifiers = Vec::new();
        let mut methods = Vec::new();
        for way in &plan.ways {
            let mut method = way.method.clone();
            // The first of them has the user's own id, as at a sign-up.
            method.id = match methods.is_empty() {
                true => MethodId::new(id.as_str()),
                false => MethodId::new(entropy::uuid(self.entropy)?),
            };
            identifiers.push((way.identifier.clone(), method.id.clone()));
            methods.push(method);
        }
        let state = match plan.imported.disabled {
            true => UserState::Disabled,
            false => UserState::Live,
        };
        Ok(NewAccount {
            user: User {
                state,
                methods,
                summary,
                metadata: plan.imported.metadata.clone(),
                ..User::bare(&plan.tenant, id, plan.joined_at)
            },
            identifiers,
            credentials,
            session: None,
        })
    }
}

/// A user in normal form.
struct Plan {
    tenant: TenantId,
    /// The id that it gets, and others that an earlier import may have given it.
    ids: Vec<UserId>,
    /// Whether the id was brought along.
    named: bool,
    ways: Vec<Way>,
    hash: Option<Secret<String>>,
    seconds: Vec<ImportedFactor>,
    imported: ImportedUser,
    joined_at: Timestamp,
}

/// A way to sign in.
struct Way {
    /// The field that it comes from.
    name: &'static str,
    identifier: Identifier,
    /// Its id is made later.
    method: Method,
}

impl Plan {
    fn id(&self) -> Result<&UserId, Fault> {
        self.ids.first().ok_or(Fault::Key("no id for an imported user"))
    }

    /// Whether `there`, who has the id that was brought along, is this user: it signs in by what was brought along, and has
    /// its second factors.
    fn is(&self, there: &User) -> bool {
        let signs_in = |way: &Way| {
            let wanted = &way.method;
            there.methods.iter().any(|method| {
                method.factor == wanted.factor
                    && method.third_party == wanted.third_party
                    && (wanted.third_party.is_some()
                        || (method.email == wanted.email && method.phone == wanted.phone))
            })
        };
        let has = |second: &ImportedFactor| {
            let enrolled = there.summary.enrolled(&second.factor);
            enrolled.is_some_and(|enrolled| enrolled.contact.as_ref() == Some(&second.contact))
        };
        self.ways.iter().all(signs_in) && self.seconds.iter().all(has)
    }
}

/// All by which the user signs in.
fn ways(imported: &ImportedUser, joined_at: Timestamp, problems: &mut Vec<ImportProblem>) -> Vec<Way> {
    let blank = |factor: FactorId, verified| Method {
        id: MethodId::from(""),
        factor,
        email: None,
        phone: None,
        third_party: None,
        verified,
        joined_at,
    };
    let mut ways = Vec::new();
    let factor = imported.email_factor.clone().unwrap_or(FactorId::EMAIL_PASSWORD);
    if ![FactorId::EMAIL_PASSWORD, FactorId::OTP_EMAIL].contains(&factor) {
        problems.push(ImportProblem::Malformed("emailFactor"));
    }
    if let Some(typed) = &imported.email {
        match EmailAddress::parse(typed) {
            Err(_) => problems.push(ImportProblem::Malformed("email")),
            Ok(address) => {
                let value = address.as_str().to_owned();
                ways.push(Way {
                    name: "email",
                    method: Method {
                        email: Some(value.clone()),
                        ..blank(factor, imported.email_verified)
                    },
                    identifier: Identifier {
                        kind: IdentifierKind::Email,
                        value,
                    },
                });
            }
        }
    }
    if let Some(typed) = &imported.phone {
        match PhoneNumber::parse(typed) {
            Err(_) => problems.push(ImportProblem::Malformed("phone")),
            Ok(number) => {
                let value = number.as_str().to_owned();
                ways.push(Way {
                    name: "phone",
                    method: Method {
                        phone: Some(value.clone()),
                        ..blank(FactorId::OTP_PHONE, imported.phone_verified.unwrap_or(true))
                    },
                    identifier: Identifier {
                        kind: IdentifierKind::Phone,
                        value,
                    },
                });
            }
        }
    }
    for identity in &imported.third_party {
        let who = &identity.who;
        let whole = [&who.provider, &who.issuer, &who.subject];
        let email = match identity.email.as_deref().map(EmailAddress::parse) {
            Some(Err(_)) => {
                problems.push(ImportProblem::Malformed("email of thirdParty"));
                continue;
            }
            Some(Ok(address)) => Some(address.as_str().to_owned()),
            None => None,
        };
        if whole.iter().any(|part| !(1..=MAX_ID).contains(&part.len())) {
            problems.push(ImportProblem::Malformed("thirdParty"));
            continue;
        }
        let identifier = Identifier::third_party(who);
        if ways.iter().any(|way| way.identifier == identifier) {
            problems.push(ImportProblem::Twice("thirdParty"));
            continue;
        }
        let verified = identity.verified && email.is_some();
        ways.push(Way {
            name: "thirdParty",
            method: Method {
                email,
                third_party: Some(who.clone()),
                ..blank(FactorId::from_static("thirdparty"), verified)
            },
            identifier,
        });
    }
    ways
}

/// The second factors, with their contacts in normal form.
fn seconds(imported: &ImportedUser, ways: &[Way], problems: &mut Vec<ImportProblem>) -> Vec<ImportedFactor> {
    let mut seconds: Vec<ImportedFactor> = Vec::new();
    for second in &imported.second_factors {
        let contact = match channel(&second.factor) {
            Channel::Sms if second.factor == FactorId::OTP_PHONE => {
                PhoneNumber::parse(&second.contact).map(|number| number.as_str().to_owned())
            }
            Channel::Email if second.factor == FactorId::OTP_EMAIL => {
                EmailAddress::parse(&second.contact).map(|address| address.as_str().to_owned())
            }
            _ => {
                problems.push(ImportProblem::Malformed("factor of secondFactors"));
                continue;
            }
        };
        let Ok(contact) = contact else {
            problems.push(ImportProblem::Malformed("contact of secondFactors"));
            continue;
        };
        let id = second.id.as_ref().map_or(1, |id| id.as_str().len());
        if !(1..=MAX_ID).contains(&id) {
            problems.push(ImportProblem::Malformed("id of secondFactors"));
        }
        if seconds.iter().any(|other| other.factor == second.factor) {
            problems.push(ImportProblem::Twice("secondFactors"));
        }
        // A code to it would be asked for twice, and one thief have both (threat A-LEG-07).
        let signs_in = |way: &Way| {
            way.method.factor != FactorId::EMAIL_PASSWORD
                && way.method.third_party.is_none()
                && way.identifier.value == contact
        };
        if ways.iter().any(signs_in) {
            problems.push(ImportProblem::SecondFactorSignsIn);
        }
        seconds.push(ImportedFactor {
            contact,
            ..second.clone()
        });
    }
    for factor in &imported.required_factors {
        let name = factor.as_str();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            problems.push(ImportProblem::Malformed("requiredFactors"));
        }
    }
    seconds
}

/// The channel of a second factor's codes.
fn channel(factor: &FactorId) -> Channel {
    match *factor == passwordless::factor_of(Channel::Email, false) {
        true => Channel::Email,
        false => Channel::Sms,
    }
}

fn metadata(imported: &ImportedUser, problems: &mut Vec<ImportProblem>) {
    for view in user::VIEWS {
        if imported.metadata.contains_key(view) {
            problems.push(ImportProblem::DerivedMetadata(view));
        }
    }
    if !user::fits(&imported.metadata, user::MAX_PATCH) {
        problems.push(ImportProblem::MetadataTooLong);
    }
}
