//! Where a person's id and address stand in what a provider tells of them.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;
use stepup_core::provider::{ProvidedEmail, ProviderError};

/// Where id, e-mail address and its verification stand in a JSON object.
///
/// A path is the names of members, outermost first, with dots between them (`data.id`); in a list a number counts from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    subject: String,
    email: Option<String>,
    verified: Option<String>,
}

impl Mapping {
    /// The path of what names the person for ever: never that of an address or of a name that they can change, which somebody
    /// else could have tomorrow.
    pub fn new(subject: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            email: None,
            verified: None,
        }
    }

    /// The path of the e-mail address.
    #[must_use]
    pub fn email(self, path: impl Into<String>) -> Self {
        Self {
            email: Some(path.into()),
            ..self
        }
    }

    /// The path of the provider's word that it verified this very address: `true`, or the text `"true"`. Anything else, and
    /// nothing at all, is no.
    #[must_use]
    pub fn email_verified(self, path: impl Into<String>) -> Self {
        Self {
            verified: Some(path.into()),
            ..self
        }
    }

    /// That of OpenID Connect.
    pub(crate) fn openid() -> Self {
        Self::new("sub").email("email").email_verified("email_verified")
    }

    /// Who it is.
    ///
    /// # Errors
    /// [`ProviderError::Untrusted`]: there is no text and no whole number, or it is empty or longer than 255 bytes.
    pub(crate) fn subject_of(&self, person: &Value) -> Result<String, ProviderError> {
        let subject = match at(person, &self.subject) {
            Some(Value::String(text)) => Some(text.clone()),
            // As text: GitHub counts its users. A number with a fraction would be written in more than one way.
            Some(Value::Number(number)) if !number.is_f64() => Some(number.to_string()),
            _ => None,
        };
        subject
            .filter(|text| (1..=255).contains(&text.len()) && !text.chars().any(char::is_control))
            .ok_or(ProviderError::Untrusted("person_without_an_id"))
    }

    /// The address that is told, and what is said about it.
    pub(crate) fn email_of(&self, person: &Value) -> Option<Told> {
        let address = address(at(person, self.email.as_ref()?)?)?;
        let word = self.verified.as_ref().and_then(|path| at(person, path));
        Some(Told {
            address,
            verified: word.and_then(yes_or_no),
        })
    }
}

/// An address, and what was said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) address: String,
    /// Nothing at all is none.
    pub(crate) verified: Option<bool>,
}

impl From<Told> for ProvidedEmail {
    fn from(told: Told) -> Self {
        Self {
            address: told.address,
            verified: told.verified == Some(true),
        }
    }
}

/// Where the addresses stand that a provider lists at an endpoint of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emails {
    pub(crate) url: String,
    list: String,
    address: String,
    primary: String,
    verified: String,
}

impl Emails {
    /// The endpoint. `list` is the path of the list in its answer, empty if the answer is the list; the others are paths in an
    /// entry: the address, whether it is the person's main one, and whether the provider verified it.
    pub fn at(
        url: impl Into<String>,
        list: impl Into<String>,
        [address, primary, verified]: [&str; 3],
    ) -> Self {
        Self {
            url: url.into(),
            list: list.into(),
            address: address.to_owned(),
            primary: primary.to_owned(),
            verified: verified.to_owned(),
        }
    }

    /// The main address. A list that has none, or two, has none.
    pub(crate) fn primary_of(&self, answer: &Value) -> Option<Told> {
        let list = match self.list.as_str() {
            "" => answer,
            path => at(answer, path)?,
        };
        let mut main = list
            .as_array()?
            .iter()
            .filter(|entry| at(entry, &self.primary).and_then(yes_or_no) == Some(true));
        let entry = main.next()?;
        if main.next().is_some() {
            return None;
        }
        Some(Told {
            address: address(at(entry, &self.address)?)?,
            verified: at(entry, &self.verified).and_then(yes_or_no),
        })
    }
}

/// What stands at `path`.
pub(crate) fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, step| match value {
        Value::Object(members) => members.get(step),
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}

/// A word about verification, if there is one. `"true"` is Apple's spelling.
fn yes_or_no(value: &Value) -> Option<bool> {
    match value {
        Value::Null => None,
        value => Some(value == &Value::Bool(true) || value == "true"),
    }
}

/// An address that may be one. Its form is judged where it is brought into normal form.
fn address(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    (!text.is_empty() && text.len() <= 320 && !is_fake(text)).then(|| text.to_owned())
}

/// Whether `address` is one that stands for "none was given": it is nobody's, whoever tells it.
fn is_fake(address: &str) -> bool {
    let host = address.rsplit_once('@').map_or(address, |(_, host)| host);
    let host = host.trim().trim_end_matches('.').to_ascii_lowercase();
    host == FAKE_HOST || host == "fakeemail.com" || host.ends_with(".fakeemail.com")
}

