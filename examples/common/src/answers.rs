//! The bodies of the demo's own routes.

use serde_json::{Value, json};
use stepup::rule::{ClaimRule, Rule};
use stepup::time::Clock;
use stepup::wire::Session;
use stepup::wire::core::id::ChallengeId;
use stepup::wire::core::secret::Secret;
use stepup::{Fresh, Require2fa, Requirement};

use crate::site::Site;

/// A requirement of the application's own: the claim `role` includes `admin`.
#[derive(Clone, Copy, Debug)]
pub struct Admin;

impl Requirement for Admin {
    fn rule() -> Rule {
        Rule::Claim(ClaimRule::includes("role", "admin"))
    }
}

/// What `POST /api/transfer` asks: a second factor within five minutes.
pub type StepUp = Fresh<300>;

/// What `GET /api/admin` asks.
pub type AdminOnly = (Require2fa, Admin);

/// `GET /api/me`.
pub fn me<R>(session: &Session<R>) -> Value {
    json!({
        "userId": session.user_id(),
        "sessionHandle": session.handle(),
        "claims": session.payload(),
    })
}

/// `GET /api/optional`.
pub fn optional<R>(session: Option<&Session<R>>) -> Value {
    json!({ "userId": session.map(|session| session.user_id()) })
}

/// `GET /api/secret` and `GET /layered/secret`.
pub fn secret<R>(session: &Session<R>) -> Value {
    json!({ "userId": session.user_id(), "secret": "two factors opened this" })
}

/// `POST /api/comment`: the answer, or why the body is none.
///
/// # Errors
/// What is wrong with the body, in words.
pub fn comment(body: &[u8]) -> Result<Value, &'static str> {
    let body: Value = serde_json::from_slice(body).map_err(|_| "the body must be JSON")?;
    match body.get("text").and_then(Value::as_str) {
        Some(text) if !text.trim().is_empty() && text.chars().count() <= 500 => {
            Ok(json!({ "saved": true, "text": text }))
        }
        _ => Err("text must have 1 to 500 characters"),
    }
}

/// `POST /api/link-code`: the challenge and the secret of a link.
///
/// # Errors
/// What is wrong with the body, in words.
pub fn link(body: &[u8]) -> Result<(ChallengeId, String), &'static str> {
    let body: Value = serde_json::from_slice(body).map_err(|_| "the body must be JSON")?;
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    match (text("preAuthSessionId"), text("linkCode")) {
        (Some(id), Some(secret)) => Ok((id.into(), secret.to_owned())),
        _ => Err("preAuthSessionId and linkCode must be given"),
    }
}

/// The answer to it.
pub fn link_code(code: Option<Secret<String>>) -> Value {
    json!({ "code": code.as_ref().map(Secret::expose) })
}

/// `POST /api/transfer`.
pub fn transfer() -> Value {
    json!({ "done": true })
}

/// `GET /api/admin`.
pub fn admin<R>(session: &Session<R>) -> Value {
    json!({ "userId": session.user_id(), "role": "admin" })
}

/// `GET /dev/outbox`.
pub fn outbox(site: &Site) -> Value {
    json!(site.outbox.sent())
}

/// `POST /dev/clock`: how far to move, or why the body is none.
///
/// # Errors
/// What is wrong with the body, in words.
pub fn clock(body: &[u8]) -> Result<u32, &'static str> {
    let body: Value = serde_json::from_slice(body).map_err(|_| "the body must be JSON")?;
    let seconds = body.get("advanceSeconds").and_then(Value::as_u64);
    // Ten years forward are enough for every test, and years further tokens and cookies stop making sense.
    let seconds = seconds
        .filter(|s| *s <= 10 * 366 * 24 * 3600)
        .and_then(|s| u32::try_from(s).ok());
    seconds.ok_or("advanceSeconds must be a whole number, at most ten years")
}

/// The time after it moved.
pub fn now(site: &Site) -> Value {
    json!({ "now": site.clock.now().as_ms() })
}

/// An error's body.
pub fn message(text: &str) -> Value {
    json!({ "message": text })
}
