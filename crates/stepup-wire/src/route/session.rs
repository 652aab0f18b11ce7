//! Refresh and sign-out.

use http::StatusCode;
use serde_json::json;
use stepup_core::event::{EventKind, Outcome};
use stepup_core::flow::RefreshOutcome;

use crate::call::Call;
use crate::csrf::{Act, Forgery};
use crate::gate::Verified;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::tokens;
use crate::transfer::{self, Mode};
use crate::writes::TokenWrites;

/// `POST /session/refresh`. Every answer carries `front-token`, new or `remove`, so that no client asks forever; except
/// the two that must leave the client alone: a request that a foreign page could have sent, and a token from just
/// before a rise in assurance.
pub(super) async fn refresh(call: &Call<'_>) -> Result<Reply, Refusal> {
    let stepup = call.stepup();
    let rules = call.wire.rules();
    let chosen = transfer::refresh(rules.allowed, &call.parts.headers, rules.cookies.names, |token| {
        stepup.is_refresh_token(token)
    });
    if chosen.mode == Mode::Cookie && !chosen.tokens.is_empty() {
        let act = Act::Endpoint(Mode::Cookie);
        call.wire
            .believe(call.parts, act, Some(call.has_body()))
            .map_err(|refusal| match refusal {
                Refusal::Forged(Forgery::NoCustomHeader) => Refusal::Unusable,
                other => other,
            })?;
    }
    let mut leftovers = TokenWrites::new();
    if chosen.legacy {
        leftovers.clear_legacy();
    }
    if chosen.duplicates {
        call.wire
            .note(EventKind::CookieDuplicate, Outcome::Noted, "refresh", call.parts);
        leftovers.clear_duplicates();
    }
    if chosen.tokens.is_empty() {
        return Ok(Refusal::SessionOver.into_reply().with_tokens(leftovers));
    }
    let tokens: Vec<&str> = chosen.tokens.iter().map(AsRef::as_ref).collect();
    match stepup.refresh_one_of(&tokens, &call.caller).await? {
        RefreshOutcome::Refreshed(issued) => {
            let mut writes = leftovers;
            if chosen.clear_other {
                writes.leave(chosen.mode.other());
            }
            writes.then(tokens::hand_out(chosen.mode, *issued));
            Ok(Reply::json(StatusCode::OK, &json!({})).with_tokens(writes))
        }
        RefreshOutcome::Ended => Ok(Refusal::SessionOver.into_reply().with_tokens(leftovers)),
        RefreshOutcome::BeforeRise => Err(Refusal::Unusable),
        RefreshOutcome::Theft => Ok(Refusal::Theft.into_reply().with_tokens(leftovers)),
    }
}

/// `POST /signout`. Claims are not looked at, so that a half-login can be left; and the client is cleared although the
/// session may be gone already.
pub(super) async fn sign_out(call: &Call<'_>, session: &Verified) -> Result<Reply, Refusal> {
    call.stepup().revoke(session.claims.handle()).await?;
    let mut writes = TokenWrites::new();
    writes.end(session.mode);
    Ok(Reply::status("OK").with_tokens(writes))
}
