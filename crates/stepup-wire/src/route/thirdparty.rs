//! Sign-in by a provider of identities.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::{HeaderValue, LOCATION};
use serde_json::{Value, json};
use stepup_core::factor::third_party::Ticket;
use stepup_core::flow::{
    AskProvider, Bar, Brought, FromProvider, Intent, ProviderOutcome, ProviderRefusal, SignedIn,
};
use stepup_core::secret::Secret;
use stepup_core::session::access::Named;
use url::Url;

use super::emailpassword::throttled;
use super::{admit, passwordless, user};
use crate::call::{Call, links_to_session};
use crate::csrf::Act;
use crate::gate::{self, Verified};
use crate::json::{Fields, InputError, Limits};
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::table::Access;
use crate::transfer::{self, Mode};
use crate::{ticket, tokens};

/// The longest code or token of a provider, in bytes.
const MAX_TOKEN: usize = 8 * 1024;

/// `GET /authorisationurl`. The ticket goes out twice: to scripts in the place of PKCE's verifier, which the clients keep
/// and send back, and in a cookie that no script can read or plant.
pub(super) async fn authorisation_url(call: &Call<'_>) -> Result<Reply, Refusal> {
    if !call.stepup().offers_providers() {
        return Err(Refusal::NotFound);
    }
    let provider = call.query("thirdPartyId")?;
    let redirect_uri = call.query("redirectURIOnProviderDashboard")?;
    let client_type = call.query_if_any("clientType")?;
    let purpose = purpose(call).await?;
    let mut caller = call.caller.clone();
    if let Purpose::Link(named) = &purpose {
        // Whatever the path says, it comes back in the session's own tenant.
        caller.tenant = named.tenant.clone();
    }
    let ask = AskProvider {
        provider: &provider,
        client_type: client_type.as_deref(),
        redirect_uri: &redirect_uri,
        intent: purpose.intent(),
    };
    let departure = match call.stepup().ask_provider(&caller, ask).await? {
        Ok(departure) => departure,
        Err(refusal) => return refused(refusal),
    };
    let ticket = &departure.ticket;
    let mut reply = Reply::ok(&json!({
        "status": "OK",
        "urlWithQueryParams": departure.url,
        "pkceCodeVerifier": ticket.encode().expose(),
    }));
    if mode(call) == Mode::Cookie {
        let until = call
            .stepup()
            .now()
            .plus(call.stepup().config().providers.lifetime);
        let rules = &call.wire.rules().cookies;
        ticket::hand_out(rules, &call.parts.headers, ticket, until, reply.headers_mut());
    }
    Ok(reply)
}

/// What the browser is sent away for, and the session that it has.
enum Purpose {
    SignIn,
    Link(Named),
    Either(Named),
}

impl Purpose {
    fn intent(&self) -> Intent<'_> {
        match self {
            Self::SignIn => Intent::SignIn,
            Self::Link(named) => Intent::Link(&named.session),
            Self::Either(named) => Intent::Either(&named.session),
        }
    }
}

/// The client may say what for. The protocol's clients say it only when they are back, so that nothing said is both.
async fn purpose(call: &Call<'_>) -> Result<Purpose, Refusal> {
    const LINKS: &str = "shouldTryLinkingWithSessionUser";
    Ok(match call.query_if_any(LINKS)?.as_deref() {
        Some("true") => Purpose::Link(admit(call, Access::HalfLogin).await?.claims.named()),
        Some("false") => Purpose::SignIn,
        Some(_) => return Err(InputError::WrongType(LINKS).into()),
        // An expired token names its session too: these clients refresh when they are refused, which nobody is here, and are
        // back with a live one. In doubt there is none, since who only signs in must not be kept from it.
        None => gate::named(call.wire.gate(), call.parts, Act::Endpoint, Some(call.has_body()))
            .unwrap_or_default()
            .filter(|named| call.caller.reaches(&named.tenant))
            .map_or(Purpose::SignIn, Purpose::Either),
    })
}

/// How the session travels that may come of it, and whether there is a cookie to ask for.
fn mode(call: &Call<'_>) -> Mode {
    transfer::mode_for_new(call.wire.rules().allowed, &call.parts.headers)
}

