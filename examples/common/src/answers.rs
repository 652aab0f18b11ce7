//! The answers of the demo's own routes: what is the same whatever framework asks for it.

use std::time::Duration;

use serde_json::{Value, json};
use stepup::flow::Caller;
use stepup::rule::{ClaimRule, Rule};
use stepup::time::Clock;
use stepup::wire::Session;
use stepup::{Fresh, Require2fa, Requirement, TenantId};

use crate::answer::{Answer, Unread};
use crate::page::{self, PageView};
use crate::site::{NAME, Site};

/// The longest body that is read, in bytes. One that announces more is not read at all.
pub const MAX_BODY: usize = 64 * 1024;

/// How long a client may take to send a body, and a handler to answer it.
pub const PATIENCE: Duration = Duration::from_secs(20);

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

/// `GET /`. `framework` is the name of the one that serves the page.
pub fn index(site: &Site, framework: &str) -> Answer {
    Answer::shown(
        page::CONTENT_TYPE,
        page::index(&view(site, framework)).into_bytes(),
    )
}

/// `GET /auth/callback/example`: where the provider sends browsers back to. The page's script goes on from there.
pub fn callback(site: &Site, framework: &str) -> Answer {
    if !site.stepup.offers_providers() {
        return not_found();
    }
    index(site, framework)
}

/// `GET /auth/verify`: where links lead.
pub fn by_contact(site: &Site, framework: &str) -> Answer {
    if !signs_in_by_contact(site) {
        return not_found();
    }
    Answer::shown(
        page::CONTENT_TYPE,
        page::by_contact(&view(site, framework)).into_bytes(),
    )
}

/// `GET /auth/verify-email`: where links lead that verify an address.
pub fn verify_email(site: &Site, framework: &str) -> Answer {
    if !site.stepup.verifies_email() {
        return not_found();
    }
    Answer::shown(
        page::CONTENT_TYPE,
        page::verify_email(&view(site, framework)).into_bytes(),
    )
}

/// `GET /auth/reset-password`: a forgotten password, and where the links of resets lead.
pub fn new_password(site: &Site, framework: &str) -> Answer {
    Answer::shown(
        page::CONTENT_TYPE,
        page::new_password(&view(site, framework)).into_bytes(),
    )
}

/// `GET /assets/{file}`.
pub fn asset(file: &str) -> Answer {
    match page::asset(&format!("/assets/{file}")) {
        Some((kind, bytes)) => Answer::shown(kind, bytes),
        None => not_found(),
    }
}

/// `GET /api/me`.
pub fn me<R>(session: &Session<R>) -> Answer {
    Answer::json(&json!({
        "userId": session.user_id(),
        "sessionHandle": session.handle(),
        "claims": session.payload(),
    }))
}

/// `GET /api/optional`.
pub fn optional<R>(session: Option<&Session<R>>) -> Answer {
    Answer::json(&json!({ "userId": session.map(|session| session.user_id()) }))
}

/// `GET /api/secret` and `GET /layered/secret`.
pub fn secret<R>(session: &Session<R>) -> Answer {
    Answer::json(&json!({ "userId": session.user_id(), "secret": "two factors opened this" }))
}

/// `POST /api/comment`.
pub fn comment(body: Result<impl AsRef<[u8]>, Unread>) -> Answer {
    let body = match parsed(body) {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    match body.get("text").and_then(Value::as_str) {
        Some(text) if !text.trim().is_empty() && text.chars().count() <= 500 => {
            Answer::json(&json!({ "saved": true, "text": text }))
        }
        _ => bad("text must have 1 to 500 characters"),
    }
}

/// `POST /api/transfer`.
pub fn transfer() -> Answer {
    Answer::json(&json!({ "done": true }))
}

/// `GET /api/admin`.
pub fn admin<R>(session: &Session<R>) -> Answer {
    Answer::json(&json!({ "userId": session.user_id(), "role": "admin" }))
}

/// `POST /api/link-code`: whom a link signs in, for the page that asks before it does; and its code, for whoever opened it
/// elsewhere than where it was asked for.
pub async fn link_code(site: &Site, body: Result<impl AsRef<[u8]>, Unread>) -> Answer {
    let body = match parsed(body) {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let (Some(id), Some(secret)) = (text("preAuthSessionId"), text("linkCode")) else {
        return bad("preAuthSessionId and linkCode must be given");
    };
    let tenant = text("tenantId").map_or_else(TenantId::public, TenantId::from);
    let (stepup, caller, id) = (&site.stepup, Caller::within(&tenant), id.into());
    let contact = stepup.contact_of_link(&caller, &id, secret).await;
    let code = stepup.code_of_link(&caller, &id, secret).await;
    match (contact, code) {
        (Ok(contact), Ok(code)) => Answer::json(&json!({
            "contact": contact,
            "code": code.as_ref().map(|code| code.expose()),
        })),
        _ => no_store(),
    }
}

/// `GET /dev/outbox`.
pub async fn outbox(site: &Site) -> Answer {
    if !site.dev {
        return not_found();
    }
    site.settle().await;
    Answer::json(&json!(site.outbox.sent()))
}

/// `POST /dev/clock`.
pub async fn clock(site: &Site, body: Result<impl AsRef<[u8]>, Unread>) -> Answer {
    if !site.dev_clock {
        return not_found();
    }
    let body = match parsed(body) {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let seconds = body.get("advanceSeconds").and_then(Value::as_u64);
    // Ten years forward are enough for every test, and years further tokens and cookies stop making sense.
    let seconds = seconds
        .filter(|s| *s <= 10 * 366 * 24 * 3600)
        .and_then(|s| u32::try_from(s).ok());
    let Some(seconds) = seconds else {
        return bad("advanceSeconds must be a whole number, at most ten years");
    };
    site.advance(seconds).await;
    Answer::json(&json!({ "now": site.clock.now().as_ms() }))
}

/// `GET /healthz`.
pub async fn health(site: &Site) -> Answer {
    match site.stepup.ping().await {
        Ok(()) => Answer::text("ok"),
        Err(_) => no_store(),
    }
}

/// To a path that nobody serves.
pub fn not_found() -> Answer {
    Answer::error(404, "not found")
}

/// To a method that a path does not take.
pub fn not_allowed() -> Answer {
    Answer::error(405, "method not allowed")
}

/// To whoever drips a body byte by byte, when [`PATIENCE`] is over.
pub fn too_slow() -> Answer {
    Answer::error(408, "the request took too long")
}

/// After a handler panicked.
pub fn broken() -> Answer {
    Answer::error(500, "something went wrong")
}

fn no_store() -> Answer {
    Answer::error(503, "the store does not answer")
}

fn bad(message: &str) -> Answer {
    Answer::error(400, message)
}

fn parsed(body: Result<impl AsRef<[u8]>, Unread>) -> Result<Value, Answer> {
    serde_json::from_slice(body?.as_ref()).map_err(|_| bad("the body must be JSON"))
}

fn signs_in_by_contact(site: &Site) -> bool {
    site.stepup.codes().is_some_and(|role| role.is_first())
}

fn view<'a>(site: &'a Site, framework: &'a str) -> PageView<'a> {
    let app = site.stepup.app();
    PageView {
        app_name: NAME,
        framework,
        website_origin: app.website_origin(),
        api_origin: app.api_origin(),
        api_base_path: app.base_path(),
        by_contact: signs_in_by_contact(site),
        by_provider: site.stepup.offers_providers(),
        has_outbox: site.dev,
        has_clock: site.dev_clock,
    }
}
