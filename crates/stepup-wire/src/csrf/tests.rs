use http::Request;
use proptest::prelude::*;

use super::*;

fn rules(same_site: SameSite) -> CsrfRules {
    let origins = ["https://acme.test", "https://api.acme.test"];
    CsrfRules {
        origins: origins.map(|origin| Origin::parse(origin).unwrap()).to_vec(),
        same_site,
    }
}

const PLAIN: Source<'static> = Source {
    method: &Method::POST,
    upgrade: false,
    origin: None,
    fetch_site: None,
    rid: false,
    body: None,
};

const COOKIE_ACTS: [Act; 2] = [Act::Application(Mode::Cookie), Act::Endpoint(Mode::Cookie)];

#[test]
fn a_request_of_our_own_pages_passes() {
    for origin in ["https://acme.test", "https://api.acme.test"] {
        let source = Source {
            origin: Some(origin.as_bytes()),
            fetch_site: Some(b"same-site"),
            ..PLAIN
        };
        for act in [
            Act::Application(Mode::Cookie),
            Act::Endpoint(Mode::Cookie),
            Act::Open,
        ] {
            assert_eq!(judge(&rules(SameSite::Lax), &source, act), Ok(()));
        }
    }
}

#[test]
fn a_foreign_origin_is_refused_whatever_else_is_there() {
    for origin in [
        "https://evil.test",
        "null",
        "",
        "https://acme.test.evil.test",
        "https://xacme.test",
        "https://ACME.test",
        "https://acme.test:8443",
        "http://acme.test",
        "https://acme.test/",
        "https://evil.acme.test",
        "https://acme.test, https://evil.test",
    ] {
        let source = Source {
            origin: Some(origin.as_bytes()),
            fetch_site: Some(b"same-origin"),
            rid: true,
            body: Some(Content::Json),
            ..PLAIN
        };
        for act in [
            Act::Application(Mode::Cookie),
            Act::Endpoint(Mode::Cookie),
            Act::Endpoint(Mode::Header),
            Act::Open,
        ] {
            assert_eq!(
                judge(&rules(SameSite::Lax), &source, act),
                Err(Forgery::ForeignOrigin),
                "{origin}"
            );
        }
    }
}

#[test]
fn without_origin_fetch_metadata_decides() {
    for (site, verdict) in [
        (&b"same-origin"[..], Ok(())),
        (b"none", Ok(())),
        (b"same-site", Err(Forgery::CrossSite)),
        (b"cross-site", Err(Forgery::CrossSite)),
        (b"odd", Err(Forgery::CrossSite)),
        (b"", Err(Forgery::CrossSite)),
    ] {
        let source = Source {
            fetch_site: Some(site),
            rid: true,
            ..PLAIN
        };
        for act in [
            Act::Application(Mode::Cookie),
            Act::Endpoint(Mode::Cookie),
            Act::Open,
        ] {
            assert_eq!(judge(&rules(SameSite::Lax), &source, act), verdict, "{site:?}");
        }
    }
}

#[test]
fn a_client_that_is_no_browser_passes_without_any_of_it() {
    for act in COOKIE_ACTS {
        assert_eq!(judge(&rules(SameSite::Lax), &PLAIN, act), Ok(()));
        let json = Source {
            body: Some(Content::Json),
            ..PLAIN
        };
        assert_eq!(judge(&rules(SameSite::Lax), &json, act), Ok(()));
    }
}

#[test]
fn a_body_that_a_form_can_send_needs_something_that_a_form_cannot() {
    for body in [Content::None, Content::Form, Content::Other] {
        let bare = Source {
            body: Some(body),
            ..PLAIN
        };
        for act in COOKIE_ACTS {
            assert_eq!(judge(&rules(SameSite::Lax), &bare, act), Err(Forgery::FormBody));
            for vouched in [
                Source { rid: true, ..bare },
                Source {
                    origin: Some(b"https://acme.test"),
                    ..bare
                },
                Source {
                    fetch_site: Some(b"same-origin"),
                    ..bare
                },
            ] {
                assert_eq!(judge(&rules(SameSite::Lax), &vouched, act), Ok(()));
            }
        }
    }
}

#[test]
fn cookies_that_travel_across_sites_need_rid_as_well() {
    let ours = Source {
        origin: Some(b"https://acme.test"),
        body: Some(Content::Json),
        ..PLAIN
    };
    for act in COOKIE_ACTS {
        assert_eq!(
            judge(&rules(SameSite::None), &ours, act),
            Err(Forgery::NoCustomHeader)
        );
        assert_eq!(
            judge(&rules(SameSite::None), &Source { rid: true, ..ours }, act),
            Ok(())
        );
        assert_eq!(
            judge(&rules(SameSite::None), &PLAIN, act),
            Err(Forgery::NoCustomHeader)
        );
    }
    assert_eq!(judge(&rules(SameSite::None), &ours, Act::Open), Ok(()));
    assert_eq!(
        judge(&rules(SameSite::None), &ours, Act::Endpoint(Mode::Header)),
        Ok(())
    );
}

#[test]
fn a_header_token_is_its_own_proof_at_the_application() {
    let source = Source {
        origin: Some(b"https://partner.test"),
        body: Some(Content::Form),
        ..PLAIN
    };
    assert_eq!(
        judge(&rules(SameSite::None), &source, Act::Application(Mode::Header)),
        Ok(())
    );
}

