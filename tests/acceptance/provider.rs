//! What a provider as the first factor brings of its own to the acceptance table. The other rows run with it in
//! `second_factor.rs` and `mailbox.rs`.

use serde_json::{Value, json};
use stepup_testkit::provider::{FakeProvider, Somebody};

use crate::kit::provider::{EXAMPLE, by_provider, leave, opens_nothing, serving};
use crate::kit::{Client, MODES, Mode, PHONE, Response, Server};

const ANN: &str = "ann@example.com";

struct Site {
    server: Server,
    provider: FakeProvider,
}

impl Site {
    async fn start() -> Self {
        let provider = FakeProvider::new(EXAMPLE);
        Self {
            server: serving(&provider).await,
            provider,
        }
    }

    /// Ann, back from the provider.
    async fn ann(&self, mode: Mode) -> (Client, Response) {
        let mut client = self.server.client(mode);
        let ann = Somebody::new("ann-there", ANN);
        let answer = by_provider(&self.server, &self.provider, &mut client, &ann).await;
        assert_eq!(answer.status_field(), "OK", "{answer:?}");
        (client, answer)
    }

    /// Ann with her phone enrolled, a minute ago.
    async fn enrolled(&self, mode: Mode) -> Client {
        let (mut ann, _) = self.ann(mode).await;
        ann.complete(&self.server, PHONE).await;
        self.server.moved(60).await;
        ann
    }
}

async fn info(client: &mut Client) -> Value {
    client
        .call("PUT", "/auth/mfa/info", Some(json!({})), &[])
        .await
        .json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a2_a_sign_up_by_a_provider_waits_for_the_second_factor() {
    for mode in MODES {
        let site = Site::start().await;
        let (mut ann, answer) = site.ann(mode).await;
        assert_eq!(answer.json()["createdNewRecipeUser"], true);
        let user = answer.json()["user"].clone();
        let there = json!({ "id": EXAMPLE, "userId": "ann-there" });
        assert_eq!(user["thirdParty"], json!([there]));
        assert_eq!(user["emails"], json!([ANN]));
        let method = &user["loginMethods"][0];
        assert_eq!(
            (&method["recipeId"], &method["thirdParty"], &method["verified"]),
            (&json!("thirdparty"), &there, &json!(true))
        );
        assert!(method.get("phoneNumber").is_none());
        assert_eq!(ann.payload()["st-mfa"]["v"], false);
        assert!(ann.payload()["st-mfa"]["c"]["thirdparty"].is_i64());
        assert_eq!(ann.payload()["2fa-completed"]["v"], false);
        for path in ["/api/secret", "/layered/secret"] {
            let refused = ann.get(path).await;
            assert_eq!(
                (refused.status, refused.failed_claims()),
                (403, vec!["st-mfa".to_owned(), "2fa-completed".to_owned()]),
                "{path}"
            );
        }
        assert_eq!(ann.get("/api/me").await.status, 200);
        assert!(site.server.sent().await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a2_older_clients_are_told_in_their_words() {
    let site = Site::start().await;
    let mut client = site.server.client(Mode::Header);
    client.extra.push(("fdi-version".to_owned(), "1.17".to_owned()));
    let ann = Somebody::new("ann-there", ANN);
    let answer = by_provider(&site.server, &site.provider, &mut client, &ann).await;
    assert_eq!(answer.json()["createdNewUser"], true, "{answer:?}");
    let user = answer.json()["user"].clone();
    assert_eq!(
        user["thirdParty"],
        json!({ "id": EXAMPLE, "userId": "ann-there" })
    );
    assert_eq!(user["email"], ANN);
    assert!(user.get("loginMethods").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a3_after_a_provider_the_first_code_goes_out_as_one_message() {
    let site = Site::start().await;
    let (mut ann, _) = site.ann(Mode::Cookie).await;
    let known = info(&mut ann).await;
    assert_eq!(known["factors"]["next"], json!(["otp-phone"]));
    assert_eq!(known["factors"]["alreadySetup"], json!(["thirdparty"]));
    assert_eq!(ann.create_code(PHONE).await.status_field(), "OK");
    let sent = site.server.sent().await;
    assert_eq!(sent.iter().map(|m| m.to.as_str()).collect::<Vec<_>>(), [PHONE]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a5_a_right_code_after_a_provider_enrolls_the_phone_and_completes_the_session() {
    for mode in MODES {
        let site = Site::start().await;
        let (mut ann, _) = site.ann(mode).await;
        let handle = ann.handle();
        let consumed = ann.complete(&site.server, PHONE).await;
        assert_eq!(ann.handle(), handle);
        assert!(ann.completed());
        for path in ["/api/secret", "/layered/secret"] {
            assert_eq!(ann.get(path).await.status, 200, "{path}");
        }
        assert_eq!(ann.post("/api/transfer", json!({})).await.status, 200);
        let user = consumed.json()["user"].clone();
        assert_eq!(user["phoneNumbers"], json!([PHONE]));
        let recipes: Vec<_> = user["loginMethods"]
            .as_array()
            .unwrap()
            .iter()
            .map(|method| method["recipeId"].clone())
            .collect();
        assert_eq!(recipes, ["thirdparty", "passwordless"]);
        // The address that the provider vouched for is told.
        site.server.dump().await;
        let sent = site.server.sent().await;
        let told: Vec<_> = sent.iter().filter(|m| m.kind == "factor_added").collect();
        assert_eq!(told.iter().map(|m| m.to.as_str()).collect::<Vec<_>>(), [ANN]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a6_a_sign_in_by_a_provider_waits_for_the_code() {
    let site = Site::start().await;
    site.enrolled(Mode::Cookie).await;
    let (mut ann, answer) = site.ann(Mode::Cookie).await;
    assert_eq!(answer.json()["createdNewRecipeUser"], false);
    assert_eq!(ann.get("/api/secret").await.status, 403);
    let known = info(&mut ann).await;
    assert_eq!(known["factors"]["next"], json!(["otp-phone"]));
    assert_eq!(known["phoneNumbers"]["otp-phone"], json!([PHONE]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a12_what_comes_back_from_a_provider_alone_gets_no_code() {
    let site = Site::start().await;
    site.enrolled(Mode::Header).await;
    let mut nobody = site.server.client(Mode::Header);
    leave(&site.server, &mut nobody, EXAMPLE).await;
    assert_eq!(nobody.create_code(PHONE).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a32_two_people_of_a_provider_share_a_phone() {
    let site = Site::start().await;
    site.enrolled(Mode::Header).await;
    let mut bob = site.server.client(Mode::Header);
    let somebody = Somebody::new("bob-there", "bob@example.com");
    let answer = by_provider(&site.server, &site.provider, &mut bob, &somebody).await;
    assert!(!opens_nothing(&answer));
    bob.complete(&site.server, PHONE).await;
    assert_eq!(bob.get("/api/secret").await.status, 200);
}
