//! The rows of the acceptance table on `examples/by-hand`, as far as five steps with hooks and claims reach, and where they
//! do not: its README says the same.

mod kit;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use stepup::delivery::{BackgroundThread, Outbox};
use stepup::sqlite::SqliteStore;
use stepup::{AppInfo, SecretList, Stepup, TenantId, UserId};
use stepup_core::entropy::OsEntropy;
use stepup_core::keyring::Root;
use stepup_testkit::clock::ManualClock;
use tempfile::TempDir;
use tokio::net::TcpListener;

use kit::{Client, MODES, Mode, OTHER_PHONE, PHONE, Response, answer, wrong};

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";

struct Server {
    address: SocketAddr,
    stepup: Stepup,
    clock: ManualClock,
    outbox: Outbox,
    background: BackgroundThread,
    folder: TempDir,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let here = format!("http://localhost:{}", address.port());
        let folder = tempfile::tempdir().unwrap();
        let url = format!(
            "sqlite://{}?mode=rwc",
            folder.path().join("hand.sqlite").display()
        );
        let store = SqliteStore::connect(&url).await.unwrap();
        store.migrate().await.unwrap();
        let secrets = SecretList::new(vec![Root::random("k1".into(), &OsEntropy).unwrap()]);
        let (clock, outbox) = (ManualClock::default(), Outbox::new());
        let background = BackgroundThread::start().unwrap();
        let info = AppInfo::new("By hand", &*here, &*here);
        let stepup = by_hand::builder(info, Arc::new(store), secrets, outbox.clone())
            .background(background.clone())
            .clock(clock.clone())
            .build()
            .await
            .unwrap();
        let app = by_hand::app(&stepup).into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            address,
            stepup,
            clock,
            outbox,
            background,
            folder,
        }
    }

    fn client(&self, mode: Mode) -> Client {
        Client::at(self.address, mode)
    }

    async fn half(&self, mode: Mode, email: &str) -> Client {
        let mut client = self.client(mode);
        let answer = client.sign_up(email).await;
        assert_eq!(answer.status_field(), "OK", "{answer:?}");
        client
    }

    async fn full(&self, mode: Mode, email: &str, phone: &str) -> Client {
        let mut client = self.half(mode, email).await;
        self.complete(&mut client, phone).await;
        client
    }

    async fn returning(&self, mode: Mode, email: &str, phone: &str) -> Client {
        self.full(mode, email, phone).await.sign_out().await;
        let mut client = self.client(mode);
        assert_eq!(client.sign_in(email).await.status_field(), "OK");
        client
    }

    async fn sent(&self) -> Vec<stepup::delivery::Sent> {
        assert!(self.background.drain(Duration::from_secs(5)).await);
        self.outbox.sent()
    }

    async fn code(&self) -> String {
        let sent = self.sent().await;
        sent.into_iter()
            .rev()
            .find_map(|sent| sent.code)
            .expect("a code was sent")
    }

    async fn code_to(&self, client: &mut Client, phone: &str) -> (Value, String) {
        let created = client.create_code(phone).await;
        assert_eq!(created.status_field(), "OK", "{created:?}");
        (created.json(), self.code().await)
    }

    async fn complete(&self, client: &mut Client, phone: &str) -> Response {
        let (created, code) = self.code_to(client, phone).await;
        let consumed = client.consume(&created, &code).await;
        assert_eq!(consumed.status_field(), "OK", "{consumed:?}");
        consumed
    }

    fn moved(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    async fn number(&self, query: &'static str) -> i64 {
        let options = SqliteConnectOptions::new().filename(self.folder.path().join("hand.sqlite"));
        let pool = SqlitePool::connect_with(options).await.unwrap();
        let number = sqlx::query_scalar(query).fetch_one(&pool).await.unwrap();
        pool.close().await;
        number
    }

    /// Messages, challenges, users and sessions.
    async fn traces(&self) -> (usize, i64, i64, i64) {
        (
            self.sent().await.len(),
            self.number("SELECT count(*) FROM stepup_challenge").await,
            self.number("SELECT count(*) FROM stepup_user").await,
            self.number("SELECT count(*) FROM stepup_session").await,
        )
    }

    /// The phone's user that is linked to the user of `client`.
    async fn link(&self, client: &Client) -> Option<String> {
        let user = UserId::from(client.user_id().as_str());
        let metadata = self.stepup.metadata(&TenantId::public(), &user).await.unwrap();
        Some(metadata.get("passwordlessUserId")?.as_str().unwrap().to_owned())
    }
}

