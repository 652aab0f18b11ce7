//! Undoing the first second factor of an account, by the link in its notice.

use stepup_core::flow::UndoOutcome;

use crate::call::Call;
use crate::page::Words;
use crate::refusal::Refusal;
use crate::reply::Reply;

/// `GET /factor/undo`: a page that asks. To look at it changes nothing, so that a scanner of mails does no harm (threat
/// A-CSR-08).
pub(super) async fn page(call: &Call<'_>) -> Result<Reply, Refusal> {
    let token = call.query("token")?;
    if !call.stepup().can_undo_factor(&call.caller, &token).await? {
        return Ok(call.page(&GONE, None));
    }
    Ok(call.page(&ASKS, Some((&token, "That was not me: undo it"))))
}

/// `POST /factor/undo`.
pub(super) async fn undo(call: &Call<'_>) -> Result<Reply, Refusal> {
    let token = call.only_field("token")?;
    let outcome = call.stepup().undo_factor(&call.caller, &token).await?;
    Ok(match (outcome, call.is_form()) {
        (UndoOutcome::Done, true) => call.page(&DONE, None),
        (UndoOutcome::InvalidToken, true) => call.page(&GONE, None),
        (UndoOutcome::Done, false) => Reply::status("OK"),
        (UndoOutcome::InvalidToken, false) => Reply::status("INVALID_TOKEN_ERROR"),
    })
}

const ASKS: Words = (
    "Undo the second factor?",
    &[
        "A second factor was added to your account. If you did it yourself, close this page: everything stays as it is.",
        "If it was not you, somebody can sign in as you. Undo it: the second factors of your account are removed, \
         everybody who is signed in to it is signed out, and your password opens nothing until you set a new one.",
    ],
);

const DONE: Words = (
    "It is undone",
    &[
        "The second factors of your account are removed, and everybody who was signed in is signed out.",
        "Now set a new password: go to the sign-in page and choose that you forgot it. The old one does not work any more.",
    ],
);

const GONE: Words = (
    "This link does not work any more",
    &["It was used already, or it is too old. If you need help with your account, contact us."],
);
