//! A contact in the place of another: where it stands, how it is replaced, and how it is put back; and a way to sign in that was
//! added.
//!
//! What was replaced, or added, is kept by the link that undoes it, and by nothing else: it ends when the link does.

use serde::{Deserialize, Serialize};

use crate::delivery::Channel;
use crate::error::Fault;
use crate::flow::link;
use crate::id::{CredentialId, MethodId};
use crate::parts::channel_of;
use crate::record::challenge::Challenge;
use crate::record::credential::Credential;
use crate::record::user::{Method, Summary};

/// A contact that was replaced by another, wherever it stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moved {
    pub(crate) channel: Channel,
    /// What it was, in normal form.
    pub(crate) from: String,
    /// What it is from then on.
    pub(crate) to: String,
    /// The method that signs in by it, and whether it was verified before.
    pub(crate) method: Option<(MethodId, bool)>,
    /// The second factor whose codes go there.
    pub(crate) second: Option<CredentialId>,
}

/// Where a user's contacts stand.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Contacts {
    pub(crate) methods: Vec<Method>,
    pub(crate) summary: Summary,
    pub(crate) credentials: Vec<Credential>,
}

impl Moved {
    /// What a link keeps of it.
    pub(crate) fn text(&self) -> Result<String, Fault> {
        serde_json::to_string(self).map_err(|error| Fault::Part(Box::new(error)))
    }

    /// What `challenge` undoes, if it is that of such a link.
    pub(crate) fn undone_by(challenge: &Challenge) -> Option<Self> {
        serde_json::from_str(link::note(challenge)?).ok()
    }

    /// Replaces the contact. Whoever asks for it has proved the new one.
    pub(crate) fn apply(&self, contacts: &mut Contacts) -> bool {
        self.replace(contacts, (&self.from, &self.to), true)
    }

    /// Puts the contact back, where the new one still stands: what the site set since, it has decided. Whether there was
    /// anything to put back.
    pub(crate) fn put_back(&self, contacts: &mut Contacts) -> bool {
        let verified = self.method.as_ref().is_some_and(|(_, verified)| *verified);
        self.replace(contacts, (&self.to, &self.from), verified)
    }

    fn replace(&self, contacts: &mut Contacts, (was, is): (&str, &str), verified: bool) -> bool {
        let mut replaced = false;
        let own = |method: &&mut Method| self.method.as_ref().is_some_and(|(id, _)| *id == method.id);
        for method in contacts.methods.iter_mut().filter(own) {
            let contact = match self.channel {
                Channel::Sms => &mut method.phone,
                Channel::Email => &mut method.email,
            };
            if contact.as_deref() == Some(was) {
                *contact = Some(is.to_owned());
                method.verified = verified;
                replaced = true;
            }
        }
        let enrolled = contacts.summary.enrolled.iter_mut();
        for enrolled in enrolled.filter(|e| Some(&e.credential) == self.second.as_ref()) {
            let credential = contacts
                .credentials
                .iter_mut()
                .find(|c| c.id == enrolled.credential);
            let Some(credential) = credential.filter(|credential| address(credential) == Some(was)) else {
                continue;
            };
            if let Some(public) = credential.public.as_object_mut() {
                public.insert("address".to_owned(), is.into());
            }
            credential.version += 1;
            enrolled.contact = Some(is.to_owned());
            enrolled.channel = Some(channel_of(self.channel, is));
            replaced = true;
        }
        replaced
    }
}

/// A provider's account that was added to a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Added(pub(crate) MethodId);

impl Added {
    /// What a link keeps of it. It is no text of [`Moved`].
    pub(crate) fn text(&self) -> String {
        format!("{ADDED}{}", self.0)
    }

    /// What `challenge` undoes, if it is that of such a link.
    pub(crate) fn undone_by(challenge: &Challenge) -> Option<Self> {
        let id = link::note(challenge)?.strip_prefix(ADDED)?;
        Some(Self(MethodId::new(id)))
    }

    /// Takes it away. Whether it was there still.
    pub(crate) fn take_away(&self, contacts: &mut Contacts) -> bool {
        let before = contacts.methods.len();
        contacts
            .methods
            .retain(|method| method.id != self.0 || method.third_party.is_none());
        contacts.methods.len() < before
    }
}

const ADDED: &str = "added:";