async fn assert_half(client: &mut Client) {
    assert!(!client.completed());
    let refused = client.get("/api/secret").await;
    assert_eq!(refused.failed_claims(), ["2fa-completed"], "{refused:?}");
    assert_eq!(
        refused.json()["claimValidationErrors"][0]["reason"],
        json!({ "message": "wrong value", "expectedValue": true, "actualValue": false })
    );
}

async fn assert_full(client: &mut Client) {
    assert!(client.completed());
    let admitted = client.get("/api/secret").await;
    assert_eq!(admitted.status, 200, "{admitted:?}");
}

fn assert_refused(answer: &Response) {
    assert_eq!(
        (answer.status, answer.status_field().as_str()),
        (200, "GENERAL_ERROR"),
        "{answer:?}"
    );
    assert!(!answer.message().contains("+41") && answer.touches_no_token());
}

#[tokio::test(flavor = "multi_thread")]
async fn a1_a3_a4_a5_the_first_code_completes_the_session_that_the_password_opened() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = server.half(mode, ANN).await;
        assert!(ann.payload().get("phoneNumber").is_none());
        assert_half(&mut ann).await;
        let before = ann.clone();
        let (created, code) = server.code_to(&mut ann, PHONE).await;
        assert_eq!(server.sent().await.len(), 1);
        let refused = ann.consume(&created, &wrong(&code)).await;
        assert_eq!(refused.json()["failedCodeInputAttemptCount"], 1);
        assert!(refused.touches_no_token());
        assert_half(&mut ann).await;
        assert_eq!(server.link(&ann).await, None);
        let completed = ann.consume(&created, &code).await;
        assert_eq!(completed.status_field(), "OK", "{completed:?}");
        assert_eq!((ann.handle(), ann.user_id()), (before.handle(), before.user_id()));
        assert_ne!(ann.access_token(), before.access_token());
        assert_full(&mut ann).await;
        // Two records of one person, and one session.
        let link = server.link(&ann).await.expect("the phone's user is linked");
        assert_eq!(completed.json()["user"]["id"], json!(link));
        assert_ne!(link, ann.user_id());
        assert_eq!(server.number("SELECT count(*) FROM stepup_user").await, 2);
        assert_eq!(server.number("SELECT count(*) FROM stepup_session").await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a6_a7_a8_a_new_sign_in_knows_the_number_and_is_completed_by_it() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = server.returning(mode, ANN, PHONE).await;
        assert_eq!(ann.payload()["phoneNumber"], PHONE);
        assert_half(&mut ann).await;
        let (link, handle) = (server.link(&ann).await, ann.handle());
        let shown = ann.payload()["phoneNumber"].as_str().unwrap().to_owned();
        server.moved(60);
        server.complete(&mut ann, &shown).await;
        assert_eq!(server.sent().await.last().unwrap().to, PHONE);
        assert_eq!((server.link(&ann).await, ann.handle()), (link, handle));
        assert_full(&mut ann).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a9_a10_another_number_is_refused_and_the_same_one_in_another_spelling_is_not() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = server.returning(mode, ANN, PHONE).await;
        let before = server.traces().await;
        for number in [OTHER_PHONE, "+1 202 555 0123", "not a number", ANN] {
            assert_refused(&ann.create_code(number).await);
        }
        assert_eq!(server.traces().await, before);
        assert_half(&mut ann).await;
        server.complete(&mut ann, " +41 (79) 123 4567 ").await;
        assert_eq!(server.sent().await.last().unwrap().to, PHONE);
        assert_full(&mut ann).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a11_an_email_address_instead_of_a_number_is_a_bad_request() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = server.half(mode, ANN).await;
        for body in [
            json!({ "email": ANN }),
            json!({ "email": ANN, "phoneNumber": PHONE }),
            json!({}),
        ] {
            let refused = ann.post("/auth/signinup/code", body).await;
            assert_eq!(refused.status, 400, "{refused:?}");
        }
        assert!(server.sent().await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a12_a31_without_a_session_nothing_is_sent_and_nobody_signs_in_by_phone() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = server.half(mode, ANN).await;
        let (created, code) = server.code_to(&mut ann, PHONE).await;
        server.moved(20);
        let before = server.traces().await;
        let mut nobody = server.client(mode);
        for links in [Value::Null, json!(false)] {
            let mut create = json!({ "phoneNumber": PHONE });
            let mut consume = answer(&created, &code);
            let mut resend = consume.clone();
            resend.as_object_mut().unwrap().remove("userInputCode");
            for body in [&mut create, &mut consume, &mut resend] {
                if !links.is_null() {
                    body["shouldTryLinkingWithSessionUser"] = links.clone();
                }
            }
            for refused in [
                nobody.post("/auth/signinup/code", create).await,
                nobody.post("/auth/signinup/code/resend", resend).await,
                nobody.post("/auth/signinup/code/consume", consume).await,
            ] {
                assert_eq!(
                    (refused.status, refused.message().as_str()),
                    (401, "unauthorised")
                );
                assert!(refused.touches_no_token());
            }
        }
        assert_eq!(server.traces().await, before);
        // Not spent either.
        assert_eq!(ann.consume(&created, &code).await.status_field(), "OK");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a13_an_expired_access_token_asks_for_a_refresh_and_then_gets_its_code() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = server.half(mode, ANN).await;
        server.moved(16 * 60);
        let refused = ann.create_code(PHONE).await;
        assert_eq!(
            (refused.status, refused.message().as_str()),
            (401, "try refresh token")
        );
        assert_eq!(ann.refresh().await.status, 200);
        server.complete(&mut ann, PHONE).await;
        assert_full(&mut ann).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a14_a23_a_sign_up_that_stopped_can_be_left_and_goes_on_at_the_next_sign_in() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = server.half(mode, ANN).await;
        server.code_to(&mut ann, PHONE).await;
        assert_eq!(ann.sign_out().await.status_field(), "OK");
        server.moved(700);
        let mut ann = server.client(mode);
        ann.sign_in(ANN).await;
        server.complete(&mut ann, OTHER_PHONE).await;
        assert_full(&mut ann).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a15_a18_five_wrong_codes_end_a_challenge_and_a_right_one_is_accepted_once() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = server.half(mode, ANN).await;
        let (created, code) = server.code_to(&mut ann, PHONE).await;
        for failed in 1..5 {
            let refused = ann.consume(&created, &wrong(&code)).await;
            assert_eq!(
                refused.json()["failedCodeInputAttemptCount"],
                failed,
                "{refused:?}"
            );
        }
        let fifth = ann.consume(&created, &wrong(&code)).await;
        assert_eq!(fifth.status_field(), "RESTART_FLOW_ERROR", "{fifth:?}");
        server.moved(60);
        assert_ne!(ann.consume(&created, &code).await.status_field(), "OK");
        assert_half(&mut ann).await;
        server.moved(60);
        let (created, code) = server.code_to(&mut ann, PHONE).await;
        assert_eq!(ann.consume(&created, &code).await.status_field(), "OK");
        let again = ann.consume(&created, &code).await;
        assert_eq!(again.status_field(), "RESTART_FLOW_ERROR");
        assert_full(&mut ann).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a16_a17_an_expired_code_is_told_from_a_wrong_one_and_a_resend_helps() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = server.half(mode, ANN).await;
        let (created, code) = server.code_to(&mut ann, PHONE).await;
        server.moved(11 * 60);
        let expired = ann.consume(&created, &code).await;
        assert_eq!(
            expired.status_field(),
            "EXPIRED_USER_INPUT_CODE_ERROR",
            "{expired:?}"
        );
        assert_eq!(ann.resend(&created).await.status_field(), "OK");
        let newer = server.code().await;
        assert_eq!(ann.consume(&created, &newer).await.status_field(), "OK");
        assert_full(&mut ann).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a20_a_second_number_is_refused_on_create_on_resend_and_on_consume() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = server.half(mode, ANN).await;
        // Asked for before the number was known, in a session that stays half.
        let mut late = server.client(mode);
        late.sign_in(ANN).await;
        let (created, code) = server.code_to(&mut late, OTHER_PHONE).await;
        server.complete(&mut ann, PHONE).await;
        server.moved(20);
        let before = server.traces().await;
        assert_refused(&ann.create_code(OTHER_PHONE).await);
        assert_refused(&late.create_code(OTHER_PHONE).await);
        assert_refused(&late.resend(&created).await);
        assert_refused(&late.consume(&created, &code).await);
        assert_refused(&ann.consume(&created, &code).await);
        assert_eq!(server.traces().await, before);
        assert_half(&mut late).await;
        assert_full(&mut ann).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a21_a22_completing_one_browser_leaves_the_other_and_a_refresh_moves_nothing() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = server.full(mode, ANN, PHONE).await;
        let mut other = server.client(mode);
        other.sign_in(ANN).await;
        assert_half(&mut other).await;
        let at = ann.payload()["2fa-completed"]["t"].clone();
        server.moved(100);
        for client in [&mut ann, &mut other] {
            assert_eq!(client.refresh().await.status, 200);
        }
        assert_eq!(ann.payload()["2fa-completed"]["t"], at);
        assert_full(&mut ann).await;
        assert_half(&mut other).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a25_each_route_asks_for_what_it_names() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = server.half(mode, ANN).await;
        assert_eq!(ann.get("/api/me").await.status, 200);
        assert_half(&mut ann).await;
        assert_eq!(ann.call("POST", "/api/transfer", None, &[]).await.status, 403);
        server.complete(&mut ann, PHONE).await;
        assert_eq!(ann.call("POST", "/api/transfer", None, &[]).await.status, 200);
        server.moved(301);
        let stale = ann.call("POST", "/api/transfer", None, &[]).await;
        assert_eq!(
            stale.json()["claimValidationErrors"][0]["reason"],
            json!({ "message": "expired", "ageInSeconds": 301.0, "maxAgeInSeconds": 300 })
        );
        // The claim is not reset by that, and a code renews it.
        assert_full(&mut ann).await;
        server.complete(&mut ann, PHONE).await;
        assert_eq!(ann.call("POST", "/api/transfer", None, &[]).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a26_a_link_to_nobody_admits_no_number() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = server.full(mode, ANN, PHONE).await;
        let link = server.link(&ann).await.unwrap();
        let gone = server
            .stepup
            .delete(&TenantId::public(), &UserId::from(link.as_str()))
            .await;
        assert!(gone.unwrap());
        ann.sign_out().await;
        let before = server.traces().await;
        let mut ann = server.client(mode);
        // Not even the first factor: the number could not be put into the payload.
        assert_refused(&ann.sign_in(ANN).await);
        assert_eq!(server.traces().await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a28_of_two_right_answers_at_once_one_is_right() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = server.half(mode, ANN).await;
        let (created, code) = server.code_to(&mut ann, PHONE).await;
        let body = answer(&created, &code);
        let path = "/auth/signinup/code/consume";
        let (one, two) = tokio::join!(
            ann.peek("POST", path, Some(&body), &[]),
            ann.peek("POST", path, Some(&body), &[])
        );
        let mut answers = [one.status_field(), two.status_field()];
        answers.sort();
        assert_eq!(answers[0], "OK", "{one:?} {two:?}");
        assert_ne!(answers[1], "OK");
        assert_eq!(server.number("SELECT count(*) FROM stepup_user").await, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a29_a_session_revoked_in_between_completes_nothing() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = server.half(mode, ANN).await;
        let (created, code) = server.code_to(&mut ann, PHONE).await;
        let user = UserId::from(ann.user_id().as_str());
        server
            .stepup
            .revoke_all(&TenantId::public(), &user)
            .await
            .unwrap();
        let refused = ann.consume(&created, &code).await;
        assert_eq!(refused.status, 401, "{refused:?}");
        assert!(refused.touches_no_token());
        assert_eq!(server.link(&ann).await, None);
        assert_eq!(server.number("SELECT count(*) FROM stepup_user").await, 1);
        assert_eq!(server.number("SELECT count(*) FROM stepup_session").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a32_two_users_share_a_phone() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = server.full(mode, ANN, PHONE).await;
        server.moved(700);
        let mut bob = server.full(mode, BOB, PHONE).await;
        assert_full(&mut bob).await;
        assert_ne!(ann.user_id(), bob.user_id());
        // By hand both are linked to the one user that the phone is.
        assert_eq!(server.link(&ann).await, server.link(&bob).await);
        assert_eq!(ann.refresh().await.status, 200);
        assert_full(&mut ann).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_five_steps_cannot_do_is_what_the_readme_says() {
    let server = Server::start().await;
    // A5, A22: the refresh token that the password alone opened goes on to work, with all that the code gave.
    let mut ann = server.half(Mode::Header, ANN).await;
    let before = ann.refresh_token().map(str::to_owned);
    server.complete(&mut ann, PHONE).await;
    assert_eq!(ann.refresh_token().map(str::to_owned), before);
    // A19: a code that one session asked for completes another one of the same user.
    let (mut one, mut two) = (server.client(Mode::Header), server.client(Mode::Header));
    one.sign_in(ANN).await;
    two.sign_in(ANN).await;
    server.moved(60);
    let (created, code) = server.code_to(&mut one, PHONE).await;
    assert_eq!(two.consume(&created, &code).await.status_field(), "OK");
    assert!(two.completed());
    // A16: a half-login lasts as long as any session.
    let mut bob = server.half(Mode::Header, BOB).await;
    server.moved(6 * 24 * 3600);
    server.stepup.tick().await;
    assert_eq!(bob.refresh().await.status, 200);
    assert_half(&mut bob).await;
}
