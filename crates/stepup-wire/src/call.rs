//! What a handler reads of its request.

use std::borrow::Cow;

use bytes::Bytes;
use http::request::Parts;
use stepup_core::Stepup;
use stepup_core::flow::{Caller, IssuedTokens};

use crate::content::{self, Content};
use crate::fdi::Fdi;
use crate::gate::Verified;
use crate::json::{Fields, InputError, Limits};
use crate::page::{Page, Words};
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::service::Wire;
use crate::sign_in::other_to_leave;
use crate::tokens;
use crate::transfer::{self, Mode};
use crate::writes::TokenWrites;

/// A request to an endpoint. Path, origin, length and type of the body have been judged.
pub(crate) struct Call<'a> {
    pub(crate) wire: &'a Wire,
    pub(crate) parts: &'a Parts,
    pub(crate) caller: Caller,
    /// How the session of the call travels, where it has one that its endpoint or a hook may see.
    pub(crate) session_mode: Option<Mode>,
    pub(crate) fdi: Fdi,
    body: Bytes,
}

impl<'a> Call<'a> {
    pub(crate) fn new(wire: &'a Wire, parts: &'a Parts, body: Bytes, caller: Caller) -> Self {
        Self {
            wire,
            parts,
            caller,
            session_mode: None,
            fdi: Fdi::of(&parts.headers),
            body,
        }
    }

    pub(crate) fn stepup(&self) -> &'a Stepup {
        self.wire.stepup()
    }

    pub(crate) fn has_body(&self) -> bool {
        !self.body.is_empty()
    }

    /// The body as it came.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// The fields of the body.
    pub(crate) fn fields(&self) -> Result<Fields, Refusal> {
        self.fields_within(&Limits::default())
    }

    /// The same within other limits.
    pub(crate) fn fields_within(&self, limits: &Limits) -> Result<Fields, Refusal> {
        Ok(Fields::read(&self.body, limits)?)
    }

    /// A parameter of the query that must be there once.
    pub(crate) fn query(&self, name: &'static str) -> Result<Cow<'a, str>, Refusal> {
        once(self.parts.uri.query().unwrap_or_default().as_bytes(), name)
    }

    /// A parameter of the query that may be there once.
    pub(crate) fn query_if_any(&self, name: &'static str) -> Result<Option<Cow<'a, str>>, Refusal> {
        let query = self.parts.uri.query().unwrap_or_default();
        match url::form_urlencoded::parse(query.as_bytes()).any(|(key, _)| key == name) {
            true => once(query.as_bytes(), name).map(Some),
            false => Ok(None),
        }
    }

    /// The one field of a body that is a form, or JSON with nothing beside it.
    pub(crate) fn only_field(&self, name: &'static str) -> Result<String, Refusal> {
        match self.is_form() {
            true => Ok(once(&self.body, name)?.into_owned()),
            false => Ok(self.fields()?.only(&[name])?.required(name)?.to_owned()),
        }
    }

    /// Whether the body came from a form: whoever sent it reads a page.
    pub(crate) fn is_form(&self) -> bool {
        content::of(&self.parts.headers) == Content::Form
    }

    /// A page of our own, with the token that its button sends and what the button says.
    pub(crate) fn page(&self, (title, says): &Words, asks: Option<(&str, &str)>) -> Reply {
        let app = self.stepup().app().name();
        Page {
            app,
            title,
            says,
            asks,
        }
        .reply()
    }

    /// Counts a call of an endpoint of our own by its session.
    pub(crate) async fn count_own(&self, session: &Verified) -> Result<(), Refusal> {
        match self
            .stepup()
            .begin_own_call(&self.caller, &session.claims)
            .await?
        {
            Ok(()) => Ok(()),
            Err(retry_after) => Err(Refusal::TooMany(retry_after)),
        }
    }

    /// Tokens of a session that this request opened. What the browser held of another session is left behind.
    pub(crate) fn open_session(&self, issued: IssuedTokens) -> TokenWrites {
        // A session comes with a refresh token. Without one it is that of the call, which a hook kept.
        if let (None, Some(mode)) = (&issued.refresh, self.session_mode) {
            return tokens::hand_out(mode, issued);
        }
        let mode = transfer::mode_for_new(self.wire.rules().allowed, &self.parts.headers);
        let mut writes = TokenWrites::new();
        if let Some(other) = other_to_leave(self.wire.gate(), self.parts, mode) {
            writes.leave(other);
        }
        writes.then(tokens::hand_out(mode, issued));
        writes
    }
}

/// A parameter that must be there once.
fn once<'t>(pairs: &'t [u8], name: &'static str) -> Result<Cow<'t, str>, Refusal> {
    let mut values = url::form_urlencoded::parse(pairs)
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value);
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value),
        (None, _) => Err(InputError::Missing(name).into()),
        (Some(_), Some(_)) => Err(InputError::WrongType(name).into()),
    }
}

/// `shouldTryLinkingWithSessionUser`, as the protocol counts it: clients before 3.1 do not know it.
pub(crate) fn links_to_session(fields: &Fields, fdi: Fdi) -> Result<bool, Refusal> {
    let flag = fields.flag("shouldTryLinkingWithSessionUser")?;
    Ok(fdi.sends_linking_flag() && flag == Some(true))
}
