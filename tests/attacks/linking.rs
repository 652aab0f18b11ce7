//! A provider's account that is added to one that exists: begun for one thing and used for another, left there by a squatter,
//! asked about what it must not tell, and added where a second factor would need leave.

use serde_json::{Value, json};
use stepup::config::EmailVerification;
use stepup::flow::Update;
use stepup::{EnrollmentMode, FactorId, Policy, Profile, TenantId, UserId, any_of};
use stepup_core::factor::third_party::{Linking, ThirdParty};
use stepup_testkit::provider::{FakeProvider, Somebody};

use crate::kit::provider::{
    Away, EXAMPLE, asking, assert_barred, assert_told, by_provider, leave, linking, opens_nothing,
    redirect_uri, serving,
};
use crate::kit::{Client, MODES, Mode, OTHER_PHONE, PHONE, Response, Server, answer, form, full, half};

const ALICE: &str = "alice@example.com";
const CAROL: &str = "carol@example.com";
const NOT_BEGUN: &str = "not begun in this browser";

fn alice() -> Somebody {
    Somebody::new("alice-there", ALICE)
}

fn mallory() -> Somebody {
    Somebody::new("mallory-there", "mallory@example.com")
}

/// Comes back with `away`, to be added to the session of `client`.
async fn link(provider: &FakeProvider, client: &mut Client, away: &Away, somebody: &Somebody) -> Response {
    let mut body = away.body(&provider.consent(&away.url, somebody));
    body["shouldTryLinkingWithSessionUser"] = true.into();
    away.send(client, body).await
}

