use proptest::prelude::*;

use super::*;

fn cookies(lines: &[&[u8]]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(COOKIE, HeaderValue::from_bytes(line).unwrap());
    }
    headers
}

fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a [u8]> {
    pairs(headers)
        .filter(|(found, _)| *found == name.as_bytes())
        .map(|(_, value)| value)
        .collect()
}

fn rules() -> CookieRules {
    CookieRules::new(SameSite::Lax, true, "/auth/session/refresh")
}

fn lines(headers: &HeaderMap) -> Vec<&str> {
    headers
        .get_all(SET_COOKIE)
        .iter()
        .map(|line| line.to_str().unwrap())
        .collect()
}

const NOW: Timestamp = Timestamp::from_ms(1_764_000_000_000);

#[test]
fn every_value_of_a_name_is_kept_over_all_lines() {
    let headers = cookies(&[b"a=1; b=2", b"a=3;a=4"]);
    assert_eq!(values(&headers, "a"), [b"1", b"3", b"4"]);
}

#[test]
fn attributes_and_parts_without_value_do_no_harm() {
    let headers =
        cookies(&[b"sAccessToken=tok; Path=/; Expires=Thu, 01 Jan 2026 00:00:00 GMT; HttpOnly; ;; =x"]);
    assert_eq!(values(&headers, "sAccessToken"), [b"tok"]);
    assert_eq!(values(&headers, "Path"), [b"/"]);
    assert_eq!(values(&headers, "HttpOnly"), Vec::<&[u8]>::new());
}

#[test]
fn one_pair_of_quotes_and_blanks_fall_away() {
    let headers = cookies(&[b" a = \"x=y\" ;b=\"open; c=\"; d=\"\""]);
    assert_eq!(values(&headers, "a"), [b"x=y"]);
    assert_eq!(values(&headers, "b"), [b"\"open"]);
    assert_eq!(values(&headers, "c"), [b"\""]);
    assert_eq!(values(&headers, "d"), [b""]);
}

#[test]
fn bytes_outside_ascii_are_passed_on() {
    let headers = cookies(&[b"a=\xff\xfe; b=ok"]);
    assert_eq!(values(&headers, "a"), [b"\xff\xfe"]);
    assert_eq!(values(&headers, "b"), [b"ok"]);
    assert_eq!(decode(b"\xff\xfe"), None);
}

#[test]
fn an_encoded_name_is_another_name() {
    let headers = cookies(&[b"sAccess%54oken=x; saccesstoken=y"]);
    assert!(values(&headers, "sAccessToken").is_empty());
}

#[test]
fn two_hundred_cookies_and_thirty_two_kibibytes_are_read() {
    let many = (0..200)
        .map(|n| format!("c{n}={}", "v".repeat(160)))
        .collect::<Vec<_>>()
        .join("; ");
    assert!(many.len() > 32 * 1024);
    let headers = cookies(&[many.as_bytes(), b"sAccessToken=tok"]);
    assert_eq!(pairs(&headers).count(), 201);
    assert_eq!(values(&headers, "sAccessToken"), [b"tok"]);
}

#[test]
fn a_second_value_hides_both_and_an_empty_one_none() {
    let found = Found::Nothing.and(b"").and(b"x").and(b"");
    assert_eq!(found, Found::One(b"x"));
    assert_eq!(found.and(b"x"), Found::Many);
}

#[test]
fn the_access_cookie_stays_a_year_with_the_contracts_attributes() {
    let mut headers = HeaderMap::new();
    rules().set_access(&mut headers, "ey.J_-", NOW);
    assert_eq!(
        lines(&headers),
        [
            "sAccessToken=ey.J_-; Path=/; Expires=Tue, 24 Nov 2026 16:00:00 GMT; HttpOnly; Secure; SameSite=Lax"
        ]
    );
}

#[test]
fn the_refresh_cookie_goes_to_its_endpoint_until_its_token_ends() {
    let mut headers = HeaderMap::new();
    let rules = CookieRules {
        secure: false,
        same_site: SameSite::None,
        domain: Some(".acme.test".to_owned()),
        ..rules()
    };
    rules.set_refresh(&mut headers, "a+b", NOW);
    assert_eq!(
        lines(&headers),
        [
            "sRefreshToken=a%2Bb; Domain=.acme.test; Path=/auth/session/refresh; \
          Expires=Mon, 24 Nov 2025 16:00:00 GMT; HttpOnly; SameSite=None"
        ]
    );
}

#[test]
fn a_removed_cookie_carries_the_attributes_it_was_set_with() {
    let mut headers = HeaderMap::new();
    rules().clear_refresh(&mut headers);
    assert_eq!(
        lines(&headers),
        [
            "sRefreshToken=; Path=/auth/session/refresh; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; \
          SameSite=Lax"
        ]
    );
}

