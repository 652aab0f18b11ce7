//! The code of chapters that name several frameworks, compiled where all of them are at hand.

/// The code of the chapter on frameworks, compiled; that on tests of an application is run.
#[cfg(doctest)]
#[doc = include_str!("../docs/frameworks.md")]
pub struct Frameworks;

/// The code of the chapter on moving over from another backend, compiled.
#[cfg(doctest)]
#[doc = include_str!("../docs/from-a-node-sdk.md")]
pub struct FromAnSdk;
