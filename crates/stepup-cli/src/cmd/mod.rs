//! The commands, one file each.

pub(crate) mod migrate;
pub(crate) mod secret;
pub(crate) mod user;

use std::error::Error;

use crate::Ending;

/// What a command comes to.
pub(crate) type Done = Result<Ending, Box<dyn Error>>;
