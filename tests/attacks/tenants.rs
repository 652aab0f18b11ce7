//! Several tenants on one site and one database.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use stepup::flow::{Caller, External};
use stepup::sqlite::SqliteStore;
use stepup::wire::core::password::Password;
use stepup::wire::route::{Endpoint, ROUTES};
use stepup::{FactorId, Policy, Tenant, TenantId, Tenants, UserId, any_of};

use super::own::Own;
use crate::kit::{Client, MODES, Mode, OTHER_PHONE, PASSWORD, PHONE, Response, answer, form, wrong};

const ALICE: &str = "alice@example.com";

/// Two tenants beside the public one, on one SQLite file.
async fn site(folder: &tempfile::TempDir) -> Own<SqliteStore> {
    let store = store(folder).await;
    Own::start_with(store, |builder| {
        builder.tenants([Tenant::new("acme"), Tenant::new("globex")])
    })
    .await
}

async fn store(folder: &tempfile::TempDir) -> SqliteStore {
    let file = folder.path().join("tenants.sqlite");
    let store = SqliteStore::connect(&format!("sqlite://{}?mode=rwc", file.display()))
        .await
        .unwrap();
    store.migrate().await.unwrap();
    store
}

async fn signed_up(site: &Own<SqliteStore>, mode: Mode, tenant: &str, password: &str) -> Client {
    let mut client = site.client(mode);
    let answer = client
        .post(&format!("/auth/{tenant}/signup"), form(ALICE, password))
        .await;
    assert_eq!(answer.status_field(), "OK", "{answer:?}");
    client
}

async fn create(client: &mut Client, tenant: &str, phone: &str) -> Response {
    let path = format!("/auth/{tenant}/signinup/code");
    client.post(&path, json!({ "phoneNumber": phone })).await
}

