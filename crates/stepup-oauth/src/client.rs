//! A client: what this application is at a provider.

use std::fmt;

use stepup_core::provider::ProviderError;
use stepup_core::secret::Secret;
use stepup_core::time::Timestamp;
use url::form_urlencoded;
use zeroize::Zeroizing;

use crate::apple::AppleKey;
use crate::http::Credentials;

/// This application, as it is registered at a provider.
///
/// An application that is registered several times (a website, and applications on devices) has one client for each, told
/// apart by [`Client::of_type`].
#[derive(Clone)]
pub struct Client {
    pub(crate) kind: Option<String>,
    pub(crate) id: String,
    pub(crate) secret: ClientSecret,
    pub(crate) scopes: Option<Vec<String>>,
    pub(crate) auth: Option<TokenAuth>,
    pub(crate) takes_tokens: bool,
}

/// How a client proves itself at the token endpoint.
#[derive(Clone)]
pub(crate) enum ClientSecret {
    /// Not at all: it is protected by PKCE alone.
    None,
    Text(Secret<String>),
    /// A token that is signed anew every hour.
    Apple(AppleKey),
}

/// Where the client's secret stands in a request for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenAuth {
    /// In the body, as `client_secret` (RFC 6749 §2.3.1, `client_secret_post`).
    Post,
    /// In the header `Authorization` (RFC 6749 §2.3.1, `client_secret_basic`).
    Basic,
}

impl Client {
    /// A client with a secret.
    pub fn new(id: impl Into<String>, secret: impl Into<Secret<String>>) -> Self {
        Self::with(id.into(), ClientSecret::Text(secret.into()))
    }

    /// A client without a secret (RFC 6749 §2.1): an application on a device.
    pub fn public(id: impl Into<String>) -> Self {
        Self::with(id.into(), ClientSecret::None)
    }

    /// A client of Apple: its secret is a token that is signed with a key of the developer's team.
    pub fn apple(id: impl Into<String>, key: AppleKey) -> Self {
        Self::with(id.into(), ClientSecret::Apple(key))
    }

    fn with(id: String, secret: ClientSecret) -> Self {
        Self {
            kind: None,
            id,
            secret,
            scopes: None,
            auth: None,
            takes_tokens: false,
        }
    }

    /// Names it, to tell several of one provider apart: the protocol's `clientType`.
    #[must_use]
    pub fn of_type(self, kind: impl Into<String>) -> Self {
        Self {
            kind: Some(kind.into()),
            ..self
        }
    }

    /// Asks for these scopes instead of the provider's usual ones. OpenID Connect needs `openid` among them.
    #[must_use]
    pub fn scopes(self, scopes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            scopes: Some(scopes.into_iter().map(Into::into).collect()),
            ..self
        }
    }

    /// Where its secret stands, if not where the provider usually wants it.
    #[must_use]
    pub fn auth(self, auth: TokenAuth) -> Self {
        Self {
            auth: Some(auth),
            ..self
        }
    }

    /// Takes tokens that an application on a device got from the provider by itself (the protocol's `oAuthTokens`), where it can be
    /// told whom they were given to. Without it only codes are taken, which is safer wherever it is possible: no ticket of ours
    /// tells for which browser such a token was made (threat A-OAU-13).
    ///
    /// An id token works once, within an hour of its issue, and must have no `nonce`: nobody here could compare it. An access token
    /// works as often as the provider says that it is good.
    #[must_use]
    pub fn takes_tokens(self) -> Self {
        Self {
            takes_tokens: true,
            ..self
        }
    }

    /// The secret at `now`; none if it has none.
    pub(crate) fn secret_at(&self, now: Timestamp) -> Result<Option<Secret<String>>, ProviderError> {
        match &self.secret {
            ClientSecret::None => Ok(None),
            ClientSecret::Text(secret) => Ok(Some(secret.clone())),
            ClientSecret::Apple(key) => key.secret(&self.id, now).map(Some),
        }
    }

    pub(crate) fn has_secret(&self) -> bool {
        !matches!(self.secret, ClientSecret::None)
    }

    /// What is wrong with it, a sentence each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.id.is_empty()
            || self.id.len() > 255
            || !self.id.bytes().all(|byte| matches!(byte, 0x21..=0x7e))
        {
            problems.push("a client's id must be 1 to 255 printable characters".to_owned());
        }
        if matches!(&self.secret, ClientSecret::Text(secret) if secret.expose().is_empty()) {
            problems.push("a client's secret is empty: use Client::public for one that has none".to_owned());
        }
        let is_word =
            |scope: &String| !scope.is_empty() && scope.bytes().all(|byte| matches!(byte, 0x21..=0x7e));
        if !self.scopes.iter().flatten().all(is_word) {
            problems.push("a scope is one word".to_owned());
        }
        if self.kind.as_deref() == Some("") {
            problems.push("a client's type must not be empty".to_owned());
        }
        problems
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("kind", &self.kind)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A client's words for the token endpoint.
pub(crate) struct Words {
    /// The id as a field of the form.
    pub(crate) id: Option<String>,
    /// The secret as a field of the form.
    pub(crate) secret: Option<Secret<String>>,
    basic: Option<(String, Secret<String>)>,
}

impl Words {
    /// Those of a client that has `secret`.
    pub(crate) fn of(id: &str, secret: Option<Secret<String>>, auth: TokenAuth) -> Self {
        match (secret, auth) {
            (Some(secret), TokenAuth::Basic) => Self {
                id: None,
                secret: None,
                // RFC 6749 §2.3.1: both are form-encoded before they are joined.
                basic: Some((encoded(id), Secret::new(encoded(secret.expose())))),
            },
            (secret, _) => Self {
                id: Some(id.to_owned()),
                secret,
                basic: None,
            },
        }
    }

    pub(crate) fn header(&self) -> Credentials<'_> {
        match &self.basic {
            Some((id, secret)) => Credentials::Basic(id, secret),
            None => Credentials::None,
        }
    }
}

fn encoded(word: &str) -> String {
    let word = Zeroizing::new(word.to_owned());
    form_urlencoded::byte_serialize(word.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let client = Client::new("id", Secret::new("canary".to_owned()));
        assert!(!format!("{client:?}").contains("canary"));
    }

    #[test]
    fn the_words_of_basic_are_encoded_before_they_are_joined() {
        let words = Words::of("a:b", Some(Secret::new("c d%".to_owned())), TokenAuth::Basic);
        assert!(words.id.is_none() && words.secret.is_none());
        let Credentials::Basic(id, secret) = words.header() else {
            panic!("no basic credentials");
        };
        assert_eq!((id, secret.expose().as_str()), ("a%3Ab", "c+d%25"));
    }

    #[test]
    fn a_client_without_a_secret_says_its_id_in_the_form_however_it_is_set_up() {
        let words = Words::of("id", None, TokenAuth::Basic);
        assert_eq!(words.id.as_deref(), Some("id"));
        assert!(matches!(words.header(), Credentials::None));
    }
}