/// Asks where to go, and says what for.
async fn leave_for(server: &Server, client: &mut Client, links: &str) -> Away {
    let redirect_uri = redirect_uri(server, EXAMPLE);
    let path = format!(
        "{}&shouldTryLinkingWithSessionUser={links}",
        asking("", EXAMPLE, &redirect_uri)
    );
    let asked = client.get(&path).await;
    assert_eq!(asked.status_field(), "OK", "{asked:?}");
    let text = |name: &str| asked.json()[name].as_str().unwrap().to_owned();
    Away {
        tenant: String::new(),
        provider: EXAMPLE.to_owned(),
        url: text("urlWithQueryParams"),
        kept: text("pkceCodeVerifier"),
        redirect_uri,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oau_02_what_was_begun_outside_of_a_session_is_added_to_none() {
    for mode in MODES {
        let provider = FakeProvider::new(EXAMPLE);
        let server = serving(&provider).await;
        let mut client = server.client(mode);
        // Somebody else could have begun it, and waited for a session of alice's.
        let away = leave(&server, &mut client, EXAMPLE).await;
        assert_eq!(client.sign_up(ALICE).await.status_field(), "OK");
        client.complete(&server, PHONE).await;
        assert_told(&link(&provider, &mut client, &away, &mallory()).await, NOT_BEGUN);
        // It is spent by that.
        assert_told(
            &away
                .back(&mut client.clone(), &provider.consent(&away.url, &mallory()))
                .await,
            NOT_BEGUN,
        );
        assert_eq!(provider.asked(), 0);
        // Begun in the session it is added to it.
        let answer = linking(&server, &provider, &mut client, &mallory()).await;
        assert_eq!(answer.status_field(), "OK", "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oau_02_what_was_begun_in_one_session_is_not_added_to_another() {
    let provider = FakeProvider::new(EXAMPLE);
    let server = serving(&provider).await;
    let mut theirs = full(&server, Mode::Header, "mallory@example.com", OTHER_PHONE).await;
    let mut alices = full(&server, Mode::Header, ALICE, PHONE).await;
    let away = leave(&server, &mut theirs, EXAMPLE).await;
    assert_told(&link(&provider, &mut alices, &away, &mallory()).await, NOT_BEGUN);
    assert_eq!(provider.asked(), 0);
    // A session is the same after a refresh.
    let away = leave(&server, &mut alices, EXAMPLE).await;
    assert_eq!(alices.refresh().await.status, 200);
    let answer = link(&provider, &mut alices, &away, &alice()).await;
    assert_eq!(answer.status_field(), "OK", "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oau_02_what_was_begun_with_an_expired_token_is_added_to_its_session_and_no_other() {
    for mode in MODES {
        let provider = FakeProvider::new(EXAMPLE);
        let server = serving(&provider).await;
        let mut theirs = full(&server, mode, "mallory@example.com", OTHER_PHONE).await;
        let mut alices = full(&server, mode, ALICE, PHONE).await;
        server.moved(3_600).await;
        assert_eq!(alices.get("/api/me").await.status, 401, "the token is expired");
        // Nothing tells the client to refresh first: whoever only signs in is not kept from it by what is over.
        let away = leave(&server, &mut alices, EXAMPLE).await;
        let stolen = leave(&server, &mut theirs, EXAMPLE).await;
        assert_eq!(alices.refresh().await.status, 200);
        alices.complete(&server, PHONE).await;
        assert_told(
            &link(&provider, &mut alices, &stolen, &mallory()).await,
            NOT_BEGUN,
        );
        let answer = link(&provider, &mut alices, &away, &alice()).await;
        assert_eq!(answer.status_field(), "OK", "{answer:?}");
        // It signs in as well, and neither a forged token nor one of a session that is over hinders that.
        let mut stranger = server.client(mode);
        let away = leave(&server, &mut theirs, EXAMPLE).await;
        let back = away
            .back(
                &mut stranger,
                &provider.consent(&away.url, &Somebody::new("carol", CAROL)),
            )
            .await;
        match mode {
            Mode::Header => assert_eq!(back.status_field(), "OK", "{back:?}"),
            // The ticket is bound to the browser that was sent.
            Mode::Cookie => assert_told(&back, NOT_BEGUN),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oau_02_what_was_begun_for_one_thing_is_not_used_for_the_other() {
    let provider = FakeProvider::new(EXAMPLE);
    let server = serving(&provider).await;
    let mut client = full(&server, Mode::Cookie, ALICE, PHONE).await;
    let away = leave_for(&server, &mut client, "false").await;
    assert_told(&link(&provider, &mut client, &away, &mallory()).await, NOT_BEGUN);
    let away = leave_for(&server, &mut client, "true").await;
    assert_told(
        &away
            .back(&mut client.clone(), &provider.consent(&away.url, &mallory()))
            .await,
        NOT_BEGUN,
    );
    assert_eq!(provider.asked(), 0);
    let away = leave_for(&server, &mut client, "true").await;
    let answer = link(&provider, &mut client, &away, &mallory()).await;
    assert_eq!(answer.status_field(), "OK", "{answer:?}");
    // Without a session there is nothing to add to, and what is neither yes nor no is none.
    let mut stranger = server.client(Mode::Cookie);
    let uri = redirect_uri(&server, EXAMPLE);
    for (links, status) in [("true", 401), ("", 400), ("1", 400), ("TRUE", 400)] {
        let path = format!(
            "{}&shouldTryLinkingWithSessionUser={links}",
            asking("", EXAMPLE, &uri)
        );
        assert_eq!(stranger.get(&path).await.status, status, "{links}");
    }
}

/// The demo with a provider whose word joins accounts, and links that verify.
async fn joining(provider: &FakeProvider) -> Server {
    let provider = provider.clone();
    Server::start_both(
        |settings| settings.email_verification = EmailVerification::Optional,
        move |builder| {
            let factor = ThirdParty::new().provider(provider.clone());
            builder.factor(factor.linking(Linking::VerifiedAddress))
        },
    )
    .await
}

/// Asks for a link that verifies, which the owner of the mailbox opens elsewhere.
async fn verified_by_its_owner(server: &Server, client: &mut Client) {
    let asked = client.post("/auth/user/email/verify/token", json!({})).await;
    assert_eq!(asked.status_field(), "OK", "{asked:?}");
    let sent = server.sent().await;
    let link = sent.iter().rev().find_map(|mail| mail.link.clone()).unwrap();
    let token = link
        .split(['?', '&'])
        .find_map(|part| part.strip_prefix("token="));
    let body = json!({ "method": "token", "token": token.unwrap() });
    let opened = server
        .client(Mode::Header)
        .post("/auth/user/email/verify", body)
        .await;
    assert_eq!(opened.status_field(), "OK", "{opened:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oau_08_the_password_of_a_squatter_does_not_survive_a_join() {
    for mode in MODES {
        let provider = FakeProvider::new(EXAMPLE);
        let server = joining(&provider).await;
        let mut squatter = half(&server, mode, ALICE).await;
        verified_by_its_owner(&server, &mut squatter).await;
        let mut owner = server.client(mode);
        let joined = by_provider(&server, &provider, &mut owner, &alice()).await;
        assert_eq!(joined.status_field(), "OK", "{joined:?}");
        assert_eq!(owner.user_id(), squatter.user_id());
        assert_eq!(squatter.get("/api/me").await.status, 401);
        assert_eq!(squatter.refresh().await.status, 401);
        // Nor is its password good for anything, now or once the owner has a second factor.
        let mut again = server.client(mode);
        let answer = again.sign_in(ALICE).await;
        assert_eq!(answer.status_field(), "WRONG_CREDENTIALS_ERROR", "{answer:?}");
        owner.complete(&server, PHONE).await;
        assert_eq!(owner.get("/api/secret").await.status, 200);
        // The owner is told.
        server.dump().await;
        let sent = server.sent().await;
        assert!(
            sent.iter()
                .any(|mail| mail.kind == "identity_linked" && mail.to == ALICE)
        );
        // And gets a password again by the mailbox.
        let fields = json!({ "formFields": [{ "id": "email", "value": ALICE }] });
        let asked = again.post("/auth/user/password/reset/token", fields).await;
        assert_eq!(asked.status_field(), "OK", "{asked:?}");
        server.dump().await;
        assert!(server.sent().await.iter().any(|mail| mail.kind == "reset"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oau_08_an_account_in_which_a_squatter_has_more_than_a_password_is_not_joined() {
    let provider = FakeProvider::new(EXAMPLE);
    let server = joining(&provider).await;
    let mut squatter = half(&server, Mode::Header, ALICE).await;
    verified_by_its_owner(&server, &mut squatter).await;
    squatter.complete(&server, OTHER_PHONE).await;
    let mut owner = server.client(Mode::Header);
    let answer = by_provider(&server, &provider, &mut owner, &alice()).await;
    assert_barred(&answer, "006");
    assert!(opens_nothing(&answer));
    assert_eq!(
        squatter.get("/api/secret").await.status,
        200,
        "nothing was touched"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oau_08_an_account_that_a_squatter_opens_by_phone_is_not_joined_by_a_link_that_the_owner_opened() {
    const UNVOUCHED: &str = "other";
    let (provider, other) = (FakeProvider::new(EXAMPLE), FakeProvider::new(UNVOUCHED));
    let (held, held_too) = (provider.clone(), other.clone());
    let server = Server::start_both(
        |settings| {
            settings.email_verification = EmailVerification::Optional;
            let codes = [FactorId::OTP_PHONE, FactorId::OTP_EMAIL];
            settings.first_factors.extend(codes);
        },
        move |builder| {
            let factor = ThirdParty::new()
                .provider(held.clone())
                .provider(held_too.clone());
            builder
                .policy(Policy::when_enrolled())
                .factor(factor.linking(Linking::VerifiedAddress))
        },
    )
    .await;
    let mut squatter = server.client(Mode::Header);
    let asked = squatter
        .post("/auth/signinup/code", json!({ "phoneNumber": OTHER_PHONE }))
        .await;
    let given = answer(&asked.json(), &server.code().await);
    let opened = squatter.post("/auth/signinup/code/consume", given).await;
    assert_eq!(opened.status_field(), "OK", "{opened:?}");
    let id = UserId::from(squatter.user_id().as_str());
    let claims_hers = Somebody::new("squatter", ALICE).unverified();
    let away = leave(&server, &mut squatter, UNVOUCHED).await;
    let linked = link(&other, &mut squatter, &away, &claims_hers).await;
    assert_eq!(linked.status_field(), "OK", "{linked:?}");
    // The site lets its users name a second way to sign in, which nobody has proved yet.
    let (stepup, tenant) = (server.site.stepup.clone(), TenantId::public());
    let update = Update::new().email(ALICE);
    stepup.update_user(&tenant, &id, update).await.unwrap().unwrap();
    let away = leave(&server, &mut squatter, UNVOUCHED).await;
    let back = away
        .back(&mut squatter, &other.consent(&away.url, &claims_hers))
        .await;
    assert_eq!(back.status_field(), "OK", "{back:?}");
    verified_by_its_owner(&server, &mut squatter).await;
    let user = stepup.user(&tenant, &id).await.unwrap().unwrap();
    let mut methods = user.methods.iter();
    assert!(
        methods.any(|m| m.factor == FactorId::OTP_EMAIL && m.verified),
        "the attack is as far as it goes: {user:?}"
    );
    let mut owner = server.client(Mode::Header);
    let back = by_provider(&server, &provider, &mut owner, &alice()).await;
    assert_barred(&back, "006");
    assert!(opens_nothing(&back));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_enu_09_where_nothing_is_told_an_unvouched_address_is_added_like_any_other() {
    let provider = FakeProvider::new(EXAMPLE);
    let held = provider.clone();
    let server = Server::start_both(
        |settings| settings.profile = Profile::SafeEnumeration,
        move |builder| builder.factor(ThirdParty::new().provider(held.clone()).without_email()),
    )
    .await;
    server
        .client(Mode::Header)
        .post("/auth/signup", form(CAROL, crate::kit::PASSWORD))
        .await;
    let mut shown: Vec<Value> = Vec::new();
    for (at, address) in [CAROL, "nobody@example.com"].into_iter().enumerate() {
        let mut client = server.client(Mode::Header);
        let own = Somebody::new(format!("own-{at}"), format!("own{at}@example.com"));
        by_provider(&server, &provider, &mut client, &own).await;
        client.complete(&server, PHONE).await;
        let asks = Somebody::new(format!("asks-{at}"), address).unverified();
        for created in [true, false] {
            let answer = linking(&server, &provider, &mut client, &asks).await;
            assert_eq!(answer.status_field(), "OK", "{answer:?}");
            assert_eq!(answer.json()["createdNewRecipeUser"], created);
            shown.push(json!(answer.json()["user"]["emails"].as_array().unwrap().len()));
        }
        // Nor does an account without an address take one, and tell by it.
        let mut client = server.client(Mode::Header);
        let shy = Somebody::new(format!("shy-{at}"), address);
        by_provider(&server, &provider, &mut client, &shy.clone().without_email()).await;
        let answer = by_provider(&server, &provider, &mut client, &shy.unverified()).await;
        assert_eq!(answer.status_field(), "OK", "{answer:?}");
        shown.push(answer.json()["user"]["emails"].clone());
    }
    assert_eq!(shown[..3], shown[3..]);
}

/// A site whose sessions are complete by one factor, and that gives leave to add a second.
async fn giving_leave(provider: &FakeProvider, mode: EnrollmentMode) -> Server {
    let provider = provider.clone();
    Server::start_both(
        |settings| settings.email_verification = EmailVerification::Optional,
        move |builder| {
            let policy = Policy::second_factor(any_of([FactorId::OTP_PHONE])).on_routes_only();
            builder
                .policy(policy.with_enrollment(mode))
                .factor(ThirdParty::new().provider(provider.clone()))
        },
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_41_where_the_mailbox_confirms_a_password_alone_adds_no_provider() {
    for mode in MODES {
        let provider = FakeProvider::new(EXAMPLE);
        let server = giving_leave(&provider, EnrollmentMode::ConfirmByEmail).await;
        let mut owner = half(&server, mode, ALICE).await;
        assert_told(
            &linking(&server, &provider, &mut owner, &alice()).await,
            "confirm your e-mail address first",
        );
        verified_by_its_owner(&server, &mut owner).await;
        let mut thief = server.client(mode);
        thief.sign_in(ALICE).await;
        for client in [&mut thief, &mut owner] {
            assert_told(
                &linking(&server, &provider, client, &mallory()).await,
                "We sent you an e-mail",
            );
        }
        assert_eq!(provider.asked(), 0);
        let sent = server.sent().await;
        let mut links = sent.iter().filter(|mail| mail.kind == "confirm");
        let link = links.next_back().unwrap().link.clone().unwrap();
        let token = link
            .split(['?', '&'])
            .find_map(|part| part.strip_prefix("token="));
        let confirmed = owner
            .clone()
            .post("/auth/factor/confirm", json!({ "token": token.unwrap() }))
            .await;
        assert_eq!(confirmed.status_field(), "OK", "{confirmed:?}");
        assert_told(&linking(&server, &provider, &mut thief, &mallory()).await, "");
        let answer = linking(&server, &provider, &mut owner, &alice()).await;
        assert_eq!(answer.status_field(), "OK", "{answer:?}");
        // Leave is spent by it.
        assert_told(&linking(&server, &provider, &mut owner, &mallory()).await, "");
    }
}

/// The token of the last link that gives leave; it goes where the account's messages went before.
async fn leave_sent_to(server: &Server, to: &str) -> String {
    let sent = server.sent().await;
    let mail = sent.iter().rev().find(|mail| mail.kind == "confirm").unwrap();
    assert_eq!(mail.to, to);
    let link = mail.link.clone().unwrap();
    link.split_once("token=").unwrap().1.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_41_where_the_mailbox_confirms_a_password_alone_changes_no_contact() {
    let change = json!({ "email": "mallory@example.com" });
    let provider = FakeProvider::new(EXAMPLE);
    for mode in MODES {
        let server = giving_leave(&provider, EnrollmentMode::ConfirmByEmail).await;
        let mut owner = half(&server, mode, ALICE).await;
        let answer = owner.post("/auth/contact/change", change.clone()).await;
        assert_told(&answer, "confirm your e-mail address first");
        verified_by_its_owner(&server, &mut owner).await;
        let mut thief = server.client(mode);
        thief.sign_in(ALICE).await;
        let codes = server.codes_sent().await;
        for client in [&mut owner, &mut thief] {
            let answer = client.post("/auth/contact/change", change.clone()).await;
            assert_told(&answer, "We sent you an e-mail");
        }
        assert_eq!(server.codes_sent().await, codes);
        // The owner gives leave to a session, and that one alone has it.
        let token = leave_sent_to(&server, ALICE).await;
        let mut anybody = server.client(mode);
        let given = anybody
            .post("/auth/factor/confirm", json!({ "token": token }))
            .await;
        assert_eq!(given.status_field(), "OK", "{given:?}");
        owner.post("/auth/contact/change", change.clone()).await;
        assert_eq!(server.codes_sent().await, codes);
        let answer = thief.post("/auth/contact/change", change.clone()).await;
        assert_eq!(answer.status_field(), "OK", "{answer:?}");
        assert_eq!(server.codes_sent().await, codes + 1);
    }
    for (mode, says) in [
        (EnrollmentMode::Approve, "An administrator"),
        (EnrollmentMode::InSignUpSession, "sign in again"),
    ] {
        let server = giving_leave(&provider, mode).await;
        half(&server, Mode::Header, ALICE).await;
        let mut later = server.client(Mode::Header);
        later.sign_in(ALICE).await;
        let answer = later.post("/auth/contact/change", change.clone()).await;
        assert_told(&answer, says);
        assert_eq!(server.codes_sent().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_41_what_can_be_added_by_no_leave_asks_for_none() {
    let provider = FakeProvider::new(EXAMPLE);
    let server = giving_leave(&provider, EnrollmentMode::ConfirmByEmail).await;
    let mut owner = half(&server, Mode::Header, ALICE).await;
    verified_by_its_owner(&server, &mut owner).await;
    let away = leave(&server, &mut owner, EXAMPLE).await;
    let change: [fn(&mut Value); 3] = [
        |body| body["thirdPartyId"] = "nobody".into(),
        |body| body["clientType"] = "none".into(),
        |body| body["redirectURIInfo"]["redirectURIOnProviderDashboard"] = "https://evil.test/".into(),
    ];
    for change in change {
        let mut body = away.body(&provider.consent(&away.url, &alice()));
        body["shouldTryLinkingWithSessionUser"] = true.into();
        change(&mut body);
        let refused = away.send(&mut owner, body).await;
        assert_eq!(refused.status, 400, "{refused:?}");
    }
    let asks = async || {
        server
            .sent()
            .await
            .iter()
            .filter(|mail| mail.kind == "confirm")
            .count()
    };
    assert_eq!(asks().await, 0);
    // Nothing was spent by it.
    assert_told(
        &link(&provider, &mut owner, &away, &alice()).await,
        "We sent you an e-mail",
    );
    assert_eq!(asks().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_41_where_an_administrator_approves_no_provider_is_added_before() {
    let provider = FakeProvider::new(EXAMPLE);
    let server = giving_leave(&provider, EnrollmentMode::Approve).await;
    let (stepup, tenant) = (server.site.stepup.clone(), TenantId::public());
    let mut client = half(&server, Mode::Header, ALICE).await;
    assert_told(
        &linking(&server, &provider, &mut client, &alice()).await,
        "An administrator",
    );
    assert_eq!(provider.asked(), 0);
    let user = UserId::from(client.user_id().as_str());
    let pending = stepup.pending_enrollments(&tenant).await.unwrap();
    assert_eq!(pending.iter().map(|one| &one.user).collect::<Vec<_>>(), [&user]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_41_in_sign_up_sessions_only_no_later_session_adds_a_provider() {
    let provider = FakeProvider::new(EXAMPLE);
    let server = giving_leave(&provider, EnrollmentMode::InSignUpSession).await;
    let mut client = half(&server, Mode::Header, ALICE).await;
    let mut later = server.client(Mode::Header);
    later.sign_in(ALICE).await;
    assert_told(
        &linking(&server, &provider, &mut later, &mallory()).await,
        "sign in again",
    );
    let answer = linking(&server, &provider, &mut client, &alice()).await;
    assert_eq!(answer.status_field(), "OK", "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_41_a_provider_that_a_thief_added_is_taken_away_by_the_link_in_its_notice() {
    const UNDO: &str = "/auth/factor/undo";
    for mode in MODES {
        let provider = FakeProvider::new(EXAMPLE);
        let server = giving_leave(&provider, EnrollmentMode::FreshFirstFactor).await;
        let mut owner = half(&server, mode, ALICE).await;
        verified_by_its_owner(&server, &mut owner).await;
        let mut thief = server.client(mode);
        thief.sign_in(ALICE).await;
        let linked = linking(&server, &provider, &mut thief, &mallory()).await;
        assert_eq!(linked.status_field(), "OK", "{linked:?}");
        // And whatever else he adds.
        thief.complete(&server, OTHER_PHONE).await;
        server.dump().await;
        let sent = server.sent().await;
        let mut notices = sent.iter().filter(|mail| mail.kind == "identity_linked");
        let notice = notices.next().expect("the owner is told");
        assert_eq!((notice.to.as_str(), notices.count()), (ALICE, 0));
        let link = notice.link.clone().expect("and can undo it");
        let token = link
            .split(['?', '&'])
            .find_map(|part| part.strip_prefix("token="))
            .unwrap();
        let mut browser = server.client(mode);
        let page = browser.get(&format!("{UNDO}?token={token}")).await;
        assert!(
            String::from_utf8_lossy(&page.body).contains("Undo the new way to sign in?"),
            "{page:?}"
        );
        for says in ["OK", "INVALID_TOKEN_ERROR"] {
            let undone = browser.post(UNDO, json!({ "token": token })).await;
            assert_eq!(undone.status_field(), says, "{undone:?}");
        }
        let id = thief.user_id();
        assert_eq!(thief.get("/api/me").await.status, 401);
        assert_eq!(
            browser.sign_in(ALICE).await.status_field(),
            "WRONG_CREDENTIALS_ERROR"
        );
        // Who comes by that provider is somebody else now.
        let mut again = server.client(mode);
        let answer = by_provider(&server, &provider, &mut again, &mallory()).await;
        assert_eq!(answer.json()["createdNewRecipeUser"], true, "{answer:?}");
        assert_ne!(again.user_id(), id);
    }
}
