//! Spans and events of every crate, at the lowest level: what they name, and that they hold no secret and no address
//! (R-LOG-1). It is a part of another suite than its neighbors, since it listens to the whole process.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::kit::{MODES, PHONE, Server, form, half, wrong};

/// Every field of every span and event, a line each.
#[derive(Clone, Default)]
struct Capture(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

impl<S: Subscriber> Layer<S> for Capture {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let about = attributes.metadata();
        let mut line = Line(format!(
            "{} span {} #{}",
            about.target(),
            about.name(),
            id.into_u64()
        ));
        attributes.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut line = Line(format!("recorded #{}", id.into_u64()));
        values.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line(format!("{} event", event.metadata().target()));
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sec_06_spans_name_endpoint_step_tenant_and_outcome_and_hold_no_secret() {
    let capture = Capture::default();
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(capture.clone())).unwrap();
    // Of this test alone; others run beside it.
    let (address, number, password) = ("canary-7f3@example.com", "+41791239876", "canary password 7f3");
    let mut secrets = Vec::new();
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = server.client(mode);
        ann.post("/auth/signup", form(address, password)).await;
        let keep = |secrets: &mut Vec<String>, ann: &crate::kit::Client| {
            let both = [ann.access_token(), ann.refresh_token()];
            secrets.extend(both.into_iter().flatten().map(str::to_owned));
        };
        keep(&mut secrets, &ann);
        let created = ann.create_code(number).await.json();
        let code = server.code().await;
        secrets.push(created["deviceId"].as_str().unwrap().to_owned());
        ann.consume(&created, &wrong(&code)).await;
        ann.consume(&created, &code).await;
        keep(&mut secrets, &ann);
        // A code is six digits, which a time or a digest may contain: as a value of its own it must not stand there.
        secrets.push(format!("={code} "));
        secrets.push(format!("\"{code}\""));
        ann.refresh().await;
        keep(&mut secrets, &ann);
        ann.get("/auth/emailpassword/email/exists?email=canary-7f3%40example.com")
            .await;
        ann.post("/auth/signin", form(address, "canary wrong 7f3 password"))
            .await;
        ann.get("/api/admin").await;
        // What breaks is written down with its source, and that holds no value of a statement.
        server.execute("ALTER TABLE stepup_session RENAME TO away").await;
        ann.create_code(number).await;
        ann.post("/auth/signin", form(address, password)).await;
        ann.refresh().await;
        server.execute("ALTER TABLE away RENAME TO stepup_session").await;
        ann.sign_out().await;
        half(&server, mode, "other@example.com")
            .await
            .create_code(PHONE)
            .await;
    }
    let lines = capture.0.lock().unwrap().clone();
    let all = lines.join("\n");
    let has = |parts: &[&str]| {
        lines
            .iter()
            .any(|line| parts.iter().all(|part| line.contains(part)))
    };
    for endpoint in [
        "/signup",
        "/signinup/code",
        "/signinup/code/consume",
        "/session/refresh",
        "/signout",
    ] {
        assert!(
            has(&[
                "stepup::api span api",
                &format!("endpoint=\"{endpoint}\""),
                "tenant=\"public\""
            ]),
            "{endpoint}"
        );
    }
    for step in [
        "sign_up",
        "create_code",
        "consume_code",
        "refresh",
        "exists",
        "sign_in",
        "end",
    ] {
        assert!(
            has(&[
                "stepup::core span step",
                &format!("step=\"{step}\""),
                "tenant=\"public\""
            ]),
            "{step}"
        );
    }
    for recorded in [
        "status=200",
        "outcome=\"signed_in\"",
        "outcome=\"incorrect\"",
        "outcome=\"wrong_credentials\"",
    ] {
        assert!(has(&["recorded", recorded]), "{recorded}");
    }
    for event in [
        "account.created",
        "session.opened",
        "code.sent",
        "code.answered",
        "access.denied",
    ] {
        assert!(has(&["stepup::audit event", event]), "{event}");
    }
    secrets.extend(
        [
            address,
            "canary-7f3",
            number,
            "1239876",
            password,
            "canary wrong 7f3",
        ]
        .map(str::to_owned),
    );
    for secret in &secrets {
        let line = lines.iter().find(|line| line.contains(secret.as_str()));
        assert!(line.is_none(), "{secret} in {line:?}");
    }
    assert!(!all.is_empty() && secrets.len() > 20);
}
