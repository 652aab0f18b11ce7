//! Leave for a session to add the account's first second factor or another way to sign in, or to change a contact, by a link in
//! the mailbox.

use stepup_core::flow::ConfirmOutcome;

use crate::call::Call;
use crate::page::Words;
use crate::refusal::Refusal;
use crate::reply::Reply;

/// `GET /factor/confirm`: a page that asks. To look at it changes nothing (threat A-CSR-08).
pub(super) async fn page(call: &Call<'_>) -> Result<Reply, Refusal> {
    let token = call.query("token")?;
    if !call.stepup().can_confirm_enrollment(&call.caller, &token).await? {
        return Ok(call.page(&GONE, None));
    }
    Ok(call.page(&ASKS, Some((&token, "Yes, that is me: allow it"))))
}

/// `POST /factor/confirm`.
pub(super) async fn confirm(call: &Call<'_>) -> Result<Reply, Refusal> {
    let token = call.only_field("token")?;
    let outcome = call.stepup().confirm_enrollment(&call.caller, &token).await?;
    Ok(match (outcome, call.is_form()) {
        (ConfirmOutcome::Done, true) => call.page(&DONE, None),
        (ConfirmOutcome::InvalidToken, true) => call.page(&GONE, None),
        (ConfirmOutcome::Done, false) => Reply::status("OK"),
        (ConfirmOutcome::InvalidToken, false) => Reply::status("INVALID_TOKEN_ERROR"),
    })
}

const ASKS: Words = (
    "Allow a change of your account?",
    &[
        "Somebody who signed in to your account wants to add a second factor or another way to sign in to it, or to change its \
         address or number. Allow it only if that is you, now.",
        "If it is not you, close this page and change your password.",
    ],
);

const DONE: Words = (
    "It is allowed",
    &["Go back to where you signed in, and try again there."],
);

const GONE: Words = (
    "This link does not work any more",
    &[
        "It was used already, it is too old, or who asked for it is signed out. Sign in again to get another one.",
    ],
);
