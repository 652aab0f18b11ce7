//! What tests stand on. For applications: stepup in memory and requests of people who signed in ([`app`]), a
//! provider of identities ([`provider`]). For stepup
//! itself: a clock in hand, a store that fails on demand, and suites that prove a part from outside.

pub mod app;
pub mod clock;
pub mod faults;
pub mod mailbox;
pub mod provider;
pub mod suite;
pub mod transcript;
