//! Cookies: read as browsers and SDKs really send them, and written with the attributes of the session contract.
//!
//! Reading keeps every value of a name. Which of two cookies comes first is nobody's promise (RFC 6265bis §4.2.2), so
//! no decision here may rest on it; a sibling host may have planted one of them (threat A-COO-01).

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use stepup_core::time::Timestamp;

use crate::site::SameSite;

/// All cookies of a request, in order, from every `Cookie` line (HTTP/2 splits them, RFC 9113 §8.2.3).
///
/// Tolerant, because clients are: a part without `=` is skipped, the attributes that one SDK sends back
/// (`Path=/; Expires=…`) are cookies like others, blanks and one pair of quotes around a value fall away, and bytes
/// outside ASCII are passed on as they are. A name is compared as it stands, never decoded.
pub fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|line| parts(line.as_bytes()))
        .filter_map(|part| {
            let at = position(part, b'=')?;
            let (name, value) = part.split_at_checked(at)?;
            Some((name.trim_ascii(), unquote(value.get(1..)?.trim_ascii())))
        })
}

/// What stands between the semicolons of a line.
fn parts(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest.take()?;
        let end = position(line, b';').unwrap_or(line.len());
        let (part, after) = line.split_at_checked(end)?;
        rest = after.get(1..);
        Some(part)
    })
}

/// The first place of `byte`. Blocks are looked at as a whole: tokens are long, and looking at one byte after the other
/// would cost more than all the rest of a request's judgment.
fn position(bytes: &[u8], byte: u8) -> Option<usize> {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let holds = |block: &[u8; BLOCK]| block.iter().fold(false, |found, other| found | (*other == byte));
    let at = blocks.iter().position(holds);
    let (before, within) = match at.and_then(|at| Some((at, blocks.get(at)?))) {
        Some((at, block)) => (at, block.as_slice()),
        None => (blocks.len(), rest),
    };
    let within = within.iter().position(|other| *other == byte)?;
    Some(before * BLOCK + within)
}

const BLOCK: usize = 32;

fn unquote(value: &[u8]) -> &[u8] {
    value
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""))
        .unwrap_or(value)
}

/// What was found of a cookie that may be there once. `Debug` does not show the value.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Found<'a> {
    /// Not there, or empty.
    #[default]
    Nothing,
    /// There once.
    One(&'a [u8]),
    /// There more than once. No value is told, so that none can be preferred.
    Many,
}

impl<'a> Found<'a> {
    /// Takes in one more value; an empty one is what a deleted cookie leaves, and counts for nothing.
    pub(crate) fn and(self, value: &'a [u8]) -> Self {
        match self {
            _ if value.is_empty() => self,
            Self::Nothing => Self::One(value),
            Self::One(_) | Self::Many => Self::Many,
        }
    }
}

impl fmt::Debug for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::One(_) => "One(..)",
            Self::Many => "Many",
        })
    }
}

/// A cookie's value with percent-encoding resolved; none if that is not UTF-8.
pub(crate) fn decode(value: &[u8]) -> Option<Cow<'_, str>> {
    percent_decode(value).decode_utf8().ok()
}

/// The names of the session cookies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// The names that server-side helpers of the clients look for.
    #[default]
    Compatible,
    /// `__Host-` and `__Secure-` in front, so that a browser refuses a cookie that a sibling host planted. Needs
    /// https and no `Domain`.
    Prefixed,
}

impl Names {
    /// The access token's cookie.
    pub const fn access(self) -> &'static str {
        match self {
            Self::Compatible => "sAccessToken",
            Self::Prefixed => "__Host-sAccessToken",
        }
    }

    /// The refresh token's cookie. Its path is not `/`, so it can only be `__Secure-`.
    pub const fn refresh(self) -> &'static str {
        match self {
            Self::Compatible => "sRefreshToken",
            Self::Prefixed => "__Secure-sRefreshToken",
        }
    }
}

/// A cookie of sessions older than the protocol's second version. It is never set, only refused and removed.
pub const LEGACY: &str = "sIdRefreshToken";

