//! The second factor by hand: five steps, written with public hooks and claims alone.
//!
//! Passwords sign in, and so do codes by SMS, each with users of its own. A hook makes the second sign-in a second factor of
//! the first. It shows what hooks can do, and is the way for a site that comes from such a set-up and wants to keep it for a
//! while; `README.md` says why the built-in second factor is safer.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use stepup::axum::{AnySession, Requirement, Session};
use stepup::hook::{Cx, Done, Hook, SessionDraft, Step, Stop};
use stepup::storage::Storage;
use stepup::wire::core::contact::PhoneNumber;
use stepup::{
    AppInfo, BooleanClaim, Builder, Countries, Deliver, FactorId, Password, Passwordless, Rule, Secrets,
    Stepup, TenantId, User, UserId,
};

/// stepup with passwords and codes as first factors, and this hook between them.
pub fn builder(
    info: AppInfo,
    store: Arc<dyn Storage>,
    secrets: impl Secrets,
    deliver: impl Deliver,
) -> Builder {
    Stepup::builder(info, store, secrets)
        .factor(Password::new())
        // (1) Codes stand beside the password, as a first factor: the built-in second factor is off.
        .factor(
            Passwordless::sms(deliver)
                .countries(Countries::All)
                .only_first_factor(),
        )
        // Every guarded route asks it, unless it says otherwise.
        .require_claim(completed().is(true))
        .hook(ByHand)
}

/// The application.
pub fn app(stepup: &Stepup) -> Router {
    Router::new()
        .route("/api/me", get(me))
        .route("/api/secret", get(secret))
        .route("/api/transfer", post(transfer))
        .merge(stepup::axum::routes(stepup))
        .layer(stepup::axum::layer(stepup))
}

async fn me(session: Session<AnySession>) -> Json<Value> {
    Json(json!({ "userId": session.user_id(), "claims": session.payload() }))
}

async fn secret(session: Session) -> Json<Value> {
    Json(json!({ "userId": session.user_id(), "secret": "two sign-ins opened this" }))
}

async fn transfer(_: Session<WithinFiveMinutes>) -> Json<Value> {
    Json(json!({ "done": true }))
}

/// A code was given in the last five minutes.
struct WithinFiveMinutes;

impl Requirement for WithinFiveMinutes {
    fn rule() -> Rule {
        completed().is(true).within(Duration::from_secs(300)).into()
    }
}

/// Whether a code was given in this session. Nobody fetches it: it would be reset as soon as a rule finds it too old.
fn completed() -> BooleanClaim {
    BooleanClaim::set_only("2fa-completed")
}

/// Where the number is in the payload, and the phone's user in the metadata.
const NUMBER: &str = "phoneNumber";
const LINK: &str = "passwordlessUserId";

/// The five steps.
#[derive(Debug)]
pub struct ByHand;

#[async_trait]
impl Hook for ByHand {
    async fn before(&self, cx: &Cx<'_>, step: &mut Step) -> Result<(), Stop> {
        match step {
            // (4) No other number than the user's own: else whoever has the password brings a phone along.
            Step::CreateCode { contact } => {
                let Some(own) = own_number(cx).await? else {
                    return Ok(());
                };
                if normal(contact).as_deref() != Some(own.as_str()) {
                    return Err(foreign());
                }
                *contact = own;
                Ok(())
            }
            // The challenge may be from before the number was known, or of somebody else.
            Step::ResendCode { challenge } | Step::ConsumeCode { challenge } => {
                let own = own_number(cx).await?;
                let to = cx.stepup().contact_of_code(cx.tenant(), challenge).await?;
                match (own, to) {
                    (Some(own), Some(to)) if own != to => Err(foreign()),
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    async fn on_session(&self, cx: &Cx<'_>, draft: &mut SessionDraft<'_>) -> Result<(), Stop> {
        if *draft.factor == FactorId::EMAIL_PASSWORD {
            // (1) A password alone completes nothing ..
            draft.set_claim(&completed(), &false)?;
            // (5) .. and what is looked up here is not looked up again in this session.
            if let Some(number) = linked_number(cx, &draft.user.tenant, &draft.user.id).await? {
                draft.put(NUMBER, number);
            }
            return Ok(());
        }
        // (3) A code opens no session: it sets the claim in the one that there is.
        draft.keep_session()?;
        let number = phone(draft.user).ok_or_else(foreign)?;
        if own_number(cx).await?.is_some_and(|own| own != number) {
            return Err(foreign());
        }
        draft.put(NUMBER, number);
        draft.set_claim(&completed(), &true)
    }

    async fn after(&self, cx: &Cx<'_>, step: &Step, done: &Done<'_>) -> Result<(), BoxError> {
        let (Step::ConsumeCode { .. }, Done::SignedIn { user, .. }, Some(session)) =
            (step, done, cx.session())
        else {
            return Ok(());
        };
        // (2) The phone's user becomes the user's, once. If this fails, the session is taken back.
        let (tenant, own) = (session.tenant_id(), session.user_id());
        if !cx.stepup().metadata(tenant, own).await?.contains_key(LINK) {
            let link = json!({ LINK: user.id.as_str() });
            let link = link.as_object().cloned().unwrap_or_default();
            cx.stepup().merge_metadata(tenant, own, &link).await??;
        }
        Ok(())
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

fn foreign() -> Stop {
    Stop::refuse("This is not the phone number of this account.")
}

/// The number of the user whose session this is; none if there is none yet. Without a session there is nothing to complete.
async fn own_number(cx: &Cx<'_>) -> Result<Option<String>, Stop> {
    let session = cx.session().ok_or(Stop::NeedsSession)?;
    // (5) In the payload, whose signature was checked.
    match session.payload().get(NUMBER).and_then(Value::as_str) {
        Some(number) => Ok(Some(number.to_owned())),
        // It may have been given in another session since.
        None => linked_number(cx, session.tenant_id(), session.user_id()).await,
    }
}

/// The number of the phone's user that is linked to `user`.
async fn linked_number(cx: &Cx<'_>, tenant: &TenantId, user: &UserId) -> Result<Option<String>, Stop> {
    let metadata = cx.stepup().metadata(tenant, user).await?;
    let Some(link) = metadata.get(LINK).and_then(Value::as_str) else {
        return Ok(None);
    };
    let linked = cx.stepup().user(tenant, &UserId::from(link)).await?;
    // A link to nobody is no reason to let anybody bring a number along.
    let number = linked.as_ref().and_then(phone);
    number
        .map(Some)
        .ok_or_else(|| Stop::refuse("The second factor of this account cannot be used. Please contact us."))
}

fn phone(user: &User) -> Option<String> {
    user.methods.iter().find_map(|method| method.phone.clone())
}

fn normal(typed: &str) -> Option<String> {
    PhoneNumber::parse(typed)
        .ok()
        .map(|number| number.as_str().to_owned())
}
