//! Undoing the first second factor of an account, a change of a contact, or a provider that was added, by the link in its notice.

use stepup_core::flow::{AfterUndo, UndoOutcome, Undoable};

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
        Some((Undoable::Factor, AfterUndo::PasswordRetired)) => &ASKS,
        Some((Undoable::Factor, AfterUndo::NoPassword)) => &ASKS_ELSEWHERE,
        Some((Undoable::Contact, AfterUndo::PasswordRetired)) => &ASKS_CONTACT,
        Some((Undoable::Contact, AfterUndo::NoPassword)) => &ASKS_CONTACT_ELSEWHERE,
        Some((Undoable::Identity, _)) => &ASKS_IDENTITY,
    };
    Ok(call.page(asks, Some((&token, "That was not me: undo it"))))
}

/// `POST /factor/undo`.
pub(super) async fn undo(call: &Call<'_>) -> Result<Reply, Refusal> {
    let token = call.only_field("token")?;
    let outcome = call.stepup().undo_factor(&call.caller, &token).await?;
    Ok(match (outcome, call.is_form()) {
        (UndoOutcome::Done(what, left), true) => call.page(done(what, left), None),
        (UndoOutcome::InvalidToken, true) => call.page(&GONE, None),
        (UndoOutcome::Done(..), false) => Reply::status("OK"),
        (UndoOutcome::InvalidToken, false) => Reply::status("INVALID_TOKEN_ERROR"),
    })
}

/// It says of a password what was done to one, and nothing to whom ours means nothing.
const fn done(what: Undoable, left: AfterUndo) -> &'static Words {
    match (what, left) {
        (Undoable::Factor, AfterUndo::PasswordRetired) => &DONE,
        (Undoable::Factor, AfterUndo::NoPassword) => &DONE_ELSEWHERE,
        (Undoable::Contact, AfterUndo::PasswordRetired) => &DONE_CONTACT,
        (Undoable::Contact, AfterUndo::NoPassword) => &DONE_CONTACT_ELSEWHERE,
        (Undoable::Identity, AfterUndo::PasswordRetired) => &DONE_IDENTITY,
        (Undoable::Identity, AfterUndo::NoPassword) => &DONE_IDENTITY_ELSEWHERE,
    }
}

const ASKS: Words = (
    "Undo the second factor?",
    &[
        "A second factor was added to your account. If you did it yourself, close this page: everything stays as it is.",
        "If it was not you, somebody can sign in as you. Undo it: the second factors of your account are removed, \
         everybody who is signed in to it is signed out, and your password opens nothing until you set a new one.",
    ],
);

const ASKS_ELSEWHERE: Words = (
    "Undo the second factor?",
    &[
        "A second factor was added to your account. If you did it yourself, close this page: everything stays as it is.",
        "If it was not you, somebody can sign in as you. Undo it: the second factors of your account are removed, and \
         everybody who is signed in to it is signed out. How you sign in stays as it is: you have no password here.",
    ],
);

const DONE_ELSEWHERE: Words = (
    "It is undone",
    &[
        "The second factors of your account are removed, and everybody who was signed in is signed out.",
        ELSEWHERE,
    ],
);

/// What the undo cannot do.
const ELSEWHERE: &str = "Somebody can still sign in the way that you do. Secure that account, or that mailbox or phone, before \
                         you sign in again and add a second factor of your own.";

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

const ASKS_CONTACT_ELSEWHERE: Words = (
    "Undo the change of your contact?",
    &[
        "An e-mail address or phone number of your account was changed. If you did it yourself, close this page: everything \
         stays as it is.",
        "If it was not you, somebody is in your account. Undo it: the old address or number takes its place again, second \
         factors that were added since are removed, and everybody who is signed in is signed out. You have no password here.",
    ],
);

const DONE_CONTACT_ELSEWHERE: Words = (
    "It is undone",
    &[
        "The old address or number of your account is in its place again, and everybody who was signed in is signed out.",
        ELSEWHERE,
        "If that does not help, contact us.",
    ],
);

const ASKS_IDENTITY: Words = (
    "Undo the new way to sign in?",
    &[
        "An account at a provider was added to your account, and signs in to it. If you did it yourself, close this page: \
         everything stays as it is.",
        "If it was not you, somebody is in your account. Undo it: that account signs in no more, second factors that were \
         added since are removed, everybody who is signed in is signed out, and a password opens nothing until you set a new one.",
    ],
);

const DONE_IDENTITY: Words = (
    "It is undone",
    &[
        "The provider's account signs in to yours no more, and everybody who was signed in is signed out.",
        "Now set a new password: go to the sign-in page and choose that you forgot it. The old one does not work any more.",
    ],
);

const DONE_IDENTITY_ELSEWHERE: Words = (
    "It is undone",
    &[
        "The provider's account signs in to yours no more, and everybody who was signed in is signed out.",
        ELSEWHERE,
    ],
);

const GONE: Words = (
    "This link does not work any more",
    &["It was used already, or it is too old. If you need help with your account, contact us."],
);
