//! Hooks over real HTTP: their order, what a refusal and a failure deny, and that nothing is left half done; and the spans
//! and events around it all, which hold no secret.

mod kit;

#[path = "attacks/spans.rs"]
mod spans;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Value, json};
use stepup::axum::{Rejection, SignIn};
use stepup::delivery::Outbox;
use stepup::flow::{Caller, Contact, Exists, FirstOutcome, OpenedBy, Update};
use stepup::hook::{Api, Cx, Done, Hook, Outgoing, OutgoingContent, SessionDraft, Step, Stop};
use stepup::import::ImportedUser;
use stepup::{BooleanClaim, External, Passwordless, TenantId, UserId};
use stepup_core::error::Source;

use kit::{Client, MODES, Mode, PASSWORD, PHONE, Response, Server, form, full, half, returning};

const ANN: &str = "ann@example.com";

/// What a hook does at the point that its name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Refuse,
    Fail,
}

/// Writes down where it is called, and acts at one place: `before sign_up`, `on_session`, `after_api /signin`.
#[derive(Clone, Debug, Default)]
struct Probe {
    name: &'static str,
    seen: Arc<Mutex<Vec<String>>>,
    at: Arc<Mutex<Option<(String, Act)>>>,
    /// All that it was shown, in full.
    shown: Arc<Mutex<String>>,
}

impl Probe {
    fn named(&self, name: &'static str) -> Self {
        Self { name, ..self.clone() }
    }

    fn act(&self, at: &str, act: Act) {
        *self.at.lock().unwrap() = Some((at.to_owned(), act));
    }

    fn rest(&self) {
        *self.at.lock().unwrap() = None;
        self.seen.lock().unwrap().clear();
    }

    fn seen(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    fn at(&self, place: &str, shown: &dyn std::fmt::Debug) -> Option<Act> {
        let named = if self.name.is_empty() {
            place.to_owned()
        } else {
            format!("{} {place}", self.name)
        };
        self.seen.lock().unwrap().push(named);
        self.shown.lock().unwrap().push_str(&format!("{shown:?}\n"));
        let at = self.at.lock().unwrap();
        at.as_ref().filter(|(at, _)| at == place).map(|(_, act)| *act)
    }

    fn stop(&self, place: &str, shown: &dyn std::fmt::Debug) -> Result<(), Stop> {
        match self.at(place, shown) {
            None => Ok(()),
            Some(Act::Refuse) => Err(Stop::refuse("Not on Sundays.")),
            Some(Act::Fail) => Err(std::io::Error::other("the hook's own table is gone").into()),
        }
    }

    fn fail(&self, place: &str, shown: &dyn std::fmt::Debug) -> Result<(), Source> {
        self.at(place, shown)
            .map_or(Ok(()), |_| Err("the hook's own table is gone".into()))
    }
}

#[async_trait]
impl Hook for Probe {
    async fn before(&self, cx: &Cx<'_>, step: &mut Step) -> Result<(), Stop> {
        self.stop(&format!("before {}", step.name()), &(cx, &step))
    }

    async fn after(&self, cx: &Cx<'_>, step: &Step, done: &Done<'_>) -> Result<(), Source> {
        self.fail(&format!("after {}", step.name()), &(cx, step, done))
    }

    async fn on_session(&self, cx: &Cx<'_>, draft: &mut SessionDraft<'_>) -> Result<(), Stop> {
        self.stop("on_session", &(cx, &draft))
    }

    async fn on_delivery(&self, cx: &Cx<'_>, message: &Outgoing<'_>) -> Result<(), Stop> {
        match message.content {
            OutgoingContent::Code { .. } => self.stop("on_delivery", &(cx, message)),
            _ => self.stop("on_notice", &(cx, message)),
        }
    }

    async fn before_api(&self, cx: &Cx<'_>, api: &Api) -> Result<(), Stop> {
        self.stop(&format!("before_api {}", api.path), &(cx, api))
    }

