//! The endpoints: one list, one recipe of the protocol a file.

mod confirm;
mod contact;
mod describe;
mod document;
mod emailpassword;
mod emailverification;
mod factor;
mod jwt;
mod multifactorauth;
mod multitenancy;
mod password;
mod passwordless;
mod session;
mod thirdparty;
mod undo;
mod user;

use http::Method;
use stepup_core::error::Fault;
use stepup_core::hook::Api;

use crate::call::Call;
use crate::csrf::Act;
use crate::gate::{self, Verified};
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::table::{Access, Body, Row};

pub(crate) use describe::{describe, schemas};

/// All endpoints. What each asks of the caller stands in its row and is enforced before its handler runs; a test walks
/// the list.
pub static ROUTES: &[Row<Endpoint>] = &[
    row(
        Method::POST,
        "/session/refresh",
        true,
        Access::HalfLogin,
        Body::Ignored,
        Endpoint::Open(Open::Refresh),
    ),
    row(
        Method::POST,
        "/signout",
        true,
        Access::HalfLogin,
        Body::Ignored,
        Endpoint::Guarded(Guarded::SignOut),
    ),
    row(
        Method::POST,
        "/signup",
        true,
        Access::Open,
        Body::Json,
        Endpoint::Open(Open::SignUp),
    ),
    row(
        Method::POST,
        "/signin",
        true,
        Access::Open,
        Body::Json,
        Endpoint::Open(Open::SignIn),
    ),
    row(
        Method::GET,
        "/emailpassword/email/exists",
        true,
        Access::Open,
        Body::Ignored,
        EMAIL_EXISTS,
    ),
    row(
        Method::GET,
        "/signup/email/exists",
        true,
        Access::Open,
        Body::Ignored,
        EMAIL_EXISTS,
    ),
    row(
        Method::POST,
        "/user/password/reset/token",
        true,
        Access::Open,
        Body::Json,
        Endpoint::Open(Open::AskReset),
    ),
    row(
        Method::POST,
        "/user/password/reset",
        true,
        Access::Open,
        Body::Json,
        Endpoint::Open(Open::ResetPassword),
    ),
    row(
        Method::POST,
        "/password/change",
        false,
        Access::Fresh,
        Body::Json,
        Endpoint::Guarded(Guarded::ChangePassword),
    ),
    row(
        Method::POST,
        "/contact/change",
        false,
        Access::Fresh,
        Body::Json,
        Endpoint::Guarded(Guarded::ChangeContact),
    ),
    row(
        Method::POST,
        "/contact/change/confirm",
        false,
        Access::Fresh,
        Body::Json,
        Endpoint::Guarded(Guarded::ConfirmContact),
    ),
    row(
        Method::POST,
        "/signinup/code",
        true,
        Access::HalfLogin,
        Body::Json,
        Endpoint::Codes(Codes::Create),
    ),
    row(
        Method::POST,
        "/signinup/code/resend",
        true,
        Access::HalfLogin,
        Body::Json,
        Endpoint::Codes(Codes::Resend),
    ),
    row(
        Method::POST,
        "/signinup/code/consume",
        true,
        Access::HalfLogin,
        Body::Json,
        Endpoint::Codes(Codes::Consume),
    ),
    row(
        Method::GET,
        "/passwordless/email/exists",
        true,
        Access::Open,
        Body::Ignored,
        Endpoint::Open(Open::ContactExists),
    ),
    row(
        Method::GET,
        "/passwordless/phonenumber/exists",
        true,
        Access::Open,
        Body::Ignored,
        PHONE_EXISTS,
    ),
    row(
        Method::GET,
        "/passwordless/phoneNumber/exists",
        true,
        Access::Open,
        Body::Ignored,
        PHONE_EXISTS,
    ),
    row(
        Method::GET,
        "/signup/phonenumber/exists",
        true,
        Access::Open,
        Body::Ignored,
        PHONE_EXISTS,
    ),
    row(
        Method::GET,
        "/authorisationurl",
        true,
        Access::Open,
        Body::Ignored,
        Endpoint::Open(Open::AuthorisationUrl),
    ),
    row(
        Method::POST,
        "/signinup",
        true,
        Access::Open,
        Body::Json,
        Endpoint::Open(Open::SignInUp),
    ),
    row(
        Method::POST,
        "/callback/apple",
        true,
        Access::Open,
        Body::ForeignForm,
        Endpoint::Open(Open::FormPost),
    ),
    row(
        Method::GET,
        "/loginmethods",
        true,
        Access::Open,
        Body::Ignored,
        Endpoint::Open(Open::LoginMethods),
    ),
    row(
        Method::POST,
        "/user/email/verify/token",
        true,
        Access::HalfLogin,
        Body::Ignored,
        Endpoint::Guarded(Guarded::AskVerification),
    ),
    row(
        Method::POST,
        "/user/email/verify",
        true,
        Access::Open,
        Body::Json,
        Endpoint::Open(Open::VerifyEmail),
    ),
    row(
        Method::GET,
        "/user/email/verify",
        true,
        Access::HalfLogin,
        Body::Ignored,
        Endpoint::Guarded(Guarded::EmailStatus),
    ),
    row(
        Method::PUT,
        "/mfa/info",
        true,
        Access::HalfLogin,
        Body::Ignored,
        Endpoint::Guarded(Guarded::FactorInfo),
    ),
    row(
        Method::GET,
        "/factor/list",
        false,
        Access::HalfLogin,
        Body::Ignored,
        Endpoint::Guarded(Guarded::Factors),
    ),
    row(
        Method::GET,
        "/factor/undo",
        true,
        Access::Open,
        Body::Ignored,
        Endpoint::Open(Open::UndoPage),
    ),
    row(
        Method::POST,
        "/factor/undo",
        true,
        Access::Open,
        Body::Form,
        Endpoint::Open(Open::Undo),
    ),
    row(
        Method::GET,
        "/factor/confirm",
        true,
        Access::Open,
        Body::Ignored,
        Endpoint::Open(Open::ConfirmPage),
    ),
    row(
        Method::POST,
        "/factor/confirm",
        true,
        Access::Open,
        Body::Form,
        Endpoint::Open(Open::Confirm),
    ),
    row(
        Method::GET,
        "/session/list",
        false,
        Access::Complete,
        Body::Ignored,
        Endpoint::Guarded(Guarded::Sessions),
    ),
    row(
        Method::POST,
        "/session/revoke",
        false,
        Access::Complete,
        Body::Json,
        Endpoint::Guarded(Guarded::RevokeSession),
    ),
    row(
        Method::GET,
        "/jwt/jwks.json",
        true,
        Access::Open,
        Body::Ignored,
        Endpoint::Open(Open::Keys),
    ),
    row(
        Method::GET,
        "/.well-known/openid-configuration",
        true,
        Access::Open,
        Body::Ignored,
        Endpoint::Open(Open::Discovery),
    ),
    row(
        Method::GET,
        "/openapi.json",
        false,
        Access::Open,
        Body::Ignored,
        Endpoint::Open(Open::ApiDocument),
    ),
];

