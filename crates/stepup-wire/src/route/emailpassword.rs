//! Sign-up and sign-in by e-mail and password.

use std::time::Duration;

use serde_json::{Value, json};
use stepup_core::factor::password::FieldFault;
use stepup_core::flow::{Exists, SignInOutcome, SignUpOutcome, SignedIn};
use stepup_core::id::MethodId;
use stepup_core::password::{Password, PasswordFault};

use super::user;
use crate::call::{Call, links_to_session};
use crate::csrf::Act;
use crate::gate;
use crate::json::InputError;
use crate::refusal::Refusal;
use crate::reply::Reply;

/// `POST /signup`.
pub(super) async fn sign_up(call: &Call<'_>) -> Result<Reply, Refusal> {
    let form = match read(call)? {
        Form::Filled(form) => form,
        Form::Answered(reply) => return Ok(*reply),
    };
    if form.links {
        return linking(call, "SIGN_UP_NOT_ALLOWED", "016");
    }
    let password = match Password::parse(form.password) {
        Ok(password) => password,
        Err(fault) => return Ok(field_error(&[("password", password_text(fault))])),
    };
    match call.stepup().sign_up(&call.caller, &form.email, password).await? {
        SignUpOutcome::Created(signed_in) => Ok(signed_in_reply(call, *signed_in)),
        SignUpOutcome::Accepted(user) => {
            // The id of the only method is the user's.
            let method = MethodId::from(user.id.as_str());
            let user = user::json(&user, &method, call.fdi, user::mask(call));
            Ok(Reply::ok(&json!({ "status": "OK", "user": user })))
        }
        SignUpOutcome::Fields(faults) => Ok(faulty(&faults)),
        SignUpOutcome::Throttled(after) => Ok(throttled(after)),
        SignUpOutcome::NotOffered => Err(Refusal::NoSession),
    }
}

/// `POST /signin`. Whatever session the request carries is not looked at, and replaced.
pub(super) async fn sign_in(call: &Call<'_>) -> Result<Reply, Refusal> {
    let form = match read(call)? {
        Form::Filled(form) => form,
        Form::Answered(reply) => return Ok(*reply),
    };
    if form.links {
        return linking(call, "SIGN_IN_NOT_ALLOWED", "012");
    }
    // No account has such a password, and it is not hashed to find out (threat A-RES-04).
    let Ok(password) = Password::parse(form.password) else {
        return Ok(Reply::status("WRONG_CREDENTIALS_ERROR"));
    };
    match call.stepup().sign_in(&call.caller, &form.email, password).await? {
        SignInOutcome::SignedIn(signed_in) => Ok(signed_in_reply(call, *signed_in)),
        SignInOutcome::WrongCredentials => Ok(Reply::status("WRONG_CREDENTIALS_ERROR")),
        SignInOutcome::Fields(faults) => Ok(faulty(&faults)),
        SignInOutcome::Throttled(after) => Ok(throttled(after)),
        SignInOutcome::NotOffered => Err(Refusal::NoSession),
    }
}

/// `GET /emailpassword/email/exists`.
pub(super) async fn exists(call: &Call<'_>) -> Result<Reply, Refusal> {
    if !call.stepup().offers_passwords() {
        return Err(Refusal::NotFound);
    }
    let email = call.query("email")?;
    Ok(exists_reply(
        call.stepup().email_exists(&call.caller, &email).await?,
    ))
}

/// The answer of both `exists` endpoints. What is no contact is nobody's.
pub(super) fn exists_reply(exists: Exists) -> Reply {
    match exists {
        Exists::Known(exists) => Reply::ok(&json!({ "status": "OK", "exists": exists })),
        Exists::Malformed => Reply::ok(&json!({ "status": "OK", "exists": false })),
        Exists::Throttled(after) => throttled(after),
    }
}

