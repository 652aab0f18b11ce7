//! What each endpoint takes and answers, in words of OpenAPI. The match knows every endpoint: one without a description
//! does not compile.

use serde_json::{Value, json};

use super::{Codes, Endpoint, Guarded, Open};

/// An endpoint's part of the OpenAPI document.
#[derive(Clone, Debug)]
pub(crate) struct Description {
    /// One line.
    pub(crate) summary: &'static str,
    /// The parameters of the query, and whether they must be there.
    pub(crate) query: &'static [(&'static str, bool)],
    /// The schema of its body, where it reads one.
    pub(crate) body: Option<Value>,
    /// The schemas of what it answers with 200.
    pub(crate) answers: Vec<Value>,
    /// Whether a 200 may carry tokens.
    pub(crate) tokens: bool,
    /// Whether it may be a 401 although its row asks for no session.
    pub(crate) unauthorised: bool,
    /// Whether it may answer with a page.
    pub(crate) page: bool,
    /// Whether it may be a 403 for want of a claim although its row asks for no session.
    pub(crate) claims: bool,
    /// Whether it sends the browser on, and answers nothing else.
    pub(crate) redirects: bool,
    /// Whether it may be a 429, which the clients' own endpoints never are.
    pub(crate) throttled: bool,
}

/// Describes `endpoint`. A hook of the application may refuse each of them in words, but for a refresh.
pub(crate) fn describe(endpoint: Endpoint) -> Description {
    let mut description = described(endpoint);
    let in_words = general_error();
    let speaks = endpoint != Endpoint::Open(Open::Refresh);
    if speaks && !description.answers.contains(&in_words) {
        description.answers.push(in_words);
    }
    description
}

