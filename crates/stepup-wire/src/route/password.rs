//! A new password: by a link in the mailbox, and by the present one.

use stepup_core::factor::password::FieldFault;
use stepup_core::flow::{ChangeOutcome, ResetAsked, ResetOutcome};
use stepup_core::password::Password;

use super::emailpassword::{REQUIRED, faulty, field_error, password_text};
use crate::call::Call;
use crate::gate::Verified;
use crate::json::{Fields, InputError};
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::tokens;

/// `POST /user/password/reset/token`. The answer is the same for every address, and for one that was asked for too often.
pub(super) async fn ask_reset(call: &Call<'_>) -> Result<Reply, Refusal> {
    offered(call)?;
    let fields = call.fields()?;
    let email = one_field(&fields, "email")?.map(str::trim);
    let Some(email) = email.filter(|email| !email.is_empty()) else {
        return Ok(field_error(&[("email", REQUIRED)]));
    };
    match call.stepup().ask_reset(&call.caller, email).await? {
        ResetAsked::Accepted => Ok(Reply::status("OK")),
        ResetAsked::Malformed => Ok(faulty(&[FieldFault::EmailMalformed])),
        ResetAsked::Busy => Ok(Reply::general_error(
            "We could not send a link just now. Please try again.",
        )),
        ResetAsked::NotOffered => Err(Refusal::NotFound),
    }
}

/// `POST /user/password/reset`. It opens no session.
pub(super) async fn reset(call: &Call<'_>) -> Result<Reply, Refusal> {
    offered(call)?;
    let fields = call.fields()?;
    let method = fields.string("method")?;
    if method.is_some_and(|method| method != "token") {
        return Err(InputError::WrongType("method").into());
    }
    let token = fields.required("token")?;
    // An empty one is too short, and said to be so only to who has a token.
    let password = one_field(&fields, "password")?.unwrap_or_default();
    let typed = Password::parse(password);
    match call.stepup().reset_password(&call.caller, token, typed).await? {
        ResetOutcome::Done => Ok(Reply::status("OK")),
        ResetOutcome::InvalidToken => Ok(Reply::status("RESET_PASSWORD_INVALID_TOKEN_ERROR")),
        ResetOutcome::Password(fault) => Ok(field_error(&[("password", password_text(fault))])),
    }
}

/// `POST /password/change`: ours. The session goes on, by new tokens.
pub(super) async fn change(call: &Call<'_>, session: &Verified) -> Result<Reply, Refusal> {
    call.count_own(session).await?;
    let fields = call.fields()?.only(&["currentPassword", "newPassword"])?;
    let current = Password::parse(fields.required("currentPassword")?).ok();
    let typed = Password::parse(fields.required("newPassword")?);
    let stepup = call.stepup();
    match stepup
        .change_password(&call.caller, &session.claims, current, typed)
        .await?
    {
        ChangeOutcome::Changed(kept) => {
            let writes = tokens::hand_out(session.mode, kept.tokens);
            Ok(Reply::status("OK").with_tokens(writes))
        }
        ChangeOutcome::WrongPassword => Ok(Reply::status("WRONG_CREDENTIALS_ERROR")),
        ChangeOutcome::Password(fault) => Ok(field_error(&[("newPassword", password_text(fault))])),
        ChangeOutcome::Throttled(after) => Err(Refusal::TooMany(after)),
        ChangeOutcome::Ended => Err(Refusal::SessionOver),
        ChangeOutcome::NotOffered => Err(Refusal::NotFound),
    }
}

fn offered(call: &Call<'_>) -> Result<(), Refusal> {
    match call.stepup().offers_resets() {
        true => Ok(()),
        false => Err(Refusal::NotFound),
    }
}

/// The one field that a form takes.
fn one_field<'f>(fields: &'f Fields, id: &'static str) -> Result<Option<&'f str>, Refusal> {
    let form = fields.form()?;
    if form.len() > 1 {
        return Err(InputError::Unclear("there are too many form fields").into());
    }
    Ok(form.text(id)?)
}
