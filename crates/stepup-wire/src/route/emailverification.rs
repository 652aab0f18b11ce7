//! Verification of the address behind a session.

use serde_json::json;
use stepup_core::flow::{EmailStatus, IssuedTokens, VerificationAsked, VerifyOutcome};

use super::emailpassword::throttled;
use crate::call::Call;
use crate::csrf::Act;
use crate::gate::{self, Verified};
use crate::json::InputError;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::tokens;
use crate::transfer::Mode;

/// `POST /user/email/verify/token`: sends a link to the address behind the session.
pub(super) async fn ask(call: &Call<'_>, session: &Verified) -> Result<Reply, Refusal> {
    offered(call)?;
    let (reply, tokens) = match call
        .stepup()
        .ask_verification(&call.caller, &session.claims)
        .await?
    {
        VerificationAsked::Sent(tokens) => (Reply::status("OK"), tokens),
        VerificationAsked::AlreadyVerified(tokens) => (Reply::status("EMAIL_ALREADY_VERIFIED_ERROR"), tokens),
        VerificationAsked::Ended => return Err(Refusal::SessionOver),
        VerificationAsked::Throttled(after) => return Ok(throttled(after)),
        VerificationAsked::Busy => {
            return Ok(Reply::general_error(
                "We could not send a message just now. Please try again.",
            ));
        }
    };
    Ok(with(reply, session.mode, tokens))
}

/// `POST /user/email/verify`: spends a link. A session is not needed, and none is opened; that of another user is left as it
/// is (threat A-CSR-05).
pub(super) async fn verify(call: &Call<'_>) -> Result<Reply, Refusal> {
    offered(call)?;
    // Before the token is spent: a client with an old access token refreshes, and comes again with the same one.
    let session = gate::verify(call.wire.gate(), call.parts, Act::Endpoint, Some(call.has_body()))?;
    let session = session.filter(|session| call.caller.reaches(session.claims.tenant_id()));
    let fields = call.fields()?;
    if fields.required("method")? != "token" {
        return Err(InputError::Unclear("the method must be token").into());
    }
    let token = fields.required("token")?;
    let access = session.as_ref().map(|session| &session.claims);
    match call.stepup().verify_email(&call.caller, token, access).await? {
        VerifyOutcome::InvalidToken => Ok(Reply::status("EMAIL_VERIFICATION_INVALID_TOKEN_ERROR")),
        VerifyOutcome::Verified(tokens) => {
            let mode = session.map_or(Mode::Header, |session| session.mode);
            Ok(with(Reply::status("OK"), mode, tokens))
        }
    }
}

/// `GET /user/email/verify`: whether the address behind the session is verified.
///
/// It changes nothing of what is so: the claim is a copy of the user's row, and whoever reads that through a session gets a
/// token that says what was read, or a tab that waits would wait for ever (contract/recipes.md T-25).
pub(super) async fn status(call: &Call<'_>, session: &Verified) -> Result<Reply, Refusal> {
    offered(call)?;
    match call.stepup().email_status(&session.claims).await? {
        EmailStatus::Known(verified, tokens) => {
            let reply = Reply::ok(&json!({ "status": "OK", "isVerified": verified }));
            Ok(with(reply, session.mode, tokens))
        }
        EmailStatus::Ended => Err(Refusal::SessionOver),
    }
}

/// An endpoint that is turned off is none.
fn offered(call: &Call<'_>) -> Result<(), Refusal> {
    match call.stepup().verifies_email() {
        true => Ok(()),
        false => Err(Refusal::NotFound),
    }
}

fn with(reply: Reply, mode: Mode, tokens: Option<Box<IssuedTokens>>) -> Reply {
    match tokens {
        Some(issued) => reply.with_tokens(tokens::hand_out(mode, *issued)),
        None => reply,
    }
}