/// The most bytes of name and value together that browsers keep (RFC 6265bis §5.6).
pub const MAX_COOKIE: usize = 4096;

/// How the session cookies are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieRules {
    /// Their names.
    pub names: Names,
    /// `Secure`: always on https.
    pub secure: bool,
    /// `SameSite`.
    pub same_site: SameSite,
    /// `Domain`; host-only if none.
    pub domain: Option<String>,
    /// A `Domain` of earlier configuration, whose cookies are expired when a request carries duplicates.
    pub older_domain: Option<String>,
    /// Path of the refresh endpoint, as the browser sees it: the refresh cookie goes nowhere else.
    pub refresh_path: String,
}

impl CookieRules {
    /// Host-only cookies under the plain names; the rest by field.
    pub fn new(same_site: SameSite, secure: bool, refresh_path: impl Into<String>) -> Self {
        Self {
            names: Names::default(),
            secure,
            same_site,
            domain: None,
            older_domain: None,
            refresh_path: refresh_path.into(),
        }
    }

    /// Path of the access token's cookie.
    pub const ACCESS_PATH: &'static str = "/";

    /// How long the access token's cookie stays: a year, far beyond its token. An expired token in the cookie is
    /// what makes the client ask for a refresh; without it a session that can still be refreshed reads as none.
    pub const ACCESS_STAYS: Duration = Duration::from_secs(365 * 24 * 60 * 60);

    /// Sets the access token's cookie.
    pub(crate) fn set_access(&self, headers: &mut HeaderMap, token: &str, now: Timestamp) {
        self.set(headers, self.access_slot(), token, now.plus(Self::ACCESS_STAYS));
    }

    /// Sets the refresh token's cookie, until its token ends.
    pub(crate) fn set_refresh(&self, headers: &mut HeaderMap, token: &str, until: Timestamp) {
        self.set(headers, self.refresh_slot(), token, until);
    }

    /// Removes the access token's cookie.
    pub(crate) fn clear_access(&self, headers: &mut HeaderMap) {
        self.set(headers, self.access_slot(), "", EPOCH);
    }

    /// Removes the refresh token's cookie.
    pub(crate) fn clear_refresh(&self, headers: &mut HeaderMap) {
        self.set(headers, self.refresh_slot(), "", EPOCH);
    }

    /// Removes the cookie of old sessions.
    pub(crate) fn clear_legacy(&self, headers: &mut HeaderMap) {
        self.set(
            headers,
            Slot {
                name: LEGACY,
                ..self.access_slot()
            },
            "",
            EPOCH,
        );
        if let Some(older) = self.older_domain.as_deref() {
            self.set(
                headers,
                Slot {
                    name: LEGACY,
                    domain: Some(older),
                    ..self.access_slot()
                },
                "",
                EPOCH,
            );
        }
    }

    /// Removes what else may lie under the names of the session cookies: host-only, under the older domain, and on
    /// the path of the other one. The places of the cookies in use are left alone.
    pub(crate) fn clear_duplicates(&self, headers: &mut HeaderMap) {
        let in_use = [self.access_slot(), self.refresh_slot()];
        for name in [self.names.access(), self.names.refresh()] {
            for path in [Self::ACCESS_PATH, self.refresh_path.as_str()] {
                let domains = [None, self.domain.as_deref(), self.older_domain.as_deref()];
                for (at, domain) in domains.iter().enumerate() {
                    let slot = Slot {
                        name,
                        path,
                        domain: *domain,
                    };
                    let named_before = domains.iter().take(at).any(|earlier| earlier == domain);
                    if !named_before && !in_use.contains(&slot) {
                        self.set(headers, slot, "", EPOCH);
                    }
                }
            }
        }
    }

    /// Hands out a ticket: see [`ticket`](crate::ticket). It is host-only, since only the API reads it.
    pub(crate) fn set_ticket(&self, headers: &mut HeaderMap, name: &str, value: &str, until: Timestamp) {
        self.set(headers, self.ticket_slot(name), value, until);
    }

