//! What an answer says about tokens, gathered as values and written to headers once.
//!
//! The answer can say one thing of each kind: of two writes the later one holds, so that "clear the old session, then
//! make a new one" ends in the new one's tokens and never in both.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCESS_CONTROL_EXPOSE_HEADERS, HeaderMap, HeaderName, HeaderValue};
use stepup_core::secret::Secret;
use stepup_core::time::Timestamp;

use crate::cookie::CookieRules;
use crate::header::{extend_list, keep_private};
use crate::transfer::Mode;

/// The header by which a client learns of a session, and of its end. Cookies alone tell it nothing.
pub const FRONT_TOKEN: HeaderName = HeaderName::from_static("front-token");
/// The access token, in header mode; empty when it is gone.
pub const ACCESS_TOKEN: HeaderName = HeaderName::from_static("st-access-token");
/// The refresh token, in header mode; empty when it is gone.
pub const REFRESH_TOKEN: HeaderName = HeaderName::from_static("st-refresh-token");

/// The front token of an access token: standard base64 with padding of `{"uid","ate","up"}`.
///
/// `payload` is the text that was signed, embedded as it is: a client that compares the two JSON texts must find them
/// equal. `expires_at` is the access token's end; clients read `ate` in milliseconds.
pub fn front_token(user: &str, expires_at: Timestamp, payload: &str) -> String {
    let user = serde_json::Value::from(user);
    STANDARD.encode(format!(
        r#"{{"uid":{user},"ate":{},"up":{payload}}}"#,
        expires_at.as_ms()
    ))
}

/// What an answer says about tokens.
#[derive(Debug, Default)]
pub struct TokenWrites {
    front: Option<Front>,
    cookie: Pair,
    header: Pair,
    clear_legacy: bool,
    clear_duplicates: bool,
}

#[derive(Debug)]
enum Front {
    Token(Secret<String>),
    Remove,
}

#[derive(Debug, Default)]
struct Pair {
    access: Option<Slot>,
    refresh: Option<Slot>,
}

enum Slot {
    Set { token: Secret<String>, until: Timestamp },
    Clear,
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Set { .. } => "Set(..)",
            Self::Clear => "Clear",
        })
    }
}

impl TokenWrites {
    /// Nothing to say.
    pub fn new() -> Self {
        Self::default()
    }

    /// Hands out an access token, with the [`front_token`] that belongs to it.
    pub fn set_access(&mut self, mode: Mode, token: Secret<String>, front: String) {
        self.front = Some(Front::Token(Secret::new(front)));
        // How long the access cookie stays is counted from the answer, not from the token.
        self.pair(mode).access = Some(Slot::Set {
            token,
            until: Timestamp::from_ms(0),
        });
    }

    /// Hands out a refresh token that ends at `until`.
    pub fn set_refresh(&mut self, mode: Mode, token: Secret<String>, until: Timestamp) {
        self.pair(mode).refresh = Some(Slot::Set { token, until });
    }

    /// Takes back the tokens of one mode, because the session goes on, or begins, in the other.
    pub fn leave(&mut self, mode: Mode) {
        *self.pair(mode) = Pair {
            access: Some(Slot::Clear),
            refresh: Some(Slot::Clear),
        };
    }

    /// Ends the session for a client of `mode`.
    pub fn end(&mut self, mode: Mode) {
        self.leave(mode);
        self.front = Some(Front::Remove);
    }

    /// Ends the session for a client of either mode: after a 401 it is not known which one it keeps tokens in.
    pub fn end_everywhere(&mut self) {
        self.end(Mode::Cookie);
        self.end(Mode::Header);
    }

    /// Removes the cookie of old sessions.
    pub fn clear_legacy(&mut self) {
        self.clear_legacy = true;
    }

    /// Removes cookies that lie under the session cookies' names in other places.
    pub fn clear_duplicates(&mut self) {
        self.clear_duplicates = true;
    }

    /// Adds what was said later. It wins where both speak.
    pub fn then(&mut self, later: Self) {
        fn later_wins<T>(slot: &mut Option<T>, later: Option<T>) {
            if later.is_some() {
                *slot = later;
            }
        }
        later_wins(&mut self.front, later.front);
        later_wins(&mut self.cookie.access, later.cookie.access);
        later_wins(&mut self.cookie.refresh, later.cookie.refresh);
        later_wins(&mut self.header.access, later.header.access);
        later_wins(&mut self.header.refresh, later.header.refresh);
        self.clear_legacy |= later.clear_legacy;
        self.clear_duplicates |= later.clear_duplicates;
    }

