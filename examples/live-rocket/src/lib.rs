//! A WebSocket and an event stream on Rocket that end with their session: what `examples/live` is on Axum.
//!
//! A guard judges how a request begins. A connection that stays open for hours must also end when the user signs out, when
//! an administrator ends the session, when the token expires, and when the session does not meet any more what was asked:
//! that is what [`until_ended`](stepup::wire::Session::until_ended) waits for.

use std::time::Duration;

use rocket::futures::{SinkExt, StreamExt};
use rocket::response::stream::{Event, EventStream};
use rocket::{Build, Config, Rocket, get, routes};
use rocket_ws::frame::{CloseCode, CloseFrame};
use rocket_ws::stream::DuplexStream;
use rocket_ws::{Channel, Message, WebSocket};
use stepup::rocket::{Fresh, Require2fa, Session};
use stepup::{Ending, Stepup};

/// The application.
pub fn app(stepup: &Stepup, config: Config) -> Rocket<Build> {
    rocket::custom(config)
        .mount("/", routes![socket, events, fresh_events])
        .attach(stepup::rocket::fairing(stepup))
}

// The guard comes first: it has also judged the origin, since a handshake is a GET that opens a door for writing.
#[get("/socket")]
fn socket(session: Session<Require2fa>, socket: WebSocket) -> Channel<'static> {
    let ended = session.until_ended();
    socket.channel(move |socket| Box::pin(talk(socket, ended)))
}

/// Echoes, until one side has enough or the session has ended.
async fn talk(
    mut socket: DuplexStream,
    ended: impl Future<Output = Ending>,
) -> rocket_ws::result::Result<()> {
    let mut ended = std::pin::pin!(ended);
    loop {
        tokio::select! {
            // The end goes first: nothing is answered after it.
            biased;
            why = &mut ended => {
                let frame = CloseFrame { code: CloseCode::Policy, reason: word(why).into() };
                return socket.send(Message::Close(Some(frame))).await;
            }
            message = socket.next() => match message {
                Some(Ok(message @ Message::Text(_))) => socket.send(message).await?,
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(()),
                Some(Ok(_)) => {}
            },
        }
    }
}

#[get("/events")]
fn events(session: Session<Require2fa>) -> EventStream![] {
    ticks_until(session.until_ended())
}

/// The same where the second factor must be fresh: the stream ends when it is not any more.
#[get("/events/fresh")]
fn fresh_events(session: Session<Fresh<300>>) -> EventStream![] {
    ticks_until(session.until_ended())
}

/// An event at once and then every second, and a last one that says why it ends.
fn ticks_until(ended: impl Future<Output = Ending> + Send + 'static) -> EventStream![] {
    EventStream! {
        let mut ended = std::pin::pin!(ended);
        for count in 0_u64.. {
            yield Event::data(count.to_string()).event("tick");
            tokio::select! {
                biased;
                why = &mut ended => {
                    yield Event::data(word(why)).event("end");
                    break;
                }
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
    }
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
