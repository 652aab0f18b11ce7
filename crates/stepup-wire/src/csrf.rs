//! Cross-site request forgery: whether a request that a browser signed by itself was meant by a page of ours.
//!
//! One pure function (R-CSRF-1). Where a request came from is told by `Origin`, and by fetch metadata where that is
//! missing; a body must have a type that no form can send; and where the cookies travel across sites, a header that no
//! form can send must be there too. A refusal neither clears nor revokes anything: whoever could cause one from a
//! foreign page would otherwise sign users out with it (threat A-CSR-09).

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, ORIGIN, TRANSFER_ENCODING, UPGRADE};
use http::{Method, request};

use crate::content::{self, Content};
use crate::site::{Origin, SameSite};
use crate::transfer::Mode;

/// What a site demands.
#[derive(Clone, Debug)]
pub struct CsrfRules {
    /// The origins whose pages may act for a user: the website's, and the API's own.
    pub origins: Vec<Origin>,
    /// The session cookies' attribute.
    pub same_site: SameSite,
}

/// What a request says of its source.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The method.
    pub method: &'a Method,
    /// Whether it asks to change the protocol: a WebSocket handshake is a GET that opens a door for writing.
    pub upgrade: bool,
    /// `Origin`; bytes that are no text, and a repeated header, are an origin that nobody has.
    pub origin: Option<&'a [u8]>,
    /// `Sec-Fetch-Site`, likewise.
    pub fetch_site: Option<&'a [u8]>,
    /// Whether `rid` is there, with any value.
    pub rid: bool,
    /// The type of its body; none if it has no body.
    pub body: Option<Content>,
}

/// What carries the caller's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A session's token, in this mode, at a route of the application.
    Application(Mode),
    /// A session's token, in this mode, at an endpoint of ours.
    Endpoint(Mode),
    /// Nothing yet: an endpoint that makes a session, or ends what the browser holds. A foreign page that could call
    /// it would sign the user in as somebody else (threat A-CSR-05), or out.
    Open,
}

/// Why a request is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgery {
    /// A page of another origin sent it.
    ForeignOrigin,
    /// It names no origin, and the browser says that a page of another one sent it.
    CrossSite,
    /// Nothing in it could not have been sent by a form: the header `rid` is missing.
    NoCustomHeader,
    /// Its body has a type that forms can send.
    FormBody,
}

/// `rid`: in its old meaning the name of a recipe, in ours a header that no form can send. Its value is never read.
pub const RID: HeaderName = HeaderName::from_static("rid");

/// `Sec-Fetch-Site`, by which browsers tell whose page sent a request.
pub(crate) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Judges a request.
///
/// # Source
/// R-CSRF-1; ASVS v5.0.0-3.5.1 to 3.5.3; OWASP CSRF prevention (origin, fetch metadata, custom header).
pub fn judge(rules: &CsrfRules, source: &Source<'_>, act: Act) -> Result<(), Forgery> {
    if !matters(source.method, act, || source.upgrade) {
        return Ok(());
    }
    match (source.origin, source.fetch_site) {
        (Some(origin), _)
            if rules
                .origins
                .iter()
                .any(|ours| ours.as_str().as_bytes() == origin) => {}
        (Some(_), _) => return Err(Forgery::ForeignOrigin),
        (None, Some(b"same-origin" | b"none") | None) => {}
        (None, Some(_)) => return Err(Forgery::CrossSite),
    }
    let by_cookie = matches!(act, Act::Application(Mode::Cookie) | Act::Endpoint(Mode::Cookie));
    if by_cookie && rules.same_site == SameSite::None && !source.rid {
        // A handshake can carry no header of a script's choice; its origin must have vouched for it.
        let vouched = source.is_handshake() && source.origin.is_some();
        if !vouched {
            return Err(Forgery::NoCustomHeader);
        }
    }
    // Browsers too old for `Origin` on every POST are told from clients without one by nothing but this.
    let vouched = source.origin.is_some() || source.fetch_site.is_some() || source.rid;
    if by_cookie && !vouched && source.body.is_some_and(|body| body != Content::Json) {
        return Err(Forgery::FormBody);
    }
    Ok(())
}

/// Whether it matters at all where a request came from: most requests need not be asked. `upgrade` tells whether one
/// asks to change the protocol.
pub fn matters(method: &Method, act: Act, upgrade: impl FnOnce() -> bool) -> bool {
    // A script that attaches a token by itself proves that it holds it; no browser does that for a foreign page.
    // Our own endpoints ask nevertheless, since they touch cookies whichever way the token came.
    if act == Act::Application(Mode::Header) {
        return false;
    }
    // HEAD may change something, as the contract has it: it is no read that a page needs.
    !matches!(*method, Method::GET | Method::OPTIONS | Method::TRACE) || upgrade()
}

impl<'a> Source<'a> {
    /// Reads the source of a request. `body` tells whether it has a body, where the transport knows; else the headers
    /// are asked.
    pub fn of(parts: &'a request::Parts, body: Option<bool>) -> Self {
        let headers = &parts.headers;
        let has_body = body.unwrap_or_else(|| {
            headers.contains_key(TRANSFER_ENCODING)
                || match headers.get(CONTENT_LENGTH) {
                    Some(length) => length != "0",
                    // HTTP/2 needs neither for a body; a type speaks for one.
                    None => headers.contains_key(CONTENT_TYPE),
                }
        });
        Self {
            method: &parts.method,
            upgrade: headers.contains_key(UPGRADE),
            origin: single(headers, &ORIGIN),
            fetch_site: single(headers, &SEC_FETCH_SITE),
            rid: headers.contains_key(RID),
            body: has_body.then(|| content::of(headers)),
        }
    }

    /// Whether it is the handshake of a WebSocket: by `Upgrade` (RFC 6455), or by extended CONNECT (RFC 8441).
    fn is_handshake(&self) -> bool {
        self.upgrade && self.method == Method::GET || self.method == Method::CONNECT
    }
}

/// A header that may come once. More than one is a value that matches nothing.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (None, _) => None,
        (Some(line), None) => Some(line.as_bytes()),
        (Some(_), Some(_)) => Some(b"\0"),
    }
}

#[cfg(test)]
mod tests;
