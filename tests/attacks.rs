//! Attacks by their row ids, over real HTTP on the demo and an SQLite file.

mod kit;
mod subject;

#[path = "attacks/bad_input.rs"]
mod bad_input;
#[path = "attacks/claims.rs"]
mod claims;
#[path = "attacks/codes.rs"]
mod codes;
#[path = "attacks/contact.rs"]
mod contact;
#[path = "attacks/contact_guesses.rs"]
mod contact_guesses;
#[path = "attacks/cookies.rs"]
mod cookies;
#[path = "attacks/coverage.rs"]
mod coverage;
#[path = "attacks/csrf.rs"]
mod csrf;
#[path = "attacks/database.rs"]
mod database;
#[path = "attacks/endpoints.rs"]
mod endpoints;
#[path = "attacks/enumeration.rs"]
mod enumeration;
#[path = "attacks/expect.rs"]
mod expect;
#[path = "attacks/injection.rs"]
mod injection;
#[path = "attacks/leave.rs"]
mod leave;
#[path = "attacks/legacy.rs"]
mod legacy;
#[path = "attacks/linking.rs"]
mod linking;
#[path = "attacks/mailbox.rs"]
mod mailbox;
#[path = "attacks/messages.rs"]
mod messages;
#[path = "attacks/oauth.rs"]
mod oauth;
#[path = "attacks/own.rs"]
mod own;
#[path = "attacks/passwordless.rs"]
mod passwordless;
#[path = "attacks/passwords.rs"]
mod passwords;
#[path = "attacks/privacy.rs"]
mod privacy;
#[path = "attacks/reset.rs"]
mod reset;
#[path = "attacks/resources.rs"]
mod resources;
#[path = "attacks/routes_only.rs"]
mod routes_only;
#[path = "attacks/second_factor.rs"]
mod second_factor;
#[path = "attacks/secrets.rs"]
mod secrets;
#[path = "attacks/senders.rs"]
mod senders;
#[path = "attacks/sessions.rs"]
mod sessions;
#[path = "attacks/tenants.rs"]
mod tenants;
#[path = "attacks/throttles.rs"]
mod throttles;
#[path = "attacks/time.rs"]
mod time;
#[path = "attacks/tokens.rs"]
mod tokens;
#[path = "attacks/undo.rs"]
mod undo;
#[path = "attacks/updates.rs"]
mod updates;
#[path = "attacks/verification.rs"]
mod verification;

use kit::{framework, thread};
