//! Sign-in by a provider of identities: what strangers, lying providers and other people's browsers try with it.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use stepup::event::{Event, EventSink};
use stepup::{FactorId, Profile, Tenant};
use stepup_core::entropy::OsEntropy;
use stepup_core::factor::third_party::{Linking, ThirdParty, Ticket};
use stepup_core::keyring::{Root, SecretList};
use stepup_testkit::provider::{FakeProvider, Mood, Somebody};

use crate::kit::provider::{
    Away, EXAMPLE, asking, assert_barred, assert_told, by_provider, leave, leave_in, linking, opens_nothing,
    redirect_uri, serving,
};
use crate::kit::{Client, MODES, Mode, OTHER_PHONE, PHONE, Response, Server, form, half};

const ALICE: &str = "alice@example.com";
const NOT_BEGUN: &str = "not begun in this browser";

fn alice() -> Somebody {
    Somebody::new("alice-there", ALICE)
}

fn mallory() -> Somebody {
    Somebody::new("mallory-there", "mallory@example.com")
}

fn provider() -> FakeProvider {
    FakeProvider::new(EXAMPLE)
}

/// The demo with a provider, where codes by mail sign in as well: who signed up by one has proved the address.
async fn with_mail(provider: &FakeProvider) -> Server {
    let provider = provider.clone();
    Server::start_both(
        |settings| settings.first_factors.push(FactorId::OTP_EMAIL),
        move |builder| {
            let factor = ThirdParty::new().provider(provider.clone());
            builder.factor(factor.linking(Linking::VerifiedAddress))
        },
    )
    .await
}

/// Signs up, or in, by a code to `address`.
async fn by_mail(server: &Server, client: &mut Client, address: &str) -> Response {
    let created = client
        .post("/auth/signinup/code", json!({ "email": address }))
        .await;
    assert_eq!(created.status_field(), "OK", "{created:?}");
    let code = server.code().await;
    client.consume(&created.json(), &code).await
}

#[track_caller]
fn bad(response: &Response, says: &str) {
    assert_eq!(response.status, 400, "{response:?}");
    assert!(response.message().contains(says), "{response:?}");
    assert!(opens_nothing(response), "{response:?}");
}

fn created(response: &Response) -> bool {
    assert_eq!(response.status_field(), "OK", "{response:?}");
    response.json()["createdNewRecipeUser"].as_bool().unwrap()
}

async fn users(server: &Server) -> i64 {
    server.number("SELECT count(*) FROM stepup_user").await
}

async fn sessions(server: &Server) -> i64 {
    server.number("SELECT count(*) FROM stepup_session").await
}

/// What happened, with the reasons.
#[derive(Clone, Debug, Default)]
struct Trail(Arc<Mutex<Vec<String>>>);

impl EventSink for Trail {
    fn record(&self, event: &Event) {
        let reason = event.reason.unwrap_or_default();
        self.0
            .lock()
            .unwrap()
            .push(format!("{} {reason}", event.kind.name()));
    }
}

