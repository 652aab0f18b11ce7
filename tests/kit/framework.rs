//! The framework of a run: the one that `STEPUP_TEST_FRAMEWORK` names, Axum if it names none.
//!
//! The suites are compiled once and run once for each framework. A test that brings an Axum application of its own, or
//! serves nothing, has nothing to say about another framework: it is named in `axum-only.txt`, which the other passes
//! leave out and count.

#![allow(dead_code, unreachable_pub, reason = "each suite uses its part of it")]

use std::env;
use std::sync::LazyLock;

/// A web framework that the demo is built on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framework {
    Axum,
    Actix,
    Rocket,
}

impl Framework {
    /// The one that this run is about.
    ///
    /// # Panics
    /// On a name that is none of them: a typing error must not pass for a run on Axum.
    pub fn chosen() -> Self {
        static CHOSEN: LazyLock<Framework> = LazyLock::new(|| {
            let name = env::var_os(VARIABLE).map(|name| name.to_string_lossy().into_owned());
            match name.as_deref() {
                None | Some("axum") => Framework::Axum,
                Some("actix") => Framework::Actix,
                Some("rocket") => Framework::Rocket,
                Some(other) => panic!("{VARIABLE}: there is no demo on `{other}`"),
            }
        });
        *CHOSEN
    }
}

/// Fails a test that would say nothing about the framework of this run.
pub fn only_on_axum() {
    assert_eq!(
        Framework::chosen(),
        Framework::Axum,
        "the test brings an application of its own, which is on Axum: name it in tests/kit/axum-only.txt"
    );
}

const VARIABLE: &str = "STEPUP_TEST_FRAMEWORK";
