//! One-time codes: create, resend, consume. As a second factor they act on the live session, whatever the client says of
//! linking, and are refused without one. As a first factor they open one: see `first`.

pub(super) mod first;

use serde_json::json;
use stepup_core::delivery::Channel;
use stepup_core::factor::passwordless::{DeviceId, Role};
use stepup_core::flow::{CodeRefusal, ConsumeOutcome, General};
use stepup_core::id::ChallengeId;

use super::emailpassword::{exists_reply, throttled};
use super::user;
use crate::call::{Call, links_to_session};
use crate::gate::Verified;
use crate::json::{Fields, InputError};
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::tokens;

/// `POST /signinup/code`.
pub(super) async fn create(call: &Call<'_>, session: &Verified) -> Result<Reply, Refusal> {
    let fields = read(call)?;
    let (channel, typed) = match (fields.string("phoneNumber")?, fields.string("email")?) {
        (Some(phone), None) => (Channel::Sms, phone),
        (None, Some(email)) => (Channel::Email, email),
        _ => return Err(InputError::Unclear("either phoneNumber or email must be given").into()),
    };
    let stepup = call.stepup();
    if !stepup.codes_by(channel).is_some_and(Role::is_second) {
        return Err(InputError::Unclear(match channel {
            Channel::Sms => "codes are sent to e-mail addresses only",
            Channel::Email => "codes are sent to phone numbers only",
        })
        .into());
    }
    match stepup
        .create_code(&call.caller, &session.claims, channel, typed)
        .await?
    {
        Ok(sent) => Ok(Reply::ok(&json!({
            "status": "OK",
            "deviceId": sent.device.encode(),
            "preAuthSessionId": sent.challenge.as_str(),
            // A link would be opened without the session that it is to complete.
            "flowType": "USER_INPUT_CODE",
        }))),
        Err(refusal) => refused(refusal),
    }
}

/// `POST /signinup/code/resend`.
pub(super) async fn resend(call: &Call<'_>, session: &Verified) -> Result<Reply, Refusal> {
    let fields = read(call)?;
    let device = device(&fields)?;
    match call
        .stepup()
        .resend_code(&call.caller, &session.claims, &device)
        .await?
    {
        Ok(()) => Ok(Reply::status("OK")),
        Err(refusal) => refused(refusal),
    }
}

