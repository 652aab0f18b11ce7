//! The whole way over the wire: sign-up, a code, refresh, sign-out, in both transfer modes.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panic"
)]

mod common;

use base64::Engine as _;
use common::{PASSWORD, PHONE, Site, consume, form};
use serde_json::{Value, json};

const MODES: [&str; 2] = ["cookie", "header"];

#[tokio::test]
async fn a_sign_up_opens_a_half_login_and_a_code_completes_the_same_session() {
    for mode in MODES {
        let site = Site::new().await;
        let mut ann = site.signed_up(mode, " Ann@Acme.test ").await;
        let before = ann.payload();
        assert_eq!(before["2fa-completed"]["v"], false);
        assert_eq!(before["st-mfa"]["v"], false);
        assert!(before.get("phoneNumber").is_none());

        let created = ann
            .post("/auth/signinup/code", json!({ "phoneNumber": PHONE }))
            .await;
        assert_eq!(created.status, 200);
        assert_eq!(created.json["flowType"], "USER_INPUT_CODE");
        assert!(created.is_silent());
        let code = site.code().await;
        let wrong = if code == "000000" { "000001" } else { "000000" };
        let answer = ann
            .post("/auth/signinup/code/consume", consume(&created.json, wrong))
            .await;
        assert_eq!(
            answer.json,
            json!({
                "status": "INCORRECT_USER_INPUT_CODE_ERROR",
                "failedCodeInputAttemptCount": 1,
                "maximumCodeInputAttempts": 5
            })
        );
        assert!(answer.is_silent());
        let old_refresh = ann.refresh_token();
        let answer = ann
            .post("/auth/signinup/code/consume", consume(&created.json, &code))
            .await;
        assert_eq!(answer.json["status"], "OK");
        assert_eq!(answer.json["createdNewRecipeUser"], true);
        assert_eq!(answer.json["user"]["phoneNumbers"], json!([PHONE]));
        let after = ann.payload();
        assert_eq!(after["2fa-completed"]["v"], true);
        assert_eq!(after["st-mfa"]["v"], true);
        for key in ["sub", "sessionHandle"] {
            assert_eq!(after[key], before[key]);
        }
        assert_ne!(ann.refresh_token(), old_refresh);
    }
}

#[tokio::test]
async fn tokens_travel_in_the_mode_that_was_asked_for_and_in_no_other() {
    let site = Site::new().await;
    let cookie = site.signed_up("cookie", "ann@acme.test").await;
    assert_eq!((cookie.cookies.len(), cookie.access.is_some()), (2, false));
    let header = site.signed_up("header", "bob@acme.test").await;
    assert_eq!((header.cookies.len(), header.access.is_some()), (0, true));
}

#[tokio::test]
async fn the_front_token_embeds_the_signed_payload_byte_for_byte() {
    let site = Site::new().await;
    let mut ann = site.complete("header", "ann@acme.test").await;
    ann.refresh().await;
    let front = base64::engine::general_purpose::STANDARD
        .decode(ann.front.clone().unwrap())
        .unwrap();
    let token = ann.access.clone().unwrap();
    let payload = token.split('.').nth(1).unwrap();
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(payload)
        .unwrap();
    let front = String::from_utf8(front).unwrap();
    assert!(
        front.ends_with(&format!("\"up\":{}}}", String::from_utf8(payload).unwrap())),
        "{front}"
    );
}

#[tokio::test]
async fn the_next_sign_in_asks_for_the_stored_number_only() {
    for mode in MODES {
        let site = Site::new().await;
        let mut ann = site.complete(mode, "ann@acme.test").await;
        assert_eq!(
            ann.post("/auth/signout", json!({})).await.json,
            json!({ "status": "OK" })
        );
        assert!(ann.front.is_none() && ann.cookies.is_empty() && ann.access.is_none());

        let answer = ann.post("/auth/signin", form("ann@acme.test", PASSWORD)).await;
        assert_eq!(answer.json["status"], "OK");
        assert!(answer.json.get("createdNewRecipeUser").is_none());
        assert_eq!(ann.payload()["2fa-completed"]["v"], false);
        assert_eq!(ann.payload()["phoneNumber"], PHONE);

        let sent = site.codes().await.len();
        let answer = ann
            .post("/auth/signinup/code", json!({ "phoneNumber": "+41797654321" }))
            .await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json["status"]),
            (200, &json!("GENERAL_ERROR"))
        );
        assert!(!answer.message().contains(PHONE));
        assert_eq!(site.codes().await.len(), sent);

        let answer = ann.second_factor(&site, "+41 79 123 45 67").await;
        assert_eq!(answer.json["createdNewRecipeUser"], false);
        assert_eq!(ann.payload()["2fa-completed"]["v"], true);
    }
}