    /// The access token that is handed out, if one is.
    pub(crate) fn access_token(&self) -> Option<&str> {
        [&self.cookie, &self.header]
            .into_iter()
            .find_map(|pair| match &pair.access {
                Some(Slot::Set { token, .. }) => Some(token.expose().as_str()),
                Some(Slot::Clear) | None => None,
            })
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        let Self {
            front,
            cookie,
            header,
            clear_legacy,
            clear_duplicates,
        } = self;
        front.is_none() && cookie.is_empty() && header.is_empty() && !clear_legacy && !clear_duplicates
    }

    /// Writes it to the headers of an answer. Single-valued headers replace, cookies replace by name, path and domain,
    /// the list of exposed headers is added to.
    pub fn apply(&self, rules: &CookieRules, now: Timestamp, headers: &mut HeaderMap) {
        if self.is_empty() {
            return;
        }
        keep_private(headers);
        match &self.front {
            Some(Front::Token(front)) => put(headers, FRONT_TOKEN, "front-token", front.expose()),
            Some(Front::Remove) => put(headers, FRONT_TOKEN, "front-token", "remove"),
            None => {}
        }
        match &self.header.access {
            Some(Slot::Set { token, .. }) => put(headers, ACCESS_TOKEN, "st-access-token", token.expose()),
            Some(Slot::Clear) => put(headers, ACCESS_TOKEN, "st-access-token", ""),
            None => {}
        }
        match &self.header.refresh {
            Some(Slot::Set { token, .. }) => put(headers, REFRESH_TOKEN, "st-refresh-token", token.expose()),
            Some(Slot::Clear) => put(headers, REFRESH_TOKEN, "st-refresh-token", ""),
            None => {}
        }
        match &self.cookie.access {
            Some(Slot::Set { token, .. }) => rules.set_access(headers, token.expose(), now),
            Some(Slot::Clear) => rules.clear_access(headers),
            None => {}
        }
        match &self.cookie.refresh {
            Some(Slot::Set { token, until }) => rules.set_refresh(headers, token.expose(), *until),
            Some(Slot::Clear) => rules.clear_refresh(headers),
            None => {}
        }
        if self.clear_legacy {
            rules.clear_legacy(headers);
        }
        if self.clear_duplicates {
            rules.clear_duplicates(headers);
        }
    }

    fn pair(&mut self, mode: Mode) -> &mut Pair {
        match mode {
            Mode::Cookie => &mut self.cookie,
            Mode::Header => &mut self.header,
        }
    }
}

impl Pair {
    fn is_empty(&self) -> bool {
        self.access.is_none() && self.refresh.is_none()
    }
}

/// Sets a header and exposes it to scripts of other origins; without that, a cross-origin client sees a 200 without a
/// session.
fn put(headers: &mut HeaderMap, name: HeaderName, exposed: &'static str, value: &str) {
    match HeaderValue::from_str(value) {
        Ok(mut value) => {
            value.set_sensitive(true);
            headers.insert(name, value);
            extend_list(
                headers,
                ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static(exposed),
            );
        }
        Err(_) => tracing::error!(header = exposed, "token does not fit a header"),
    }
}

#[cfg(test)]
mod tests {
    use http::header::{CACHE_CONTROL, SET_COOKIE, VARY};

    use super::*;
    use crate::site::SameSite;

    const NOW: Timestamp = Timestamp::from_ms(1_764_000_000_000);

    fn rules() -> CookieRules {
        CookieRules::new(SameSite::Lax, true, "/auth/session/refresh")
    }

    fn secret(text: &str) -> Secret<String> {
        Secret::from(text.to_owned())
    }

    fn issued(mode: Mode) -> TokenWrites {
        let mut writes = TokenWrites::new();
        writes.set_access(mode, secret("acc"), "front".to_owned());
        writes.set_refresh(mode, secret("ref"), NOW);
        writes
    }

    fn applied(writes: &TokenWrites) -> HeaderMap {
        let mut headers = HeaderMap::new();
        writes.apply(&rules(), NOW, &mut headers);
        headers
    }

    fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
        headers
            .get_all(name)
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect()
    }

    fn exposed(headers: &HeaderMap) -> String {
        text(headers, &ACCESS_CONTROL_EXPOSE_HEADERS).join(", ")
    }

    #[test]
    fn the_front_token_embeds_the_signed_text_in_padded_standard_base64() {
        let payload = r#"{"sub":"u\"1","iat":1,"z":{"b":1,"a":[1.0]},"exp":1764003600}"#;
        let front = front_token("u\"1", Timestamp::from_ms(1_764_003_600_000), payload);
        let text = String::from_utf8(STANDARD.decode(&front).unwrap()).unwrap();
        assert_eq!(
            text,
            format!(r#"{{"uid":"u\"1","ate":1764003600000,"up":{payload}}}"#)
        );
        assert_eq!(front.len() % 4, 0);
        assert!(!front_token("?>~", NOW, "{}").contains(['-', '_']));
    }

    #[test]
    fn cookie_mode_sets_two_cookies_and_the_front_token_only() {
        let headers = applied(&issued(Mode::Cookie));
        let cookies = text(&headers, &SET_COOKIE);
        assert!(cookies[0].starts_with("sAccessToken=acc; Path=/;"), "{cookies:?}");
        assert!(
            cookies[1].starts_with("sRefreshToken=ref; Path=/auth/session/refresh;"),
            "{cookies:?}"
        );
        assert_eq!(text(&headers, &FRONT_TOKEN), ["front"]);
        assert_eq!(exposed(&headers), "front-token");
        assert!(!headers.contains_key(ACCESS_TOKEN) && !headers.contains_key(REFRESH_TOKEN));
    }

    #[test]
    fn header_mode_sets_three_headers_and_no_cookie() {
        let headers = applied(&issued(Mode::Header));
        assert_eq!(text(&headers, &ACCESS_TOKEN), ["acc"]);
        assert_eq!(text(&headers, &REFRESH_TOKEN), ["ref"]);
        assert_eq!(
            exposed(&headers),
            "front-token, st-access-token, st-refresh-token"
        );
        assert!(!headers.contains_key(SET_COOKIE));
    }

    #[test]
    fn whatever_carries_tokens_stays_out_of_caches() {
        for headers in [applied(&issued(Mode::Header)), applied(&issued(Mode::Cookie))] {
            assert_eq!(text(&headers, &CACHE_CONTROL), ["no-store"]);
            assert_eq!(text(&headers, &VARY), ["Cookie, Authorization"]);
        }
        assert!(applied(&TokenWrites::new()).is_empty());
    }

    #[test]
    fn a_new_session_in_the_other_mode_ends_with_its_own_front_token() {
        let mut writes = TokenWrites::new();
        writes.end(Mode::Cookie);
        writes.then(issued(Mode::Header));
        let headers = applied(&writes);
        assert_eq!(text(&headers, &FRONT_TOKEN), ["front"]);
        assert_eq!(text(&headers, &ACCESS_TOKEN), ["acc"]);
        assert!(
            text(&headers, &SET_COOKIE)
                .iter()
                .all(|cookie| cookie.contains("=; "))
        );
        assert_eq!(text(&headers, &SET_COOKIE).len(), 2);
    }

    #[test]
    fn a_session_ended_after_its_token_was_renewed_is_ended() {
        let mut writes = issued(Mode::Cookie);
        let mut later = TokenWrites::new();
        later.end(Mode::Cookie);
        writes.then(later);
        let headers = applied(&writes);
        assert_eq!(text(&headers, &FRONT_TOKEN), ["remove"]);
        assert!(
            text(&headers, &SET_COOKIE)
                .iter()
                .all(|cookie| cookie.contains("=; "))
        );
    }

    #[test]
    fn ending_everywhere_empties_both_modes() {
        let mut writes = TokenWrites::new();
        writes.end_everywhere();
        let headers = applied(&writes);
        assert_eq!(text(&headers, &FRONT_TOKEN), ["remove"]);
        assert_eq!(text(&headers, &ACCESS_TOKEN), [""]);
        assert_eq!(text(&headers, &REFRESH_TOKEN), [""]);
        assert_eq!(text(&headers, &SET_COOKIE).len(), 2);
        assert_eq!(
            exposed(&headers),
            "front-token, st-access-token, st-refresh-token"
        );
    }

    #[test]
    fn writing_twice_replaces_and_exposing_keeps_what_the_application_exposed() {
        let mut headers = HeaderMap::new();
        headers.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("x-total, Front-Token"),
        );
        headers.insert(FRONT_TOKEN, HeaderValue::from_static("stale"));
        issued(Mode::Cookie).apply(&rules(), NOW, &mut headers);
        issued(Mode::Cookie).apply(&rules(), NOW, &mut headers);
        assert_eq!(text(&headers, &FRONT_TOKEN), ["front"]);
        assert_eq!(text(&headers, &SET_COOKIE).len(), 2);
        assert_eq!(exposed(&headers), "x-total, Front-Token");
    }

    #[test]
    fn debug_shows_no_token() {
        let shown = format!("{:?} {:?}", issued(Mode::Cookie), applied(&issued(Mode::Header)));
        for token in ["acc\"", "ref\"", "\"front\""] {
            assert!(!shown.contains(token), "{shown}");
        }
    }
}
