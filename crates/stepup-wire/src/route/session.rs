//! Refresh and sign-out, and a user's own sessions.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::StatusCode;
use serde_json::{Map, Value, json};
use stepup_core::error::Fault;
use stepup_core::event::{EventKind, Outcome};
use stepup_core::flow::RefreshOutcome;
use stepup_core::id::SessionHandle;
use stepup_core::record::session::{Origin, Session};

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
            .gate()
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
            .gate()
            .note(EventKind::CookieDuplicate, Outcome::Noted, "refresh", call.parts);
        leftovers.clear_duplicates();
    }
    if chosen.tokens.is_empty() {
        return Ok(Refusal::SessionOver.into_reply().with_tokens(leftovers));
    }
    let tokens: Vec<&str> = chosen.tokens.iter().map(AsRef::as_ref).collect();
    let outcome = match stepup.refresh_one_of(&tokens, &call.caller).await {
        // To a client a refresh that is refused is over, whatever the words.
        Err(Fault::Vetoed(_)) => RefreshOutcome::Ended,
        outcome => outcome?,
    };
    match outcome {
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
    call.stepup()
        .revoke_by(&call.caller, session.claims.handle())
        .await?;
    let mut writes = TokenWrites::new();
    writes.end(session.mode);
    Ok(Reply::status("OK").with_tokens(writes))
}

/// `GET /session/list`: the user's living sessions, newest first.
///
/// # Source
/// ASVS v5.0.0-7.5.2.
pub(super) async fn list(call: &Call<'_>, session: &Verified) -> Result<Reply, Refusal> {
    call.count_own(session).await?;
    let claims = &session.claims;
    let sessions = call
        .stepup()
        .sessions(claims.tenant_id(), claims.user_id())
        .await?;
    let sessions: Vec<Value> = sessions
        .iter()
        .map(|own| entry(own, own.handle == *claims.handle()))
        .collect();
    Ok(Reply::ok(&json!({ "status": "OK", "sessions": sessions })))
}

fn entry(session: &Session, current: bool) -> Value {
    let chain = &session.chain;
    let (refreshed_at, origin) = match (&chain.rotated, chain.rise) {
        (Some(rotation), _) => (rotation.at, &rotation.origin),
        (None, Some(rise)) => (rise.at, &session.origin),
        (None, None) => (session.created_at, &session.origin),
    };
    let factors: Map<String, Value> = session
        .factors
        .iter()
        .map(|(factor, completion)| (factor.as_str().to_owned(), completion.at.as_ms().into()))
        .collect();
    json!({
        "sessionHandle": session.handle.as_str(),
        "current": current,
        "createdAt": session.created_at.as_ms(),
        "refreshedAt": refreshed_at.as_ms(),
        "expiresAt": session.end().as_ms(),
        "network": neighborhood(origin),
        "userAgent": origin.agent,
        "factors": factors,
    })
}

/// The network of `origin`, blurred: enough for its user to know it again, too little to find a person by.
fn neighborhood(origin: &Origin) -> String {
    let address = origin.network.split('/').next().unwrap_or_default();
    match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => format!("{}/24", Ipv4Addr::from_bits(address.to_bits() >> 8 << 8)),
        Ok(IpAddr::V6(address)) => format!("{}/48", Ipv6Addr::from_bits(address.to_bits() >> 80 << 80)),
        Err(_) => String::new(),
    }
}

/// `POST /session/revoke`: ends one of the user's sessions. One that is not theirs is answered as one that never was
/// (threat A-SES-13); their own present one is left as by sign-out.
pub(super) async fn revoke(call: &Call<'_>, session: &Verified) -> Result<Reply, Refusal> {
    call.count_own(session).await?;
    let fields = call.fields()?.only(&["sessionHandle"])?;
    let handle = SessionHandle::from(fields.required("sessionHandle")?);
    if !call.stepup().revoke_own(&session.claims, &handle).await? {
        return Err(Refusal::NotFound);
    }
    let mut writes = TokenWrites::new();
    if handle == *session.claims.handle() {
        writes.end(session.mode);
    }
    Ok(Reply::status("OK").with_tokens(writes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_shown_blurred() {
        let shown = |network: &str| {
            neighborhood(&Origin {
                network: network.to_owned(),
                agent: String::new(),
            })
        };
        assert_eq!(shown("192.0.2.77"), "192.0.2.0/24");
        assert_eq!(shown("2001:db8:1:2::/64"), "2001:db8:1::/48");
        assert_eq!(shown(""), "");
        assert_eq!(shown("unknown"), "");
    }
}