fn described(endpoint: Endpoint) -> Description {
    match endpoint {
        Endpoint::Open(Open::Refresh) => answers("New tokens for a refresh token.", [json!({ "const": {} })])
            .with_tokens()
            .may_be_unauthorised(),
        Endpoint::Open(Open::SignUp) => answers(
            "An account with e-mail and password, and a session for it.",
            [signed_in(), field_error(), general_error(), not_allowed("SIGN_UP_NOT_ALLOWED")],
        )
        .takes(credentials())
        .with_tokens()
        .may_be_unauthorised(),
        Endpoint::Open(Open::SignIn) => answers(
            "A session for e-mail and password.",
            [
                signed_in(),
                status("WRONG_CREDENTIALS_ERROR"),
                field_error(),
                general_error(),
                not_allowed("SIGN_IN_NOT_ALLOWED"),
            ],
        )
        .takes(credentials())
        .with_tokens()
        .may_be_unauthorised(),
        Endpoint::Open(Open::AskReset) => answers(
            "Sends a link for a new password, if the address is an account's. Nobody is told whether it is.",
            [status("OK"), field_error(), general_error()],
        )
        .takes(form(&["email"], json!({}), &[])),
        Endpoint::Open(Open::ResetPassword) => answers(
            "A new password, by the token of such a link. It opens no session, and ends all that there are.",
            [
                status("OK"),
                status("RESET_PASSWORD_INVALID_TOKEN_ERROR"),
                field_error(),
            ],
        )
        .takes(form(
            &["password"],
            json!({ "token": text(), "method": { "const": "token" } }),
            &["token"],
        )),
        Endpoint::Guarded(Guarded::ChangePassword) => answers(
            "A new password, by the present one. Every other session ends, and this one goes on by new tokens.",
            [status("OK"), status("WRONG_CREDENTIALS_ERROR"), field_error()],
        )
        .takes(closed(json!({ "currentPassword": text(), "newPassword": text() })))
        .with_tokens()
        .may_be_throttled(),
        Endpoint::Guarded(Guarded::ChangeContact) => answers(
            "Sends a code to a contact that is to take the place of one of the account's. Nothing changes yet.",
            [ok(json!({ "deviceId": text() })), general_error()],
        )
        .takes(optional(
            json!({}),
            json!({ "email": text(), "phoneNumber": text(), "role": { "enum": ["first", "second"] } }),
        ))
        .may_be_throttled(),
        Endpoint::Guarded(Guarded::ConfirmContact) => answers(
            "Replaces the contact by the code that went to the new one. Every other session ends, and this one goes on by new \
             tokens.",
            [
                status("OK"),
                counted("INCORRECT_USER_INPUT_CODE_ERROR"),
                counted("EXPIRED_USER_INPUT_CODE_ERROR"),
                status("RESTART_FLOW_ERROR"),
                status("CONTACT_ALREADY_EXISTS_ERROR"),
                general_error(),
            ],
        )
        .takes(closed(json!({ "deviceId": text(), "userInputCode": text() })))
        .with_tokens()
        .may_be_throttled(),
        Endpoint::Open(Open::EmailExists) => exists("Whether an e-mail address may sign in.", &[("email", true)]),
        Endpoint::Open(Open::PhoneExists) => exists("Whether a phone number may sign in.", &[("phoneNumber", true)]),
        Endpoint::Open(Open::LoginMethods) => answers(
            "What opens a session in the tenant.",
            [ok(json!({
                "emailPassword": enabled(json!({})),
                "passwordless": enabled(json!({})),
                "webauthn": enabled(json!({})),
                "thirdParty": enabled(json!({ "providers": list(closed(json!({ "id": text(), "name": text() }))) })),
                "firstFactors": list(text()),
            }))],
        ),
        Endpoint::Open(Open::AuthorisationUrl) => Description {
            query: &[
                ("thirdPartyId", true),
                ("redirectURIOnProviderDashboard", true),
                ("clientType", false),
                ("shouldTryLinkingWithSessionUser", false),
            ],
            ..answers(
                "Where the browser is to go, to sign in by a provider.",
                [
                    ok(json!({ "urlWithQueryParams": text(), "pkceCodeVerifier": text() })),
                    general_error(),
                ],
            )
        }
        .may_be_unauthorised(),
        Endpoint::Open(Open::SignInUp) => answers(
            "Signs in, or up, whom a provider vouches for; or adds them to the user of the session.",
            [
                ok(json!({ "createdNewRecipeUser": flag(), "user": schema("User") })),
                ok(json!({ "createdNewUser": flag(), "user": schema("User") })),
                status("NO_EMAIL_GIVEN_BY_PROVIDER"),
                general_error(),
                not_allowed("SIGN_IN_UP_NOT_ALLOWED"),
            ],
        )
        .takes(tolerant(
            json!({
                "thirdPartyId": text(),
                "clientType": text(),
                "shouldTryLinkingWithSessionUser": flag(),
                "redirectURIInfo": tolerant(
                    json!({
                        "redirectURIOnProviderDashboard": text(),
                        "redirectURIQueryParams": { "type": "object" },
                        "pkceCodeVerifier": text(),
                    }),
                    &["redirectURIOnProviderDashboard", "redirectURIQueryParams"],
                ),
                "oAuthTokens": tolerant(json!({ "id_token": text(), "access_token": text() }), &[]),
            }),
            &["thirdPartyId"],
        ))
        .with_tokens()
        .may_be_unauthorised()
        .may_lack_claims(),
        Endpoint::Open(Open::FormPost) => Description {
            redirects: true,
            ..answers("Hands the form of a provider's page on to a page of the website.", [])
        },
        Endpoint::Open(Open::ContactExists) => {
            exists("Whether an e-mail address signs in by codes.", &[("email", true)])
        }
        Endpoint::Open(Open::VerifyEmail) => answers(
            "Verifies an address by the token that was sent to it.",
            [status("OK"), status("EMAIL_VERIFICATION_INVALID_TOKEN_ERROR"), general_error()],
        )
        .takes(tolerant(json!({ "method": { "const": "token" }, "token": text() }), &["method", "token"]))
        .with_tokens()
        .may_be_unauthorised(),
        Endpoint::Guarded(Guarded::AskVerification) => answers(
            "Sends a link that verifies the address behind the session.",
            [status("OK"), status("EMAIL_ALREADY_VERIFIED_ERROR"), general_error()],
        )
        .with_tokens(),
        Endpoint::Guarded(Guarded::EmailStatus) => answers(
            "Whether the address behind the session is verified.",
            [ok(json!({ "isVerified": flag() })), general_error()],
        )
        .with_tokens(),
        Endpoint::Open(Open::UndoPage) => Description {
            query: &[("token", true)],
            ..answers("A page that asks whether a second factor or a change of a contact is to be undone.", []).with_page()
        },
        Endpoint::Open(Open::Undo) => answers(
            "Undoes second factors or a change of a contact by the link in the notice, ends all sessions, and retires the password.",
            [status("OK"), status("INVALID_TOKEN_ERROR"), general_error()],
        )
        .takes(closed(json!({ "token": text() })))
        .with_page(),
        Endpoint::Open(Open::ConfirmPage) => Description {
            query: &[("token", true)],
            ..answers("A page that asks whether a session may add the first second factor.", []).with_page()
        },
        Endpoint::Open(Open::Confirm) => answers(
            "Lets the session that asked add the account's first second factor.",
            [status("OK"), status("INVALID_TOKEN_ERROR"), general_error()],
        )
        .takes(closed(json!({ "token": text() })))
        .with_page(),
        Endpoint::Open(Open::Keys) => answers("The public keys of access tokens.", [schema("KeySet")]),
        Endpoint::Open(Open::Discovery) => {
            answers("Where the keys are, and who issues tokens.", [schema("Discovery")])
        }
        Endpoint::Open(Open::ApiDocument) => answers("This document.", [json!({ "type": "object" })]),
        Endpoint::Guarded(Guarded::SignOut) => answers("Ends the session.", [status("OK")]).with_tokens(),
        Endpoint::Codes(Codes::Create) => answers(
            "Sends a code or link: it completes the session's second factor or, where codes are a first factor, signs in.",
            [
                ok(json!({
                    "deviceId": text(),
                    "preAuthSessionId": text(),
                    "flowType": { "enum": ["USER_INPUT_CODE", "MAGIC_LINK", "USER_INPUT_CODE_AND_MAGIC_LINK"] },
                })),
                status("RESTART_FLOW_ERROR"),
                general_error(),
                not_allowed("SIGN_IN_UP_NOT_ALLOWED"),
            ],
        )
        .takes(tolerant(json!({ "phoneNumber": text(), "email": text() }), &[])),
        Endpoint::Codes(Codes::Resend) => answers(
            "Sends one more code.",
            [
                status("OK"),
                status("RESTART_FLOW_ERROR"),
                general_error(),
            ],
        )
        .takes(tolerant(
            json!({ "deviceId": text(), "preAuthSessionId": text() }),
            &["deviceId", "preAuthSessionId"],
        )),
        Endpoint::Codes(Codes::Consume) => answers(
            "Answers a code, or opens a link.",
            [
                ok(json!({ "createdNewRecipeUser": flag(), "user": schema("User") })),
                ok(json!({ "createdNewUser": flag(), "user": schema("User") })),
                counted("INCORRECT_USER_INPUT_CODE_ERROR"),
                counted("EXPIRED_USER_INPUT_CODE_ERROR"),
                status("RESTART_FLOW_ERROR"),
                general_error(),
                not_allowed("SIGN_IN_UP_NOT_ALLOWED"),
            ],
        )
        .takes(tolerant(
            json!({
                "deviceId": text(),
                "preAuthSessionId": text(),
                "userInputCode": text(),
                "linkCode": text(),
            }),
            &["preAuthSessionId"],
        ))
        .with_tokens(),
        Endpoint::Guarded(Guarded::FactorInfo) => answers(
            "The factors that are due, set up, and may be set up.",
            [
                ok(json!({
                    "factors": closed(json!({
                        "next": list(text()),
                        "alreadySetup": list(text()),
                        "allowedToSetup": list(text()),
                    })),
                    "emails": map(list(text())),
                    "phoneNumbers": map(list(text())),
                })),
                general_error(),
            ],
        )
        .with_tokens(),
        Endpoint::Guarded(Guarded::Factors) => answers(
            "The names of the user's own factors.",
            [ok(json!({
                "factors": list(schema("OwnFactor")),
                "next": list(text()),
                "complete": flag(),
            }))],
        )
        .may_be_throttled(),
        Endpoint::Guarded(Guarded::Sessions) => answers(
            "The user's own living sessions, newest first.",
            [ok(json!({ "sessions": list(schema("OwnSession")) }))],
        )
        .may_be_throttled(),
        Endpoint::Guarded(Guarded::RevokeSession) => {
            answers("Ends one of the user's own sessions.", [status("OK")])
                .takes(closed(json!({ "sessionHandle": text() })))
                .with_tokens()
                .may_be_throttled()
        }
    }
}