/// Where the codes of a contact credential go.
pub(super) fn address(credential: &Credential) -> Option<&str> {
    credential
        .public
        .get("address")
        .and_then(|address| address.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Kind;
    use crate::id::{FactorId, TenantId};
    use crate::record::credential::CredentialKind;
    use crate::record::user::Enrolled;
    use crate::time::Timestamp;

    const NOW: Timestamp = Timestamp::from_ms(1_760_000_000_000);

    /// Signs in with `email`, unverified, and has codes sent to it.
    fn contacts(email: &str) -> Contacts {
        let factor = FactorId::OTP_EMAIL;
        Contacts {
            methods: vec![Method {
                id: "m".into(),
                factor: FactorId::EMAIL_PASSWORD,
                email: Some(email.to_owned()),
                phone: None,
                third_party: None,
                verified: false,
                joined_at: NOW,
            }],
            summary: Summary {
                enrolled: vec![Enrolled {
                    factor: factor.clone(),
                    credential: "c".into(),
                    kind: Kind::Possession,
                    channel: Some(channel_of(Channel::Email, email)),
                    contact: Some(email.to_owned()),
                    at: NOW,
                }],
                required: Vec::new(),
            },
            credentials: vec![Credential {
                tenant: TenantId::public(),
                user: "ann".into(),
                kind: CredentialKind::Contact,
                id: "c".into(),
                public: serde_json::json!({ "factor": factor, "channel": "email", "address": email }),
                sealed: None,
                version: 1,
                created_at: NOW,
            }],
        }
    }

    fn moved(from: &str, to: &str) -> Moved {
        Moved {
            channel: Channel::Email,
            from: from.to_owned(),
            to: to.to_owned(),
            method: Some(("m".into(), false)),
            second: Some("c".into()),
        }
    }

    #[test]
    fn a_contact_is_replaced_wherever_it_is_named_and_put_back_as_it_was() {
        let mut now = contacts("a@x.test");
        let change = moved("a@x.test", "b@x.test");
        assert!(change.apply(&mut now));
        assert_eq!(now.methods[0].email.as_deref(), Some("b@x.test"));
        assert!(now.methods[0].verified, "a code that went there was right");
        let enrolled = &now.summary.enrolled[0];
        assert_eq!(enrolled.contact.as_deref(), Some("b@x.test"));
        assert_eq!(enrolled.channel, Some(channel_of(Channel::Email, "b@x.test")));
        assert_eq!(address(&now.credentials[0]), Some("b@x.test"));
        assert!(change.put_back(&mut now));
        let mut wanted = contacts("a@x.test");
        wanted.credentials[0].version = 3;
        assert_eq!(now, wanted);
    }

    #[test]
    fn a_provider_that_was_added_is_taken_away_and_no_other_way_to_sign_in() {
        let mut now = contacts("a@x.test");
        let there = Method {
            id: "there".into(),
            third_party: Some(crate::record::user::ThirdParty {
                provider: "example".to_owned(),
                issuer: "https://issuer.test".to_owned(),
                subject: "1".to_owned(),
            }),
            email: None,
            ..now.methods[0].clone()
        };
        now.methods.push(there);
        // What is no provider's is not taken away, whatever a row says.
        assert!(!Added("m".into()).take_away(&mut now));
        assert!(Added("there".into()).take_away(&mut now));
        assert!(!Added("there".into()).take_away(&mut now), "once");
        assert_eq!(now, contacts("a@x.test"));
        // No text of one is read as the other.
        assert!(serde_json::from_str::<Moved>(&Added("m".into()).text()).is_err());
        assert!(!moved("a@x.test", "b@x.test").text().unwrap().starts_with(ADDED));
    }

    #[test]
    fn what_is_not_named_stays() {
        for (method, second) in [(true, false), (false, true)] {
            let mut now = contacts("a@x.test");
            let change = Moved {
                method: method.then(|| ("m".into(), false)),
                second: second.then(|| "c".into()),
                ..moved("a@x.test", "b@x.test")
            };
            assert!(change.apply(&mut now));
            assert_eq!(now.methods[0].email.as_deref() == Some("b@x.test"), method);
            assert_eq!(address(&now.credentials[0]) == Some("b@x.test"), second);
        }
    }

    #[test]
    fn what_was_set_to_something_else_since_is_not_put_back() {
        let mut now = contacts("site@x.test");
        assert!(!moved("a@x.test", "b@x.test").put_back(&mut now));
        assert_eq!(now, contacts("site@x.test"));
    }

    #[test]
    fn changes_that_follow_each_other_are_put_back_one_by_one() {
        let mut now = contacts("a@x.test");
        let (first, second) = (moved("a@x.test", "b@x.test"), moved("b@x.test", "c@x.test"));
        assert!(first.apply(&mut now) && second.apply(&mut now));
        assert!(!first.put_back(&mut now), "another one stands there");
        assert!(second.put_back(&mut now) && first.put_back(&mut now));
        assert_eq!(now.methods[0].email.as_deref(), Some("a@x.test"));
    }
}