#[tokio::test]
async fn refresh_hands_out_new_tokens_in_the_mode_of_the_old_ones() {
    for mode in MODES {
        let site = Site::new().await;
        let mut ann = site.complete(mode, "ann@acme.test").await;
        let (refresh, payload) = (ann.refresh_token(), ann.payload());
        site.advance(16 * 60);
        assert_eq!(ann.put("/auth/mfa/info").await.message(), "try refresh token");
        let answer = ann.refresh().await;
        assert_eq!((answer.status.as_u16(), &answer.json), (200, &json!({})));
        assert_ne!(ann.refresh_token(), refresh);
        assert_eq!(ann.payload()["2fa-completed"], payload["2fa-completed"]);
        assert_eq!(ann.put("/auth/mfa/info").await.status, 200);
    }
}

#[tokio::test]
async fn a_retired_refresh_token_ends_the_session() {
    for mode in MODES {
        let site = Site::new().await;
        let mut ann = site.complete(mode, "ann@acme.test").await;
        let mut thief = ann.clone();
        ann.refresh().await;
        site.advance(31);
        let answer = thief.refresh().await;
        assert_eq!(
            (answer.status.as_u16(), answer.message()),
            (401, "token theft detected")
        );
        assert_eq!(answer.header("front-token"), Some("remove"));
        assert_eq!(site.events.count("session.theft"), 2);
        let answer = ann.put("/auth/mfa/info").await;
        assert_eq!((answer.status.as_u16(), answer.message()), (401, "unauthorised"));
        assert!(ann.front.is_none());
    }
}

#[tokio::test]
async fn a_refresh_token_from_before_the_second_factor_is_refused_and_nothing_is_cleared() {
    for mode in MODES {
        let site = Site::new().await;
        let ann = site.signed_up(mode, "ann@acme.test").await;
        let mut stale = ann.clone();
        let mut ann = ann;
        assert_eq!(ann.second_factor(&site, PHONE).await.json["status"], "OK");
        for seconds in [1, 28, 30] {
            site.advance(seconds);
            let answer = stale.refresh().await;
            assert_eq!((answer.status.as_u16(), answer.message()), (401, "unauthorised"));
            assert!(answer.is_silent());
        }
        site.advance(2);
        assert_eq!(stale.refresh().await.message(), "token theft detected");
    }
}

#[tokio::test]
async fn sign_out_works_on_the_second_screen_and_when_the_row_is_gone() {
    for mode in MODES {
        let site = Site::new().await;
        let mut ann = site.signed_up(mode, "ann@acme.test").await;
        let mut other_tab = ann.clone();
        assert_eq!(ann.post("/auth/signout", json!({})).await.status, 200);
        let answer = other_tab.post("/auth/signout", json!({})).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("front-token"), Some("remove"));
        assert_eq!(other_tab.refresh().await.status, 401);
    }
}

#[tokio::test]
async fn refresh_and_sign_out_take_a_request_without_body_or_type() {
    let site = Site::new().await;
    let mut ann = site.complete("header", "ann@acme.test").await;
    let request = ann.request(http::Method::POST, "/auth/session/refresh");
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(ann.send(request, "").await.status, 200);
    let request = ann.request(http::Method::POST, "/auth/signout");
    assert_eq!(ann.send(request, "").await.status, 200);
}