/// The schemas that descriptions name.
pub(crate) fn schemas() -> Value {
    json!({
        "Message": closed(json!({ "message": text() })),
        "InvalidClaims": closed(json!({
            "message": { "const": "invalid claim" },
            "claimValidationErrors": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "properties": { "id": text(), "reason": {} },
                    "required": ["id"],
                    "additionalProperties": false,
                },
            },
        })),
        "User": { "oneOf": [schema("LinkedUser"), schema("FlatUser")] },
        "LinkedUser": closed(json!({
            "id": text(),
            "isPrimaryUser": flag(),
            "tenantIds": list(text()),
            "emails": list(text()),
            "phoneNumbers": list(text()),
            "thirdParty": list(identity()),
            "webauthn": closed(json!({ "credentialIds": list(text()) })),
            "timeJoined": time(),
            "loginMethods": list(optional(
                json!({
                    "recipeId": text(),
                    "recipeUserId": text(),
                    "tenantIds": list(text()),
                    "timeJoined": time(),
                    "verified": flag(),
                }),
                json!({ "email": text(), "phoneNumber": text(), "thirdParty": identity() }),
            )),
        })),
        "FlatUser": optional(
            json!({ "id": text(), "timeJoined": time() }),
            json!({ "email": text(), "phoneNumber": text(), "thirdParty": identity() }),
        ),
        "OwnFactor": optional(
            json!({ "id": text(), "role": { "enum": ["first", "second"] } }),
            json!({ "contact": text(), "addedAt": time(), "completedAt": time() }),
        ),
        "OwnSession": closed(json!({
            "sessionHandle": text(),
            "current": flag(),
            "createdAt": time(),
            "refreshedAt": time(),
            "expiresAt": time(),
            "network": text(),
            "userAgent": text(),
            "factors": map(time()),
        })),
        "KeySet": closed(json!({
            "keys": list(json!({
                "type": "object",
                "properties": { "kty": text(), "kid": text(), "use": { "const": "sig" }, "alg": text() },
                "required": ["kty", "kid", "use", "alg"],
            })),
        })),
        "Discovery": {
            "type": "object",
            "properties": { "issuer": text(), "jwks_uri": text() },
            "required": ["issuer", "jwks_uri"],
        },
    })
}

