//! The token endpoint: a code for tokens.

use serde_json::Value;
use stepup_core::provider::ProviderError;
use stepup_core::record::JsonMap;
use stepup_core::secret::Secret;
use stepup_core::time::Timestamp;
use url::Url;

use crate::client::{Client, TokenAuth, Words};
use crate::http::{Network, refused};

/// What is sent for tokens.
pub(crate) struct Exchange<'a> {
    pub(crate) code: &'a Secret<String>,
    pub(crate) redirect_uri: &'a str,
    /// None for the few providers that refuse it.
    pub(crate) verifier: Option<&'a Secret<String>>,
}

/// What came for it.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    pub(crate) access: Option<Secret<String>>,
    pub(crate) id: Option<Secret<String>>,
}

impl Exchange<'_> {
    /// Spends the code.
    ///
    /// # Errors
    /// [`ProviderError`].
    ///
    /// # Source
    /// RFC 6749 §4.1.3 and §4.1.4, RFC 7636 §4.5.
    pub(crate) async fn send(
        &self,
        (network, endpoint): (&Network, Url),
        (client, auth): (&Client, TokenAuth),
        now: Timestamp,
    ) -> Result<Tokens, ProviderError> {
        if self.code.expose().is_empty() {
            return Err(ProviderError::Refused("no_code"));
        }
        let words = Words::of(&client.id, client.secret_at(now)?, auth);
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", self.code.expose().as_str()),
            ("redirect_uri", self.redirect_uri),
        ];
        fields.extend(
            self.verifier
                .map(|verifier| ("code_verifier", verifier.expose().as_str())),
        );
        fields.extend(words.id.as_deref().map(|id| ("client_id", id)));
        fields.extend(
            words
                .secret
                .as_ref()
                .map(|secret| ("client_secret", secret.expose().as_str())),
        );
        let answer = network.post_form(endpoint, &fields, words.header()).await?;
        read(answer.status, answer.object())
    }
}

/// Reads an answer of the token endpoint.
fn read(status: u16, body: Option<JsonMap>) -> Result<Tokens, ProviderError> {
    // GitHub and Facebook refuse with 200, so the body is asked first. What it says is not repeated: it may quote the code.
    let error = body.as_ref().and_then(|body| body.get("error"));
    let refusal = error.filter(|error| !error.is_null()).map(meaning);
    match (status, body, refusal) {
        (200..300 | 400..=428 | 430..500, _, Some(reason)) => Err(ProviderError::Refused(reason)),
        (200, Some(mut body), None) => {
            if let Some(kind) = body.get("token_type")
                && !kind
                    .as_str()
                    .is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"))
            {
                return Err(ProviderError::Untrusted("tokens_of_another_kind"));
            }
            Ok(Tokens {
                access: token(&mut body, "access_token")?,
                id: token(&mut body, "id_token")?,
            })
        }
        (200, None, _) => Err(ProviderError::Untrusted("not_json")),
        (status, ..) => Err(refused(status, "code")),
    }
}

/// What an error of RFC 6749 §5.2 means here, and the like of providers that have names of their own.
fn meaning(error: &Value) -> &'static str {
    match error.as_str() {
        Some("invalid_grant" | "bad_verification_code" | "access_denied") => "code",
        Some("invalid_client" | "unauthorized_client" | "incorrect_client_credentials") => "client",
        Some("redirect_uri_mismatch") => "redirect_uri",
        _ => "token_request",
    }
}

fn token(body: &mut JsonMap, name: &str) -> Result<Option<Secret<String>>, ProviderError> {
    match body.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(token)) if is_token(&token) => Ok(Some(Secret::new(token))),
        Some(_) => Err(ProviderError::Untrusted("token_of_a_strange_form")),
    }
}

/// Whether it may be a token, which goes into a header.
///
/// # Source
/// RFC 6749, appendix A.12.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, 0x21..=0x7e))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answered(status: u16, body: Value) -> Result<Tokens, ProviderError> {
        read(status, body.as_object().cloned())
    }

    #[test]
    fn a_refusal_is_one_whatever_its_status_and_is_not_repeated() {
        for status in [200, 400, 401, 403] {
            for (error, reason) in [
                (json!("invalid_grant"), "code"),
                (json!("bad_verification_code"), "code"),
                (json!("invalid_client"), "client"),
                (json!("code canary is wrong"), "token_request"),
                (json!({ "message": "canary" }), "token_request"),
            ] {
                let body = json!({ "error": error, "error_description": "canary", "access_token": "x" });
                let refused = answered(status, body).unwrap_err();
                assert!(
                    matches!(refused, ProviderError::Refused(why) if why == reason),
                    "{refused:?}"
                );
                assert!(!format!("{refused:?} {refused}").contains("canary"));
            }
        }
    }

    #[test]
    fn a_provider_that_fails_is_not_one_that_refuses() {
        let error = json!({ "error": "invalid_grant" });
        for status in [429, 500, 502, 503] {
            assert!(
                matches!(
                    answered(status, error.clone()),
                    Err(ProviderError::Unavailable(_))
                ),
                "{status}"
            );
        }
        for status in [301, 302, 307] {
            assert!(
                matches!(answered(status, error.clone()), Err(ProviderError::Untrusted(_))),
                "{status}"
            );
        }
        assert!(matches!(
            answered(404, json!(null)),
            Err(ProviderError::Refused(_))
        ));
        assert!(matches!(
            answered(200, json!([])),
            Err(ProviderError::Untrusted(_))
        ));
        assert!(matches!(
            answered(204, json!(null)),
            Err(ProviderError::Unavailable(_))
        ));
    }

    #[test]
    fn tokens_are_taken_only_in_the_form_that_tokens_have() {
        let good = answered(
            200,
            json!({ "access_token": "a", "id_token": "b.c.d", "token_type": "Bearer" }),
        )
        .unwrap();
        assert_eq!(good.access.unwrap().expose(), "a");
        assert_eq!(good.id.unwrap().expose(), "b.c.d");
        assert!(
            answered(200, json!({ "access_token": "a" }))
                .unwrap()
                .id
                .is_none()
        );
        for wrong in [
            json!({ "access_token": "" }),
            json!({ "access_token": "a b" }),
            json!({ "access_token": "a\r\nx-evil: 1" }),
            json!({ "access_token": 1 }),
            json!({ "access_token": "a", "id_token": [] }),
            json!({ "access_token": "a", "token_type": "mac" }),
            json!({ "access_token": "a", "token_type": null }),
        ] {
            assert!(
                matches!(answered(200, wrong.clone()), Err(ProviderError::Untrusted(_))),
                "{wrong}"
            );
        }
    }
}
