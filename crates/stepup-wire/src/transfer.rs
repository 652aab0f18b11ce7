//! How tokens travel: in cookies or in headers, which of them a request means, and where the answer puts them.
//!
//! One request speaks one way. Header and cookie are never mixed: a request that is judged by its header token is
//! answered in headers, and its cookies decide nothing (threat A-SES-15).

use std::borrow::Cow;
use std::fmt;

use http::header::{AUTHORIZATION, HeaderMap, HeaderName};

use crate::content::{self, Content};
use crate::cookie::{self, Found, LEGACY, MAX_COOKIE, Names};

/// The two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// HttpOnly cookies, which the browser attaches by itself.
    Cookie,
    /// `Authorization: Bearer`, which the client attaches.
    Header,
}

impl Mode {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Cookie => Self::Header,
            Self::Header => Self::Cookie,
        }
    }
}

/// Which ways a site allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Allowed {
    /// Both; each client chooses.
    #[default]
    Any,
    /// Headers only.
    Header,
    /// Cookies only.
    Cookie,
}

impl Allowed {
    const fn permits(self, mode: Mode) -> bool {
        matches!(
            (self, mode),
            (Self::Any, _) | (Self::Header, Mode::Header) | (Self::Cookie, Mode::Cookie)
        )
    }
}

/// The header by which a client names the mode of the session that a request will make.
pub const AUTH_MODE: HeaderName = HeaderName::from_static("st-auth-mode");

/// The longest bearer token that is looked at, in bytes; a longer one is refused undecoded (threat A-TOK-15).
pub const MAX_BEARER: usize = 8 * 1024;

/// The most different refresh cookies that are tried. A browser sends two or three after a change of domain; more
/// is somebody's attempt to make the store work.
pub const MAX_REFRESH_COOKIES: usize = 8;

/// The mode of a session that is about to be made: the site's only one, else what the client names, else headers.
/// Whatever names no mode (a form, curl, an OAuth return) holds no cookie jar that we know of.
pub fn mode_for_new(allowed: Allowed, headers: &HeaderMap) -> Mode {
    let named = || match headers.get(AUTH_MODE).map(|mode| mode.as_bytes().trim_ascii()) {
        Some(mode) if mode.eq_ignore_ascii_case(b"cookie") => Mode::Cookie,
        _ => Mode::Header,
    };
    match allowed {
        Allowed::Any => named(),
        Allowed::Header => Mode::Header,
        Allowed::Cookie => Mode::Cookie,
    }
}

/// The same for a log-in handler of the application's own, which forms of its pages may reach by themselves: a form that
/// names no mode gets cookies, since nobody is there to read a header.
pub fn mode_for_own(allowed: Allowed, headers: &HeaderMap) -> Mode {
    match allowed {
        Allowed::Any if !headers.contains_key(AUTH_MODE) && content::of(headers) == Content::Form => {
            Mode::Cookie
        }
        _ => mode_for_new(allowed, headers),
    }
}

/// The `Authorization` header, as far as it concerns us. `Debug` does not show the token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Bearer<'a> {
    /// None, another scheme, or a form that no client sends: two lines, two words, no word.
    Absent,
    /// One word after `Bearer`, whatever the scheme's case (RFC 9110 §11.1).
    Token(&'a str),
    /// Too long to be looked at.
    Oversize,
}

impl fmt::Debug for Bearer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "Absent",
            Self::Token(_) => "Token(..)",
            Self::Oversize => "Oversize",
        })
    }
}

/// Reads the bearer token.
pub fn bearer(headers: &HeaderMap) -> Bearer<'_> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Bearer::Absent;
    };
    let line = line.as_bytes().trim_ascii();
    let Some((scheme, rest)) = line.split_at_checked(b"bearer".len()) else {
        return Bearer::Absent;
    };
    let word = rest.trim_ascii_start();
    if !scheme.eq_ignore_ascii_case(b"bearer") || word.is_empty() || word.len() == rest.len() {
        return Bearer::Absent;
    }
    if word.len() > MAX_BEARER {
        return Bearer::Oversize;
    }
    word_of(word).map_or(Bearer::Absent, Bearer::Token)
}

/// The text of a token, which is one word of visible ASCII.
fn word_of(bytes: &[u8]) -> Option<&str> {
    // Blocks are looked at as a whole, which takes a tenth of the time that it takes to stop at the first byte.
    let are_visible = |block: &[u8]| {
        block
            .iter()
            .fold(true, |visible, byte| visible & byte.is_ascii_graphic())
    };
    let (blocks, rest) = bytes.as_chunks::<32>();
    let is_word = blocks.iter().all(|block| are_visible(block)) && are_visible(rest);
    is_word.then(|| std::str::from_utf8(bytes).ok()).flatten()
}

/// What a request presents for its access: read in one pass, without allocation.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    /// The bearer token.
    pub bearer: Bearer<'a>,
    /// The access token's cookie.
    pub cookie: Found<'a>,
    /// Whether the cookie of old sessions is there.
    pub legacy: bool,
}

impl<'a> Presented<'a> {
    /// Reads headers and cookies. Nothing in the URL or the body is ever a token (threat A-COO-05).
    pub fn read(headers: &'a HeaderMap, names: Names) -> Self {
        let mut presented = Self {
            bearer: bearer(headers),
            cookie: Found::Nothing,
            legacy: false,
        };
        for (name, value) in cookie::pairs(headers) {
            if name == names.access().as_bytes() {
                presented.cookie = presented.cookie.and(value);
            } else if name == LEGACY.as_bytes() && !value.is_empty() {
                presented.legacy = true;
            }
        }
        presented
    }

