//! Codes and links that sign in.

use serde_json::json;
use stepup_core::factor::passwordless::Means;
use stepup_core::flow::{Contact, FirstOutcome, FirstRefusal, OpenedBy, SignedIn};
use stepup_core::id::ChallengeId;

use super::{counted, device, in_words};
use crate::call::{Call, links_to_session};
use crate::json::{Fields, InputError};
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::route::emailpassword::{exists_reply, linking};
use crate::route::user;

/// `POST /signinup/code`.
pub(in crate::route) async fn create(call: &Call<'_>) -> Result<Reply, Refusal> {
    let fields = match read(call, "019")? {
        Read::Fields(fields) => fields,
        Read::Answered(reply) => return Ok(*reply),
    };
    let contact = match (fields.string("phoneNumber")?, fields.string("email")?) {
        (Some(phone), None) => Contact::phone(phone),
        (None, Some(email)) => Contact::email(email),
        _ => return Err(InputError::Unclear("either phoneNumber or email must be given").into()),
    };
    let contact = match contact {
        Ok(contact) => contact,
        Err(general) => return Ok(in_words(general)),
    };
    match call.stepup().create_first_code(&call.caller, &contact).await? {
        Ok(sent) => Ok(Reply::ok(&json!({
            "status": "OK",
            "deviceId": sent.device.encode(),
            "preAuthSessionId": sent.challenge.as_str(),
            "flowType": flow_type(sent.means),
        }))),
        // They sign in here, but not in this tenant.
        Err(FirstRefusal::NotOffered) if call.stepup().signs_in_by(contact.channel()) => {
            Err(Refusal::NoSession)
        }
        Err(FirstRefusal::NotOffered) => {
            Err(InputError::Unclear("codes are not sent to contacts of this kind").into())
        }
        Err(refusal) => Ok(refused(refusal)),
    }
}

/// `POST /signinup/code/resend`.
pub(in crate::route) async fn resend(call: &Call<'_>) -> Result<Reply, Refusal> {
    let fields = call.fields()?;
    // The published interface knows no other word for it here.
    if links_to_session(&fields, call.fdi)? {
        return Ok(Reply::status("RESTART_FLOW_ERROR"));
    }
    let device = device(&fields)?;
    match call.stepup().resend_first_code(&call.caller, &device).await? {
        Ok(()) => Ok(Reply::status("OK")),
        Err(refusal) => Ok(refused(refusal)),
    }
}

/// `POST /signinup/code/consume`.
pub(in crate::route) async fn consume(call: &Call<'_>) -> Result<Reply, Refusal> {
    let fields = match read(call, "019")? {
        Read::Fields(fields) => fields,
        Read::Answered(reply) => return Ok(*reply),
    };
    let outcome = match (fields.string("userInputCode")?, fields.string("linkCode")?) {
        (Some(typed), None) => {
            let device = device(&fields)?;
            let opened = OpenedBy::Code {
                device: &device,
                typed,
            };
            call.stepup().consume_first_code(&call.caller, opened).await?
        }
        (None, Some(secret)) => {
            let named = fields.required("preAuthSessionId")?.trim_end_matches('=');
            let challenge = ChallengeId::from(named);
            let opened = OpenedBy::Link {
                challenge: &challenge,
                secret,
            };
            call.stepup().consume_first_code(&call.caller, opened).await?
        }
        _ => return Err(InputError::Unclear("either userInputCode or linkCode must be given").into()),
    };
    match outcome {
        FirstOutcome::SignedIn { signed_in, created } => Ok(signed_in_reply(call, *signed_in, created)),
        FirstOutcome::Incorrect { failed, max } => Ok(Reply::ok(&counted(
            "INCORRECT_USER_INPUT_CODE_ERROR",
            failed,
            max,
        ))),
        FirstOutcome::Expired { failed, max } => {
            Ok(Reply::ok(&counted("EXPIRED_USER_INPUT_CODE_ERROR", failed, max)))
        }
        FirstOutcome::Restart => Ok(Reply::status("RESTART_FLOW_ERROR")),
        FirstOutcome::NotAllowed => Ok(Reply::ok(&json!({
            "status": "SIGN_IN_UP_NOT_ALLOWED",
            "reason": "This contact belongs to an account that signs in another way. (ERR_CODE_002)",
        }))),
        FirstOutcome::General(general) => Ok(in_words(general)),
        FirstOutcome::NotOffered => Err(Refusal::NoSession),
    }
}

/// `GET /passwordless/email/exists`.
pub(in crate::route) async fn email_exists(call: &Call<'_>) -> Result<Reply, Refusal> {
    if call.stepup().codes().is_none() {
        return Err(Refusal::NotFound);
    }
    match Contact::email(&call.query("email")?) {
        Ok(contact) => Ok(exists_reply(
            call.stepup().contact_exists(&call.caller, &contact).await?,
        )),
        // What is no address is nobody's.
        Err(_) => Ok(Reply::ok(&json!({ "status": "OK", "exists": false }))),
    }
}

enum Read {
    Fields(Fields),
    Answered(Box<Reply>),
}

/// The body. Where codes only sign in, they cannot be added to the user of a live session.
fn read(call: &Call<'_>, code: &str) -> Result<Read, Refusal> {
    let fields = call.fields()?;
    if links_to_session(&fields, call.fdi)? {
        return linking(call, "SIGN_IN_UP_NOT_ALLOWED", code).map(|reply| Read::Answered(Box::new(reply)));
    }
    Ok(Read::Fields(fields))
}

const fn flow_type(means: Means) -> &'static str {
    match means {
        Means::Code => "USER_INPUT_CODE",
        Means::Link => "MAGIC_LINK",
        Means::Both => "USER_INPUT_CODE_AND_MAGIC_LINK",
    }
}

fn signed_in_reply(call: &Call<'_>, signed_in: SignedIn, created: bool) -> Reply {
    let name = if call.fdi.knows_login_methods() {
        "createdNewRecipeUser"
    } else {
        "createdNewUser"
    };
    let user = user::json(
        &signed_in.user,
        &signed_in.session.method,
        call.fdi,
        user::mask(call),
    );
    let writes = call.open_session(signed_in.tokens);
    Reply::ok(&json!({ "status": "OK", name: created, "user": user })).with_tokens(writes)
}

fn refused(refusal: FirstRefusal) -> Reply {
    match refusal {
        FirstRefusal::General(general) => in_words(general),
        FirstRefusal::Restart | FirstRefusal::NotOffered => Reply::status("RESTART_FLOW_ERROR"),
    }
}