fn answers<const N: usize>(summary: &'static str, answers: [Value; N]) -> Description {
    Description {
        summary,
        query: &[],
        body: None,
        answers: answers.into(),
        tokens: false,
        unauthorised: false,
        page: false,
        claims: false,
        redirects: false,
        throttled: false,
    }
}

impl Description {
    fn takes(self, body: Value) -> Self {
        Self {
            body: Some(body),
            ..self
        }
    }

    fn with_tokens(self) -> Self {
        Self { tokens: true, ..self }
    }

    fn with_page(self) -> Self {
        Self { page: true, ..self }
    }

    fn may_lack_claims(self) -> Self {
        Self { claims: true, ..self }
    }

    fn may_be_throttled(self) -> Self {
        Self {
            throttled: true,
            ..self
        }
    }

    fn may_be_unauthorised(self) -> Self {
        Self {
            unauthorised: true,
            ..self
        }
    }
}

fn exists(summary: &'static str, query: &'static [(&'static str, bool)]) -> Description {
    Description {
        query,
        ..answers(summary, [ok(json!({ "exists": flag() })), general_error()])
    }
}

// Answers

fn signed_in() -> Value {
    ok(json!({ "user": schema("User") }))
}

fn general_error() -> Value {
    outcome("GENERAL_ERROR", json!({ "message": text() }))
}

fn not_allowed(status: &str) -> Value {
    outcome(status, json!({ "reason": text() }))
}

fn enabled(more: Value) -> Value {
    let mut properties = json!({ "enabled": flag() });
    if let (Some(all), Value::Object(more)) = (properties.as_object_mut(), more) {
        all.extend(more);
    }
    closed(properties)
}

fn field_error() -> Value {
    let field = closed(json!({ "id": text(), "error": text() }));
    outcome("FIELD_ERROR", json!({ "formFields": list(field) }))
}

fn counted(status: &str) -> Value {
    outcome(
        status,
        json!({
            "failedCodeInputAttemptCount": { "type": "integer", "minimum": 0 },
            "maximumCodeInputAttempts": { "type": "integer", "minimum": 1 },
        }),
    )
}

fn ok(more: Value) -> Value {
    outcome("OK", more)
}

fn status(status: &str) -> Value {
    outcome(status, json!({}))
}

fn outcome(status: &str, more: Value) -> Value {
    let mut properties = json!({ "status": { "const": status } });
    if let (Some(all), Value::Object(more)) = (properties.as_object_mut(), more) {
        all.extend(more);
    }
    closed(properties)
}

// Bodies

fn credentials() -> Value {
    form(&["email", "password"], json!({}), &[])
}

/// A form of these fields, with what stands beside it.
fn form(ids: &[&str], beside: Value, required: &[&str]) -> Value {
    let field = json!({
        "type": "object",
        "properties": { "id": { "enum": ids }, "value": text() },
        "required": ["id", "value"],
    });
    let mut properties = json!({ "formFields": list(field) });
    if let (Some(all), Value::Object(beside)) = (properties.as_object_mut(), beside) {
        all.extend(beside);
    }
    let required = [&["formFields"], required].concat();
    tolerant(properties, &required)
}

/// A body whose other fields are ignored, as those of the clients' endpoints are.
fn tolerant(properties: Value, required: &[&str]) -> Value {
    json!({ "type": "object", "properties": properties, "required": required })
}

// Parts

/// An object of exactly these properties.
fn closed(properties: Value) -> Value {
    optional(properties, json!({}))
}

/// An object of these properties, and perhaps of those.
fn optional(required: Value, optional: Value) -> Value {
    let names: Vec<String> = required
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.clone())
        .collect();
    let mut properties = required;
    if let (Some(all), Value::Object(more)) = (properties.as_object_mut(), optional) {
        all.extend(more);
    }
    json!({ "type": "object", "properties": properties, "required": names, "additionalProperties": false })
}

/// Who somebody is at a provider.
fn identity() -> Value {
    closed(json!({ "id": text(), "userId": text() }))
}

fn schema(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn flag() -> Value {
    json!({ "type": "boolean" })
}

/// Milliseconds since 1970.
fn time() -> Value {
    json!({ "type": "integer", "format": "int64" })
}

fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn map(values: Value) -> Value {
    json!({ "type": "object", "additionalProperties": values })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::ROUTES;
    use crate::table::Body;

    #[test]
    fn a_body_is_described_where_one_is_read() {
        for row in ROUTES {
            assert_eq!(
                describe(row.endpoint).body.is_some(),
                !matches!(row.body, Body::Ignored | Body::ForeignForm),
                "{row:?}"
            );
        }
    }

    #[test]
    fn every_schema_that_is_named_exists() {
        let schemas = schemas();
        let mut text = schemas.to_string();
        for row in ROUTES {
            text.push_str(&format!("{:?}", describe(row.endpoint)).replace('\\', ""));
        }
        let named = text.split("#/components/schemas/").skip(1);
        for name in named.map(|rest| rest.split('"').next().unwrap()) {
            assert!(schemas.get(name).is_some(), "{name}");
        }
    }
}
