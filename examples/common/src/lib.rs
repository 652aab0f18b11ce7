//! What the example servers share, whatever framework they run on: no type of a framework is named here.
//!
//! * [`provider`] is who else signs people in.
//! * [`page`] is the page that the demo shows to a person.
//! * [`settings`] reads the environment.
//! * [`site`] puts stepup together from it.
//! * [`answers`] are the answers of the demo's own routes, each an [`Answer`] that the framework writes down.
//! * [`carriers`] take the messages.
//! * [`start`] is what every `main` does.

mod answer;
pub mod answers;
pub mod carriers;
pub mod clock;
pub mod page;
pub mod provider;
pub mod settings;
pub mod site;
pub mod start;

pub use answer::{Answer, Unread};
pub use settings::Settings;
pub use site::Site;