    /// Whether tokens of `mode` came along, alive or not.
    pub fn carries(&self, mode: Mode) -> bool {
        match mode {
            Mode::Header => self.bearer != Bearer::Absent,
            Mode::Cookie => self.cookie != Found::Nothing || self.legacy,
        }
    }
}

/// The access token that a request is judged by, as its reader read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access<T> {
    /// None that is ours.
    None,
    /// This one, in this mode.
    Found(T, Mode),
    /// It cannot be told which, or it is not worth a look: the client shall refresh.
    Unclear(Unclear),
}

/// Why it cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unclear {
    /// A cookie of a session older than the protocol's second version.
    Legacy,
    /// Two access cookies.
    Duplicate,
    /// A token of more bytes than any of ours.
    Oversize,
}

/// Chooses the access token: the header's if it is ours, else the cookie's. `read` reads one, and says none of a token
/// that is not ours: what somebody else issued for another purpose is passed over.
pub fn access<'a, T>(
    allowed: Allowed,
    presented: Presented<'a>,
    read: impl Fn(&'a str) -> Option<T>,
) -> Access<T> {
    if allowed.permits(Mode::Header) {
        match presented.bearer {
            Bearer::Token(token) => {
                if let Some(token) = read(token) {
                    return Access::Found(token, Mode::Header);
                }
            }
            Bearer::Oversize => return Access::Unclear(Unclear::Oversize),
            Bearer::Absent => {}
        }
    }
    if !allowed.permits(Mode::Cookie) {
        return Access::None;
    }
    if presented.legacy {
        return Access::Unclear(Unclear::Legacy);
    }
    match presented.cookie {
        Found::Nothing => Access::None,
        Found::Many => Access::Unclear(Unclear::Duplicate),
        Found::One(value) if value.len() > MAX_COOKIE => Access::Unclear(Unclear::Oversize),
        Found::One(value) => match word_of(value).and_then(read) {
            Some(token) => Access::Found(token, Mode::Cookie),
            None => Access::None,
        },
    }
}

/// The refresh token, or tokens, that a refresh is judged by. `Debug` counts them.
#[derive(Clone, PartialEq, Eq)]
pub struct Refresh<'a> {
    /// The tokens, in the mode that carries them; none at all ends in 401 and both modes cleared. More than one only
    /// from cookies: at most one of them may turn out alive, and their order says nothing.
    pub tokens: Vec<Cow<'a, str>>,
    /// Their mode, which is the answer's.
    pub mode: Mode,
    /// Whether the other mode carried a refresh token too: it is cleared after success.
    pub clear_other: bool,
    /// Whether a name of a session cookie came more than once: the leftovers are removed.
    pub duplicates: bool,
    /// Whether the cookie of old sessions is there: it is removed.
    pub legacy: bool,
}

impl fmt::Debug for Refresh<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refresh")
            .field("tokens", &self.tokens.len())
            .field("mode", &self.mode)
            .field("clear_other", &self.clear_other)
            .field("duplicates", &self.duplicates)
            .field("legacy", &self.legacy)
            .finish()
    }
}

/// Chooses the refresh token: the header's if it has the form of ours, else the cookies'. A foreign bearer token does
/// not sign the cookie's user out.
pub fn refresh<'a>(
    allowed: Allowed,
    headers: &'a HeaderMap,
    names: Names,
    is_ours: impl Fn(&str) -> bool,
) -> Refresh<'a> {
    let from_header = match bearer(headers) {
        Bearer::Token(token) if is_ours(token) => Some(token),
        _ => None,
    };
    let mut cookies: Vec<Cow<'a, str>> = Vec::new();
    let (mut access_cookies, mut refresh_cookies, mut legacy) = (0, 0, false);
    for (name, value) in cookie::pairs(headers).filter(|(_, value)| !value.is_empty()) {
        if name == names.refresh().as_bytes() {
            refresh_cookies += 1;
            let Some(token) = (value.len() <= MAX_COOKIE)
                .then(|| cookie::decode(value))
                .flatten()
            else {
                continue;
            };
            if is_ours(&token) && !cookies.contains(&token) {
                cookies.push(token);
            }
        } else if name == names.access().as_bytes() {
            access_cookies += 1;
        } else if name == LEGACY.as_bytes() {
            legacy = true;
        }
    }
    let duplicates = access_cookies > 1 || refresh_cookies > 1;
    if cookies.len() > MAX_REFRESH_COOKIES {
        cookies.clear();
    }
    let (tokens, mode, clear_other) = match (allowed, from_header) {
        (Allowed::Any | Allowed::Header, Some(token)) => {
            (vec![Cow::Borrowed(token)], Mode::Header, refresh_cookies > 0)
        }
        (Allowed::Any | Allowed::Cookie, header) => (cookies, Mode::Cookie, header.is_some()),
        (Allowed::Header, None) => (Vec::new(), Mode::Header, refresh_cookies > 0),
    };
    Refresh {
        tokens,
        mode,
        clear_other,
        duplicates,
        legacy,
    }
}

#[cfg(test)]
mod tests;