#[test]
fn reading_is_safe_and_everything_else_is_not() {
    let foreign = Source {
        origin: Some(b"https://evil.test"),
        ..PLAIN
    };
    let act = Act::Application(Mode::Cookie);
    for method in [Method::GET, Method::OPTIONS, Method::TRACE] {
        assert_eq!(
            judge(
                &rules(SameSite::None),
                &Source {
                    method: &method,
                    ..foreign
                },
                act
            ),
            Ok(())
        );
    }
    let odd = Method::from_bytes(b"get").unwrap();
    for method in [
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::CONNECT,
        odd,
    ] {
        let source = Source {
            method: &method,
            ..foreign
        };
        assert_eq!(
            judge(&rules(SameSite::Lax), &source, act),
            Err(Forgery::ForeignOrigin),
            "{method}"
        );
    }
}

#[test]
fn a_handshake_of_a_foreign_or_sibling_page_is_refused() {
    let act = Act::Application(Mode::Cookie);
    for (method, upgrade) in [
        (Method::GET, true),
        (Method::CONNECT, false),
        (Method::CONNECT, true),
    ] {
        let shake = Source {
            method: &method,
            upgrade,
            ..PLAIN
        };
        for origin in ["https://evil.test", "https://evil.acme.test"] {
            let source = Source {
                origin: Some(origin.as_bytes()),
                ..shake
            };
            assert_eq!(
                judge(&rules(SameSite::Lax), &source, act),
                Err(Forgery::ForeignOrigin)
            );
        }
        let sibling = Source {
            fetch_site: Some(b"same-site"),
            ..shake
        };
        assert_eq!(
            judge(&rules(SameSite::Lax), &sibling, act),
            Err(Forgery::CrossSite)
        );
    }
}

#[test]
fn a_handshake_across_sites_is_vouched_for_by_its_origin_alone() {
    let act = Act::Application(Mode::Cookie);
    let shake = Source {
        method: &Method::GET,
        upgrade: true,
        ..PLAIN
    };
    let ours = Source {
        origin: Some(b"https://acme.test"),
        ..shake
    };
    assert_eq!(judge(&rules(SameSite::None), &ours, act), Ok(()));
    assert_eq!(
        judge(&rules(SameSite::None), &shake, act),
        Err(Forgery::NoCustomHeader)
    );
}

#[test]
fn the_source_is_read_from_headers() {
    let read = |request: http::request::Builder, body: Option<bool>| {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let source = Source::of(&parts, body);
        (
            source.origin.map(<[u8]>::to_vec),
            source.rid,
            source.upgrade,
            source.body,
        )
    };
    let request = Request::post("/")
        .header("origin", "https://acme.test")
        .header("rid", "");
    assert_eq!(
        read(request, None),
        (Some(b"https://acme.test".to_vec()), true, false, None)
    );
    let request = Request::get("/")
        .header("origin", "https://acme.test")
        .header("origin", "https://acme.test");
    assert_eq!(read(request, None).0, Some(b"\0".to_vec()));
    let request = Request::get("/")
        .header("upgrade", "websocket")
        .header("content-length", "0");
    assert_eq!(read(request, None), (None, false, true, None));
    let request = Request::post("/")
        .header("content-length", "3")
        .header("content-type", "text/plain");
    assert_eq!(read(request, None).3, Some(Content::Other));
    let request = Request::post("/").header("transfer-encoding", "chunked");
    assert_eq!(read(request, None).3, Some(Content::None));
    // As in HTTP/2, where a body needs no length.
    let typed = || Request::post("/").header("content-type", "text/plain");
    assert_eq!(read(typed(), None).3, Some(Content::Other));
    assert_eq!(read(typed().header("content-length", "0"), None).3, None);
    assert_eq!(read(Request::post("/"), None).3, None);
    assert_eq!(
        read(
            Request::post("/").header("content-type", "application/json"),
            Some(true)
        )
        .3,
        Some(Content::Json)
    );
}

proptest! {
    #[test]
    fn no_origin_but_an_allowed_one_passes(origin in "(https?://)?[a-zA-Z.:/@ -]{0,20}", none in any::<bool>()) {
        let same_site = if none { SameSite::None } else { SameSite::Lax };
        let source = Source { origin: Some(origin.as_bytes()), fetch_site: Some(b"same-origin"), rid: true, ..PLAIN };
        let allowed = ["https://acme.test", "https://api.acme.test"].contains(&origin.as_str());
        for act in COOKIE_ACTS {
            prop_assert_eq!(judge(&rules(same_site), &source, act).is_ok(), allowed);
        }
    }

    #[test]
    fn taking_a_proof_away_never_lets_a_request_pass(
        origin in prop::option::of(prop_oneof![Just("https://acme.test"), Just("https://evil.test")]),
        site in prop::option::of(prop_oneof![Just("same-origin"), Just("cross-site")]),
        json in any::<bool>(), upgrade in any::<bool>(), none in any::<bool>(),
    ) {
        let rules = rules(if none { SameSite::None } else { SameSite::Lax });
        let with = Source {
            origin: origin.map(str::as_bytes),
            fetch_site: site.map(str::as_bytes),
            rid: true,
            upgrade,
            body: Some(if json { Content::Json } else { Content::Form }),
            ..PLAIN
        };
        let without = Source { rid: false, ..with };
        for act in COOKIE_ACTS {
            prop_assert!(judge(&rules, &with, act).is_ok() || judge(&rules, &without, act).is_err());
        }
    }
}