const EMAIL_EXISTS: Endpoint = Endpoint::Open(Open::EmailExists);
const PHONE_EXISTS: Endpoint = Endpoint::Open(Open::PhoneExists);

const fn row(
    method: Method,
    path: &'static str,
    tenant: bool,
    access: Access,
    body: Body,
    endpoint: Endpoint,
) -> Row<Endpoint> {
    Row {
        method,
        path,
        tenant,
        access,
        body,
        endpoint,
    }
}

/// What answers a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A handler that is handed no session.
    Open(Open),
    /// A handler that cannot be called without one.
    Guarded(Guarded),
    /// A handler that is handed a session where codes are a second factor, and none where the call is to sign in.
    Codes(Codes),
}

/// Endpoints without an access token. A refresh is one: its refresh token is its proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named like its endpoint")]
pub enum Open {
    Refresh,
    SignUp,
    SignIn,
    AskReset,
    ResetPassword,
    EmailExists,
    PhoneExists,
    LoginMethods,
    AuthorisationUrl,
    SignInUp,
    FormPost,
    ContactExists,
    VerifyEmail,
    UndoPage,
    Undo,
    ConfirmPage,
    Confirm,
    Keys,
    Discovery,
    ApiDocument,
}

/// Endpoints for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named like its endpoint")]
pub enum Guarded {
    SignOut,
    FactorInfo,
    AskVerification,
    EmailStatus,
    Factors,
    Sessions,
    RevokeSession,
    ChangePassword,
    ChangeContact,
    ConfirmContact,
}

/// Endpoints of codes, which are a first factor, a second one, or both. Their row says what the second factor asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named like its endpoint")]
pub enum Codes {
    Create,
    Resend,
    Consume,
}

