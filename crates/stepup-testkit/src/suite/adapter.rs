//! What an adapter has to do, as sentences that can be false.
//!
//! An adapter is proved by an [`Application`] on it, always the same one, which answers over a real socket:
//!
//! | route | arguments of its handler | answer |
//! | --- | --- | --- |
//! | `GET /any` | `Session<AnySession>` | the user's id |
//! | `GET /plain` | `Session` | `in` |
//! | `GET /secret`, `POST /secret` | `Session<Require2fa>` | `in` |
//! | `GET /fresh` | `Session<Fresh<300>>` | `in` |
//! | `GET /refuses` | `Session<`[`Never`]`>` | `in` |
//! | `GET /panics` | `OptionalSession<`[`Breaks`]`>` | `in` |
//! | `GET /optional` | `OptionalSession<AnySession>` | the user's id, or `nobody` |
//! | `POST /plan` | `Session<AnySession>` | it merges [`plan`] into the payload, and answers `merged` |
//! | `POST /plan/refused` | the same | it merges, and fails with an error of the application's own, status 418 |
//! | `POST /plan/panics` | the same | it merges, and panics; what catches that stands inside of stepup, and answers 500 |
//! | `POST /due` | `Session<`[`Due`]`>`, and the framework's own reader of JSON | `in` |
//! | `POST /leave` | `Session<AnySession>` | it revokes the session, and answers `left` |
//! | `POST /login` | `SignIn`, JSON as [`login`] writes it | see [`Login`] |
//! | `GET /scope/in`, `POST /scope/in` | none; a guard around the scope asks `Require2fa` | `in` |
//!
//! Bodies are plain text. What else is asked for may be answered as the framework does. The endpoints of the protocol
//! are mounted beside these, and the adapter's layer goes around everything, if [`Application::layered`] says so.
//!
//! ```ignore
//! stepup_testkit::adapter_suite!(async |listener: std::net::TcpListener, app: Application| {
//!     Some(tokio::spawn(serve(listener, app)))
//! });
//! ```
//!
//! makes one test of each sentence; [`run`] runs them all in a test of your own. What is handed back is kept as long as the
//! server is needed.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a sentence that is false of an adapter panics: that is its verdict"
)]

mod application;
mod commit;
mod connections;
mod guards;
mod protocol;
mod subject;

use std::net::{SocketAddr, TcpListener};

pub use self::application::{Application, Breaks, Due, Login, Never, login, plan};
pub use self::subject::Subject;
pub use self::{commit::*, connections::*, guards::*, protocol::*};

/// Proves one sentence: has an application served and hands it over, on a runtime of several threads.
///
/// # Panics
/// The sentence is false of this adapter.
pub fn prove<Guard>(
    sentence: impl AsyncFnOnce(Subject),
    serve: impl AsyncFnOnce(TcpListener, Application) -> Option<Guard>,
) {
    on_a_runtime(async {
        let (subject, application) = Subject::new().await;
        let (listener, address) = listen();
        let guard = serve(listener, application).await;
        let guard = guard.expect("an application with its layer starts");
        sentence(subject.at(address)).await;
        drop(guard);
    });
}

/// Without the layer nothing is admitted: every guard answers 500 with a `message`, or the application does not start.
///
/// # Panics
/// The sentence is false of this adapter.
pub fn without_the_layer_nothing_is_admitted<Guard>(
    serve: impl AsyncFnOnce(TcpListener, Application) -> Option<Guard>,
) {
    on_a_runtime(async {
        let (subject, application) = Subject::new().await;
        let (listener, address) = listen();
        if let Some(guard) = serve(listener, application.without_layer()).await {
            guards::nothing_is_admitted(subject.at(address)).await;
            drop(guard);
        }
    });
}

/// A listener on a free port of this machine.
fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

fn on_a_runtime(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("a runtime starts");
    runtime.block_on(work);
}

/// Declares the list once: [`run`] and the macro `adapter_suite!` follow from it.
macro_rules! sentences {
    ($dollar:tt $($sentence:ident)*) => {
        /// Proves every sentence, each on a server of its own, one after the other.
        ///
        /// # Panics
        /// One of them is false of this adapter.
        pub fn run<Guard>(serve: impl AsyncFn(TcpListener, Application) -> Option<Guard>) {
            $(prove($sentence, &serve);)*
            without_the_layer_nothing_is_admitted(&serve);
        }

        /// Makes a test of each sentence of [`suite::adapter`](crate::suite::adapter). Takes an async closure or function
        /// that serves an application behind a listener; none if it does not start.
        #[macro_export]
        macro_rules! adapter_suite {
            ($dollar serve:expr) => {
                $(
                    #[test]
                    fn $sentence() {
                        $crate::suite::adapter::prove($crate::suite::adapter::$sentence, $dollar serve);
                    }
                )*

                #[test]
                fn without_the_layer_nothing_is_admitted() {
                    $crate::suite::adapter::without_the_layer_nothing_is_admitted($dollar serve);
                }
            };
        }
    };
}

sentences! { $
    // The protocol.
    every_endpoint_answers_as_the_protocol_says
    every_transcript_holds
    a_session_lives_from_sign_up_to_sign_out_by_cookie
    a_session_lives_from_sign_up_to_sign_out_by_header

    // Guards.
    a_route_admits_who_meets_what_it_asks
    what_changes_something_is_taken_from_our_own_pages_only
    a_session_is_optional_for_who_carries_no_token_only
    a_scope_is_guarded_as_a_whole
    a_requirement_that_breaks_admits_nobody
    a_sign_in_of_the_applications_own_opens_a_session
    a_sign_in_of_the_applications_own_is_throttled
    a_sign_in_of_the_applications_own_is_not_for_foreign_pages

    // What is owed to the response.
    a_change_reaches_the_client_of_a_handler_that_succeeds
    a_change_reaches_the_client_of_a_handler_that_fails
    a_change_reaches_the_client_of_a_handler_that_panics
    what_a_guard_owes_is_paid_though_a_later_argument_fails
    a_session_that_is_over_is_taken_from_the_client
    a_session_that_is_left_is_taken_from_the_client
    every_answer_can_be_read_by_our_pages_and_no_others
    every_preflight_is_answered_before_the_application

    // Connections.
    nothing_of_a_request_is_left_for_the_next_on_its_connection
    requests_at_once_keep_their_answers_apart
    a_client_that_hangs_up_takes_nobody_along
}