#[tokio::test]
async fn a_refresh_without_a_token_clears_everything() {
    let site = Site::new().await;
    let mut nobody = site.client("cookie");
    let answer = nobody.refresh().await;
    assert_eq!((answer.status.as_u16(), answer.message()), (401, "unauthorised"));
    assert_eq!(answer.header("front-token"), Some("remove"));
    assert_eq!(answer.header("st-access-token"), Some(""));
    assert_eq!(answer.cookies().len(), 2);
}

#[tokio::test]
async fn a_session_in_the_other_mode_is_left_behind_at_sign_in() {
    let site = Site::new().await;
    let mut ann = site.complete("cookie", "ann@acme.test").await;
    ann.mode = "header";
    let answer = ann.post("/auth/signin", form("ann@acme.test", PASSWORD)).await;
    assert_eq!(answer.json["status"], "OK");
    assert!(ann.cookies.is_empty() && ann.access.is_some() && ann.refresh.is_some());
    assert_ne!(answer.header("front-token"), Some("remove"));
    ann.mode = "cookie";
    ann.post("/auth/signin", form("ann@acme.test", PASSWORD)).await;
    assert!(ann.access.is_none() && ann.refresh.is_none() && ann.cookies.len() == 2);
}

#[tokio::test]
async fn the_fields_of_a_form_are_judged_all_together() {
    let site = Site::new().await;
    let mut ann = site.client("cookie");
    let errors = |answer: &common::Answer| -> Vec<String> {
        assert_eq!(
            (answer.status.as_u16(), &answer.json["status"]),
            (200, &json!("FIELD_ERROR"))
        );
        let fields = answer.json["formFields"].as_array().unwrap();
        fields
            .iter()
            .map(|field| field["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        errors(&ann.post("/auth/signup", form("", "")).await),
        ["email", "password"]
    );
    assert_eq!(
        errors(&ann.post("/auth/signup", form("no address", "short")).await),
        ["email", "password"]
    );
    assert_eq!(errors(&ann.post("/auth/signin", form(" ", "x")).await), ["email"]);
    assert_eq!(
        errors(&ann.post("/auth/signin", json!({ "formFields": [] })).await),
        ["email", "password"]
    );
    ann.post("/auth/signup", form("ann@acme.test", PASSWORD)).await;
    assert_eq!(
        errors(&ann.post("/auth/signup", form("ANN@acme.test", PASSWORD)).await),
        ["email"]
    );
}

#[tokio::test]
async fn unknown_addresses_and_wrong_passwords_are_one_answer() {
    let site = Site::new().await;
    let mut ann = site.signed_up("cookie", "ann@acme.test").await;
    let wrong = ann
        .post("/auth/signin", form("ann@acme.test", "wrong password"))
        .await;
    let unknown = ann
        .post("/auth/signin", form("bob@acme.test", "wrong password"))
        .await;
    let long = ann
        .post("/auth/signin", form("ann@acme.test", &"x".repeat(1025)))
        .await;
    for answer in [wrong, unknown, long] {
        assert_eq!(answer.json, json!({ "status": "WRONG_CREDENTIALS_ERROR" }));
        assert!(answer.is_silent());
    }
}

#[tokio::test]
async fn the_user_object_follows_the_version_of_the_client() {
    let site = Site::new().await;
    let mut ann = site.complete("header", "ann@acme.test").await;
    let mut user = async |version: &str| -> Value {
        let request = ann
            .request(http::Method::POST, "/auth/signin")
            .header("content-type", "application/json");
        let request = request.header("fdi-version", version);
        ann.send(request, form("ann@acme.test", PASSWORD).to_string())
            .await
            .json["user"]
            .clone()
    };
    let linked = user("3.1,4.0,4.1,4.2").await;
    assert_eq!(linked["emails"], json!(["ann@acme.test"]));
    assert_eq!(linked["loginMethods"][0]["recipeId"], "emailpassword");
    assert_eq!(linked["loginMethods"][0]["recipeUserId"], linked["id"]);
    assert_eq!(linked["loginMethods"][1]["recipeId"], "passwordless");
    assert_eq!(linked["loginMethods"][1]["phoneNumber"], PHONE);
    assert!(linked["loginMethods"][0].get("phoneNumber").is_none());
    let flat = user("1.16,1.17,2.0").await;
    assert_eq!(flat["email"], "ann@acme.test");
    assert_eq!(flat["phoneNumber"], PHONE);
    assert!(flat.get("loginMethods").is_none());
}

#[tokio::test]
async fn exists_tells_of_accounts_and_never_of_second_factor_phones() {
    let site = Site::new().await;
    let mut ann = site.complete("cookie", "ann@acme.test").await;
    for (path, exists) in [
        ("/auth/emailpassword/email/exists?email=ANN%40acme.test", true),
        ("/auth/signup/email/exists?email=bob@acme.test", false),
        (
            "/auth/public/emailpassword/email/exists?email=ann@acme.test",
            true,
        ),
        ("/auth/emailpassword/email/exists?email=nonsense", false),
        (
            "/auth/passwordless/phonenumber/exists?phoneNumber=%2B41791234567",
            false,
        ),
        (
            "/auth/passwordless/phoneNumber/exists?phoneNumber=%2B41791234567",
            false,
        ),
        (
            "/auth/signup/phonenumber/exists?phoneNumber=%2B41791234567",
            false,
        ),
    ] {
        let answer = ann.get(path).await;
        assert_eq!(answer.json, json!({ "status": "OK", "exists": exists }), "{path}");
    }
    for path in [
        "/auth/emailpassword/email/exists",
        "/auth/emailpassword/email/exists?email=a&email=b",
    ] {
        assert_eq!(ann.get(path).await.status, 400, "{path}");
    }
}

#[tokio::test]
async fn mfa_info_leads_a_half_login_to_its_factor() {
    let site = Site::new().await;
    let mut ann = site.signed_up("cookie", "ann@acme.test").await;
    let answer = ann.put("/auth/mfa/info").await;
    assert_eq!(answer.json["status"], "OK");
    assert_eq!(
        answer.json["factors"],
        json!({ "next": ["otp-phone"], "alreadySetup": ["emailpassword"], "allowedToSetup": ["otp-phone"] })
    );
    assert_eq!(answer.json["phoneNumbers"], json!({ "otp-phone": [] }));
    ann.second_factor(&site, PHONE).await;
    let answer = ann.put("/auth/mfa/info").await;
    assert_eq!(answer.json["factors"]["next"], json!([]));
    assert_eq!(answer.json["phoneNumbers"], json!({ "otp-phone": [PHONE] }));
}

#[tokio::test]
async fn without_a_session_no_code_is_sent_resent_or_consumed() {
    let site = Site::new().await;
    let mut ann = site.signed_up("cookie", "ann@acme.test").await;
    let created = ann
        .post("/auth/signinup/code", json!({ "phoneNumber": PHONE }))
        .await;
    let code = site.code().await;
    let mut nobody = site.client("cookie");
    for (path, body) in [
        ("/auth/signinup/code", json!({ "phoneNumber": PHONE })),
        ("/auth/signinup/code/resend", consume(&created.json, &code)),
        ("/auth/signinup/code/consume", consume(&created.json, &code)),
    ] {
        let answer = nobody.post(path, body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.message()),
            (401, "unauthorised"),
            "{path}"
        );
        assert!(answer.is_silent());
    }
    assert_eq!(site.codes().await.len(), 1);
}

#[tokio::test]
async fn a_code_request_that_is_malformed_is_a_400() {
    let site = Site::new().await;
    let mut ann = site.signed_up("cookie", "ann@acme.test").await;
    let created = ann
        .post("/auth/signinup/code", json!({ "phoneNumber": PHONE }))
        .await
        .json;
    let with = |key: &str, value: Value| {
        let mut body = consume(&created, "123456");
        body[key] = value;
        body
    };
    for (path, body) in [
        ("/auth/signinup/code", json!({ "email": "ann@acme.test" })),
        ("/auth/signinup/code", json!({})),
        (
            "/auth/signinup/code",
            json!({ "phoneNumber": PHONE, "email": "ann@acme.test" }),
        ),
        ("/auth/signinup/code", json!({ "phoneNumber": 41 })),
        (
            "/auth/signinup/code",
            json!({ "phoneNumber": PHONE, "shouldTryLinkingWithSessionUser": "true" }),
        ),
        (
            "/auth/signinup/code/resend",
            json!({ "deviceId": created["deviceId"] }),
        ),
        ("/auth/signinup/code/consume", with("linkCode", "x".into())),
        ("/auth/signinup/code/consume", with("userInputCode", Value::Null)),
        ("/auth/signinup/code/consume", with("deviceId", "x".into())),
        (
            "/auth/signinup/code/consume",
            with("preAuthSessionId", "x".into()),
        ),
    ] {
        let answer = ann.post(path, body.clone()).await;
        assert_eq!(answer.status, 400, "{path} {body}");
        assert!(!answer.message().is_empty());
    }
    assert_eq!(site.codes().await.len(), 1);
}

#[tokio::test]
async fn a_padded_session_id_is_the_same_and_a_link_was_never_sent() {
    let site = Site::new().await;
    let mut ann = site.signed_up("cookie", "ann@acme.test").await;
    let created = ann
        .post("/auth/signinup/code", json!({ "phoneNumber": PHONE }))
        .await
        .json;
    let link = json!({ "preAuthSessionId": created["preAuthSessionId"], "linkCode": "x" });
    let answer = ann.post("/auth/signinup/code/consume", link).await;
    assert_eq!(answer.json, json!({ "status": "RESTART_FLOW_ERROR" }));
    let mut body = consume(&created, &site.code().await);
    body["preAuthSessionId"] = format!("{}=", created["preAuthSessionId"].as_str().unwrap()).into();
    assert_eq!(
        ann.post("/auth/signinup/code/consume", body).await.json["status"],
        "OK"
    );
}

#[tokio::test]
async fn a_throttle_answers_in_the_clients_shape_with_a_time() {
    let site = Site::new().await;
    let mut ann = site.signed_up("cookie", "ann@acme.test").await;
    let created = ann
        .post("/auth/signinup/code", json!({ "phoneNumber": PHONE }))
        .await
        .json;
    let body = json!({ "deviceId": created["deviceId"], "preAuthSessionId": created["preAuthSessionId"] });
    let early = ann.post("/auth/signinup/code/resend", body.clone()).await;
    assert_eq!(
        (early.status.as_u16(), &early.json["status"]),
        (200, &json!("GENERAL_ERROR"))
    );
    assert_eq!(early.header("retry-after"), Some("15"));
    site.advance(15);
    assert_eq!(
        ann.post("/auth/signinup/code/resend", body).await.json,
        json!({ "status": "OK" })
    );
    assert_eq!(site.codes().await.len(), 2);
}

#[tokio::test]
async fn linking_to_the_user_of_a_session_is_not_to_be_had() {
    let site = Site::new().await;
    let mut body = form("bob@acme.test", PASSWORD);
    body["shouldTryLinkingWithSessionUser"] = true.into();
    let answer = site.client("cookie").post("/auth/signup", body.clone()).await;
    assert_eq!((answer.status.as_u16(), answer.message()), (401, "unauthorised"));
    let mut ann = site.complete("cookie", "ann@acme.test").await;
    for (path, status) in [
        ("/auth/signup", "SIGN_UP_NOT_ALLOWED"),
        ("/auth/signin", "SIGN_IN_NOT_ALLOWED"),
    ] {
        let answer = ann.post(path, body.clone()).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json["status"]),
            (200, &json!(status))
        );
        assert!(answer.is_silent());
    }
}

#[tokio::test]
async fn keys_and_discovery_are_for_everyone() {
    let site = Site::new().await;
    let mut stranger = site.client("cookie");
    stranger.origin = Some("https://other.example".to_owned());
    let keys = stranger.get("/auth/jwt/jwks.json").await;
    assert_eq!(keys.json["keys"][0]["alg"], "ES256");
    let discovery = stranger.get("/auth/.well-known/openid-configuration").await;
    assert_eq!(discovery.json["issuer"], "http://localhost:3000/auth");
    assert_eq!(
        discovery.json["jwks_uri"],
        "http://localhost:3000/auth/jwt/jwks.json"
    );
    for answer in [keys, discovery] {
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        assert!(answer.header("cache-control").unwrap().contains("max-age="));
    }
}