/// Runs an endpoint, once the caller has what its row asks for, with the application's hooks around it.
pub(crate) async fn run(mut call: Call<'_>, row: &Row<Endpoint>) -> Result<Reply, Refusal> {
    let signs_in = matches!(row.endpoint, Endpoint::Codes(_)) && passwordless::signs_in(&call).await?;
    let needs_session = match row.endpoint {
        Endpoint::Guarded(_) => true,
        Endpoint::Codes(_) => !signs_in,
        Endpoint::Open(_) => false,
    };
    if !call.stepup().has_hooks() {
        let session = match needs_session {
            true => Some(admit(&call, row.access).await?),
            false => None,
        };
        return answer(&call, row, session, signs_in).await;
    }
    // An open endpoint decides nothing by a session, but a hook may: it is read, and what is wrong with it is told if the
    // hook asks for one.
    let (session, unusable) = match needs_session {
        true => (Some(admit(&call, row.access).await?), None),
        false => match gate::verify(call.wire.gate(), call.parts, Act::Endpoint, Some(call.has_body())) {
            Ok(session) => (session, None),
            Err(refusal) => (None, Some(refusal)),
        },
    };
    if let Some(session) = &session {
        call.session_mode = Some(session.mode);
        call.caller.session = Some(session.claims.clone());
    }
    let api = Api::new(name_of(&row.method), row.path);
    let answered = match call.stepup().before_api(&call.caller, &api).await {
        Ok(()) => answer(&call, row, session, signs_in).await,
        Err(Fault::NeedsSession) => return Err(unusable.unwrap_or(Refusal::NoSession)),
        Err(fault) => return Err(stopped(row, &fault)),
    };
    let reply = answered.unwrap_or_else(|refusal| match (refusal, unusable) {
        (Refusal::NoSession, Some(unusable)) => unusable.into_reply(),
        (refusal, _) => refusal.into_reply(),
    });
    if let Err(fault) = call.stepup().after_api(&call.caller, &api, reply.code()).await {
        take_back(&call, row, &reply).await?;
        return Err(stopped(row, &fault));
    }
    Ok(reply)
}

/// What a client is told when a hook stopped an endpoint. Of a refresh it can understand only that it is over.
fn stopped(row: &Row<Endpoint>, fault: &Fault) -> Refusal {
    match (fault, row.endpoint) {
        (Fault::Vetoed(_), Endpoint::Open(Open::Refresh)) => Refusal::SessionOver,
        (fault, _) => Refusal::of_fault(fault),
    }
}

/// Ends the session whose tokens are withheld, if this answer opened or raised it. A refresh only goes on with one, and so does
/// what tells it of its address.
async fn take_back(call: &Call<'_>, row: &Row<Endpoint>, reply: &Reply) -> Result<(), Refusal> {
    let goes_on = [
        Endpoint::Open(Open::Refresh),
        Endpoint::Guarded(Guarded::FactorInfo),
        Endpoint::Guarded(Guarded::AskVerification),
        Endpoint::Guarded(Guarded::EmailStatus),
        Endpoint::Open(Open::VerifyEmail),
    ]
    .contains(&row.endpoint);
    let Some(token) = reply.access_token().filter(|_| !goes_on) else {
        return Ok(());
    };
    let access = call.stepup().verify(token)?;
    Ok(call.stepup().take_back(&access).await.map(drop)?)
}

/// The methods of the table, by name.
fn name_of(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::PUT => "PUT",
        _ => "POST",
    }
}

async fn answer(
    call: &Call<'_>,
    row: &Row<Endpoint>,
    session: Option<Verified>,
    signs_in: bool,
) -> Result<Reply, Refusal> {
    match row.endpoint {
        Endpoint::Open(endpoint) => match endpoint {
            Open::Refresh => session::refresh(call).await,
            Open::SignUp => emailpassword::sign_up(call).await,
            Open::SignIn => emailpassword::sign_in(call).await,
            Open::AskReset => password::ask_reset(call).await,
            Open::ResetPassword => password::reset(call).await,
            Open::EmailExists => emailpassword::exists(call).await,
            Open::PhoneExists => passwordless::exists(call).await,
            Open::LoginMethods => Ok(multitenancy::login_methods(call)),
            Open::AuthorisationUrl => thirdparty::authorisation_url(call).await,
            Open::SignInUp => thirdparty::sign_in_up(call).await,
            Open::FormPost => thirdparty::form_post(call),
            Open::ContactExists => passwordless::first::email_exists(call).await,
            Open::VerifyEmail => emailverification::verify(call).await,
            Open::UndoPage => undo::page(call).await,
            Open::Undo => undo::undo(call).await,
            Open::ConfirmPage => confirm::page(call).await,
            Open::Confirm => confirm::confirm(call).await,
            Open::Keys => Ok(jwt::keys(call)),
            Open::Discovery => Ok(jwt::discovery(call)),
            Open::ApiDocument => document::show(call),
        },
        // A session that only a hook wants to know is none here.
        Endpoint::Codes(endpoint) if signs_in => match endpoint {
            Codes::Create => passwordless::first::create(call).await,
            Codes::Resend => passwordless::first::resend(call).await,
            Codes::Consume => passwordless::first::consume(call).await,
        },
        Endpoint::Codes(endpoint) => {
            let session = session.ok_or(Refusal::NoSession)?;
            match endpoint {
                Codes::Create => passwordless::create(call, &session).await,
                Codes::Resend => passwordless::resend(call, &session).await,
                Codes::Consume => passwordless::consume(call, &session).await,
            }
        }
        Endpoint::Guarded(endpoint) => {
            let session = session.ok_or(Refusal::NoSession)?;
            match endpoint {
                Guarded::SignOut => session::sign_out(call, &session).await,
                Guarded::FactorInfo => multifactorauth::info(call, &session).await,
                Guarded::AskVerification => emailverification::ask(call, &session).await,
                Guarded::EmailStatus => emailverification::status(call, &session).await,
                Guarded::Factors => factor::list(call, &session).await,
                Guarded::Sessions => session::list(call, &session).await,
                Guarded::RevokeSession => session::revoke(call, &session).await,
                Guarded::ChangePassword => password::change(call, &session).await,
                Guarded::ChangeContact => contact::change(call, &session).await,
                Guarded::ConfirmContact => contact::confirm(call, &session).await,
            }
        }
    }
}