    /// Takes a ticket back.
    pub(crate) fn clear_ticket(&self, headers: &mut HeaderMap, name: &str) {
        self.set(headers, self.ticket_slot(name), "", EPOCH);
    }

    fn ticket_slot<'s>(&'s self, name: &'s str) -> Slot<'s> {
        let base = self.refresh_path.strip_suffix("/session/refresh");
        let base = base.filter(|base| !base.is_empty() && !self.secure);
        Slot {
            name,
            // Browsers take `__Host-` with no other path than this.
            path: base.unwrap_or(Self::ACCESS_PATH),
            domain: None,
        }
    }

    fn access_slot(&self) -> Slot<'_> {
        Slot {
            name: self.names.access(),
            path: Self::ACCESS_PATH,
            domain: self.domain.as_deref(),
        }
    }

    fn refresh_slot(&self) -> Slot<'_> {
        Slot {
            name: self.names.refresh(),
            path: &self.refresh_path,
            domain: self.domain.as_deref(),
        }
    }

    fn set(&self, headers: &mut HeaderMap, slot: Slot<'_>, value: &str, expires: Timestamp) {
        let value = utf8_percent_encode(value, ESCAPED).to_string();
        if slot.name.len() + value.len() > MAX_COOKIE {
            // The browser would drop it without a word, and the user would be signed out by a long payload.
            tracing::error!(
                cookie = slot.name,
                bytes = value.len(),
                "session cookie is too long for browsers"
            );
        }
        let domain = slot
            .domain
            .map(|domain| format!("; Domain={domain}"))
            .unwrap_or_default();
        let secure = if self.secure { "; Secure" } else { "" };
        let line = format!(
            "{}={value}{domain}; Path={}; Expires={}; HttpOnly{secure}; SameSite={}",
            slot.name,
            slot.path,
            http_date(expires),
            self.same_site.as_str()
        );
        // Names, domain and path were checked when the rules were made, and the value is escaped.
        let Ok(mut line) = HeaderValue::try_from(line) else {
            return;
        };
        line.set_sensitive(true);
        replace(headers, &slot, line);
    }
}

/// Where a cookie lies in the browser's jar: two with equal slots replace each other, others live side by side.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Slot<'a> {
    name: &'a str,
    path: &'a str,
    domain: Option<&'a str>,
}

impl<'a> Slot<'a> {
    fn of(line: &'a HeaderValue) -> Option<Self> {
        let mut parts = line.to_str().ok()?.split(';').map(str::trim);
        let (name, _) = parts.next()?.split_once('=')?;
        let mut slot = Slot {
            name,
            path: "",
            domain: None,
        };
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            match key {
                "Path" => slot.path = value,
                "Domain" => slot.domain = Some(value),
                _ => {}
            }
        }
        Some(slot)
    }
}

/// Appends `line`, in the place of an earlier one for the same slot: of two lines for one cookie, browsers differ in
/// which they keep.
fn replace(headers: &mut HeaderMap, slot: &Slot<'_>, line: HeaderValue) {
    if headers
        .get_all(SET_COOKIE)
        .iter()
        .any(|earlier| Slot::of(earlier).as_ref() == Some(slot))
    {
        let kept: Vec<HeaderValue> = headers
            .get_all(SET_COOKIE)
            .iter()
            .filter(|earlier| Slot::of(earlier).as_ref() != Some(slot))
            .cloned()
            .collect();
        headers.remove(SET_COOKIE);
        for earlier in kept {
            headers.append(SET_COOKIE, earlier);
        }
    }
    headers.append(SET_COOKIE, line);
}

/// `at` as an IMF-fixdate (RFC 9110 §5.6.7), whole seconds, within the years that the form can say.
fn http_date(at: Timestamp) -> String {
    let secs = u64::try_from(at.as_secs()).unwrap_or(0).min(LAST_SECOND);
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(secs))
}

const EPOCH: Timestamp = Timestamp::from_ms(0);

/// 9999-12-31T23:59:59Z.
const LAST_SECOND: u64 = 253_402_300_799;

/// What is escaped in a value: all but what tokens are made of, so that ours are never touched.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

#[cfg(test)]
mod tests;
