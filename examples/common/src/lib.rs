//! What the example servers share, whatever framework they run on: no type of a framework is named here.
//!
//! * [`page`] is the page that the demo shows to a person.
//! * [`settings`] reads the environment.
//! * [`site`] puts stepup together from it.
//! * [`answers`] are the bodies of the demo's own routes.

pub mod answers;
pub mod clock;
pub mod page;
pub mod settings;
pub mod site;

pub use settings::Settings;
pub use site::Site;
