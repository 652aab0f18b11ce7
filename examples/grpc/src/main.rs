//! `cargo run -p demo-axum`, then `cargo run -p on-grpc` beside it.
//!
//! ```sh
//! cd examples/grpc/proto; R='-plaintext -proto reports.proto localhost:50051 acme.reports.v1.Reports/Read'
//! grpcurl $R                                           # Unauthenticated: no session
//! grpcurl -H "authorization: Bearer $TOKEN" -d '{"name":"q3"}' $R  # st-access-token of the demo: PermissionDenied, then a report
//! ```

use std::env;
use std::error::Error;

use stepup::verify::Verifier;
use tonic::transport::server::TcpIncoming;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let issuer = env::var("ISSUER").unwrap_or_else(|_| "http://localhost:3000/auth".to_owned());
    let verifier = Verifier::from_jwks(format!("{issuer}/jwt/jwks.json"))
        .issuer(issuer)
        .start()
        .await?;
    let listen = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:50051".to_owned());
    let incoming = TcpIncoming::bind(listen.parse()?)?;
    on_grpc::app(&verifier).serve_with_incoming(incoming).await?;
    Ok(())
}