/// `POST /signinup`.
pub(super) async fn sign_in_up(call: &Call<'_>) -> Result<Reply, Refusal> {
    let limits = Limits {
        string: MAX_TOKEN,
        ..Limits::default()
    };
    let fields = call.fields_within(&limits)?;
    let fields = fields.within(&Limits::default(), &["redirectURIInfo", "oAuthTokens"])?;
    let links = links_to_session(&fields, call.fdi)?;
    let provider = fields.required("thirdPartyId")?;
    let client_type = fields.string("clientType")?;
    let input = match (fields.object("redirectURIInfo")?, fields.object("oAuthTokens")?) {
        (Some(info), None) => Input::Return(Return::read(call, &info)?),
        (None, Some(tokens)) => Input::Tokens(Tokens::read(&tokens)?),
        _ => return Err(InputError::Unclear("either redirectURIInfo or oAuthTokens must be given").into()),
    };
    if !call.stepup().offers_providers() {
        return Err(Refusal::NotFound);
    }
    let session = match links {
        true => Some(admit(call, Access::HalfLogin).await?),
        false => None,
    };
    let from = FromProvider {
        provider,
        client_type,
        brought: input.brought(),
    };
    let mut reply = match session {
        None => {
            let outcome = call.stepup().sign_in_by_provider(&call.caller, from).await?;
            answer(call, outcome, None)?
        }
        Some(session) => {
            let stepup = call.stepup();
            match stepup.link_provider(&call.caller, &session.claims, from).await? {
                Ok(outcome) => answer(call, outcome, Some(&session))?,
                Err(refusal) => return passwordless::refused(refusal),
            }
        }
    };
    if let Input::Return(Return {
        ticket: Some(ticket), ..
    }) = &input
        && mode(call) == Mode::Cookie
    {
        // It was spent, whatever came of it.
        ticket::take_back(&call.wire.rules().cookies, ticket, reply.headers_mut());
    }
    Ok(reply)
}

/// What a client brings.
enum Input {
    Return(Return),
    Tokens(Tokens),
}

impl Input {
    fn brought(&self) -> Brought<'_> {
        match self {
            Self::Return(came) => Brought::Return {
                ticket: came.ticket.as_ref(),
                redirect_uri: &came.redirect_uri,
                code: came.code.as_ref(),
            },
            Self::Tokens(tokens) => Brought::Tokens {
                id_token: tokens.id_token.as_ref(),
                access_token: tokens.access_token.as_ref(),
            },
        }
    }
}

/// `redirectURIInfo`.
struct Return {
    /// What the browser kept; none unless all of it is there, and is the same (threats A-OAU-01, A-OAU-02).
    ticket: Option<Ticket>,
    redirect_uri: String,
    /// The code; none if the provider answered with an error.
    code: Option<Secret<String>>,
}

impl Return {
    fn read(call: &Call<'_>, info: &Fields) -> Result<Self, Refusal> {
        const PARAMS: &str = "redirectURIQueryParams";
        let redirect_uri = info.required("redirectURIOnProviderDashboard")?.to_owned();
        let params = info.object(PARAMS)?.ok_or(InputError::Missing(PARAMS))?;
        let filled = |text: Option<&'_ str>| text.is_some_and(|text| !text.is_empty());
        // The clients compare it themselves; one that sends none has nothing to compare.
        let has_state = filled(params.string("state")?);
        let kept = info.string("pkceCodeVerifier")?.and_then(Ticket::parse);
        let (rules, headers) = (&call.wire.rules().cookies, &call.parts.headers);
        let is_bound =
            |ticket: &Ticket| mode(call) == Mode::Header || ticket::is_held(rules, headers, ticket);
        let ticket = kept.filter(|ticket| has_state && is_bound(ticket));
        let code = match filled(params.string("error")?) {
            true => None,
            false => Some(Secret::new(params.required("code")?.to_owned())),
        };
        Ok(Self {
            ticket,
            redirect_uri,
            code,
        })
    }
}

/// `oAuthTokens`.
struct Tokens {
    id_token: Option<Secret<String>>,
    access_token: Option<Secret<String>>,
}

impl Tokens {
    fn read(tokens: &Fields) -> Result<Self, Refusal> {
        let token = |name| {
            let text = tokens.string(name)?.filter(|text| !text.is_empty());
            Ok::<_, InputError>(text.map(|text| Secret::new(text.to_owned())))
        };
        let read = Self {
            id_token: token("id_token")?,
            access_token: token("access_token")?,
        };
        if read.id_token.is_none() && read.access_token.is_none() {
            return Err(InputError::Unclear("oAuthTokens has no token").into());
        }
        Ok(read)
    }
}

/// The answer to what came of it; `session` is the one that somebody was added to.
fn answer(call: &Call<'_>, outcome: ProviderOutcome, session: Option<&Verified>) -> Result<Reply, Refusal> {
    Ok(match outcome {
        ProviderOutcome::SignedIn { signed_in, created } => {
            signed_in_reply(call, *signed_in, created, session)
        }
        ProviderOutcome::NoEmail => Reply::status("NO_EMAIL_GIVEN_BY_PROVIDER"),
        ProviderOutcome::NotAllowed(bar) => Reply::ok(&json!({
            "status": "SIGN_IN_UP_NOT_ALLOWED",
            "reason": reason(bar),
        })),
        ProviderOutcome::Refused(refusal) => return refused(refusal),
        ProviderOutcome::Restart => Reply::general_error("Something changed meanwhile. Please try again."),
    })
}