    async fn after_api(&self, cx: &Cx<'_>, api: &Api, status: u16) -> Result<(), Source> {
        self.fail(&format!("after_api {}", api.path), &(cx, api, status))
    }
}

async fn probed() -> (Server, Probe) {
    let probe = Probe::default();
    let hook = probe.clone();
    let server = Server::start_adding(move |builder| builder.hook(hook.clone())).await;
    (server, probe)
}

/// What must be as it was: all rows, the counters too, and the messages.
async fn state(server: &Server) -> (Vec<String>, i64, usize) {
    let counters = server
        .number("SELECT coalesce(sum(tally), 0) + count(*) FROM stepup_counter")
        .await;
    (server.dump().await, counters, server.sent().await.len())
}

/// The answer to a step that was stopped.
fn assert_stopped(answer: &Response, act: Act) {
    assert!(answer.touches_no_token(), "{answer:?}");
    match act {
        Act::Refuse => assert_eq!(
            (answer.status, answer.json()),
            (
                200,
                json!({ "status": "GENERAL_ERROR", "message": "Not on Sundays." })
            )
        ),
        Act::Fail => {
            assert_eq!(answer.status, 500);
            assert!(
                !String::from_utf8_lossy(&answer.body).contains("table"),
                "{answer:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_run_in_their_order_before_and_in_reverse_after() {
    let probe = Probe::default();
    let (a, b) = (probe.named("a"), probe.named("b"));
    let server = Server::start_adding(move |builder| builder.hook(a.clone()).hook(b.clone())).await;
    let mut ann = half(&server, Mode::Cookie, ANN).await;
    assert_eq!(
        probe.seen(),
        [
            "a before_api /signup",
            "b before_api /signup",
            "a before sign_up",
            "b before sign_up",
            "a on_session",
            "b on_session",
            "b after sign_up",
            "a after sign_up",
            "b after_api /signup",
            "a after_api /signup",
        ]
    );
    // Of two, the first that stops is the last that is asked.
    probe.act("before create_code", Act::Refuse);
    ann.create_code(PHONE).await;
    assert_eq!(
        probe.seen(),
        [
            "a before_api /signinup/code",
            "b before_api /signinup/code",
            "a before create_code",
            "b after_api /signinup/code",
            "a after_api /signinup/code",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_and_every_step_has_its_hooks() {
    let (server, probe) = probed().await;
    let mut ann = full(&server, Mode::Header, ANN, PHONE).await;
    ann.call("PUT", "/auth/mfa/info", None, &[]).await;
    ann.get("/auth/emailpassword/email/exists?email=x%40example.com")
        .await;
    ann.get("/auth/jwt/jwks.json").await;
    ann.refresh().await;
    ann.sign_out().await;
    let mut ann = server.client(Mode::Header);
    ann.sign_in(ANN).await;
    let created = ann.create_code(PHONE).await.json();
    server.moved(16).await;
    ann.resend(&created).await;
    let (stepup, public) = (&server.site.stepup, TenantId::public());
    let user = UserId::from(ann.user_id().as_str());
    let patch = json!({ "plan": "pro" }).as_object().unwrap().clone();
    stepup
        .merge_metadata(&public, &user, &patch)
        .await
        .unwrap()
        .unwrap();
    stepup.clear_metadata(&public, &user).await.unwrap();
    stepup.require_factors(&public, &user, &[]).await.unwrap();
    stepup.forgive_failures(&public, &user).await.unwrap();
    let handle = ann.handle().as_str().into();
    stepup.merge_payload(&handle, &patch).await.unwrap().unwrap();
    stepup.reset_factors(&public, &user).await.unwrap();
    stepup.revoke_all(&public, &user).await.unwrap();
    let update = Update::new().email("ann@new.example.com");
    stepup.update_user(&public, &user, update).await.unwrap().unwrap();
    stepup.disable(&public, &user).await.unwrap();
    let imported = ImportedUser::read(br#"{ "email": "bob@example.com" }"#).unwrap();
    stepup.import_user(&imported).await.unwrap().unwrap();
    let seen = probe.seen();
    for step in [
        "sign_up",
        "create_code",
        "consume_code",
        "factor_info",
        "exists",
        "refresh",
        "end",
        "sign_in",
        "resend_code",
        "merge_metadata",
        "clear_metadata",
        "require_factors",
        "forgive_failures",
        "merge_payload",
        "reset_factors",
        "end_all",
        "change_user",
        "update_user",
        "import_user",
    ] {
        let both = [format!("before {step}"), format!("after {step}")];
        let times = both.map(|place| seen.iter().filter(|seen| **seen == place).count());
        assert!(times[0] > 0 && times[0] == times[1], "{step} {seen:?}");
    }
    for path in [
        "/signup",
        "/signinup/code",
        "/signinup/code/resend",
        "/signinup/code/consume",
        "/mfa/info",
        "/emailpassword/email/exists",
        "/jwt/jwks.json",
        "/session/refresh",
        "/signout",
        "/signin",
    ] {
        for side in ["before_api", "after_api"] {
            assert!(seen.contains(&format!("{side} {path}")), "{side} {path}");
        }
    }
    // The contact's owner is told of it elsewhere, and that passes the hook as well.
    assert!(seen.iter().any(|place| place == "on_notice"), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_stops_a_step_leaves_everything_as_it_was() {
    for (mode, act) in [(Mode::Cookie, Act::Refuse), (Mode::Header, Act::Fail)] {
        let (server, probe) = probed().await;
        let mut ann = half(&server, mode, ANN).await;
        let created = ann.create_code(PHONE).await.json();
        let code = server.code().await;
        server.moved(16).await;
        let before = state(&server).await;

        let mut nobody = server.client(mode);
        for place in ["before_api /signup", "before sign_up"] {
            probe.act(place, act);
            assert_stopped(&nobody.sign_up("bob@example.com").await, act);
        }
        for place in ["before_api /signin", "before sign_in"] {
            probe.act(place, act);
            assert_stopped(&nobody.sign_in(ANN).await, act);
        }
        for place in ["before_api /signinup/code", "before create_code"] {
            probe.act(place, act);
            assert_stopped(&ann.create_code(PHONE).await, act);
        }
        for place in ["before_api /signinup/code/resend", "before resend_code"] {
            probe.act(place, act);
            assert_stopped(&ann.resend(&created).await, act);
        }
        for place in ["before_api /signinup/code/consume", "before consume_code"] {
            probe.act(place, act);
            assert_stopped(&ann.consume(&created, &code).await, act);
        }
        for place in ["before_api /signout", "before end"] {
            probe.act(place, act);
            assert_stopped(&ann.clone().sign_out().await, act);
        }
        for place in ["before_api /mfa/info", "before factor_info"] {
            probe.act(place, act);
            assert_stopped(&ann.call("PUT", "/auth/mfa/info", None, &[]).await, act);
        }
        for place in ["before_api /session/refresh", "before refresh"] {
            probe.act(place, act);
            let refused = ann.clone().refresh().await;
            match act {
                // No client understands a refresh that is refused in words.
                Act::Refuse => assert!(
                    refused.status == 401 && refused.clears_everything(),
                    "{refused:?}"
                ),
                Act::Fail => assert_stopped(&refused, act),
            }
        }
        assert_eq!(state(&server).await, before);
        // Nothing was spent either.
        probe.rest();
        assert_eq!(ann.consume(&created, &code).await.status_field(), "OK");
        assert!(ann.completed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_a_hook_stops_is_not_opened_and_its_account_not_made() {
    for (mode, act) in [(Mode::Header, Act::Refuse), (Mode::Cookie, Act::Fail)] {
        let (server, probe) = probed().await;
        half(&server, mode, ANN).await.sign_out().await;
        let before = server.dump().await;
        probe.act("on_session", act);
        let mut client = server.client(mode);
        assert_stopped(&client.sign_up("bob@example.com").await, act);
        assert_stopped(&client.sign_in(ANN).await, act);
        assert_eq!(server.dump().await, before);
        probe.rest();
        assert_eq!(client.sign_up("bob@example.com").await.status_field(), "OK");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_a_hook_stops_leaves_no_code_behind() {
    for (mode, act) in [(Mode::Header, Act::Refuse), (Mode::Cookie, Act::Fail)] {
        let (server, probe) = probed().await;
        let mut ann = half(&server, mode, ANN).await;
        let before = (server.dump().await, server.sent().await.len());
        probe.act("on_delivery", act);
        assert_stopped(&ann.create_code(PHONE).await, act);
        assert_eq!((server.dump().await, server.sent().await.len()), before);
        probe.rest();
        let created = ann.create_code(PHONE).await.json();
        server.moved(16).await;
        let before = (server.dump().await, server.sent().await.len());
        probe.act("on_delivery", act);
        assert_stopped(&ann.resend(&created).await, act);
        assert_eq!((server.dump().await, server.sent().await.len()), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_fails_afterwards_takes_back_what_was_to_be_handed_out() {
    for mode in MODES {
        for place in ["after sign_up", "after_api /signup"] {
            let (server, probe) = probed().await;
            probe.act(place, Act::Fail);
            let mut ann = server.client(mode);
            assert_stopped(&ann.sign_up(ANN).await, Act::Fail);
            assert_eq!(sessions(&server).await, 0, "{place}");
            // The account is made; its owner signs in.
            probe.rest();
            assert_eq!(ann.sign_in(ANN).await.status_field(), "OK");
        }
        for place in ["after sign_in", "after_api /signin"] {
            let (server, probe) = probed().await;
            half(&server, mode, ANN).await.sign_out().await;
            probe.act(place, Act::Fail);
            assert_stopped(&server.client(mode).sign_in(ANN).await, Act::Fail);
            assert_eq!(sessions(&server).await, 0, "{place}");
        }
        for place in ["after consume_code", "after_api /signinup/code/consume"] {
            let (server, probe) = probed().await;
            let mut ann = returning(&server, mode, ANN, PHONE).await;
            let created = ann.create_code(PHONE).await.json();
            let code = server.code().await;
            probe.act(place, Act::Fail);
            assert_stopped(&ann.consume(&created, &code).await, Act::Fail);
            // It was raised, and nobody holds a token that says so.
            assert_eq!(sessions(&server).await, 0, "{place}");
            assert_eq!(ann.get("/api/me").await.status, 401);
        }
        for place in ["after refresh", "after_api /session/refresh"] {
            let (server, probe) = probed().await;
            let mut ann = half(&server, mode, ANN).await;
            probe.act(place, Act::Fail);
            assert_stopped(&ann.refresh().await, Act::Fail);
            // As after a lost answer: the same token gets the same successor.
            probe.rest();
            assert_eq!(ann.refresh().await.status, 200);
        }
    }
}

async fn sessions(server: &Server) -> i64 {
    server.number("SELECT count(*) FROM stepup_session").await
}

/// Changes what a step holds, or the step itself.
#[derive(Debug)]
struct Changes;

#[async_trait]
impl Hook for Changes {
    async fn before(&self, _: &Cx<'_>, step: &mut Step) -> Result<(), Stop> {
        match step {
            Step::SignUp { email } | Step::SignIn { email } if email.ends_with(".old") => {
                *email = email.replace(".old", "");
            }
            Step::Exists { contact } if contact.ends_with(".old") => *contact = contact.replace(".old", ""),
            Step::SignIn { .. } => *step = Step::Refresh,
            _ => {}
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_may_change_what_a_step_holds_and_not_which_step_it_is() {
    let server = Server::start_adding(|builder| builder.hook(Changes)).await;
    let mut ann = server.client(Mode::Cookie);
    let body = ann.sign_up("ann@example.com.old").await.json();
    assert_eq!(body["user"]["emails"], json!([ANN]));
    assert_eq!(ann.sign_in("ann@example.com.old").await.status_field(), "OK");
    let before = state(&server).await;
    let mut other = server.client(Mode::Cookie);
    assert_stopped(&other.sign_in(ANN).await, Act::Fail);
    assert_eq!(state(&server).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_for_the_contact_that_a_hook_left() {
    let server = Server::start_adding(|builder| {
        let mailboxes = Passwordless::email(Outbox::new()).only_first_factor();
        builder.factor(mailboxes).hook(Changes)
    })
    .await;
    let (stepup, caller) = (&server.site.stepup, Caller::internal());
    let own = Contact::email("cleo@example.com").unwrap();
    assert!(matches!(
        stepup.sign_in_up(&caller, &own).await.unwrap(),
        FirstOutcome::SignedIn { created: true, .. }
    ));
    let old = Contact::email("cleo@example.com.old").unwrap();
    assert_eq!(
        stepup.contact_exists(&caller, &old).await.unwrap(),
        Exists::Known(true)
    );
}

/// Puts something into the payload of new sessions; keeps the session of a call that has one.
#[derive(Debug)]
struct Drafts;

fn seen() -> BooleanClaim {
    BooleanClaim::set_only("seen")
}

#[async_trait]
impl Hook for Drafts {
    async fn on_session(&self, cx: &Cx<'_>, draft: &mut SessionDraft<'_>) -> Result<(), Stop> {
        let email = draft.user.methods[0].email.clone().unwrap_or_default();
        if email.starts_with("forger") {
            draft.put("2fa-completed", json!({ "v": true, "t": 1 }));
        }
        if email.starts_with("nobody") {
            draft.keep_session()?;
        }
        if cx.session().is_some() {
            draft.keep_session()?;
        }
        draft.put("from", email);
        draft.set_claim(&seen(), &cx.session().is_some())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_writes_the_payload_of_a_new_session_but_nothing_that_decides() {
    let server = Server::start_adding(|builder| builder.hook(Drafts)).await;
    for mode in MODES {
        let mut ann = server.client(mode);
        ann.sign_up(&format!("ann-{mode:?}@example.com")).await;
        assert_eq!(
            ann.payload()["from"],
            format!("ann-{mode:?}@example.com").to_lowercase()
        );
        assert_eq!(ann.payload()["seen"]["v"], false);
        assert!(!ann.completed());
        assert_eq!(ann.refresh().await.status, 200);
        assert_eq!(ann.payload()["seen"]["v"], false);
        let before = server.dump().await;
        let mut forger = server.client(mode);
        assert_stopped(&forger.sign_up("forger@example.com").await, Act::Fail);
        // Nothing to keep; and with an old token a refresh may help.
        let refused = forger.sign_up("nobody@example.com").await;
        assert_eq!(
            (refused.status, refused.message().as_str()),
            (401, "unauthorised")
        );
        assert!(refused.touches_no_token());
        let mut late = ann.clone();
        server.moved(5 * 60).await;
        let refused = late.sign_up("nobody@example.com").await;
        assert_eq!(
            (refused.status, refused.message().as_str()),
            (401, "try refresh token")
        );
        assert!(refused.touches_no_token());
        assert_eq!(server.dump().await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_session_gets_what_was_put_and_no_new_one_is_opened() {
    for mode in MODES {
        let server = Server::start_adding(|builder| builder.hook(Drafts)).await;
        let mut bob = server.client(mode);
        bob.sign_up("bob@example.com").await;
        bob.sign_out().await;
        let mut ann = server.client(mode);
        ann.sign_up(ANN).await;
        let (before, rows) = (ann.clone(), sessions(&server).await);
        let kept = ann.sign_in("bob@example.com").await;
        assert_eq!(kept.status_field(), "OK", "{kept:?}");
        assert_eq!(kept.json()["user"]["emails"], json!(["bob@example.com"]));
        // Ann is Ann still, in her session, which knows of it.
        assert_eq!((ann.handle(), ann.user_id()), (before.handle(), before.user_id()));
        assert_eq!(ann.payload()["seen"]["v"], true);
        assert_eq!(ann.payload()["exp"], before.payload()["exp"]);
        assert_eq!(ann.refresh_token(), before.refresh_token());
        assert_eq!(sessions(&server).await, rows);
        assert_eq!(ann.refresh().await.status, 200);
        assert_eq!(ann.payload()["seen"]["v"], true);
        assert!(!ann.completed());
        // A session that was ended elsewhere cannot be kept.
        let stale = ann.clone();
        server.execute("DELETE FROM stepup_session").await;
        let refused = stale.clone().sign_in("bob@example.com").await;
        assert_eq!(
            (refused.status, refused.message().as_str()),
            (401, "unauthorised")
        );
        assert_eq!(sessions(&server).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_of_the_applications_own_has_its_hooks_and_can_be_kept_out_of_a_new_session() {
    fn app(site: demo_common::Site) -> axum::Router {
        async fn log_in(sign_in: SignIn) -> Result<(), Rejection> {
            sign_in.complete(&"own-1".into(), External::knowledge()).await?;
            Ok(())
        }
        axum::Router::new()
            .route("/login", axum::routing::post(log_in))
            .merge(stepup::axum::routes(&site.wire))
            .layer(stepup::axum::layer(&site.wire))
    }
    for mode in MODES {
        let server = Server::start_router_adding(app, |builder| builder.hook(Drafts)).await;
        let mut own = server.client(mode);
        assert_eq!(own.call("POST", "/login", None, &[]).await.status, 200);
        assert_eq!(
            (own.user_id().as_str(), own.payload()["seen"]["v"].clone()),
            ("own-1", json!(false))
        );
        let mut ann = server.client(mode);
        ann.sign_up(ANN).await;
        let before = ann.clone();
        assert_eq!(ann.call("POST", "/login", None, &[]).await.status, 200);
        assert_eq!((ann.handle(), ann.user_id()), (before.handle(), before.user_id()));
        assert_eq!(ann.payload()["seen"]["v"], true);
        assert_eq!(ann.refresh_token(), before.refresh_token());
    }
    let probe = Probe::default();
    let hook = probe.clone();
    let server = Server::start_router_adding(app, move |builder| builder.hook(hook.clone())).await;
    let before = state(&server).await;
    for place in ["before sign_in_external", "on_session"] {
        for (act, status) in [(Act::Refuse, 403), (Act::Fail, 500)] {
            probe.act(place, act);
            let refused = server
                .client(Mode::Cookie)
                .call("POST", "/login", None, &[])
                .await;
            assert_eq!(refused.status, status, "{refused:?}");
            assert!(refused.touches_no_token());
        }
    }
    assert_eq!(state(&server).await, before);
    probe.act("after sign_in_external", Act::Fail);
    assert_eq!(
        server
            .client(Mode::Cookie)
            .call("POST", "/login", None, &[])
            .await
            .status,
        500
    );
    assert_eq!(sessions(&server).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_that_sign_in_have_their_hooks_and_leave_nothing_when_stopped() {
    let probe = Probe::default();
    let (hook, mailbox) = (probe.clone(), Outbox::new());
    let by_mail = mailbox.clone();
    let server = Server::start_adding(move |builder| {
        builder
            .factor(Passwordless::email(by_mail.clone()).only_first_factor())
            .hook(hook.clone())
    })
    .await;
    let stepup = &server.site.stepup;
    let caller = Caller::internal();
    let contact = Contact::email("cleo@example.com").unwrap();
    let code = async || {
        server.site.settle().await;
        mailbox.sent().last().and_then(|sent| sent.code.clone())
    };
    let before = state(&server).await;
    for place in ["before create_code", "on_delivery"] {
        for act in [Act::Refuse, Act::Fail] {
            probe.act(place, act);
            assert!(stepup.create_first_code(&caller, &contact).await.is_err());
        }
    }
    assert_eq!((state(&server).await.0, code().await), (before.0, None));
    probe.rest();
    let sent = stepup
        .create_first_code(&caller, &contact)
        .await
        .unwrap()
        .unwrap();
    let typed = code().await.unwrap();
    let to = stepup
        .contact_of_code(&caller.tenant, &sent.challenge)
        .await
        .unwrap();
    assert_eq!(to.as_deref(), Some(contact.as_str()));
    server.moved(16).await;

    let before = state(&server).await;
    let opened = OpenedBy::Code {
        device: &sent.device,
        typed: &typed,
    };
    for act in [Act::Refuse, Act::Fail] {
        probe.act("before resend_code", act);
        assert!(stepup.resend_first_code(&caller, &sent.device).await.is_err());
        probe.act("before check_code", act);
        assert!(
            stepup
                .check_first_code(&caller, &sent.device, &typed)
                .await
                .is_err()
        );
        probe.act("before consume_code", act);
        assert!(stepup.consume_first_code(&caller, opened).await.is_err());
        probe.act("before sign_in_up", act);
        assert!(stepup.sign_in_up(&caller, &contact).await.is_err());
        probe.act("on_session", act);
        assert!(stepup.sign_in_up(&caller, &contact).await.is_err());
        probe.act("before exists", act);
        assert!(stepup.contact_exists(&caller, &contact).await.is_err());
        probe.act("before revoke_code", act);
        assert!(
            stepup
                .revoke_first_code(&caller.tenant, &sent.challenge)
                .await
                .is_err()
        );
        probe.act("before revoke_codes", act);
        assert!(stepup.revoke_first_codes(&caller.tenant, &contact).await.is_err());
    }
    assert_eq!(state(&server).await, before);
    // Afterwards: the account is made, and nobody is signed in.
    probe.act("after consume_code", Act::Fail);
    assert!(stepup.consume_first_code(&caller, opened).await.is_err());
    assert_eq!(sessions(&server).await, 0);
    assert!(!probe.shown.lock().unwrap().contains(&typed));
}

/// Asks stepup for more in the middle of a step.
#[derive(Debug)]
struct Asks;

#[async_trait]
impl Hook for Asks {
    async fn after(&self, cx: &Cx<'_>, step: &Step, done: &Done<'_>) -> Result<(), Source> {
        if let Done::SignedIn { user, .. } = done {
            assert_ne!(step.name(), "merge_metadata");
            let patch = json!({ "last": cx.now().as_ms() }).as_object().unwrap().clone();
            cx.stepup()
                .merge_metadata(&user.tenant, &user.id, &patch)
                .await??;
        }
        if step.name() == "merge_metadata" {
            return Err("a hook that calls itself".into());
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_hook_asks_of_stepup_calls_no_hook() {
    let server = Server::start_adding(|builder| builder.hook(Asks)).await;
    let ann = half(&server, Mode::Header, ANN).await;
    let user = UserId::from(ann.user_id().as_str());
    let (stepup, public) = (&server.site.stepup, TenantId::public());
    let metadata = stepup.metadata(&public, &user).await.unwrap();
    assert!(metadata["last"].as_i64().unwrap() > 0);
    let patch = json!({ "x": 1 }).as_object().unwrap().clone();
    assert!(stepup.merge_metadata(&public, &user, &patch).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_is_shown_no_password_no_code_and_no_token() {
    for mode in MODES {
        let (server, probe) = probed().await;
        let mut ann = half(&server, mode, ANN).await;
        let mut secrets = tokens(&ann);
        let created = ann.create_code(PHONE).await.json();
        secrets.push(server.code().await);
        secrets.push(created["deviceId"].as_str().unwrap().to_owned());
        ann.consume(&created, &secrets[2].clone()).await;
        secrets.extend(tokens(&ann));
        ann.refresh().await;
        secrets.extend(tokens(&ann));
        ann.call("PUT", "/auth/mfa/info", None, &[]).await;
        ann.post("/auth/signin", form(ANN, "another wrong password"))
            .await;
        ann.sign_out().await;
        let shown = probe.shown.lock().unwrap().clone();
        assert!(shown.contains(ANN) && shown.contains(PHONE));
        secrets.extend([PASSWORD.to_owned(), "another wrong password".to_owned()]);
        for secret in secrets {
            assert!(!shown.contains(&secret), "{secret}");
        }
    }
}

/// The tokens that a client holds.
fn tokens(client: &Client) -> Vec<String> {
    let both = [client.access_token(), client.refresh_token()];
    both.map(|token| token.unwrap().to_owned()).to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_hooks_a_session_beside_a_sign_in_is_not_looked_at() {
    let server = Server::start().await;
    let mut ann = half(&server, Mode::Header, ANN).await;
    let before = ann.handle();
    let answer = ann.sign_in(ANN).await;
    assert_eq!(answer.json()["status"], Value::from("OK"));
    assert_ne!(ann.handle(), before);
}