/// The session of a call, if it has what `access` asks for.
///
/// A half-login is judged by its token here; the flows that change anything ask the store themselves, with the lock
/// that they need. What asks for more is always asked of the store (R-SES-5).
async fn admit(call: &Call<'_>, access: Access) -> Result<Verified, Refusal> {
    let session = gate::verify(call.wire.gate(), call.parts, Act::Endpoint, Some(call.has_body()))?
        .ok_or(Refusal::NoSession)?;
    // Whatever the path says, a session acts in its own tenant; in the name of another one it acts nowhere.
    if !call.caller.reaches(session.claims.tenant_id()) {
        return Err(Refusal::NotFound);
    }
    let stepup = call.stepup();
    match access {
        Access::Open | Access::HalfLogin => {}
        Access::Complete => drop(stepup.admit_complete(&session.claims).await?),
        Access::Fresh => drop(stepup.admit_fresh(&session.claims).await?),
    }
    Ok(session)
}

#[cfg(test)]
mod tests {
    use stepup_core::tenant::is_tenant_id;

    use super::*;

    #[test]
    fn no_method_and_path_stands_twice() {
        for (at, row) in ROUTES.iter().enumerate() {
            assert!(!ROUTES[..at].contains(row), "{row:?}");
        }
    }

    #[test]
    fn every_path_is_written_as_it_is_compared() {
        for row in ROUTES {
            assert!(row.path.starts_with('/') && !row.path.ends_with('/'), "{row:?}");
            assert!(!row.path.contains("//") && !row.path.contains('%'), "{row:?}");
        }
    }

    #[test]
    fn no_path_of_ours_can_be_a_tenant() {
        for row in ROUTES {
            let first = row.path.split('/').nth(1).unwrap();
            assert!(!is_tenant_id(first), "{row:?}: the first word can name a tenant");
        }
    }

    #[test]
    fn the_paths_of_the_protocol_are_served_in_every_tenant() {
        // session.md §1.3; endpoints of our own go by the session, and need no name.
        const OURS: [&str; 7] = [
            "factor",
            "recovery",
            "session",
            "device",
            "password",
            "contact",
            "openapi.json",
        ];
        for row in ROUTES {
            let ours = OURS.contains(&row.path.split('/').nth(1).unwrap()) && row.path != "/session/refresh";
            assert!(row.tenant || ours, "{row:?}");
        }
    }

    #[test]
    fn what_needs_a_session_is_handed_one() {
        for row in ROUTES {
            let open =
                matches!(row.endpoint, Endpoint::Open(_)) && row.endpoint != Endpoint::Open(Open::Refresh);
            assert_eq!(open, row.access == Access::Open, "{row:?}");
        }
    }

    #[test]
    fn nothing_changes_by_reading() {
        // What a GET answers is for everyone, or a list of the caller's own; or a copy of the user's row, which the caller's
        // token is made to agree with: nobody can say by it what is so.
        for row in ROUTES.iter().filter(|row| row.method == Method::GET) {
            assert!(
                row.access == Access::Open || row.path.ends_with("/list") || row.path == "/user/email/verify",
                "{row:?}"
            );
        }
    }
}