/// The address of a person whose provider told none, at a host that the protocol's clients know as fake.
pub(crate) fn fake(provider: &str, subject: &str) -> String {
    let is_plain = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    // 64 bytes are all that stands before an `@`.
    let local = match subject.len() + 1 + provider.len() {
        ..=64 if is_plain(subject) => format!("{subject}.{provider}"),
        _ => {
            let digest = digest(&SHA256, subject.as_bytes());
            let hex = digest.as_ref().iter().take(16).map(|byte| format!("{byte:02x}"));
            format!("{}.{provider}", hex.collect::<String>())
        }
    };
    format!("{local}@{FAKE_HOST}")
}

const FAKE_HOST: &str = "stfakeemail.supertokens.com";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_goes_through_objects_and_lists() {
        let value = json!({ "data": { "ids": ["a", { "id": 7 }] } });
        assert_eq!(at(&value, "data.ids.1.id"), Some(&json!(7)));
        for nowhere in [
            "data.ids.2",
            "data.ids.x",
            "data.ids.-1",
            "data.",
            "",
            "data.ids.0.id",
        ] {
            assert_eq!(at(&value, nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn an_id_is_a_text_or_a_whole_number_and_nothing_else() {
        let subject = |value: Value| Mapping::new("id").subject_of(&json!({ "id": value })).ok();
        assert_eq!(subject(json!("ann")).as_deref(), Some("ann"));
        assert_eq!(subject(json!(583_231)).as_deref(), Some("583231"));
        assert_eq!(subject(json!(u64::MAX)).as_deref(), Some("18446744073709551615"));
        for wrong in [
            json!(""),
            json!(1.5),
            json!(1e300),
            json!(true),
            json!(null),
            json!(["a"]),
            json!("a\0b"),
            json!("x".repeat(256)),
        ] {
            assert_eq!(subject(wrong.clone()), None, "{wrong}");
        }
        assert!(Mapping::new("id").subject_of(&json!({})).is_err());
    }

    #[test]
    fn a_oau_07_an_address_is_verified_only_where_the_provider_says_so() {
        let told = |word: Value| {
            Mapping::openid().email_of(&json!({ "email": "ann@acme.test", "email_verified": word }))
        };
        for (word, verified) in [
            (json!(true), Some(true)),
            (json!("true"), Some(true)),
            (json!(false), Some(false)),
            (json!("false"), Some(false)),
            (json!("TRUE"), Some(false)),
            (json!("yes"), Some(false)),
            (json!(1), Some(false)),
            (json!([true]), Some(false)),
            (json!(null), None),
        ] {
            assert_eq!(told(word.clone()).unwrap().verified, verified, "{word}");
            assert_eq!(
                ProvidedEmail::from(told(word).unwrap()).verified,
                verified == Some(true)
            );
        }
        let silent = Mapping::openid()
            .email_of(&json!({ "email": "ann@acme.test" }))
            .unwrap();
        assert!(!ProvidedEmail::from(silent).verified);
        let unasked = Mapping::new("sub").email("email");
        let told = unasked.email_of(&json!({ "email": "ann@acme.test", "email_verified": true }));
        assert!(!ProvidedEmail::from(told.unwrap()).verified);
    }

    #[test]
    fn an_address_at_a_fake_host_is_none_whoever_tells_it() {
        for fake in [
            "x@stfakeemail.supertokens.com",
            "x@STFAKEEMAIL.supertokens.com",
            "x@a.fakeemail.com",
            "x@fakeemail.com",
            "x@a.fakeemail.com.",
        ] {
            let person = json!({ "email": fake, "email_verified": true });
            assert_eq!(Mapping::openid().email_of(&person), None, "{fake}");
        }
        for real in ["x@notfakeemail.com", "fakeemail.com@acme.test"] {
            assert!(
                Mapping::openid().email_of(&json!({ "email": real })).is_some(),
                "{real}"
            );
        }
    }

    #[test]
    fn a_fake_address_names_the_person_and_is_always_an_address() {
        assert_eq!(
            fake("twitter", "2244994945"),
            "2244994945.twitter@stfakeemail.supertokens.com"
        );
        for odd in ["auth0|1", "a@b", "a\"b", &"x".repeat(200), "é", ""] {
            let address = fake("acme", odd);
            let (local, _) = address.split_once('@').unwrap();
            assert!(local.len() <= 64 && is_fake(&address), "{address}");
            assert!(
                local
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-'),
                "{address}"
            );
        }
        assert_ne!(fake("acme", "auth0|1"), fake("acme", "auth0|2"));
    }

    #[test]
    fn the_main_address_is_the_only_one_that_is_marked() {
        let emails = Emails::at("https://api.test/emails", "", ["email", "primary", "verified"]);
        let entry = |address: &str, primary: bool, verified: bool| json!({ "email": address, "primary": primary, "verified": verified });
        let told = |list: Value| emails.primary_of(&list);
        let main = told(json!([entry("a@b.c", false, true), entry("d@e.f", true, false)])).unwrap();
        assert_eq!((main.address.as_str(), main.verified), ("d@e.f", Some(false)));
        assert_eq!(told(json!([entry("a@b.c", false, true)])), None);
        assert_eq!(
            told(json!([entry("a@b.c", true, true), entry("d@e.f", true, true)])),
            None
        );
        assert_eq!(told(json!({ "email": "a@b.c" })), None);
        assert_eq!(told(json!([])), None);
    }
}
