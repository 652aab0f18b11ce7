//! What the real clients send and insist on, where no row of the table says it.

use serde_json::{Value, json};

use crate::kit::{Client, MODES, Mode, PASSWORD, PHONE, Response, Server, answer, form, full, half};

const ANN: &str = "ann@example.com";

#[tokio::test(flavor = "multi_thread")]
async fn the_user_object_follows_the_highest_version_that_the_client_names() {
    for (version, linked) in [
        ("1.16,1.17,1.18,1.19,2.0,3.0,3.1,4.0,4.1", true),
        ("3.1,4.0,4.1,4.2", true),
        ("1.18", true),
        ("-", true),
        ("1.9", false),
        ("1.16,1.17", false),
        ("1.19,2.0", false),
    ] {
        let server = Server::start().await;
        let mut ann = server.client(Mode::Cookie);
        ann.extra = vec![("fdi-version".to_owned(), version.to_owned())];
        let up = ann.sign_up(ANN).await;
        let created = ann.create_code(PHONE).await.json();
        let consumed = ann.consume(&created, &server.code().await).await;
        let signed_in = ann.sign_in(ANN).await;
        for response in [&up, &consumed, &signed_in] {
            let user = response.json()["user"].clone();
            assert_eq!(response.status_field(), "OK", "{version} {response:?}");
            assert_eq!(user["id"], json!(ann.user_id()));
            if linked {
                assert_eq!(user["emails"], json!([ANN]), "{version}");
                assert!(user["loginMethods"].is_array() && user.get("email").is_none());
                for key in [
                    "tenantIds",
                    "phoneNumbers",
                    "thirdParty",
                    "timeJoined",
                    "isPrimaryUser",
                ] {
                    assert!(!user[key].is_null(), "{key} {user}");
                }
            } else {
                assert_eq!(user["email"], ANN, "{version}");
                assert!(user.get("loginMethods").is_none() && user["timeJoined"].is_i64());
            }
        }
        let flags = (
            consumed.json().get("createdNewRecipeUser").cloned(),
            consumed.json().get("createdNewUser").cloned(),
        );
        let expected = if linked {
            (Some(json!(true)), None)
        } else {
            (None, Some(json!(true)))
        };
        assert_eq!(flags, expected, "{version}");
        let phone = consumed.json()["user"]["phoneNumber"].clone();
        assert_eq!(phone, if linked { Value::Null } else { json!(PHONE) });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exists_answers_under_its_old_and_new_paths_and_knows_no_second_factor_phone() {
    let server = Server::start().await;
    full(&server, Mode::Cookie, ANN, PHONE).await;
    let nobody = server.client(Mode::Cookie);
    let phone = PHONE.replace('+', "%2B");
    for (path, expected) in [
        (
            "/auth/emailpassword/email/exists?email=ann@example.com".to_owned(),
            true,
        ),
        (
            "/auth/signup/email/exists?email=ann%40example.com".to_owned(),
            true,
        ),
        (
            "/auth/public/signup/email/exists?email=Ann@Example.com".to_owned(),
            true,
        ),
        (
            "/auth/emailpassword/email/exists?email=ben@example.com".to_owned(),
            false,
        ),
        (
            "/auth/emailpassword/email/exists?email=nonsense".to_owned(),
            false,
        ),
        (
            format!("/auth/passwordless/phonenumber/exists?phoneNumber={phone}"),
            false,
        ),
        (
            format!("/auth/passwordless/phoneNumber/exists?phoneNumber={phone}"),
            false,
        ),
        (
            format!("/auth/signup/phonenumber/exists?phoneNumber={phone}"),
            false,
        ),
    ] {
        let headers = [("content-type", "application/json"), ("rid", "emailpassword")];
        let found = nobody.peek("GET", &path, None, &headers).await;
        assert_eq!(
            found.json(),
            json!({ "status": "OK", "exists": expected }),
            "{path}"
        );
        assert!(found.touches_no_token());
    }
    let missing = nobody
        .peek("GET", "/auth/emailpassword/email/exists", None, &[])
        .await;
    assert_eq!(missing.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_may_end_in_a_slash_carry_a_query_and_name_the_default_tenant() {
    let server = Server::start().await;
    for (number, path) in [
        "/auth/signup",
        "/auth/signup/",
        "/auth/signup?x=1",
        "/auth/public/signup",
        "/auth/public/signup/",
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = server.client(Mode::Header);
        let up = client
            .post(path, form(&format!("user{number}@example.com"), PASSWORD))
            .await;
        assert_eq!(up.status_field(), "OK", "{path} {up:?}");
        assert_eq!(client.payload()["tId"], "public");
        let created = client
            .post(
                "/auth/public/signinup/code/",
                json!({ "phoneNumber": format!("+4179123456{number}") }),
            )
            .await;
        assert_eq!(created.status_field(), "OK", "{created:?}");
        let bearer = format!("Bearer {}", client.refresh.as_deref().unwrap());
        let refreshed = client
            .call(
                "POST",
                "/auth/session/refresh/",
                None,
                &[("authorization", &bearer)],
            )
            .await;
        assert_eq!(refreshed.status, 200, "{refreshed:?}");
        assert_eq!(
            client.call("POST", "/auth/signout/?x", None, &[]).await.status,
            200
        );
    }
    let nobody = server.client(Mode::Header);
    let users = server.number("SELECT count(*) FROM stepup_user").await;
    for path in [
        "/auth/nowhere/signup",
        "/auth/public/public/signup",
        "/auth//signup",
        "/auth/SIGNUP",
        "/signup",
    ] {
        let body = form("eve@example.com", PASSWORD);
        let lost = nobody.peek("POST", path, Some(&body), &[]).await;
        assert_eq!(lost.status, 404, "{path}");
        assert!(lost.touches_no_token());
    }
    assert_eq!(server.number("SELECT count(*) FROM stepup_user").await, users);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_is_answered_like_its_get_without_a_body() {
    let server = Server::start().await;
    let nobody = server.client(Mode::Cookie);
    for path in [
        "/auth/jwt/jwks.json",
        "/auth/.well-known/openid-configuration",
        "/auth/emailpassword/email/exists?email=a@b.example",
    ] {
        let get = nobody.peek("GET", path, None, &[]).await;
        let head = nobody.peek("HEAD", path, None, &[]).await;
        assert_eq!((get.status, head.status), (200, 200), "{path}");
        assert!(head.body.is_empty() && !get.body.is_empty());
        assert_eq!(head.header("content-type"), get.header("content-type"));
    }
    for path in ["/auth/signup", "/auth/session/refresh", "/auth/signout"] {
        let refused = nobody.peek("HEAD", path, None, &[]).await;
        assert_eq!(refused.status, 405, "{path}");
        assert!(refused.header("allow").unwrap().contains("POST"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_recipe_id_and_none_reach_the_same_endpoints() {
    let server = Server::start().await;
    for (number, rid) in [
        "emailpassword",
        "thirdpartyemailpassword",
        "session",
        "unknown",
        "-",
    ]
    .into_iter()
    .enumerate()
    {
        let body = form(&format!("user{number}@example.com"), PASSWORD);
        let up = server
            .client(Mode::Header)
            .peek("POST", "/auth/signup", Some(&body), &[("rid", rid)])
            .await;
        assert_eq!(up.status_field(), "OK", "{rid}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refresh_and_sign_out_take_no_body_json_and_an_empty_form() {
    for mode in MODES {
        let server = Server::start().await;
        for (number, kind) in ["-", "application/json", "application/x-www-form-urlencoded"]
            .into_iter()
            .enumerate()
        {
            let mut ann = half(&server, mode, &format!("user{number}@example.com")).await;
            let refreshed = ann
                .call("POST", "/auth/session/refresh", None, &[("content-type", kind)])
                .await;
            assert_eq!(refreshed.status, 200, "{kind}");
            let out = ann
                .call("POST", "/auth/signout", None, &[("content-type", kind)])
                .await;
            assert_eq!(out.status_field(), "OK", "{kind}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_header_with_attributes_between_its_cookies_is_read() {
    let server = Server::start().await;
    let ann = half(&server, Mode::Cookie, ANN).await;
    let token = ann.access_token().unwrap();
    for cookie in [
        format!(
            "sAccessToken={token}; Path=/; Expires=Wed, 21 Oct 2037 07:28:00 GMT; HttpOnly; SameSite=Lax"
        ),
        format!("theme; a=b=c; sAccessToken=\"{token}\""),
        format!("sFrontToken=x;sAccessToken={token};st-access-token=zzz"),
    ] {
        let me = server
            .client(Mode::Cookie)
            .peek("GET", "/api/me", None, &[("cookie", &cookie)])
            .await;
        assert_eq!(me.status, 200, "{cookie}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_read_from_their_two_places_and_from_nowhere_else() {
    let server = Server::start().await;
    let ann = half(&server, Mode::Header, ANN).await;
    let (access, refresh) = (ann.access.clone().unwrap(), ann.refresh.clone().unwrap());
    let nobody = server.client(Mode::Header);
    // Script cookies of the header mode reach every port of localhost; they, other headers, and the URL are no token.
    let script = format!("st-access-token={access}; st-refresh-token={refresh}");
    let in_url = format!("/api/me?access_token={access}&sAccessToken={access}");
    for (path, header) in [
        ("/api/me", ("cookie", script.as_str())),
        ("/api/me", ("st-access-token", access.as_str())),
        (in_url.as_str(), ("accept", "*/*")),
    ] {
        let refused = nobody.peek("GET", path, None, &[header]).await;
        assert_eq!(refused.status, 401, "{path}");
        assert!(refused.touches_no_token());
    }
    for header in [
        ("cookie", script.as_str()),
        ("st-refresh-token", refresh.as_str()),
    ] {
        let refused = nobody
            .peek("POST", "/auth/session/refresh", None, &[header])
            .await;
        assert_eq!(refused.status, 401);
    }
    let mut ann = ann;
    assert_eq!(ann.refresh().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_refreshes_are_never_throttled_by_status() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = full(&server, mode, ANN, PHONE).await;
        for number in 0..40 {
            let refreshed = ann.refresh().await;
            assert_eq!(refreshed.status, 200, "{number}");
            assert!(
                refreshed
                    .header("front-token")
                    .is_some_and(|front| front != "remove")
            );
        }
        assert_eq!(ann.get("/api/secret").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mfa_info_tells_each_state_what_the_pre_built_screens_need() {
    for mode in MODES {
        let server = Server::start().await;
        let info = async |client: &mut Client| {
            let response = client.call("PUT", "/auth/mfa/info", Some(json!({})), &[]).await;
            assert_eq!(response.status_field(), "OK", "{response:?}");
            response.json()
        };
        let mut ann = half(&server, mode, ANN).await;
        let new = info(&mut ann).await;
        assert_eq!(
            new["factors"],
            json!({ "next": ["otp-phone"], "alreadySetup": ["emailpassword"], "allowedToSetup": ["otp-phone"] })
        );
        assert_eq!(new["emails"]["emailpassword"], json!([ANN]));
        // No number yet: the screen asks for one.
        assert!(new["phoneNumbers"].is_object());
        assert!(
            new["phoneNumbers"]["otp-phone"]
                .as_array()
                .is_none_or(Vec::is_empty)
        );

        ann.complete(&server, PHONE).await;
        let done = info(&mut ann).await;
        assert_eq!(done["factors"]["next"], json!([]));
        assert_eq!(
            done["factors"]["alreadySetup"],
            json!(["emailpassword", "otp-phone"])
        );

        // Enrolled and half signed in: the code goes to index 0 at once, and nothing new may be set up.
        ann.sign_out().await;
        ann.sign_in(ANN).await;
        let due = info(&mut ann).await;
        assert_eq!(
            due["factors"],
            json!({ "next": ["otp-phone"], "alreadySetup": ["emailpassword", "otp-phone"], "allowedToSetup": [] })
        );
        assert_eq!(due["phoneNumbers"]["otp-phone"], json!([PHONE]));
        assert!(!ann.completed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_first_enrollment_is_told_to_sign_in_again_and_sends_nothing() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = half(&server, mode, ANN).await;
        server.moved(200).await;
        assert_eq!(ann.refresh().await.status, 200);
        server.moved(101).await;
        for refused in [
            ann.create_code(PHONE).await,
            ann.call("PUT", "/auth/mfa/info", Some(json!({})), &[]).await,
        ] {
            assert_eq!(
                (refused.status, refused.status_field().as_str()),
                (200, "GENERAL_ERROR")
            );
            assert!(refused.message().contains("sign in again"), "{refused:?}");
        }
        assert_eq!(server.codes_sent().await, 0);
        assert_eq!(server.number("SELECT count(*) FROM stepup_challenge").await, 0);
        ann.sign_in(ANN).await;
        ann.complete(&server, PHONE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_the_server_has_forgotten_starts_again() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = half(&server, mode, ANN).await;
        let created = ann.create_code(PHONE).await.json();
        let code = server.code().await;
        server.execute("DELETE FROM stepup_challenge").await;
        server.moved(20).await;
        for lost in [ann.resend(&created).await, ann.consume(&created, &code).await] {
            assert_eq!(
                (lost.status, lost.status_field().as_str()),
                (200, "RESTART_FLOW_ERROR")
            );
            assert!(lost.touches_no_token());
        }
        assert_eq!(server.codes_sent().await, 1);
        // Ids that do not belong together, and none at all, are no request of a client.
        for body in [
            json!({ "deviceId": created["deviceId"], "preAuthSessionId": "other", "userInputCode": code }),
            json!({ "deviceId": created["deviceId"], "userInputCode": code }),
            json!({ "preAuthSessionId": created["preAuthSessionId"], "userInputCode": code }),
            json!({ "deviceId": 1, "preAuthSessionId": 2, "userInputCode": 3 }),
        ] {
            let refused = ann.post("/auth/signinup/code/consume", body).await;
            assert_eq!(refused.status, 400, "{refused:?}");
        }
        // An id padded by a client is the same id.
        let created = ann.create_code(PHONE).await.json();
        let mut padded = answer(&created, &server.code().await);
        padded["preAuthSessionId"] = json!(format!("{}=", created["preAuthSessionId"].as_str().unwrap()));
        assert_eq!(
            ann.post("/auth/signinup/code/consume", padded)
                .await
                .status_field(),
            "OK"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_the_website_read_every_answer_and_foreign_pages_none() {
    let website = "https://localhost:8443";
    let server = Server::start_with(|s| s.website_domain = Some(website.to_owned())).await;
    let ann = half(&server, Mode::Header, ANN).await;
    let huge = json!({ "phoneNumber": "x".repeat(17 * 1024) });
    let readable = |response: &Response| {
        response.header("access-control-allow-origin") == Some(website)
            && response.header("access-control-allow-credentials") == Some("true")
    };
    for (method, path, body, status) in [
        ("GET", "/api/me", None, 200),
        ("GET", "/api/secret", None, 403),
        ("GET", "/auth/nothing", None, 404),
        ("GET", "/nothing", None, 404),
        ("GET", "/auth/signup", None, 405),
        ("POST", "/auth/signinup/code", Some(&huge), 413),
    ] {
        let answered = ann.peek(method, path, body, &[("origin", website)]).await;
        assert_eq!(answered.status, status, "{path}");
        assert!(readable(&answered), "{path} {answered:?}");
        let foreign = ann
            .peek(method, path, body, &[("origin", "https://evil.test")])
            .await;
        assert_eq!(foreign.header("access-control-allow-origin"), None, "{path}");
        assert_eq!(foreign.header("access-control-allow-credentials"), None);
    }
    let nobody = server.client(Mode::Header);
    let refused = nobody.peek("GET", "/api/me", None, &[("origin", website)]).await;
    assert!(refused.status == 401 && readable(&refused));

    let ask = |origin: &'static str| {
        [
            ("origin", origin),
            ("access-control-request-method", "PUT"),
            (
                "access-control-request-headers",
                "authorization,content-type,fdi-version,rid,st-auth-mode",
            ),
        ]
    };
    for path in ["/auth/mfa/info", "/api/secret", "/auth/session/refresh"] {
        let allowed = nobody.peek("OPTIONS", path, None, &ask(website)).await;
        assert!(allowed.status < 300 && readable(&allowed), "{allowed:?}");
        let headers = allowed.header("access-control-allow-headers").unwrap();
        for name in [
            "content-type",
            "rid",
            "fdi-version",
            "anti-csrf",
            "authorization",
            "st-auth-mode",
        ] {
            assert!(headers.contains(name), "{headers}");
        }
        let methods = allowed.header("access-control-allow-methods").unwrap();
        assert!(["GET", "POST", "PUT"].iter().all(|m| methods.contains(m)) && !methods.contains('*'));
        let foreign = nobody
            .peek("OPTIONS", path, None, &ask("https://evil.test"))
            .await;
        assert_eq!(foreign.header("access-control-allow-origin"), None);
    }
    // The keys are for everybody.
    let keys = nobody
        .peek(
            "GET",
            "/auth/jwt/jwks.json",
            None,
            &[("origin", "https://evil.test")],
        )
        .await;
    assert_eq!(keys.header("access-control-allow-origin"), Some("*"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_address_is_a_field_error_and_makes_no_second_account() {
    for mode in MODES {
        let server = Server::start().await;
        half(&server, mode, ANN).await;
        let mut again = server.client(mode);
        let refused = again
            .post("/auth/signup", form("Ann@Example.com", "another long password"))
            .await;
        assert_eq!(
            (refused.status, refused.status_field().as_str()),
            (200, "FIELD_ERROR")
        );
        assert_eq!(refused.json()["formFields"][0]["id"], "email");
        assert!(refused.touches_no_token());
        let wrong = again
            .post("/auth/signin", form(ANN, "another long password"))
            .await;
        assert_eq!(
            (wrong.status, wrong.json()),
            (200, json!({ "status": "WRONG_CREDENTIALS_ERROR" }))
        );
        assert!(wrong.touches_no_token());
        assert_eq!(server.number("SELECT count(*) FROM stepup_user").await, 1);
        assert_eq!(server.number("SELECT count(*) FROM stepup_session").await, 1);
    }
}
