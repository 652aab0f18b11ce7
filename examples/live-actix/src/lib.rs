//! A WebSocket and an event stream on Actix Web that end with their session.
//!
//! A guard judges how a request begins. A connection that stays open for hours must also end when the user signs out, when
//! an administrator ends the session, when the token expires, and when the session does not meet any more what was asked:
//! that is what [`until_ended`](stepup::wire::Session::until_ended) waits for.

use std::convert::Infallible;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::web::{self, Bytes};
use actix_web::{App, Error, HttpRequest, HttpResponse, rt};
use actix_ws::{CloseCode, CloseReason, Message, MessageStream};
use futures_util::stream::{self, Stream, StreamExt};
use stepup::Ending;
use stepup::actix::{Fresh, Require2fa, Session, Wire};

/// The application. `site` is one for all workers.
pub fn app(
    site: &Wire,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody + use<>>,
        Error = Error,
        InitError = (),
    > + use<>,
> {
    App::new()
        .route("/socket", web::get().to(socket))
        .route("/events", web::get().to(events))
        .route("/events/fresh", web::get().to(fresh_events))
        .configure(stepup::actix::configure(site.clone()))
        .wrap(stepup::actix::middleware(site))
}

// The guard has also judged the origin, since a handshake is a GET that opens a door for writing.
async fn socket(
    session: Session<Require2fa>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, Error> {
    let ended = session.until_ended();
    let (response, socket, messages) = actix_ws::handle(&request, body)?;
    // On the worker that has the connection: neither outlives the other.
    rt::spawn(talk(socket, messages, ended));
    Ok(response)
}

/// Echoes, until one side has enough or the session has ended.
async fn talk(
    mut socket: actix_ws::Session,
    mut messages: MessageStream,
    ended: impl Future<Output = Ending>,
) {
    let mut ended = std::pin::pin!(ended);
    loop {
        tokio::select! {
            // The end goes first: nothing is answered after it.
            biased;
            why = &mut ended => {
                let reason = CloseReason { code: CloseCode::Policy, description: Some(word(why).to_owned()) };
                let _ = socket.close(Some(reason)).await;
                return;
            }
            message = messages.next() => {
                let answered = match message {
                    Some(Ok(Message::Text(text))) => socket.text(text).await,
                    Some(Ok(Message::Ping(bytes))) => socket.pong(&bytes).await,
                    Some(Ok(Message::Close(reason))) => {
                        let _ = socket.close(reason).await;
                        return;
                    }
                    Some(Ok(_)) => Ok(()),
                    Some(Err(_)) | None => return,
                };
                if answered.is_err() {
                    return;
                }
            }
        }
    }
}

async fn events(session: Session<Require2fa>) -> HttpResponse {
    ticks_until(session.until_ended())
}

/// The same where the second factor must be fresh: the stream ends when it is not any more.
async fn fresh_events(session: Session<Fresh<300>>) -> HttpResponse {
    ticks_until(session.until_ended())
}

/// An event at once and then every second, and a last one that says why it ends.
fn ticks_until(ended: impl Future<Output = Ending> + 'static) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .streaming(ticks(ended).map(|event| Ok::<_, Infallible>(Bytes::from(event))))
}

fn ticks(ended: impl Future<Output = Ending> + 'static) -> impl Stream<Item = String> + 'static {
    let ticks = stream::unfold(0_u64, |count| async move {
        if count > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Some((format!("event: tick\ndata: {count}\n\n"), count + 1))
    });
    let (tell, told) = tokio::sync::oneshot::channel();
    let ended = async move {
        // Whoever hung up is told nothing.
        let _ = tell.send(ended.await);
    };
    let last = stream::once(told)
        .filter_map(|why| async move { Some(format!("event: end\ndata: {}\n\n", word(why.ok()?))) });
    ticks.take_until(ended).chain(last)
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