impl Trail {
    fn has(&self, line: &str) -> bool {
        self.0.lock().unwrap().iter().any(|own| own == line)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oau_01_what_is_missing_empty_foreign_or_spent_signs_nobody_in() {
    for mode in MODES {
        let provider = provider();
        let server = serving(&provider).await;
        let mut client = server.client(mode);
        let away = leave(&server, &mut client, EXAMPLE).await;
        let code = provider.consent(&away.url, &alice());
        let other = Ticket::parse(&format!("{}A", "b".repeat(42))).unwrap();
        type Change = fn(&mut Value, &str);
        let changes: [Change; 6] = [
            |info, _| {
                drop(
                    info["redirectURIQueryParams"]
                        .as_object_mut()
                        .unwrap()
                        .remove("state"),
                )
            },
            |info, _| info["redirectURIQueryParams"]["state"] = "".into(),
            |info, _| drop(info.as_object_mut().unwrap().remove("pkceCodeVerifier")),
            |info, _| info["pkceCodeVerifier"] = "".into(),
            |info, _| info["pkceCodeVerifier"] = "x".repeat(64).into(),
            |info, other| info["pkceCodeVerifier"] = other.into(),
        ];
        for change in changes {
            let mut body = away.body(&code);
            change(&mut body["redirectURIInfo"], other.encode().expose());
            assert_told(
                &client.peek("POST", "/auth/signinup", Some(&body), &[]).await,
                NOT_BEGUN,
            );
        }
        assert_eq!((provider.asked(), users(&server).await), (0, 0));
        // Nothing of that spent what was begun; the first right answer does.
        assert!(created(&away.clone().back(&mut client, &code).await));
        let again = provider.consent(&away.url, &alice());
        let mut client = client.clone();
        // As if the cookie had stayed.
        if mode == Mode::Cookie {
            let mut fresh = server.client(mode);
            leave(&server, &mut fresh, EXAMPLE).await;
            client.cookies.append(&mut fresh.cookies);
        }
        assert_told(&away.back(&mut client, &again).await, NOT_BEGUN);
        assert_eq!(provider.asked(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oau_01_of_many_who_come_back_with_one_ticket_one_is_let_in() {
    let provider = provider();
    let server = serving(&provider).await;
    let mut client = server.client(Mode::Header);
    let away = leave(&server, &mut client, EXAMPLE).await;
    let code = provider.consent(&away.url, &alice());
    let mut racing = Vec::new();
    for _ in 0..8 {
        let (client, body) = (client.clone(), away.body(&code));
        racing.push(tokio::spawn(async move {
            client.peek("POST", "/auth/signinup", Some(&body), &[]).await
        }));
    }
    let mut let_in = 0;
    for answer in racing {
        let_in += usize::from(answer.await.unwrap().status_field() == "OK");
    }
    assert_eq!((let_in, provider.asked(), sessions(&server).await), (1, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oau_01_what_was_begun_is_over_after_ten_minutes() {
    let provider = provider();
    let server = serving(&provider).await;
    let mut client = server.client(Mode::Cookie);
    let away = leave(&server, &mut client, EXAMPLE).await;
    let code = provider.consent(&away.url, &alice());
    server.moved(601).await;
    assert_told(&away.back(&mut client, &code).await, NOT_BEGUN);
    assert_eq!(provider.asked(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oau_02_what_another_browser_began_is_not_finished_here() {
    let provider = provider();
    let server = serving(&provider).await;
    let mut theirs = server.client(Mode::Cookie);
    let away = leave(&server, &mut theirs, EXAMPLE).await;
    let code = provider.consent(&away.url, &mallory());
    // Alice's browser, with all that a page could be made to send, and with a sign-in of her own under way.
    let mut alices = server.client(Mode::Cookie);
    assert_told(&away.back(&mut alices.clone(), &code).await, NOT_BEGUN);
    leave(&server, &mut alices, EXAMPLE).await;
    assert_told(&away.back(&mut alices, &code).await, NOT_BEGUN);
    assert_eq!((provider.asked(), users(&server).await), (0, 0));
    assert!(created(&away.back(&mut theirs, &code).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oau_02_two_tabs_of_one_browser_do_not_disturb_each_other() {
    let provider = provider();
    let server = serving(&provider).await;
    let mut browser = server.client(Mode::Cookie);
    let one = leave(&server, &mut browser, EXAMPLE).await;
    let two = leave(&server, &mut browser, EXAMPLE).await;
    assert_eq!(browser.cookies.len(), 2);
    let code = provider.consent(&one.url, &alice());
    assert!(created(&one.back(&mut browser, &code).await));
    let code = provider.consent(&two.url, &alice());
    assert!(!created(&two.back(&mut browser, &code).await));
    assert!(!browser.cookies.keys().any(|name| name.starts_with("sTicket-")));
    // And a browser that begins without end holds a handful.
    for _ in 0..8 {
        leave(&server, &mut browser, EXAMPLE).await;
    }
    let held = browser.cookies.keys().filter(|name| name.starts_with("sTicket-"));
    assert_eq!(held.count(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oau_03_what_was_begun_at_one_provider_is_not_finished_at_another() {
    let (one, two) = (
        FakeProvider::new("one"),
        FakeProvider::new("two").with_clients(["web", "app"]),
    );
    let held = (one.clone(), two.clone());
    let server = Server::start_adding(move |builder| {
        let (one, two) = held.clone();
        builder.factor(
            ThirdParty::new()
                .provider(one)
                .provider(two)
                .redirect_uri("one", "http://localhost/both")
                .redirect_uri("two", "http://localhost/both"),
        )
    })
    .await;
    let mut client = server.client(Mode::Header);
    let ask = asking("", "one", "http://localhost/both");
    let begin = async |client: &mut Client| {
        let asked = client.get(&ask).await;
        let text = |name: &str| asked.json()[name].as_str().unwrap().to_owned();
        Away {
            tenant: String::new(),
            provider: "one".to_owned(),
            url: text("urlWithQueryParams"),
            kept: text("pkceCodeVerifier"),
            redirect_uri: "http://localhost/both".to_owned(),
        }
    };
    let away = begin(&mut client).await;
    let code = one.consent(&away.url, &alice());
    let mut body = away.body(&code);
    body["thirdPartyId"] = "two".into();
    assert_told(&away.send(&mut client, body).await, NOT_BEGUN);
    // Nor for another client of the provider, nor at another address.
    let away = leave(&server, &mut client, "two").await;
    let code = two.consent(&away.url, &alice());
    let mut body = away.body(&code);
    body["clientType"] = "app".into();
    assert_told(&away.send(&mut client, body).await, NOT_BEGUN);
    let away = begin(&mut client).await;
    let code = one.consent(&away.url, &alice());
    let mut body = away.body(&code);
    body["redirectURIInfo"]["redirectURIOnProviderDashboard"] = redirect_uri(&server, "one").into();
    assert_told(&away.send(&mut client, body).await, NOT_BEGUN);
    assert_eq!((one.asked(), two.asked(), users(&server).await), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oau_04_the_verifier_is_the_servers_own_and_the_challenge_is_always_sent() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use sha2::{Digest, Sha256};

    let provider = provider();
    let server = serving(&provider).await;
    let mut client = server.client(Mode::Header);
    let (one, two) = (
        leave(&server, &mut client, EXAMPLE).await,
        leave(&server, &mut client, EXAMPLE).await,
    );
    let challenge = |away: &Away| {
        let (_, rest) = away.url.split_once("code_challenge=").unwrap();
        rest.split('&').next().unwrap().to_owned()
    };
    assert_ne!(challenge(&one), challenge(&two));
    // What the browser keeps is not enough to use a code that was stolen on its way.
    for away in [&one, &two] {
        assert_ne!(
            challenge(away),
            URL_SAFE_NO_PAD.encode(Sha256::digest(&away.kept))
        );
        assert!(!away.url.contains(&away.kept) && !away.url.contains("state="));
    }
    // A code that was asked for with another challenge is refused by the provider, which is told the verifier of this one.
    let code = provider.consent(&one.url, &mallory());
    assert_told(&two.back(&mut client, &code).await, "did not confirm");
    assert_eq!(users(&server).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oau_05_a_provider_that_speaks_for_another_issuer_is_not_believed() {
    lies("issuer").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oau_06_tokens_that_do_not_fit_are_not_believed() {
    for reason in ["audience", "nonce", "expired", "algorithm"] {
        lies(reason).await;
    }
}

/// The answer of a provider is not believed: in words, with an event, and without a session.
async fn lies(reason: &'static str) {
    let (provider, trail) = (provider(), Trail::default());
    let parts = (provider.clone(), trail.clone());
    let server = Server::start_adding(move |builder| {
        let (provider, trail) = parts.clone();
        builder.factor(ThirdParty::new().provider(provider)).events(trail)
    })
    .await;
    provider.behave(Mood::Untrusted(reason));
    for mode in MODES {
        let mut client = server.client(mode);
        let answer = by_provider(&server, &provider, &mut client, &alice()).await;
        assert_told(&answer, "did not confirm");
        assert!(!answer.message().contains(reason));
    }
    assert!(trail.has(&format!("provider.refused {reason}")), "{trail:?}");
    assert_eq!((users(&server).await, sessions(&server).await), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oau_06_a_provider_that_is_down_is_told_in_words() {
    let (provider, trail) = (provider(), Trail::default());
    let parts = (provider.clone(), trail.clone());
    let server = Server::start_adding(move |builder| {
        let (provider, trail) = parts.clone();
        builder.factor(ThirdParty::new().provider(provider)).events(trail)
    })
    .await;
    let mut client = server.client(Mode::Cookie);
    let away = leave(&server, &mut client, EXAMPLE).await;
    let code = provider.consent(&away.url, &alice());
    provider.behave(Mood::Down);
    assert_told(&away.back(&mut client, &code).await, "does not answer");
    let asked = client.get(&asking("", EXAMPLE, &away.redirect_uri)).await;
    assert_told(&asked, "does not answer");
    assert!(trail.has("provider.failed no_answer"), "{trail:?}");
    // It comes back, and so does everybody.
    provider.behave(Mood::Honest);
    assert!(created(
        &by_provider(&server, &provider, &mut client, &alice()).await
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oau_07_an_address_that_the_provider_does_not_vouch_for_opens_no_account_of_it() {
    let provider = provider();
    let server = with_mail(&provider).await;
    let mut owner = server.client(Mode::Header);
    assert_eq!(by_mail(&server, &mut owner, ALICE).await.status_field(), "OK");
    let mut thief = server.client(Mode::Header);
    let liar = Somebody::new("liar", ALICE).unverified();
    assert_barred(&by_provider(&server, &provider, &mut thief, &liar).await, "006");
    assert_eq!((users(&server).await, sessions(&server).await), (1, 1));
    // One that is nobody's is shown, as what it is.
    let other = Somebody::new("other", "other@example.com").unverified();
    let answer = by_provider(&server, &provider, &mut thief, &other).await;
    assert!(created(&answer));
    let user = answer.json()["user"].clone();
    assert_eq!(user["loginMethods"][0]["verified"], false);
    // And it is not written to: what comes there may go to a stranger.
    thief.complete(&server, PHONE).await;
    server.dump().await;
    assert!(
        server
            .sent()
            .await
            .iter()
            .all(|message| message.to != "other@example.com")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oau_07_both_sides_have_to_have_proved_the_address() {
    let provider = provider();
    let server = with_mail(&provider).await;
    let mut owner = server.client(Mode::Header);
    assert_eq!(by_mail(&server, &mut owner, ALICE).await.status_field(), "OK");
    let id = owner.user_id();
    let mut again = server.client(Mode::Cookie);
    let answer = by_provider(&server, &provider, &mut again, &alice()).await;
    assert!(created(&answer), "a way to sign in that is new");
    assert_eq!(again.user_id(), id);
    let user = answer.json()["user"].clone();
    assert_eq!(
        user["thirdParty"],
        json!([{ "id": EXAMPLE, "userId": "alice-there" }])
    );
    let recipes: Vec<_> = user["loginMethods"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["recipeId"].clone())
        .collect();
    assert_eq!(recipes, ["passwordless", "thirdparty"]);
    // A second factor is due, the sessions from before are over, and the owner is told.
    assert!(!again.completed());
    assert_eq!(again.get("/api/secret").await.status, 403);
    assert_eq!(owner.get("/api/secret").await.status, 401);
    server.dump().await;
    let told = server.sent().await;
    let told = told.iter().filter(|message| message.kind == "identity_linked");
    assert_eq!(
        told.map(|message| message.to.as_str()).collect::<Vec<_>>(),
        [ALICE]
    );
    again.complete(&server, PHONE).await;
    assert_eq!(again.get("/api/secret").await.status, 200);
    // From now on it is known.
    let mut third = server.client(Mode::Header);
    assert!(!created(
        &by_provider(&server, &provider, &mut third, &alice()).await
    ));
    assert_eq!((third.user_id(), users(&server).await), (id, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oau_07_a_site_may_have_no_account_joined_by_an_address() {
    let provider = provider();
    let held = provider.clone();
    let server = Server::start_both(
        |settings| settings.first_factors.push(FactorId::OTP_EMAIL),
        move |builder| {
            builder.factor(
                ThirdParty::new()
                    .provider(held.clone())
                    .linking(Linking::SignedIn),
            )
        },
    )
    .await;
    by_mail(&server, &mut server.client(Mode::Header), ALICE).await;
    let mut client = server.client(Mode::Header);
    assert_barred(
        &by_provider(&server, &provider, &mut client, &alice()).await,
        "006",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oau_08_an_account_that_a_squatter_made_is_not_joined() {
    let provider = provider();
    let server = serving(&provider).await;
    // Nobody proved that address.
    let mut squatter = half(&server, Mode::Header, ALICE).await;
    let mut owner = server.client(Mode::Cookie);
    assert_barred(
        &by_provider(&server, &provider, &mut owner, &alice()).await,
        "006",
    );
    assert_eq!((users(&server).await, sessions(&server).await), (1, 1));
    assert_eq!(squatter.get("/api/me").await.status, 200);
    // And the other way round: who came by the provider is not taken over by a sign-up with the address.
    let bob = Somebody::new("bob-there", "bob@example.com");
    assert!(created(&by_provider(&server, &provider, &mut owner, &bob).await));
    let id = owner.user_id();
    let mut squatter = half(&server, Mode::Header, "bob@example.com").await;
    assert_ne!(squatter.user_id(), id);
    squatter.complete(&server, OTHER_PHONE).await;
    let mut again = server.client(Mode::Cookie);
    assert!(!created(&by_provider(&server, &provider, &mut again, &bob).await));
    assert_eq!(again.user_id(), id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oau_09_browsers_come_back_to_listed_addresses_only() {
    let provider = provider();
    let server = serving(&provider).await;
    let own = redirect_uri(&server, EXAMPLE);
    let port = server.address.port();
    let mut client = server.client(Mode::Header);
    let targets = [
        "https://evil.test/auth/callback/example".to_owned(),
        "//evil.test/auth/callback/example".to_owned(),
        "javascript:alert(1)".to_owned(),
        format!("http://localhost:{port}@evil.test/auth/callback/example"),
        format!("http://evil.test#{own}"),
        format!("{own}/"),
        format!("{own}?next=//evil.test"),
        format!("{own}%2f..%2fevil"),
        format!("http://localhost:{port}/auth%2fcallback/example"),
        format!("http://LOCALHOST:{port}/auth/callback/example"),
        format!("http://localhost:{port}/auth/callback/other"),
        String::new(),
    ];
    for target in &targets {
        // Failures are counted.
        server.moved(120).await;
        bad(&client.get(&asking("", EXAMPLE, target)).await, "not sent back");
        let mut away = leave(&server, &mut client, EXAMPLE).await;
        let code = provider.consent(&away.url, &alice());
        away.redirect_uri = target.clone();
        bad(&away.back(&mut client, &code).await, "not sent back");
    }
    assert_eq!((provider.asked(), users(&server).await), (0, 0));
    for (provider, says) in [("other", "no such provider"), ("", "no such provider")] {
        bad(&client.get(&asking("", provider, &own)).await, says);
    }
    let path = format!("{}&clientType=other", asking("", EXAMPLE, &own));
    bad(&client.get(&path).await, "no such client");
    bad(
        &client.get("/auth/authorisationurl?thirdPartyId=example").await,
        "missing",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oau_10_a_code_works_once_and_nothing_of_the_provider_reaches_the_browser() {
    let provider = provider();
    let server = serving(&provider).await;
    let mut client = server.client(Mode::Header);
    let away = leave(&server, &mut client, EXAMPLE).await;
    let code = provider.consent(&away.url, &alice());
    let answer = away.back(&mut client, &code).await;
    assert!(created(&answer));
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    for secret in ["token", code.as_str(), away.kept.as_str()] {
        assert!(!text.contains(secret), "{text}");
    }
    // The database holds neither.
    let rows = server.dump().await.join("\n");
    assert!(!rows.contains(&code) && !rows.contains(&away.kept));
    // The same code once more, with a ticket of its own.
    let again = leave(&server, &mut client, EXAMPLE).await;
    assert_told(&again.back(&mut client, &code).await, "did not confirm");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oau_12_who_it_is_goes_by_the_subject_and_an_address_moves_nothing() {
    let provider = provider();
    let server = serving(&provider).await;
    let mut client = server.client(Mode::Header);
    assert!(created(
        &by_provider(&server, &provider, &mut client, &alice()).await
    ));
    let id = client.user_id();
    // The same person with another address.
    let moved = Somebody::new("alice-there", "alice@new.example.com");
    let mut again = server.client(Mode::Header);
    let answer = by_provider(&server, &provider, &mut again, &moved).await;
    assert!(!created(&answer));
    assert_eq!(again.user_id(), id);
    // Where she is told of changes is not for the provider's account to move (R-MFA-4).
    assert_eq!(answer.json()["user"]["emails"], json!([ALICE]));
    // Another person with the old address, with the new one, and under another issuer.
    let mut other_issuer = alice();
    other_issuer.issuer = "https://other.issuer.test".to_owned();
    for other in [
        Somebody::new("another", ALICE),
        Somebody::new("a-third", "alice@new.example.com"),
        other_issuer,
    ] {
        let mut client = server.client(Mode::Header);
        assert!(created(
            &by_provider(&server, &provider, &mut client, &other).await
        ));
        assert_ne!(client.user_id(), id);
    }
    // The address of an account that signs in by it is not taken along.
    half(&server, Mode::Header, "taken@example.com").await;
    let taken = Somebody::new("alice-there", "taken@example.com");
    let answer = by_provider(&server, &provider, &mut again, &taken).await;
    assert!(!created(&answer));
    assert_eq!(
        (again.user_id(), &answer.json()["user"]["emails"]),
        (id, &json!([ALICE]))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oau_12_another_person_of_a_provider_that_knows_the_account_does_not_join_it() {
    let provider = provider();
    let server = with_mail(&provider).await;
    let mut owner = server.client(Mode::Header);
    by_mail(&server, &mut owner, ALICE).await;
    assert!(created(
        &by_provider(&server, &provider, &mut owner, &alice()).await
    ));
    // The mailbox was given to somebody else, who has an account there as well.
    let mut heir = server.client(Mode::Header);
    let successor = Somebody::new("successor", ALICE);
    assert_barred(
        &by_provider(&server, &provider, &mut heir, &successor).await,
        "006",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oau_13_tokens_are_taken_only_where_the_site_chose_so() {
    let provider = provider();
    let server = serving(&provider).await;
    let own = provider.id_token(&alice(), None);
    for tokens in [json!({ "id_token": own }), json!({ "access_token": "x" })] {
        let body = json!({ "thirdPartyId": EXAMPLE, "oAuthTokens": tokens });
        let answer = server.client(Mode::Header).post("/auth/signinup", body).await;
        assert_told(&answer, "has to begin in the browser");
    }
    assert_eq!((provider.asked(), users(&server).await), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oau_13_an_id_token_signs_in_once_whoever_presents_it_at_once() {
    let provider = provider().with_tokens();
    let held = provider.clone();
    let server = Server::start_adding(move |builder| {
        builder
            .factor(ThirdParty::new().provider(held.clone()))
            .tenants([Tenant::new("acme")])
    })
    .await;
    let token = provider.id_token(&alice(), None);
    let body = json!({ "thirdPartyId": EXAMPLE, "oAuthTokens": { "id_token": token } });
    let mut racing = Vec::new();
    for _ in 0..8 {
        let (client, body) = (server.client(Mode::Header), body.clone());
        racing.push(tokio::spawn(async move {
            client.peek("POST", "/auth/signinup", Some(&body), &[]).await
        }));
    }
    let mut let_in = 0;
    for answer in racing {
        let_in += usize::from(answer.await.unwrap().status_field() == "OK");
    }
    assert_eq!((let_in, sessions(&server).await), (1, 1));
    // Nor later, nor in another tenant; another token of hers does.
    server.moved(59 * 60).await;
    for path in ["/auth/signinup", "/auth/acme/signinup"] {
        let answer = server.client(Mode::Header).post(path, body.clone()).await;
        assert_told(&answer, "did not confirm");
    }
    let token = provider.id_token(&alice(), None);
    let body = json!({ "thirdPartyId": EXAMPLE, "oAuthTokens": { "id_token": token } });
    let answer = server.client(Mode::Header).post("/auth/signinup", body).await;
    assert!(!created(&answer));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oau_13_a_token_for_another_application_signs_nobody_in() {
    let provider = provider().with_tokens();
    let server = serving(&provider).await;
    let mut client = server.client(Mode::Header);
    let tokens = |tokens: Value| json!({ "thirdPartyId": EXAMPLE, "oAuthTokens": tokens });
    let stolen = provider.id_token(&alice(), Some("mallorys-app"));
    let answer = client
        .post("/auth/signinup", tokens(json!({ "id_token": stolen })))
        .await;
    assert_told(&answer, "did not confirm");
    // An access token does not tell whom it was given to.
    let answer = client
        .post("/auth/signinup", tokens(json!({ "access_token": "x" })))
        .await;
    assert_told(&answer, "has to begin in the browser");
    assert_eq!(users(&server).await, 0);
    let own = provider.id_token(&alice(), None);
    let answer = client
        .post("/auth/signinup", tokens(json!({ "id_token": own })))
        .await;
    assert!(created(&answer) && !client.completed());
    for wrong in [
        tokens(json!({})),
        tokens(json!({ "id_token": "" })),
        tokens(json!("x")),
        json!({ "thirdPartyId": EXAMPLE }),
        json!({ "oAuthTokens": { "id_token": "x" } }),
    ] {
        bad(&client.post("/auth/signinup", wrong).await, "");
    }
    let mut both = leave(&server, &mut client, EXAMPLE).await.body("code");
    both["oAuthTokens"] = json!({ "id_token": "x" });
    bad(&client.post("/auth/signinup", both).await, "either");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oau_14_no_form_post_is_handed_on_to_the_usual_page_of_a_site_without_tls() {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    let root = Root::random("k1".into(), &OsEntropy).unwrap();
    let server = Server::start_both(
        |settings| {
            let origin = Some("http://app.test".to_owned());
            (settings.api_domain, settings.website_domain) = (origin.clone(), origin);
            settings.secret = Some(SecretList::new(vec![root]).to_text().expose().clone().into());
        },
        |builder| {
            let builder = builder.danger_plain_http().danger_print_codes();
            builder.factor(ThirdParty::new().provider(FakeProvider::new("apple")))
        },
    )
    .await;
    let state = STANDARD.encode(json!({ "state": "s" }).to_string());
    let form = format!("code=c&state={}", state.replace('=', "%3D").replace('+', "%2B"));
    let head = format!(
        "POST /auth/callback/apple HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n",
        form.len()
    );
    let answer = server.raw(format!("{head}{form}").as_bytes()).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (400, None),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oau_14_a_form_post_is_handed_on_to_a_page_of_ours_and_nowhere_else() {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    let apple = FakeProvider::new("apple");
    let held = apple.clone();
    let server = Server::start_adding(move |builder| {
        builder.factor(
            ThirdParty::new()
                .provider(held.clone())
                .provider(FakeProvider::new("other"))
                .redirect_uri("apple", "https://app.test/back?a=1")
                .redirect_uri("apple", "com.acme.app:/back")
                .redirect_uri("other", "https://app.test/other"),
        )
    })
    .await;
    let post = async |state: &str| {
        let form = [
            ("state", state),
            ("code", "c o/d&e"),
            ("id_token", "secret"),
            ("other", "x"),
        ];
        let form: Vec<String> = form
            .iter()
            .map(|(name, value)| {
                let escaped: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
                format!("{name}={escaped}")
            })
            .collect();
        let form = form.join("&");
        let head = format!(
            "POST /auth/callback/apple HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\norigin: https://appleid.apple.com\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
            form.len()
        );
        server.raw(head.as_bytes()).await
    };
    let state =
        |target: &str| STANDARD.encode(json!({ "state": "s", "frontendRedirectURI": target }).to_string());
    let own = redirect_uri(&server, "apple");
    let handed = post(&state(&own)).await;
    let (to, query) = {
        assert_eq!(handed.status, 303, "{handed:?}");
        let location = handed.header("location").unwrap();
        let (to, query) = location.split_once('?').unwrap();
        (to.to_owned(), query.to_owned())
    };
    assert_eq!(to, own);
    assert!(
        query.contains("code=c+o%2Fd%26e") && query.contains("state="),
        "{query}"
    );
    assert!(!query.contains("secret") && !query.contains("other"), "{query}");
    assert!(handed.touches_no_token());
    // What the client did not say goes to the usual page, and listed addresses keep what they have.
    let usual = post(&STANDARD.encode(json!({ "state": "s" }).to_string())).await;
    assert!(usual.header("location").unwrap().starts_with(&own), "{usual:?}");
    let listed = post(&state("https://app.test/back?a=1")).await;
    assert!(
        listed
            .header("location")
            .unwrap()
            .starts_with("https://app.test/back?a=1&"),
        "{listed:?}"
    );
    for target in [
        "https://evil.test/auth/callback/apple",
        "//evil.test",
        "javascript:alert(1)",
        "https://app.test/back",
        // Any application on a device can take a scheme for itself; and what is another provider's is.
        "com.acme.app:/back",
        "https://app.test/other",
        &format!("{own}/../../evil"),
        "",
    ] {
        let answer = post(&state(target)).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (400, None),
            "{target}"
        );
    }
    for state in [
        "",
        "x",
        "e30",
        "bnVsbA==",
        &STANDARD.encode(r#"{"frontendRedirectURI":7}"#),
    ] {
        let answer = post(state).await;
        assert!(answer.status == 400 || state == "e30=", "{state}: {answer:?}");
        assert_eq!(answer.header("location"), None, "{state}");
    }
    // As JSON it is not taken, and where no such provider is it is not there.
    let client = server.client(Mode::Cookie);
    let answer = client
        .peek("POST", "/auth/callback/apple", Some(&json!({})), &[])
        .await;
    assert_eq!(answer.status, 415, "{answer:?}");
    let other = serving(&provider()).await;
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let answer = other
        .client(Mode::Cookie)
        .peek("POST", "/auth/callback/apple", Some(&json!({})), &form)
        .await;
    assert_eq!(answer.status, 404, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_02_a_sign_in_by_a_provider_leaves_the_second_factor_due() {
    for mode in MODES {
        let provider = provider();
        let server = serving(&provider).await;
        let mut first = server.client(mode);
        by_provider(&server, &provider, &mut first, &alice()).await;
        first.complete(&server, PHONE).await;
        server.moved(60).await;
        let mut again = server.client(mode);
        assert!(!created(
            &by_provider(&server, &provider, &mut again, &alice()).await
        ));
        assert_eq!(again.payload()["st-mfa"]["v"], false);
        assert!(!again.completed());
        for path in ["/api/secret", "/layered/secret"] {
            assert_eq!(again.get(path).await.status, 403, "{path}");
        }
        // Another phone does not do.
        let other = again.create_code(OTHER_PHONE).await;
        assert_told(&other, "not the phone number");
        again.complete(&server, PHONE).await;
        assert_eq!(again.get("/api/secret").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_32_a_provider_is_added_in_a_complete_and_fresh_session_only() {
    for mode in MODES {
        let provider = provider();
        let server = serving(&provider).await;
        // A half-login may not, and nothing is asked of the provider for it.
        let mut client = half(&server, mode, ALICE).await;
        let answer = linking(&server, &provider, &mut client, &mallory()).await;
        assert_eq!(answer.status, 403, "{answer:?}");
        assert_eq!(answer.failed_claims(), ["st-mfa", "2fa-completed"]);
        client.complete(&server, PHONE).await;
        // Nor may one whose second factor is old.
        server.moved(400).await;
        client.refresh().await;
        let answer = linking(&server, &provider, &mut client, &mallory()).await;
        assert_eq!(answer.status, 403, "{answer:?}");
        assert_eq!(provider.asked(), 0);
        client.complete(&server, PHONE).await;
        let mut elsewhere = server.client(mode);
        elsewhere.sign_in(ALICE).await;
        server.moved(60).await;
        elsewhere.complete(&server, PHONE).await;
        let (id, handle) = (client.user_id(), client.handle());
        let answer = linking(&server, &provider, &mut client, &mallory()).await;
        assert!(created(&answer), "{answer:?}");
        assert_eq!(
            (client.user_id(), client.handle()),
            (id.clone(), handle),
            "the session goes on"
        );
        assert_eq!(client.get("/api/secret").await.status, 200);
        assert_eq!(client.refresh().await.status, 200);
        assert_eq!(
            elsewhere.get("/api/secret").await.status,
            401,
            "the others are over"
        );
        // Again is nothing new; and whoever signs in that way is asked for the second factor of the account.
        assert!(!created(
            &linking(&server, &provider, &mut client, &mallory()).await
        ));
        server.moved(60).await;
        let mut other = server.client(mode);
        assert!(!created(
            &by_provider(&server, &provider, &mut other, &mallory()).await
        ));
        assert_eq!(other.user_id(), id);
        assert!(!other.completed());
        assert_eq!(other.get("/api/secret").await.status, 403);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_32_what_belongs_to_somebody_else_is_not_added() {
    let provider = provider();
    let server = serving(&provider).await;
    let mut bob = server.client(Mode::Header);
    by_provider(
        &server,
        &provider,
        &mut bob,
        &Somebody::new("bob-there", "bob@example.com"),
    )
    .await;
    half(&server, Mode::Header, "carol@example.com").await;
    let mut client = half(&server, Mode::Header, ALICE).await;
    client.complete(&server, PHONE).await;
    let bobs = Somebody::new("bob-there", "bob@example.com");
    assert_barred(&linking(&server, &provider, &mut client, &bobs).await, "021");
    let carols = Somebody::new("carol-there", "carol@example.com");
    assert_barred(&linking(&server, &provider, &mut client, &carols).await, "022");
    assert_eq!(client.get("/api/secret").await.status, 200);
    let nobody = &mut server.client(Mode::Header);
    assert_eq!(linking(&server, &provider, nobody, &mallory()).await.status, 401);
    // Without the flag a session is not looked at, and replaced.
    let handle = client.handle();
    assert!(created(
        &by_provider(&server, &provider, &mut client, &mallory()).await
    ));
    assert_ne!(client.handle(), handle);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_enu_09_a_provider_tells_of_other_accounts_only_what_the_protocol_has_words_for() {
    // The address of an account with a password, and of one that signs in by codes: the same answer.
    let provider = provider();
    let server = with_mail(&provider).await;
    half(&server, Mode::Header, ALICE).await;
    by_mail(&server, &mut server.client(Mode::Header), "carol@example.com").await;
    let mut answers = Vec::new();
    for (subject, address) in [("1", ALICE), ("2", "carol@example.com")] {
        let somebody = Somebody::new(subject, address).unverified();
        let mut client = server.client(Mode::Header);
        answers.push(by_provider(&server, &provider, &mut client, &somebody).await.body);
    }
    assert_eq!(answers[0], answers[1]);
    // Where nothing is told of accounts, an address that nobody vouches for asks about none.
    let held = provider.clone();
    let hidden = Server::start_both(
        |settings| settings.profile = Profile::SafeEnumeration,
        move |builder| builder.factor(ThirdParty::new().provider(held.clone())),
    )
    .await;
    hidden
        .client(Mode::Header)
        .post("/auth/signup", form(ALICE, crate::kit::PASSWORD))
        .await;
    for (subject, address) in [("3", ALICE), ("4", "nobody@example.com")] {
        let somebody = Somebody::new(subject, address).unverified();
        let mut client = hidden.client(Mode::Header);
        answers.push(by_provider(&hidden, &provider, &mut client, &somebody).await.body);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ten_01_what_was_begun_in_one_tenant_is_not_finished_in_another() {
    let provider = provider();
    let (held, other) = (provider.clone(), FakeProvider::new("other"));
    let server = Server::start_adding(move |builder| {
        builder
            .factor(ThirdParty::new().provider(held.clone()).provider(other.clone()))
            .tenants([
                Tenant::new("acme"),
                Tenant::new("globex").providers(["other"]),
                Tenant::new("closed").first_factors([FactorId::EMAIL_PASSWORD]),
            ])
    })
    .await;
    let mut client = server.client(Mode::Cookie);
    for (begun, finished) in [("/acme", ""), ("", "/acme")] {
        let mut away = leave_in(&server, &mut client, begun, EXAMPLE).await;
        let code = provider.consent(&away.url, &alice());
        away.tenant = finished.to_owned();
        assert_told(&away.back(&mut client, &code).await, NOT_BEGUN);
    }
    assert_eq!((provider.asked(), users(&server).await), (0, 0));
    // One person of the provider is two people in two tenants.
    let mut ids = Vec::new();
    for tenant in ["", "/acme"] {
        let mut client = server.client(Mode::Cookie);
        let away = leave_in(&server, &mut client, tenant, EXAMPLE).await;
        let code = provider.consent(&away.url, &alice());
        assert!(created(&away.back(&mut client, &code).await));
        ids.push(client.user_id());
    }
    assert_ne!(ids[0], ids[1]);
    // A tenant has the providers that it lists, and says so.
    let uri = redirect_uri(&server, EXAMPLE);
    bad(
        &client.get(&asking("/globex", EXAMPLE, &uri)).await,
        "no such provider",
    );
    assert_eq!(client.get(&asking("/closed", EXAMPLE, &uri)).await.status, 401);
    for (tenant, named) in [
        ("", vec![EXAMPLE, "other"]),
        ("/globex", vec!["other"]),
        ("/closed", vec![]),
    ] {
        let told = client.get(&format!("/auth{tenant}/loginmethods")).await.json();
        let providers = told["thirdParty"]["providers"].as_array().unwrap();
        let ids: Vec<_> = providers.iter().map(|one| one["id"].as_str().unwrap()).collect();
        assert_eq!(
            (ids, &told["thirdParty"]["enabled"]),
            (named.clone(), &json!(!named.is_empty()))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_tells_no_address_is_taken_where_none_is_needed() {
    let provider = provider();
    let server = serving(&provider).await;
    let mut client = server.client(Mode::Header);
    let shy = Somebody::new("shy", "x").without_email();
    for nobody in [shy.clone(), Somebody::new("odd", "no address")] {
        let answer = by_provider(&server, &provider, &mut client, &nobody).await;
        assert_eq!(answer.status_field(), "NO_EMAIL_GIVEN_BY_PROVIDER", "{answer:?}");
        assert!(opens_nothing(&answer));
    }
    let held = provider.clone();
    let server = Server::start_adding(move |builder| {
        builder.factor(ThirdParty::new().provider(held.clone()).without_email())
    })
    .await;
    let mut client = server.client(Mode::Header);
    let answer = by_provider(&server, &provider, &mut client, &shy).await;
    assert!(created(&answer));
    assert_eq!(answer.json()["user"]["emails"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_says_no_at_the_provider_is_told_in_words() {
    let provider = provider();
    let server = serving(&provider).await;
    let mut client = server.client(Mode::Cookie);
    let away = leave(&server, &mut client, EXAMPLE).await;
    let mut body = away.body("");
    body["redirectURIInfo"]["redirectURIQueryParams"] = json!({ "error": "access_denied", "state": "s" });
    assert_told(&away.send(&mut client, body).await, "did not confirm");
    let code = provider.consent(&away.url, &alice());
    assert_told(&away.back(&mut client, &code).await, NOT_BEGUN);
    assert_eq!(provider.asked(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_ins_by_a_provider_are_counted_before_it_is_asked() {
    let provider = provider().with_tokens();
    let server = serving(&provider).await;
    let mut client = server.client(Mode::Header);
    let tokens = json!({ "thirdPartyId": EXAMPLE, "oAuthTokens": { "id_token": "made up" } });
    let mut throttled = 0;
    for _ in 0..200 {
        let answer = client.post("/auth/signinup", tokens.clone()).await;
        assert_eq!(answer.status_field(), "GENERAL_ERROR", "{answer:?}");
        throttled += usize::from(answer.message().contains("Too many"));
    }
    assert!(
        throttled > 0 && provider.asked() == 200 - throttled,
        "{throttled}"
    );
    // So is sending browsers away, each of which makes a row.
    let path = asking("", EXAMPLE, &redirect_uri(&server, EXAMPLE));
    let mut throttled = 0;
    for _ in 0..200 {
        throttled += usize::from(client.get(&path).await.message().contains("Too many"));
    }
    assert!(throttled > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_16_a_provider_that_is_silent_about_a_mailbox_makes_no_second_factor_of_it() {
    const CAROL: &str = "carol@example.com";
    let provider = provider();
    let held = provider.clone();
    let server = Server::start_both(
        |settings| settings.second_factors = vec![FactorId::OTP_PHONE, FactorId::OTP_EMAIL],
        move |builder| builder.factor(ThirdParty::new().provider(held.clone())),
    )
    .await;
    let code_to = |address: &str| json!({ "email": address, "shouldTryLinkingWithSessionUser": true });
    let codes = async || {
        let sent = server.sent().await;
        sent.iter().filter(|message| message.kind == "code").count()
    };

    // Nothing is enrolled yet. Whoever is at the provider can have it asked for less.
    let mut client = server.client(Mode::Header);
    assert!(created(
        &by_provider(&server, &provider, &mut client, &alice()).await
    ));
    let again = by_provider(&server, &provider, &mut client, &alice().without_email()).await;
    assert_eq!(again.json()["user"]["emails"], json!([ALICE]));
    let refused = client.post("/auth/signinup/code", code_to(ALICE)).await;
    assert_eq!(refused.status_field(), "GENERAL_ERROR", "{refused:?}");
    assert_eq!(codes().await, 0);

    // The mailbox is the second factor of a password, and opens an account at the provider as well.
    let carol = Somebody::new("carol-there", CAROL);
    let mut owner = server.client(Mode::Header);
    assert_eq!(owner.sign_up("owner@example.com").await.status_field(), "OK");
    let asked = owner.post("/auth/signinup/code", code_to(CAROL)).await;
    let code = server.code().await;
    assert_eq!(owner.consume(&asked.json(), &code).await.status_field(), "OK");
    let linked = linking(&server, &provider, &mut owner, &carol).await;
    assert_eq!(linked.status_field(), "OK", "{linked:?}");
    let before = codes().await;
    for told in [carol.clone(), carol.without_email()] {
        let mut thief = server.client(Mode::Header);
        let answer = by_provider(&server, &provider, &mut thief, &told).await;
        assert!(!created(&answer));
        let asked = thief.post("/auth/signinup/code", code_to(CAROL)).await;
        assert_ne!(asked.status_field(), "OK", "{asked:?}");
        assert_eq!(thief.get("/api/secret").await.status, 403);
    }
    assert_eq!(codes().await, before);
}
