//! `cargo run -p demo-axum`, then `cargo run -p verify-elsewhere` beside it.
//!
//! ```sh
//! curl -i localhost:3100/report                                    # 401: no session
//! curl -i localhost:3100/report -H "authorization: Bearer $TOKEN"  # st-access-token of the demo: 403, then 200
//! ```

use std::env;
use std::error::Error;
use std::net::SocketAddr;

use stepup::verify::Verifier;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let issuer = env::var("ISSUER").unwrap_or_else(|_| "http://localhost:3000/auth".to_owned());
    let verifier = Verifier::from_jwks(format!("{issuer}/jwt/jwks.json"))
        .issuer(issuer)
        .start()
        .await?;
    let listen = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3100".to_owned());
    let listener = TcpListener::bind(listen).await?;
    // With the peer's address, so that events name the network.
    let app = verify_elsewhere::app(&verifier).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).await?;
    Ok(())
}