async fn consume(client: &mut Client, tenant: &str, created: &Value, code: &str) -> Response {
    let path = format!("/auth/{tenant}/signinup/code/consume");
    client.post(&path, answer(created, code)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ten_01_one_address_in_two_tenants_is_two_people() {
    let folder = tempfile::tempdir().unwrap();
    let site = site(&folder).await;
    let acme = signed_up(&site, Mode::Cookie, "acme", PASSWORD).await;
    let globex = signed_up(&site, Mode::Cookie, "globex", "another horse battery").await;
    assert_ne!(acme.user_id(), globex.user_id());
    assert_eq!(acme.payload()["tId"], "acme");
    assert_eq!(globex.payload()["tId"], "globex");
    assert!(acme.handle().ends_with("_acme"));

    let mut nobody = site.client(Mode::Cookie);
    for (tenant, password, status) in [
        ("acme", PASSWORD, "OK"),
        ("acme", "another horse battery", "WRONG_CREDENTIALS_ERROR"),
        ("globex", PASSWORD, "WRONG_CREDENTIALS_ERROR"),
        ("globex", "another horse battery", "OK"),
        ("public", PASSWORD, "WRONG_CREDENTIALS_ERROR"),
    ] {
        let path = format!("/auth/{tenant}/signin");
        let answer = nobody.post(&path, form(ALICE, password)).await;
        assert_eq!(answer.status_field(), status, "{tenant} {password}");
    }
    for (tenant, exists) in [("acme", true), ("globex", true), ("public", false)] {
        let path = format!("/auth/{tenant}/emailpassword/email/exists?email={ALICE}");
        assert_eq!(nobody.get(&path).await.json()["exists"], exists, "{tenant}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ten_01_a_session_in_the_name_of_another_tenant_finds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let site = site(&folder).await;
    for mode in MODES {
        let phone = if mode == Mode::Cookie { PHONE } else { OTHER_PHONE };
        let tenant = if mode == Mode::Cookie { "acme" } else { "globex" };
        let other = if mode == Mode::Cookie { "globex" } else { "acme" };
        let mut alice = signed_up(&site, mode, tenant, PASSWORD).await;
        let created = create(&mut alice, tenant, phone).await.json();
        let code = site.code().await;
        let sent = site.sent().await.len();
        for row in ROUTES {
            if !row.tenant || !matches!(row.endpoint, Endpoint::Guarded(_)) {
                continue;
            }
            let path = format!("/auth/{other}{}", row.path);
            let body = (row.method != "GET").then(|| {
                let mut body = answer(&created, &code);
                body["phoneNumber"] = PHONE.into();
                body
            });
            let answer = alice.call(row.method.as_str(), &path, body, &[]).await;
            assert_eq!(
                (answer.status, answer.message().as_str()),
                (404, "not found"),
                "{path}"
            );
            assert!(answer.touches_no_token(), "{path}");
        }
        assert_eq!(site.sent().await.len(), sent);
        // The code was not touched: it works where it belongs.
        let consumed = consume(&mut alice, tenant, &created, &code).await;
        assert_eq!(consumed.status_field(), "OK", "{consumed:?}");
        assert_eq!(alice.get("/secret").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ten_01_a_session_acts_in_its_own_tenant_where_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let site = site(&folder).await;
    let mut alice = signed_up(&site, Mode::Cookie, "acme", PASSWORD).await;
    for prefix in ["/auth", "/auth/public", "/auth/acme"] {
        let path = format!("{prefix}/mfa/info");
        let info = alice.call("PUT", &path, Some(json!({})), &[]).await;
        assert_eq!(info.json()["emails"]["emailpassword"], json!([ALICE]), "{prefix}");
    }
    // As clients do, which never name a tenant there.
    let created = alice.create_code(PHONE).await.json();
    let code = site.code().await;
    let consumed = alice.consume(&created, &code).await;
    assert_eq!(consumed.json()["user"]["tenantIds"], json!(["acme"]));
    assert_eq!(alice.refresh().await.status, 200);
    assert_eq!(alice.payload()["tId"], "acme");
    assert_eq!(alice.sign_out().await.status_field(), "OK");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ten_01_a_code_of_one_tenant_is_none_in_another() {
    let folder = tempfile::tempdir().unwrap();
    let site = site(&folder).await;
    let mut acme = signed_up(&site, Mode::Cookie, "acme", PASSWORD).await;
    let mut globex = signed_up(&site, Mode::Cookie, "globex", PASSWORD).await;
    let created = create(&mut acme, "acme", PHONE).await.json();
    let code = site.code().await;
    for (tenant, path) in [("globex", "consume"), ("public", "consume"), ("globex", "resend")] {
        let path = format!("/auth/{tenant}/signinup/code/{path}");
        let answer = globex.post(&path, answer(&created, &code)).await;
        assert_eq!(answer.status_field(), "RESTART_FLOW_ERROR", "{path}: {answer:?}");
    }
    assert!(!globex.completed());
    let consumed = consume(&mut acme, "acme", &created, &code).await;
    assert_eq!(consumed.status_field(), "OK");
    assert!(acme.completed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ten_01_a_refresh_token_is_used_in_its_own_tenant_only() {
    let folder = tempfile::tempdir().unwrap();
    let site = site(&folder).await;
    for (mode, tenant) in MODES.into_iter().zip(["acme", "globex"]) {
        let mut alice = signed_up(&site, mode, tenant, PASSWORD).await;
        let other = if tenant == "acme" { "globex" } else { "acme" };
        let path = format!("/auth/{other}/session/refresh");
        let refused = alice.peek("POST", &path, None, &[]).await;
        assert_eq!(
            (refused.status, refused.message().as_str()),
            (401, "unauthorised")
        );
        assert!(refused.clears_everything());
        // Nothing was used up, and nobody is taken for a thief.
        for path in [
            format!("/auth/{tenant}/session/refresh"),
            "/auth/session/refresh".into(),
        ] {
            assert_eq!(alice.call("POST", &path, None, &[]).await.status, 200, "{path}");
        }
        assert_eq!(alice.get("/any").await.status, 200);
        let path = format!("/auth/{tenant}/signout");
        let answer = alice.call("POST", &path, None, &[]).await;
        assert_eq!(answer.status_field(), "OK");
        assert_eq!(alice.refresh().await.status, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ten_01_failures_in_one_tenant_do_not_count_in_another() {
    let folder = tempfile::tempdir().unwrap();
    let site = site(&folder).await;
    signed_up(&site, Mode::Cookie, "acme", PASSWORD).await;
    let mut globex = signed_up(&site, Mode::Cookie, "globex", PASSWORD).await;
    let mut mallory = site.client(Mode::Cookie);
    for _ in 0..6 {
        mallory
            .post("/auth/acme/signin", form(ALICE, "wrong horse battery"))
            .await;
    }
    let throttled = mallory.post("/auth/acme/signin", form(ALICE, PASSWORD)).await;
    assert_eq!(throttled.status_field(), "GENERAL_ERROR");
    let answer = globex.post("/auth/globex/signin", form(ALICE, PASSWORD)).await;
    assert_eq!(answer.status_field(), "OK");

    // The same user id, of an application's own table, in both: second factors fail for each alone.
    let user = UserId::from("u-1");
    let mut clients = Vec::new();
    for tenant in ["acme", "globex"] {
        let caller = Caller::within(&TenantId::from(tenant));
        let signed_in = site
            .stepup
            .sign_in_external(&caller, &user, External::knowledge())
            .await
            .unwrap()
            .unwrap();
        let mut client = site.client(Mode::Header);
        client.access = Some(signed_in.tokens.access.expose().clone());
        clients.push(client);
    }
    let mut created = create(&mut clients[0], "acme", PHONE).await.json();
    for n in 0..7 {
        let code = site.code().await;
        let refused = consume(&mut clients[0], "acme", &created, &wrong(&code)).await;
        if n == 4 {
            assert_eq!(refused.status_field(), "RESTART_FLOW_ERROR");
            created = create(&mut clients[0], "acme", PHONE).await.json();
        }
        if n > 4 {
            assert_eq!(refused.status_field(), "GENERAL_ERROR", "{n}");
        }
    }
    let created = create(&mut clients[1], "globex", OTHER_PHONE).await.json();
    let code = site.code().await;
    let consumed = consume(&mut clients[1], "globex", &created, &code).await;
    assert_eq!(consumed.status_field(), "OK", "{consumed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ten_01_what_is_done_to_a_user_of_one_tenant_spares_its_namesake() {
    let folder = tempfile::tempdir().unwrap();
    let site = site(&folder).await;
    let user = UserId::from("u-1");
    let (acme, globex) = (TenantId::from("acme"), TenantId::from("globex"));
    let mut clients = Vec::new();
    for tenant in [&acme, &globex] {
        let caller = Caller::within(tenant);
        let signed_in = site
            .stepup
            .sign_in_external(&caller, &user, External::knowledge())
            .await
            .unwrap()
            .unwrap();
        let mut client = site.client(Mode::Header);
        client.access = Some(signed_in.tokens.access.expose().clone());
        client.refresh = Some(signed_in.tokens.refresh.unwrap().token.expose().clone());
        clients.push(client);
    }
    let patch = json!({ "note": "acme's" }).as_object().unwrap().clone();
    site.stepup
        .merge_metadata(&acme, &user, &patch)
        .await
        .unwrap()
        .unwrap();
    assert!(site.stepup.metadata(&globex, &user).await.unwrap().is_empty());
    assert_eq!(site.stepup.sessions(&globex, &user).await.unwrap().len(), 1);
    assert_eq!(site.stepup.revoke_all(&acme, &user).await.unwrap().len(), 1);
    assert!(site.stepup.delete(&acme, &user).await.unwrap());
    assert!(clients[0].get("/any").await.status == 401 && clients[0].refresh().await.status == 401);
    assert_eq!(clients[1].get("/any").await.status, 200);
    assert_eq!(clients[1].refresh().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_tenant_has_its_own_first_factors_and_policy() {
    let folder = tempfile::tempdir().unwrap();
    let site = Own::start_with(store(&folder).await, |builder| {
        builder.tenants([
            Tenant::new("public").first_factors([]),
            Tenant::new("lax").policy(Policy::when_enrolled()),
            Tenant::new("own").first_factors([FactorId::from_static("smartcard")]),
            Tenant::new("acme").policy(Policy::second_factor(any_of([FactorId::OTP_PHONE]))),
        ])
    })
    .await;
    let mut nobody = site.client(Mode::Cookie);
    for (tenant, factors) in [
        ("public", json!([])),
        ("lax", json!(["emailpassword"])),
        ("own", json!(["smartcard"])),
        ("acme", json!(["emailpassword"])),
    ] {
        let path = format!("/auth/{tenant}/loginmethods");
        let methods = nobody.get(&path).await.json();
        assert_eq!(methods["firstFactors"], factors, "{tenant}");
        let enabled = factors == json!(["emailpassword"]);
        assert_eq!(
            (
                &methods["status"],
                &methods["emailPassword"]["enabled"],
                &methods["thirdParty"]["providers"]
            ),
            (&json!("OK"), &json!(enabled), &json!([])),
            "{tenant}"
        );
    }
    assert_eq!(nobody.get("/auth/initech/loginmethods").await.status, 404);

    // What is no first factor there is refused as the clients know it, and nothing of theirs is cleared.
    for tenant in ["public", "own"] {
        for path in ["signup", "signin"] {
            let path = format!("/auth/{tenant}/{path}");
            let refused = nobody.post(&path, form(ALICE, PASSWORD)).await;
            assert_eq!(
                (refused.status, refused.message().as_str()),
                (401, "unauthorised"),
                "{path}"
            );
            assert!(refused.touches_no_token());
        }
    }
    let card = External::possession().named(FactorId::from_static("smartcard"));
    for (tenant, opens) in [
        ("own", true),
        ("lax", true),
        ("public", false),
        ("initech", false),
    ] {
        let caller = Caller::within(&TenantId::from(tenant));
        let user = UserId::from("u-1");
        let signed_in = site
            .stepup
            .sign_in_external(&caller, &user, card.clone())
            .await
            .unwrap();
        assert_eq!(signed_in.is_ok(), opens, "{tenant}");
    }

    // A password that stands alone has to be longer, tenant by tenant.
    let refused = nobody.post("/auth/lax/signup", form(ALICE, "eleven-char")).await;
    assert_eq!(refused.status_field(), "FIELD_ERROR");
    for (tenant, password, plain) in [("lax", PASSWORD, 200), ("acme", "eleven-char", 403)] {
        let mut alice = signed_up(&site, Mode::Cookie, tenant, password).await;
        assert_eq!(alice.get("/plain").await.status, plain, "{tenant}");
        assert_eq!(alice.get("/secret").await.status, 403, "{tenant}");
    }
}

/// Tenants that come and go.
#[derive(Clone, Debug, Default)]
struct Table(Arc<Mutex<BTreeSet<String>>>);

impl Tenants for Table {
    fn tenant(&self, id: &TenantId) -> Option<Arc<Tenant>> {
        let known = self.0.lock().unwrap().contains(id.as_str());
        known.then(|| Arc::new(Tenant::new(id.clone())))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_gone_is_closed_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let table = Table::default();
    let source = table.clone();
    let site = Own::start_with(store(&folder).await, |builder| builder.tenants_from(source)).await;
    let mut alice = site.client(Mode::Cookie);
    // The public one needs no name, and is closed while the source does not know it.
    for (path, status) in [("/auth/signup", 401), ("/auth/acme/signup", 404)] {
        let answer = alice.post(path, form(ALICE, PASSWORD)).await;
        assert_eq!(answer.status, status, "{path}");
    }
    table.0.lock().unwrap().insert("acme".to_owned());
    let mut alice = signed_up(&site, Mode::Cookie, "acme", PASSWORD).await;
    let created = create(&mut alice, "acme", PHONE).await.json();
    let code = site.code().await;
    consume(&mut alice, "acme", &created, &code).await;
    assert_eq!(alice.get("/secret").await.status, 200);

    table.0.lock().unwrap().clear();
    let before = alice.clone();
    let refused = alice.get("/secret").await;
    assert!(
        refused.status == 401 && refused.clears_everything(),
        "{refused:?}"
    );
    assert_eq!(before.clone().refresh().await.status, 401);
    assert_eq!(
        alice
            .post("/auth/acme/signin", form(ALICE, PASSWORD))
            .await
            .status,
        404
    );
    let caller = Caller::within(&TenantId::from("acme"));
    let password = Password::parse(PASSWORD).unwrap();
    let outcome = site.stepup.sign_in(&caller, ALICE, password).await.unwrap();
    assert!(
        matches!(outcome, stepup::flow::SignInOutcome::NotOffered),
        "{outcome:?}"
    );

    // It comes back as it was: nothing was deleted.
    table.0.lock().unwrap().insert("acme".to_owned());
    assert_eq!(before.clone().get("/secret").await.status, 200);
}
