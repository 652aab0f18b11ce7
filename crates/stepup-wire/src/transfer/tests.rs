use http::header::{CONTENT_TYPE, COOKIE, HeaderValue};
use proptest::prelude::*;

use super::*;

fn headers(lines: &[(HeaderName, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn ours(token: &str) -> bool {
    token.starts_with("our")
}

fn read(token: &str) -> Option<&str> {
    Some(token).filter(|token| ours(token))
}

fn judged(allowed: Allowed, lines: &[(HeaderName, &str)]) -> Option<(String, Mode)> {
    match access(allowed, Presented::read(&headers(lines), Names::Compatible), read) {
        Access::Found(token, mode) => Some((token.to_owned(), mode)),
        Access::None => None,
        Access::Unclear(why) => panic!("unclear: {why:?}"),
    }
}

fn unclear(allowed: Allowed, lines: &[(HeaderName, &str)]) -> Option<Unclear> {
    match access(allowed, Presented::read(&headers(lines), Names::Compatible), read) {
        Access::Unclear(why) => Some(why),
        Access::None | Access::Found(..) => None,
    }
}

fn chosen(allowed: Allowed, lines: &[(HeaderName, &str)]) -> (Vec<String>, Mode, bool) {
    let headers = headers(lines);
    let refresh = refresh(allowed, &headers, Names::Compatible, ours);
    (
        refresh.tokens.iter().map(ToString::to_string).collect(),
        refresh.mode,
        refresh.clear_other,
    )
}

const HEADER: (HeaderName, &str) = (AUTHORIZATION, "Bearer our.h");
const ACCESS: (HeaderName, &str) = (COOKIE, "sAccessToken=our.c");
const REFRESH: (HeaderName, &str) = (COOKIE, "sRefreshToken=our.r");

#[test]
fn the_verify_matrix_of_the_contract_holds() {
    let header = Some(("our.h".to_owned(), Mode::Header));
    let cookie = Some(("our.c".to_owned(), Mode::Cookie));
    for (allowed, none, header_only, cookie_only, both) in [
        (Allowed::Any, None, header.clone(), cookie.clone(), header.clone()),
        (Allowed::Header, None, header.clone(), None, header.clone()),
        (Allowed::Cookie, None, None, cookie.clone(), cookie.clone()),
    ] {
        assert_eq!(judged(allowed, &[]), none, "{allowed:?}");
        assert_eq!(judged(allowed, &[HEADER]), header_only, "{allowed:?}");
        assert_eq!(judged(allowed, &[ACCESS]), cookie_only, "{allowed:?}");
        assert_eq!(judged(allowed, &[HEADER, ACCESS]), both, "{allowed:?}");
    }
}

#[test]
fn the_refresh_matrix_of_the_contract_holds() {
    let none = (vec![], Mode::Cookie, false);
    let header = (vec!["our.h".to_owned()], Mode::Header, false);
    let cookie = (vec!["our.r".to_owned()], Mode::Cookie, false);
    let clearing = |(tokens, mode, _): &(Vec<String>, Mode, bool)| (tokens.clone(), *mode, true);
    for (allowed, without, header_only, cookie_only, both) in [
        (Allowed::Any, &none, &header, &cookie, clearing(&header)),
        (
            Allowed::Header,
            &(vec![], Mode::Header, false),
            &header,
            &(vec![], Mode::Header, true),
            clearing(&header),
        ),
        (
            Allowed::Cookie,
            &none,
            &(vec![], Mode::Cookie, true),
            &cookie,
            clearing(&cookie),
        ),
    ] {
        assert_eq!(&chosen(allowed, &[]), without, "{allowed:?}");
        assert_eq!(&chosen(allowed, &[HEADER]), header_only, "{allowed:?}");
        assert_eq!(&chosen(allowed, &[REFRESH]), cookie_only, "{allowed:?}");
        assert_eq!(chosen(allowed, &[HEADER, REFRESH]), both, "{allowed:?}");
    }
}

#[test]
fn a_foreign_bearer_token_is_passed_over_on_verify_and_on_refresh() {
    let foreign = (AUTHORIZATION, "Bearer ey.somebody.else");
    assert_eq!(
        judged(Allowed::Any, &[foreign.clone(), ACCESS]),
        Some(("our.c".to_owned(), Mode::Cookie))
    );
    assert_eq!(judged(Allowed::Any, std::slice::from_ref(&foreign)), None);
    assert_eq!(
        chosen(Allowed::Any, &[foreign, REFRESH]),
        (vec!["our.r".to_owned()], Mode::Cookie, false)
    );
}

#[test]
fn a_refresh_token_in_the_header_and_an_access_token_in_the_cookie_are_not_merged() {
    assert_eq!(
        chosen(Allowed::Any, &[HEADER, ACCESS]),
        (vec!["our.h".to_owned()], Mode::Header, false)
    );
}

#[test]
fn the_scheme_is_read_in_any_case_and_the_token_is_one_word() {
    for line in ["Bearer x", "bearer x", "BEARER  x", " Bearer\tx "] {
        assert!(
            bearer(&headers(&[(AUTHORIZATION, line)])) == Bearer::Token("x"),
            "{line:?}"
        );
    }
    for line in [
        "Bearer",
        "Bearer ",
        "Bearerx",
        "Bearer x y",
        "Basic x",
        "x",
        "Bearer Bearer x",
    ] {
        assert!(
            bearer(&headers(&[(AUTHORIZATION, line)])) == Bearer::Absent,
            "{line:?}"
        );
    }
}

#[test]
fn two_authorization_lines_are_none() {
    assert!(bearer(&headers(&[HEADER, HEADER])) == Bearer::Absent);
}

#[test]
fn bytes_outside_ascii_are_no_token() {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_bytes(b"Bearer our\xff").unwrap());
    assert!(bearer(&headers) == Bearer::Absent);
    assert_eq!(judged(Allowed::Any, &[(COOKIE, "sAccessToken=our x")]), None);
}

#[test]
fn a_token_too_long_to_be_ours_is_not_looked_at() {
    let never = |_: &str| -> bool { panic!("looked at") };
    let long = format!("Bearer {}", "x".repeat(MAX_BEARER + 1));
    let lines = headers(&[(AUTHORIZATION, &long), ACCESS]);
    let judged = access(
        Allowed::Any,
        Presented::read(&lines, Names::Compatible),
        |token| never(token).then_some(()),
    );
    assert!(judged == Access::Unclear(Unclear::Oversize));
    let long = format!("sAccessToken={}", "x".repeat(MAX_COOKIE + 1));
    let lines = headers(&[(COOKIE, &long)]);
    let judged = access(
        Allowed::Any,
        Presented::read(&lines, Names::Compatible),
        |token| never(token).then_some(()),
    );
    assert!(judged == Access::Unclear(Unclear::Oversize));
    let long = format!("sRefreshToken={}", "x".repeat(MAX_COOKIE + 1));
    let lines = headers(&[(COOKIE, &long)]);
    assert!(
        refresh(Allowed::Any, &lines, Names::Compatible, never)
            .tokens
            .is_empty()
    );
}

#[test]
fn the_longest_bearer_token_is_looked_at() {
    let long = format!("Bearer {}", "x".repeat(MAX_BEARER));
    assert!(matches!(
        bearer(&headers(&[(AUTHORIZATION, &long)])),
        Bearer::Token(_)
    ));
}

#[test]
fn two_access_cookies_ask_for_a_refresh_unless_the_header_decides() {
    let two = (COOKIE, "sAccessToken=our.1; sAccessToken=our.2");
    assert_eq!(
        unclear(Allowed::Any, std::slice::from_ref(&two)),
        Some(Unclear::Duplicate)
    );
    let crumbs = [(COOKIE, "sAccessToken=our.1"), (COOKIE, "sAccessToken=our.1")];
    assert_eq!(unclear(Allowed::Any, &crumbs), Some(Unclear::Duplicate));
    assert_eq!(
        judged(Allowed::Any, &[two.clone(), HEADER]),
        Some(("our.h".to_owned(), Mode::Header))
    );
    assert_eq!(judged(Allowed::Header, &[two]), None);
}

#[test]
fn a_cookie_of_an_old_session_asks_for_a_refresh() {
    let old = (COOKIE, "sIdRefreshToken=x; sAccessToken=our.c");
    assert_eq!(
        unclear(Allowed::Any, std::slice::from_ref(&old)),
        Some(Unclear::Legacy)
    );
    assert_eq!(
        unclear(Allowed::Any, &[(COOKIE, "sIdRefreshToken=x")]),
        Some(Unclear::Legacy)
    );
    assert_eq!(
        judged(Allowed::Any, &[old.clone(), HEADER]),
        Some(("our.h".to_owned(), Mode::Header))
    );
    assert!(refresh(Allowed::Any, &headers(&[old]), Names::Compatible, ours).legacy);
}

#[test]
fn every_refresh_cookie_is_kept_once_and_decoded() {
    let lines = headers(&[
        (COOKIE, "sRefreshToken=our.1; sRefreshToken=our%2E2"),
        (COOKIE, "sRefreshToken=our.1"),
    ]);
    let refresh = refresh(Allowed::Any, &lines, Names::Compatible, ours);
    assert_eq!(refresh.tokens, ["our.1", "our.2"]);
    assert!(refresh.duplicates);
}

#[test]
fn a_planted_cookie_of_another_form_is_a_leftover() {
    let lines = headers(&[(COOKIE, "sRefreshToken=planted; sRefreshToken=our.1")]);
    let refresh = refresh(Allowed::Any, &lines, Names::Compatible, ours);
    assert_eq!(refresh.tokens, ["our.1"]);
    assert!(refresh.duplicates);
}

#[test]
fn a_flood_of_refresh_cookies_is_no_token() {
    let many = (0..=MAX_REFRESH_COOKIES)
        .map(|n| format!("sRefreshToken=our.{n}"))
        .collect::<Vec<_>>()
        .join("; ");
    assert!(
        refresh(
            Allowed::Any,
            &headers(&[(COOKIE, &many)]),
            Names::Compatible,
            ours
        )
        .tokens
        .is_empty()
    );
}

#[test]
fn scripts_cookies_named_like_response_headers_are_ignored() {
    let lines = [(
        COOKIE,
        "st-access-token=our.1; st-refresh-token=our.2; sFrontToken=x",
    )];
    assert_eq!(judged(Allowed::Any, &lines), None);
    assert_eq!(chosen(Allowed::Any, &lines), (vec![], Mode::Cookie, false));
}

#[test]
fn with_prefixed_names_the_plain_ones_are_nobodys() {
    let lines = headers(&[ACCESS, (COOKIE, "__Host-sAccessToken=our.p")]);
    let judged = access(Allowed::Any, Presented::read(&lines, Names::Prefixed), read);
    assert_eq!(judged, Access::Found("our.p", Mode::Cookie));
}

#[test]
fn a_new_session_is_in_headers_unless_cookies_are_asked_for() {
    for (asked, mode) in [
        (None, Mode::Header),
        (Some("cookie"), Mode::Cookie),
        (Some("Cookie"), Mode::Cookie),
        (Some("header"), Mode::Header),
        (Some("odd"), Mode::Header),
        (Some(""), Mode::Header),
    ] {
        let lines: Vec<_> = asked.iter().map(|asked| (AUTH_MODE, *asked)).collect();
        let headers = headers(&lines);
        assert_eq!(mode_for_new(Allowed::Any, &headers), mode, "{asked:?}");
        assert_eq!(mode_for_new(Allowed::Cookie, &headers), Mode::Cookie);
        assert_eq!(mode_for_new(Allowed::Header, &headers), Mode::Header);
    }
}

#[test]
fn a_form_at_a_log_in_of_the_applications_own_gets_cookies_unless_it_names_a_mode() {
    const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
    for (kind, asked, mode) in [
        (FORM, None, Mode::Cookie),
        (FORM, Some("cookie"), Mode::Cookie),
        (FORM, Some("header"), Mode::Header),
        (FORM, Some("odd"), Mode::Header),
        ("application/json", None, Mode::Header),
        ("application/json", Some("cookie"), Mode::Cookie),
        ("text/plain", None, Mode::Header),
    ] {
        let mut lines = vec![(CONTENT_TYPE, kind)];
        lines.extend(asked.map(|asked| (AUTH_MODE, asked)));
        let headers = headers(&lines);
        assert_eq!(mode_for_own(Allowed::Any, &headers), mode, "{kind}, {asked:?}");
        assert_eq!(mode_for_own(Allowed::Cookie, &headers), Mode::Cookie);
        assert_eq!(mode_for_own(Allowed::Header, &headers), Mode::Header);
    }
}

#[test]
fn debug_shows_no_token() {
    let headers = headers(&[HEADER, ACCESS, REFRESH]);
    let presented = Presented::read(&headers, Names::Compatible);
    let shown = format!(
        "{presented:?} {:?}",
        refresh(Allowed::Any, &headers, Names::Compatible, ours)
    );
    assert!(!shown.contains("our."), "{shown}");
}

proptest! {
    #[test]
    fn a_token_is_one_word_of_visible_ascii_however_long(
        word in "[!-~]{0,200}", byte in any::<u8>(), at in 0_usize..200,
    ) {
        prop_assert_eq!(word_of(word.as_bytes()), Some(word.as_str()));
        let mut bytes = word.into_bytes();
        bytes.insert(at.min(bytes.len()), byte);
        prop_assert_eq!(word_of(&bytes).is_some(), byte.is_ascii_graphic());
    }
}