#[test]
fn a_later_cookie_replaces_the_earlier_one_of_the_same_slot_only() {
    let mut headers = HeaderMap::new();
    headers.append(SET_COOKIE, HeaderValue::from_static("theme=dark; Path=/"));
    headers.append(
        SET_COOKIE,
        HeaderValue::from_static("sAccessToken=x; Path=/other"),
    );
    rules().clear_access(&mut headers);
    rules().set_access(&mut headers, "new", NOW);
    let lines = lines(&headers);
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].starts_with("theme=") && lines[1].ends_with("/other") && lines[2].contains("=new;"));
}

#[test]
fn duplicates_are_removed_everywhere_but_where_the_cookies_live() {
    let mut headers = HeaderMap::new();
    let rules = CookieRules {
        domain: Some("acme.test".to_owned()),
        older_domain: Some(".old.acme.test".to_owned()),
        ..rules()
    };
    rules.clear_duplicates(&mut headers);
    let lines = lines(&headers);
    // Two names, two paths, three domains, less the two slots in use.
    assert_eq!(lines.len(), 10, "{lines:#?}");
    assert!(
        !lines
            .iter()
            .any(|line| line.starts_with("sAccessToken=; Domain=acme.test; Path=/;"))
    );
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("sAccessToken=; Path=/;"))
    );
    assert!(
        lines.iter().any(
            |line| line.starts_with("sRefreshToken=; Domain=.old.acme.test; Path=/auth/session/refresh;")
        )
    );
}

#[test]
fn without_configured_domains_duplicates_are_removed_on_the_other_path() {
    let mut headers = HeaderMap::new();
    rules().clear_duplicates(&mut headers);
    let starts: Vec<_> = lines(&headers)
        .iter()
        .map(|line| line.split("; Expires").next().unwrap())
        .collect();
    assert_eq!(
        starts,
        [
            "sAccessToken=; Path=/auth/session/refresh",
            "sRefreshToken=; Path=/"
        ]
    );
}

#[test]
fn prefixed_names_are_what_browsers_demand_of_their_prefix() {
    assert_eq!(Names::Prefixed.access(), "__Host-sAccessToken");
    assert_eq!(Names::Prefixed.refresh(), "__Secure-sRefreshToken");
}

#[test]
fn no_moment_is_too_early_or_too_late_for_a_date() {
    assert_eq!(
        http_date(Timestamp::from_ms(i64::MIN)),
        "Thu, 01 Jan 1970 00:00:00 GMT"
    );
    assert_eq!(
        http_date(Timestamp::from_ms(i64::MAX)),
        "Fri, 31 Dec 9999 23:59:59 GMT"
    );
}

proptest! {
    #[test]
    fn no_cookie_header_panics(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..4)) {
        let mut headers = HeaderMap::new();
        for line in &lines {
            if let Ok(line) = HeaderValue::from_bytes(line) {
                headers.append(COOKIE, line);
            }
        }
        for (name, value) in pairs(&headers) {
            prop_assert!(!name.contains(&b';') && !value.contains(&b';') && !name.contains(&b'='));
            let _ = decode(value);
        }
    }

    #[test]
    fn the_place_of_a_byte_is_the_first_of_all(
        long in prop::collection::vec(any::<u8>(), 0..100), few in prop::collection::vec(0_u8..4, 0..100),
    ) {
        for bytes in [long, few] {
            let first = bytes.iter().position(|byte| *byte == 2);
            prop_assert_eq!(position(&bytes, 2), first);
        }
    }

    #[test]
    fn a_line_is_parted_at_every_semicolon(line in prop::collection::vec(prop_oneof![Just(b';'), any::<u8>()], 0..100)) {
        let split: Vec<&[u8]> = line.split(|byte| *byte == b';').collect();
        prop_assert_eq!(parts(&line).collect::<Vec<_>>(), split);
    }

    #[test]
    fn splitting_a_cookie_header_into_lines_changes_nothing(
        cookies in prop::collection::vec(("[a-c]{1,2}", "[!-:<-~]{0,6}"), 0..8), at in 0usize..8,
    ) {
        let parts: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let (head, tail) = parts.split_at(at.min(parts.len()));
        let whole = self::cookies(&[parts.join("; ").as_bytes()]);
        let crumbs = self::cookies(&[head.join("; ").as_bytes(), tail.join("; ").as_bytes()]);
        prop_assert_eq!(pairs(&whole).collect::<Vec<_>>(), pairs(&crumbs).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_written_is_read_back(token in "\\PC{1,40}") {
        let mut headers = HeaderMap::new();
        rules().set_refresh(&mut headers, &token, NOW);
        let line = headers[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
        let sent = cookies(&[line.as_bytes()]);
        let read = values(&sent, "sRefreshToken");
        prop_assert_eq!(decode(read[0]).unwrap(), token);
    }
}
