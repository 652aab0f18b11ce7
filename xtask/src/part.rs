//! Parts of the suite that can be chosen, and what belongs to which.

/// A part of the suite, as `--only` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Formatting, clippy, documentation, licenses.
    Lint,
    /// What lies below the protocol.
    Core,
    /// The stores.
    Sqlx,
    /// The protocol, the frameworks and the examples.
    Adapters,
    /// Attacks over HTTP.
    Attacks,
    /// The frontend SDK in a browser.
    Browser,
}

impl Part {
    const ALL: [Self; 6] = [
        Self::Lint,
        Self::Core,
        Self::Sqlx,
        Self::Adapters,
        Self::Attacks,
        Self::Browser,
    ];

    /// The part called `name`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.name() == name)
    }

    /// The name that `--only` takes.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lint => "lint",
            Self::Core => "core",
            Self::Sqlx => "sqlx",
            Self::Adapters => "adapters",
            Self::Attacks => "attacks",
            Self::Browser => "browser",
        }
    }

    /// Whether `cargo test` runs it.
    pub(crate) fn is_rust(self) -> bool {
        matches!(self, Self::Core | Self::Sqlx | Self::Adapters | Self::Attacks)
    }

    /// The part that a package's tests belong to. Every package has one, so that no test is in none.
    pub(crate) fn of_package(name: &str) -> Self {
        match name {
            "stepup-sqlx" | "stepup-redis" => Self::Sqlx,
            "stepup" | "stepup-wire" | "stepup-ui" | "stepup-axum" | "stepup-actix" | "stepup-rocket" => {
                Self::Adapters
            }
            library if library.starts_with("stepup-") => Self::Core,
            "xtask" => Self::Core,
            _example => Self::Adapters,
        }
    }

    /// The part that a test target of `tests/` belongs to. Every target has one.
    pub(crate) fn of_target(name: &str) -> Self {
        match name {
            "architecture" => Self::Core,
            "storage" => Self::Sqlx,
            attacks if attacks.starts_with("attack") => Self::Attacks,
            _ => Self::Adapters,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_found_by_its_own_name() {
        for part in Part::ALL {
            assert_eq!(Part::named(part.name()), Some(part));
        }
        assert_eq!(Part::named("everything"), None);
    }

    #[test]
    fn examples_belong_to_the_adapters_and_libraries_to_core() {
        assert_eq!(Part::of_package("demo-axum"), Part::Adapters);
        assert_eq!(Part::of_package("stepup-webauthn"), Part::Core);
        assert_eq!(Part::of_target("attacks"), Part::Attacks);
    }
}