/// Whoever reads them has proved who they are at the provider; none says by which way another account signs in (threat
/// A-ENU-09).
const fn reason(bar: Bar) -> &'static str {
    match bar {
        Bar::SignIn => "This account cannot sign in. Please contact us. (ERR_CODE_004)",
        Bar::SignUp => {
            "You cannot sign up with this e-mail address here. If you have an account, sign in the way you did before. (ERR_CODE_006)"
        }
        Bar::LinkedElsewhere => {
            "This account of the provider belongs to another account here. (ERR_CODE_021)"
        }
        Bar::AddressTaken => {
            "The e-mail address of this provider's account belongs to another account here. (ERR_CODE_022)"
        }
    }
}

fn signed_in_reply(call: &Call<'_>, signed_in: SignedIn, created: bool, session: Option<&Verified>) -> Reply {
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
    let writes = match session {
        Some(session) => tokens::hand_out(session.mode, signed_in.tokens),
        None => call.open_session(signed_in.tokens),
    };
    Reply::ok(&json!({ "status": "OK", name: created, "user": user })).with_tokens(writes)
}

fn refused(refusal: ProviderRefusal) -> Result<Reply, Refusal> {
    let bad = |text| Err(InputError::Unclear(text).into());
    match refusal {
        ProviderRefusal::NotOffered => Err(Refusal::NoSession),
        ProviderRefusal::UnknownProvider => bad("there is no such provider here"),
        ProviderRefusal::UnknownClient => bad("the provider has no such client"),
        ProviderRefusal::ForeignRedirect => bad("browsers are not sent back to this address"),
        ProviderRefusal::Throttled(after) => Ok(throttled(after)),
        ProviderRefusal::NotBegun => Ok(Reply::general_error(
            "This sign-in was not begun in this browser, or is over. Please try again.",
        )),
        ProviderRefusal::Refused => Ok(Reply::general_error(
            "The provider did not confirm who you are. Please try again.",
        )),
        ProviderRefusal::CodeOnly => Ok(Reply::general_error(
            "A sign-in by this provider has to begin in the browser.",
        )),
        ProviderRefusal::Unavailable => Ok(Reply::general_error(
            "The provider does not answer just now. Please try again later.",
        )),
    }
}

/// What is handed on of a form post. Tokens do not belong into addresses; the code is enough.
const HANDED_ON: [&str; 4] = ["state", "code", "error", "user"];

/// `POST /callback/apple`: the form that a provider's page sends becomes the address of a page of ours. It decides nothing
/// and touches no session, so that it does not matter which page sent it; where the browser goes does (threat A-OAU-14).
pub(super) fn form_post(call: &Call<'_>) -> Result<Reply, Refusal> {
    const PROVIDER: &str = "apple";
    if !call.stepup().takes_form_post(&call.caller.tenant, PROVIDER) {
        return Err(Refusal::NotFound);
    }
    let mut handed: Vec<(&str, Cow<'_, str>)> = Vec::new();
    for (name, value) in url::form_urlencoded::parse(call.body()) {
        let Some(known) = HANDED_ON.into_iter().find(|known| *known == name) else {
            continue;
        };
        if handed.iter().any(|(earlier, _)| *earlier == known) {
            return Err(InputError::WrongType(known).into());
        }
        handed.push((known, value));
    }
    let state = handed.iter().find(|(name, _)| *name == "state");
    let (_, state) = state.ok_or(InputError::Missing("state"))?;
    let target = target(call, PROVIDER, state)?;
    let mut url = Url::parse(&target).map_err(|_| InputError::WrongType("state"))?;
    url.query_pairs_mut().extend_pairs(&handed);
    let location = HeaderValue::try_from(url.as_str()).map_err(|_| InputError::WrongType("state"))?;
    Ok(Reply::empty(StatusCode::SEE_OTHER).with_header(LOCATION, location))
}

/// Where the browser goes: what the client put into its `state`, as far as it is one of the allowed addresses.
fn target(call: &Call<'_>, provider: &str, state: &str) -> Result<String, Refusal> {
    const STATE: &str = "state";
    let read = || -> Option<Value> {
        let bytes = STANDARD.decode(state).ok()?;
        serde_json::from_slice(&bytes).ok().filter(Value::is_object)
    };
    let state = read().ok_or(InputError::WrongType(STATE))?;
    let target = match state.get("frontendRedirectURI") {
        None => {
            let app = call.stepup().app();
            let (origin, path) = (app.website_origin(), app.website_base_path());
            format!("{origin}{path}/callback/{provider}")
        }
        Some(Value::String(target)) => target.clone(),
        Some(_) => return Err(InputError::WrongType(STATE).into()),
    };
    // The usual page too: a site without TLS has one over which no code goes.
    if call.stepup().hands_on(provider, &target) {
        Ok(target)
    } else {
        Err(InputError::Unclear("browsers are not sent back to this address").into())
    }
}
