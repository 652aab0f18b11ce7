//! The application of the tests whose subject the demo does not have: the same routes on each framework.
//!
//! | route | what it asks, and does |
//! | --- | --- |
//! | `GET /required`, `/optional` | any session; shows it |
//! | `GET /checked` | any session, by the store |
//! | `POST /merge`, `/merge/{status}` | merges its body into the payload, and answers that status |
//! | `GET /any`, `/plain`, `/policy`, `/second` | `AnySession`, nothing named, `SitePolicy`, `Require2fa` |
//! | `POST /zeta`, `GET /zeta/mine`, `/zeta/any` | sets a claim; asks it, beside the policy and alone |
//! | `GET /admin`, `/recent`, `/seven`, `/terms`, `/only`, `/any/admin` | the claims of [`claims`] |
//! | `POST /accept`, `/withdraw`, `/assert` | sets, removes and asks one in the handler |
//! | `POST /login/{user}/{change}` | a log-in of the application's own, during which the user changes |

mod actix;
mod axum;
pub mod claims;
mod rocket;

use std::net::TcpListener;

use serde_json::{Value, json};
use stepup::flow::Changed;
use stepup::wire::{Session, SessionError, Wire};
use stepup::{Requirement, Stepup, TenantId, UserId};

use super::framework::Framework;
use super::serving::{Serving, answers};
use super::thread::OnThread;

/// What happens to a user while its log-in is under way; nothing, behind the last.
pub const CHANGES: [Changed; 4] = [
    Changed::Password,
    Changed::Contact,
    Changed::Disabled,
    Changed::Deleted,
];

/// What the application holds.
#[derive(Clone)]
pub struct Own {
    pub stepup: Stepup,
    pub wire: Wire,
}

/// Serves the application on the framework of this run.
pub async fn serve(listener: TcpListener, own: Own) -> Serving {
    match Framework::chosen() {
        Framework::Axum => Serving::on_axum(listener, axum::app(own)),
        Framework::Actix => Serving::Thread(OnThread::start(|stop| actix::serve(listener, own, stop))),
        Framework::Rocket => {
            // Rocket binds by itself.
            let address = listener.local_addr().unwrap();
            drop(listener);
            let thread = OnThread::start(move |stop| rocket::serve(address, own, stop));
            answers(address).await;
            Serving::Thread(thread)
        }
    }
}

fn shown<R>(session: &Session<R>) -> String {
    json!({ "user": session.user_id(), "mode": format!("{:?}", session.mode()) }).to_string()
}

fn shown_if_any<R>(session: Option<&Session<R>>) -> String {
    json!({ "user": session.map(|session| session.user_id().clone()) }).to_string()
}

/// Whether `body` was merged; if not, why not.
async fn merge<R: Requirement>(session: &mut Session<R>, body: &[u8]) -> Result<(), String> {
    let Ok(Value::Object(patch)) = serde_json::from_slice(body) else {
        return Err("no object".to_owned());
    };
    let merged = session.merge_payload(&patch).await;
    merged.map_err(|error| error.to_string())
}

async fn zeta<R: Requirement>(session: &mut Session<R>) -> Result<(), SessionError> {
    session.set_claim(&claims::zeta(), 1).await
}

async fn accept<R: Requirement>(session: &mut Session<R>) -> Result<(), SessionError> {
    session.set_claim(&claims::terms(), true).await?;
    assert_eq!(session.claim_value(&claims::terms()), Some(true));
    assert!(session.claim_set_at(&claims::terms()).is_some());
    Ok(())
}

async fn withdraw<R: Requirement>(session: &mut Session<R>) -> Result<(), SessionError> {
    session.remove_claim(&claims::terms()).await?;
    assert_eq!(session.claim_value(&claims::terms()), None);
    Ok(())
}

async fn assert<R: Requirement>(session: &mut Session<R>) -> Result<(), SessionError> {
    let admin = claims::roles().includes("admin").named("admin");
    session.assert_claims([admin]).await
}

/// Another request changes the user.
async fn meanwhile(own: &Own, user: &UserId, change: usize) {
    if let Some(what) = CHANGES.get(change) {
        let changed = own.stepup.user_changed(&TenantId::public(), user, *what).await;
        changed.unwrap();
    }
}