/// `POST /signinup/code/consume`.
pub(super) async fn consume(call: &Call<'_>, session: &Verified) -> Result<Reply, Refusal> {
    let fields = read(call)?;
    let code = match (fields.string("userInputCode")?, fields.string("linkCode")?) {
        (Some(code), None) => code,
        (None, Some(_)) => {
            fields.required("preAuthSessionId")?;
            // No link was ever sent, so this one is unknown.
            return Ok(Reply::status("RESTART_FLOW_ERROR"));
        }
        _ => return Err(InputError::Unclear("either userInputCode or linkCode must be given").into()),
    };
    let device = device(&fields)?;
    match call
        .stepup()
        .consume_code(&call.caller, &session.claims, &device, code)
        .await?
    {
        ConsumeOutcome::Completed { signed_in, enrolled } => {
            let created = if call.fdi.knows_login_methods() {
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
            let writes = tokens::hand_out(session.mode, signed_in.tokens);
            Ok(Reply::ok(&json!({ "status": "OK", created: enrolled, "user": user })).with_tokens(writes))
        }
        ConsumeOutcome::Incorrect { failed, max } => Ok(Reply::ok(&counted(
            "INCORRECT_USER_INPUT_CODE_ERROR",
            failed,
            max,
        ))),
        ConsumeOutcome::Expired { failed, max } => {
            Ok(Reply::ok(&counted("EXPIRED_USER_INPUT_CODE_ERROR", failed, max)))
        }
        ConsumeOutcome::Refused(refusal) => refused(refusal),
    }
}

/// `GET /passwordless/phonenumber/exists`.
pub(super) async fn exists(call: &Call<'_>) -> Result<Reply, Refusal> {
    if call.stepup().codes().is_none() {
        return Err(Refusal::NotFound);
    }
    let phone = call.query("phoneNumber")?;
    Ok(exists_reply(
        call.stepup().phone_exists(&call.caller, &phone).await?,
    ))
}

/// Whether this call is to sign in. The client says which it means; but contacts of a kind that only comes second act on
/// the session whatever it says, and there a challenge is what it was made for.
pub(super) async fn signs_in(call: &Call<'_>) -> Result<bool, Refusal> {
    let stepup = call.stepup();
    match stepup.codes() {
        None => return Err(Refusal::NotFound),
        Some(Role::SecondFactor) => return Ok(false),
        Some(Role::FirstFactor) => return Ok(true),
        Some(Role::Both) => {}
    }
    let fields = call.fields()?;
    if links_to_session(&fields, call.fdi)? {
        return Ok(false);
    }
    let only_second = |channel| stepup.codes_by(channel) == Some(Role::SecondFactor);
    if ![Channel::Sms, Channel::Email].into_iter().any(only_second) {
        return Ok(true);
    }
    match fields.string("preAuthSessionId")? {
        Some(named) => {
            let challenge = ChallengeId::from(named.trim_end_matches('='));
            Ok(stepup.is_first_code(&call.caller, &challenge).await?)
        }
        None => Ok(match (fields.string("phoneNumber")?, fields.string("email")?) {
            (Some(_), None) => !only_second(Channel::Sms),
            (None, Some(_)) => !only_second(Channel::Email),
            _ => true,
        }),
    }
}

fn read(call: &Call<'_>) -> Result<Fields, Refusal> {
    if !call.stepup().offers_codes() {
        return Err(Refusal::NotFound);
    }
    let fields = call.fields()?;
    // Whatever it says, these endpoints act on the session; but it must be what it is said to be.
    links_to_session(&fields, call.fdi)?;
    Ok(fields)
}

/// The device that the two ids name together. Ids that do not belong together are no request of a client of ours.
fn device(fields: &Fields) -> Result<DeviceId, Refusal> {
    let device = fields.required("deviceId")?;
    let named = fields.required("preAuthSessionId")?;
    DeviceId::parse(device)
        .filter(|device| device.challenge().as_str() == named.trim_end_matches('='))
        .ok_or_else(|| InputError::Unclear("deviceId and preAuthSessionId do not belong together").into())
}

pub(super) fn counted(status: &'static str, failed: u32, max: u32) -> serde_json::Value {
    json!({ "status": status, "failedCodeInputAttemptCount": failed, "maximumCodeInputAttempts": max })
}

pub(super) fn refused(refusal: CodeRefusal) -> Result<Reply, Refusal> {
    match refusal {
        CodeRefusal::Ended => Err(Refusal::SessionOver),
        CodeRefusal::TryRefresh => Err(Refusal::TryRefresh),
        CodeRefusal::Claims(failures) => Err(Refusal::InvalidClaims(failures)),
        CodeRefusal::General(general) => Ok(in_words(general)),
        CodeRefusal::Restart => Ok(Reply::status("RESTART_FLOW_ERROR")),
        CodeRefusal::NotOffered => Err(Refusal::NotFound),
    }
}

fn in_words(general: General) -> Reply {
    match general {
        General::ContactMalformed => {
            Reply::general_error("This is not a phone number. It begins with + and the country.")
        }
        General::EmailMalformed => Reply::general_error("This is not an e-mail address."),
        General::ForeignContact => Reply::general_error("This is not the phone number of this account."),
        General::ForeignEmail => {
            Reply::general_error("This is not the e-mail address that the codes of this account go to.")
        }
        General::OwnMailbox => {
            Reply::general_error("You sign in with this address. Please give another one for the codes.")
        }
        General::SameAsFirst => {
            Reply::general_error("You signed in this way already, so it proves nothing more.")
        }
        General::NotServed => Reply::general_error("Codes cannot be sent to this number."),
        General::SignInAgain => Reply::general_error(SIGN_IN_AGAIN),
        General::ConfirmByMail => Reply::general_error(
            "We sent you an e-mail. Open its link to allow this, then come back here and try again.",
        ),
        General::NoMailbox => Reply::general_error("Please confirm your e-mail address first."),
        General::AwaitsApproval => Reply::general_error(
            "An administrator has to allow this first. You will get a message; then please sign in again.",
        ),
        General::Unusable => {
            Reply::general_error("The second factor of this account cannot be used. Please contact us.")
        }
        General::Unchanged => Reply::general_error("This is the one that your account has already."),
        General::SecondFactor => Reply::general_error(
            "The codes of your second factor go there. Please give another one to sign in with.",
        ),
        General::Throttled(after) => throttled(after),
        General::Busy => Reply::general_error("We could not send a code just now. Please try again."),
    }
}

/// Also what `mfa/info` says.
pub(super) const SIGN_IN_AGAIN: &str = "Please sign in again to add a second factor.";
