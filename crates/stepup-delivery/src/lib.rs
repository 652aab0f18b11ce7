//! Carriers of codes and notices, the texts that they carry, and what they run on: a thread of its own, or by hand.
//!
//! [`Console`] and [`Outbox`] show what they are given to whoever looks: they are for the own machine, and `build()`
//! refuses them elsewhere.

mod background;
mod console;
mod manual;
mod outbox;
mod template;

pub use background::BackgroundThread;
pub use console::{Both, Console};
pub use manual::Manual;
pub use outbox::{Outbox, Sent};
pub use template::{Text, text};

#[cfg(test)]
mod tests;
