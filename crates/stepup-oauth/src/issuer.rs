//! The pinned issuer: who may speak, compared byte for byte.

use std::borrow::Cow;

use serde_json::Value;
use stepup_core::app::is_loopback;
use stepup_core::record::JsonMap;
use url::Url;

/// An issuer of id tokens, fixed by the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Issuer {
    /// One name, which stands in its discovery document and in all of its tokens.
    Exact(String),
    /// One discovery document for many directories; each directory's tokens are issued by a name of its own.
    PerDirectory {
        /// Where the discovery document is, without `/.well-known/…`.
        base: String,
        /// The name with a place for the directory: what the document says.
        template: String,
        /// Which directories may sign in; all if none is listed.
        directories: Option<Vec<String>>,
    },
}

/// The place of the directory's id in a name.
const DIRECTORY: &str = "{tenantid}";

impl Issuer {
    /// What the discovery document must call itself.
    pub(crate) fn in_document(&self) -> &str {
        match self {
            Self::Exact(name) => name,
            Self::PerDirectory { template, .. } => template,
        }
    }

    /// Where the discovery document is.
    ///
    /// # Source
    /// OpenID Connect Discovery §4: one slash at the end of the issuer gives way.
    pub(crate) fn document(&self) -> String {
        let base = match self {
            Self::Exact(name) => name,
            Self::PerDirectory { base, .. } => base,
        };
        format!(
            "{}/.well-known/openid-configuration",
            base.strip_suffix('/').unwrap_or(base)
        )
    }

    /// What a token with these claims must call its issuer; none if its directory may not sign in.
    pub(crate) fn of_token(&self, claims: &JsonMap) -> Option<Cow<'_, str>> {
        match self {
            Self::Exact(name) => Some(Cow::Borrowed(name)),
            Self::PerDirectory {
                template,
                directories,
                ..
            } => {
                let directory = claims
                    .get("tid")
                    .and_then(Value::as_str)
                    .filter(|id| is_guid(id))?;
                let admitted = directories
                    .as_ref()
                    .is_none_or(|all| all.iter().any(|one| one == directory));
                admitted.then(|| Cow::Owned(template.replace(DIRECTORY, directory)))
            }
        }
    }

    /// Whether a key that is published for `owner` may sign tokens of `issuer`.
    pub(crate) fn owns_key(&self, owner: &str, issuer: &str) -> bool {
        match self {
            // Whatever it says there: the set is that of this issuer alone.
            Self::Exact(_) => true,
            Self::PerDirectory { template, .. } => owner == template || owner == issuer,
        }
    }

    /// What is wrong with it.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        match self {
            Self::PerDirectory {
                directories: Some(ids),
                ..
            } if ids.is_empty() || !ids.iter().all(|id| is_guid(id)) => {
                Some("a directory is named by its id, a GUID, and at least one is named")
            }
            _ if !Self::is_name(self.in_document()) => {
                Some("the issuer must be https, or http on this machine, without query and fragment")
            }
            _ => None,
        }
    }

    /// Whether it is a name that an issuer can have: https (or http on this machine), no query, no fragment, nobody's
    /// credentials.
    ///
    /// # Source
    /// OpenID Connect Discovery §3.
    fn is_name(text: &str) -> bool {
        let Ok(url) = Url::parse(text) else {
            return false;
        };
        let scheme = url.scheme() == "https" || url.scheme() == "http" && is_loopback(text);
        scheme
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    }
}

/// Whether `text` is a GUID as Microsoft writes it.
pub(crate) fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ONE: &str = "11111111-aaaa-4bbb-8ccc-222222222222";
    const OTHER: &str = "33333333-aaaa-4bbb-8ccc-222222222222";

    fn many(directories: Option<Vec<String>>) -> Issuer {
        Issuer::PerDirectory {
            base: "https://login.test/organizations/v2.0".to_owned(),
            template: "https://login.test/{tenantid}/v2.0".to_owned(),
            directories,
        }
    }

    fn of(issuer: &Issuer, claims: Value) -> Option<String> {
        issuer.of_token(claims.as_object().unwrap()).map(Cow::into_owned)
    }

    #[test]
    fn the_document_is_found_behind_the_name_with_or_without_a_slash() {
        let document = |name: &str| Issuer::Exact(name.to_owned()).document();
        assert_eq!(
            document("https://a.test"),
            "https://a.test/.well-known/openid-configuration"
        );
        assert_eq!(
            document("https://a.test/"),
            "https://a.test/.well-known/openid-configuration"
        );
        assert_eq!(
            document("https://a.test/x/"),
            "https://a.test/x/.well-known/openid-configuration"
        );
        assert_eq!(
            many(None).document(),
            "https://login.test/organizations/v2.0/.well-known/openid-configuration"
        );
    }

    #[test]
    fn a_directory_has_a_name_of_its_own_and_no_say_in_the_rest_of_it() {
        let expected = Some(format!("https://login.test/{ONE}/v2.0"));
        assert_eq!(of(&many(None), json!({ "tid": ONE })), expected);
        assert_eq!(
            of(&many(Some(vec![ONE.to_owned()])), json!({ "tid": ONE })),
            expected
        );
        assert_eq!(
            of(&many(Some(vec![OTHER.to_owned()])), json!({ "tid": ONE })),
            None
        );
        assert_eq!(of(&many(Some(vec![])), json!({ "tid": ONE })), None);
        for tid in [
            json!(null),
            json!(""),
            json!("../evil"),
            json!("evil.test/#"),
            json!(ONE.to_uppercase()),
            json!([ONE]),
        ] {
            assert_eq!(of(&many(None), json!({ "tid": tid })), None, "{tid}");
        }
        assert_eq!(of(&many(None), json!({})), None);
    }

    #[test]
    fn a_key_of_one_directory_signs_for_no_other() {
        let all = many(None);
        let name = |id: &str| format!("https://login.test/{id}/v2.0");
        assert!(all.owns_key("https://login.test/{tenantid}/v2.0", &name(ONE)));
        assert!(all.owns_key(&name(ONE), &name(ONE)));
        assert!(!all.owns_key(&name(OTHER), &name(ONE)));
    }

    #[test]
    fn a_name_is_https_or_on_this_machine_and_nothing_more() {
        for good in [
            "https://a.test",
            "https://a.test/x/",
            "https://a.test:1",
            "http://localhost:3",
            "http://127.0.0.1",
        ] {
            assert!(Issuer::is_name(good), "{good}");
        }
        for wrong in [
            "http://a.test",
            "https://a.test?x",
            "https://a.test#x",
            "https://u@a.test",
            "a.test",
            "",
            "http://localhost.a.test",
        ] {
            assert!(!Issuer::is_name(wrong), "{wrong}");
        }
    }
}
