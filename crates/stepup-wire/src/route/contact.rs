//! Another e-mail address or phone number in the place of one: ours.

use serde_json::json;
use stepup_core::factor::passwordless::DeviceId;
use stepup_core::flow::{CodeRefusal, Contact, ContactOutcome, General, Role};

use super::passwordless::{counted, refused as refused_code};
use crate::call::Call;
use crate::gate::Verified;
use crate::json::InputError;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::tokens;

/// `POST /contact/change`: a code goes to the new contact. Whose that is, the answer does not tell.
pub(super) async fn change(call: &Call<'_>, session: &Verified) -> Result<Reply, Refusal> {
    call.count_own(session).await?;
    let fields = call.fields()?.only(&["email", "phoneNumber", "role"])?;
    let contact = match (fields.string("phoneNumber")?, fields.string("email")?) {
        (Some(phone), None) => Contact::phone(phone),
        (None, Some(email)) => Contact::email(email),
        _ => return Err(InputError::Unclear("either phoneNumber or email must be given").into()),
    };
    let role = match fields.string("role")? {
        None => None,
        Some("first") => Some(Role::First),
        Some("second") => Some(Role::Second),
        Some(_) => return Err(InputError::Unclear("role must be first or second").into()),
    };
    let contact = match contact {
        Ok(contact) => contact,
        Err(malformed) => return refused(CodeRefusal::General(malformed)),
    };
    let stepup = call.stepup();
    match stepup
        .change_contact(&call.caller, &session.claims, &contact, role)
        .await?
    {
        Ok(sent) => Ok(Reply::ok(
            &json!({ "status": "OK", "deviceId": sent.device.encode() }),
        )),
        Err(refusal) => refused(refusal),
    }
}

/// `POST /contact/change/confirm`: the code. The session goes on, by new tokens.
pub(super) async fn confirm(call: &Call<'_>, session: &Verified) -> Result<Reply, Refusal> {
    call.count_own(session).await?;
    let fields = call.fields()?.only(&["deviceId", "userInputCode"])?;
    let device = DeviceId::parse(fields.required("deviceId")?);
    let device = device.ok_or(InputError::Unclear("deviceId is none"))?;
    let code = fields.required("userInputCode")?;
    let stepup = call.stepup();
    match stepup
        .confirm_contact(&call.caller, &session.claims, &device, code)
        .await?
    {
        ContactOutcome::Changed(kept) => {
            let writes = tokens::hand_out(session.mode, kept.tokens);
            Ok(Reply::status("OK").with_tokens(writes))
        }
        ContactOutcome::Incorrect { failed, max } => Ok(Reply::ok(&counted(
            "INCORRECT_USER_INPUT_CODE_ERROR",
            failed,
            max,
        ))),
        ContactOutcome::Expired { failed, max } => {
            Ok(Reply::ok(&counted("EXPIRED_USER_INPUT_CODE_ERROR", failed, max)))
        }
        ContactOutcome::Taken => Ok(Reply::status("CONTACT_ALREADY_EXISTS_ERROR")),
        ContactOutcome::Refused(refusal) => refused(refusal),
    }
}

/// In the words of the clients' endpoints; only that it was too often is told by the status, as on all endpoints of our own.
fn refused(refusal: CodeRefusal) -> Result<Reply, Refusal> {
    match refusal {
        CodeRefusal::General(General::Throttled(after)) => Err(Refusal::TooMany(after)),
        refusal => refused_code(refusal),
    }
}