/// One text for every throttle: which of them it was is nobody's business.
pub(super) fn throttled(after: Duration) -> Reply {
    Reply::general_error("Too many attempts. Please try again later.").retry_after(after)
}

struct Filled {
    email: String,
    password: String,
    links: bool,
}

enum Form {
    Filled(Filled),
    Answered(Box<Reply>),
}

/// Reads the two fields that sign-up and sign-in take. Empty ones are told all together.
fn read(call: &Call<'_>) -> Result<Form, Refusal> {
    if !call.stepup().offers_passwords() {
        return Err(Refusal::NotFound);
    }
    let fields = call.fields()?;
    let links = links_to_session(&fields, call.fdi)?;
    let form = fields.form()?;
    if form.len() > 2 {
        return Err(InputError::Unclear("there are too many form fields").into());
    }
    let email = form
        .text("email")?
        .map(str::trim)
        .filter(|email| !email.is_empty());
    let password = form.text("password")?;
    match (email, password) {
        (Some(email), Some(password)) => Ok(Form::Filled(Filled {
            email: email.to_owned(),
            password: password.to_owned(),
            links,
        })),
        (email, password) => {
            let missing = [("email", email.is_none()), ("password", password.is_none())];
            let errors: Vec<_> = missing
                .into_iter()
                .filter(|(_, missing)| *missing)
                .map(|(id, _)| (id, REQUIRED))
                .collect();
            Ok(Form::Answered(Box::new(field_error(&errors))))
        }
    }
}

pub(super) const REQUIRED: &str = "This field is required.";

/// A password that is to be added to the user of a live session. There is no such thing here: accounts are not merged,
/// least of all on the word of a session (threat A-CSR-05). As the contract has it, no session is the first thing said.
pub(super) fn linking(call: &Call<'_>, status: &'static str, code: &str) -> Result<Reply, Refusal> {
    gate::verify(call.wire.gate(), call.parts, Act::Endpoint, Some(call.has_body()))?
        .ok_or(Refusal::NoSession)?;
    let reason = format!("A signed-in account cannot be linked with another one. (ERR_CODE_{code})");
    Ok(Reply::ok(&json!({ "status": status, "reason": reason })))
}

fn signed_in_reply(call: &Call<'_>, signed_in: SignedIn) -> Reply {
    let user = user::json(
        &signed_in.user,
        &signed_in.session.method,
        call.fdi,
        user::mask(call),
    );
    let writes = call.open_session(signed_in.tokens);
    Reply::ok(&json!({ "status": "OK", "user": user })).with_tokens(writes)
}

pub(super) fn faulty(faults: &[FieldFault]) -> Reply {
    let errors: Vec<(&str, &str)> = faults
        .iter()
        .map(|fault| match fault {
            FieldFault::EmailMalformed => ("email", "This is not an e-mail address."),
            FieldFault::EmailTaken => (
                "email",
                "This e-mail address already has an account. Please sign in instead.",
            ),
            FieldFault::Password(fault) => ("password", password_text(*fault)),
        })
        .collect();
    field_error(&errors)
}

pub(super) fn field_error(errors: &[(&str, &str)]) -> Reply {
    let fields: Vec<Value> = errors
        .iter()
        .map(|(id, error)| json!({ "id": id, "error": error }))
        .collect();
    Reply::ok(&json!({ "status": "FIELD_ERROR", "formFields": fields }))
}

pub(super) fn password_text(fault: PasswordFault) -> &'static str {
    match fault {
        PasswordFault::TooShort { min: 15 } => "The password needs at least 15 characters.",
        PasswordFault::TooShort { min: 8 } => "The password needs at least 8 characters.",
        PasswordFault::TooShort { .. } => "The password is too short.",
        PasswordFault::TooLong => "The password is too long.",
        PasswordFault::Common => "This password is too common. Please choose another one.",
        PasswordFault::PersonalData => {
            "The password must not consist of your address or the name of this site."
        }
    }
}
