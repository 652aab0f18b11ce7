//! Undoing the first second factor of an account, or a change of a contact, by the link in its notice.

use stepup_core::flow::{UndoOutcome, Undoable};

use crate::call::Call;
use crate::page::Words;
use crate::refusal::Refusal;
use crate::reply::Reply;

/// `GET /factor/undo`: a page that asks. To look at it changes nothing, so that a scanner of mails does no harm (threat
/// A-CSR-08).
pub(super) async fn page(call: &Call<'_>) -> Result<Reply, Refusal> {
    let token = call.query("token")?;
    let asks = match call.stepup().undoes(&call.caller, &token).await? {
        None => return Ok(call.page(&GONE, None)),
        Some(Undoable::Factor) => &ASKS,
        Some(Undoable::Contact) => &ASKS_CONTACT,
    };
    Ok(call.page(asks, Some((&token, "That was not me: undo it"))))
}

/// `POST /factor/undo`.
pub(super) async fn undo(call: &Call<'_>) -> Result<Reply, Refusal> {
    let token = call.only_field("token")?;
    let outcome = call.stepup().undo_factor(&call.caller, &token).await?;
    Ok(match (outcome, call.is_form()) {
        (UndoOutcome::Done(Undoable::Factor), true) => call.page(&DONE, None),
        (UndoOutcome::Done(Undoable::Contact), true) => call.page(&DONE_CONTACT, None),
        (UndoOutcome::InvalidToken, true) => call.page(&GONE, None),
        (UndoOutcome::Done(_), false) => Reply::status("OK"),
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

const ASKS_CONTACT: Words = (
    "Undo the change of your contact?",
    &[
        "An e-mail address or phone number of your account was changed. If you did it yourself, close this page: everything \
         stays as it is.",
        "If it was not you, somebody is in your account. Undo it: the old address or number takes its place again, second \
         factors that were added since are removed, everybody who is signed in is signed out, and your password opens nothing \
         until you set a new one.",
    ],
);

const DONE_CONTACT: Words = (
    "It is undone",
    &[
        "The old address or number of your account is in its place again, and everybody who was signed in is signed out.",
        "Now set a new password: go to the sign-in page and choose that you forgot it. The old one does not work any more.",
        "If that does not help, contact us.",
    ],
);

const GONE: Words = (
    "This link does not work any more",
    &["It was used already, or it is too old. If you need help with your account, contact us."],
);
