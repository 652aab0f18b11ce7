//! The demo on Rocket. `cargo run -p demo-rocket`, then open <http://localhost:3000>.
//!
//! ```sh
//! curl -i localhost:3000/api/secret                        # 401: nobody is signed in
//! curl -i localhost:3000/auth/signup -H 'content-type: application/json' -d '{"formFields":[{"id":"email","value":"ann@example.com"},{"id":"password","value":"a long enough one"}]}'
//! ```

use std::process::ExitCode;

use demo_common::start;
use demo_rocket::serve::{Port, serve_and_say};

#[tokio::main]
async fn main() -> ExitCode {
    start::run_with(
        async |address| Port::reserve(address),
        |port, site, announce| {
            let address = port.address();
            let say = move || {
                // Rocket has the address now.
                drop(port);
                announce.now()
            };
            serve_and_say(address, site, say, start::interrupted())
        },
    )
    .await
}
