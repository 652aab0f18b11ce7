//! The acceptance table of the second factor (A1 to A32), the session checklist, and what real clients insist on, over
//! real HTTP on the demo and an SQLite file.

mod kit;

#[path = "acceptance/cases.rs"]
mod cases;
#[path = "acceptance/claims.rs"]
mod claims;
#[path = "acceptance/clients.rs"]
mod clients;
#[path = "acceptance/document.rs"]
mod document;
#[path = "acceptance/email.rs"]
mod email;
#[path = "acceptance/mailbox.rs"]
mod mailbox;
#[path = "acceptance/page.rs"]
mod page;
#[path = "acceptance/provider.rs"]
mod provider;
#[path = "acceptance/second_factor.rs"]
mod second_factor;
#[path = "acceptance/session.rs"]
mod session;
