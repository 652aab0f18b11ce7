//! The demo on Actix Web. `cargo run -p demo-actix`, then open <http://localhost:3000>.
//!
//! ```sh
//! curl -i localhost:3000/api/secret                        # 401: nobody is signed in
//! curl -i localhost:3000/auth/signup -H 'content-type: application/json' -d '{"formFields":[{"id":"email","value":"ann@example.com"},{"id":"password","value":"a long enough one"}]}'
//! ```

use std::process::ExitCode;

use demo_common::start;

#[tokio::main]
async fn main() -> ExitCode {
    start::run(|listener, site| demo_actix::serve(listener, site, start::interrupted())).await
}
