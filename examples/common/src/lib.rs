//! What the example servers share, whatever framework they run on: no type of a framework is named here.
//!
//! [`page`] is the page that the demo shows to a person.

pub mod page;
