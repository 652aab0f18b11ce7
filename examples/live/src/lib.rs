//! A WebSocket and an event stream that end with their session.
//!
//! A guard judges how a request begins. A connection that stays open for hours must also end when the user signs out, when
//! an administrator ends the session, when the token expires, and when the session does not meet any more what was asked:
//! that is what [`until_ended`](stepup::wire::Session::until_ended) waits for.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream::{self, Stream, StreamExt};
use stepup::axum::{Fresh, Require2fa, Session};
use stepup::{Ending, Stepup};

/// The application.
pub fn app(stepup: &Stepup) -> Router {
    Router::new()
        .route("/socket", get(socket))
        .route("/events", get(events))
        .route("/events/fresh", get(fresh_events))
        .merge(stepup::axum::routes(stepup))
        .layer(stepup::axum::layer(stepup))
}

// The guard comes first: it has also judged the origin, since a handshake is a GET that opens a door for writing.
async fn socket(session: Session<Require2fa>, upgrade: WebSocketUpgrade) -> Response {
    let ended = session.until_ended();
    upgrade
        .on_upgrade(move |socket| talk(socket, ended))
        .into_response()
}

/// Echoes, until one side has enough or the session has ended.
async fn talk(mut socket: WebSocket, ended: impl Future<Output = Ending>) {
    let mut ended = std::pin::pin!(ended);
    loop {
        tokio::select! {
            // The end goes first: nothing is answered after it.
            biased;
            why = &mut ended => {
                let frame = CloseFrame { code: close_code::POLICY, reason: word(why).into() };
                let _ = socket.send(Message::Close(Some(frame))).await;
                return;
            }
            message = socket.recv() => match message {
                Some(Ok(message @ Message::Text(_))) => {
                    if socket.send(message).await.is_err() {
                        return;
                    }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
        }
    }
}

async fn events(session: Session<Require2fa>) -> impl IntoResponse {
    ticks_until(session.until_ended())
}

/// The same where the second factor must be fresh: the stream ends when it is not any more.
async fn fresh_events(session: Session<Fresh<300>>) -> impl IntoResponse {
    ticks_until(session.until_ended())
}

/// An event at once and then every second, and a last one that says why it ends.
fn ticks_until(
    ended: impl Future<Output = Ending> + Send + 'static,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let ticks = stream::unfold(0_u64, |count| async move {
        if count > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Some((Event::default().event("tick").data(count.to_string()), count + 1))
    });
    let (tell, told) = tokio::sync::oneshot::channel();
    let ended = async move {
        // Whoever hung up is told nothing.
        let _ = tell.send(ended.await);
    };
    let last = stream::once(told)
        .filter_map(|why| async move { Some(Event::default().event("end").data(word(why.ok()?))) });
    let stream = ticks.take_until(ended).chain(last).map(Ok);
    Sse::new(stream).keep_alive(KeepAlive::default())
}

/// What a client is told. After `expired` it refreshes and comes back; after the others it asks the user.
fn word(why: Ending) -> &'static str {
    match why {
        Ending::Expired => "expired",
        Ending::Revoked => "revoked",
        Ending::Requirement => "requirement",
        Ending::Fault => "fault",
    }
}
