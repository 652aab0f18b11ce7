//! The providers that people know.

mod apple;
mod facebook;
mod github;
mod google;
mod microsoft;
mod others;

pub use apple::apple;
pub use facebook::facebook;
pub use github::github;
pub use google::{Workspaces, google, google_workspaces};
pub use microsoft::{Directories, microsoft};
pub use others::{bitbucket, discord, gitlab, linkedin, okta, x};
