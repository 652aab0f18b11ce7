//! Numbers of sign-in by providers.

use std::time::Duration;

use super::{HOUR, MINUTE, broken};

/// Sign-in by providers of identities.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProviderConfig {
    /// How long the browser may be away at the provider: 10 min, as long as the clients wait; at most 60.
    pub lifetime: Duration,
    /// Calls to one provider that may be under way at once: 64. The next one is told that the provider does not answer.
    pub calls: usize,
}

impl Default for ProviderConfig {
    fn default() -> Self {
        Self {
            lifetime: 10 * MINUTE,
            calls: 64,
        }
    }
}

impl ProviderConfig {
    pub(super) fn problems(&self) -> Vec<String> {
        broken(&[
            (
                self.lifetime >= MINUTE && self.lifetime <= HOUR,
                "providers.lifetime must lie between 1 and 60 min",
            ),
            (self.calls >= 1, "providers.calls must be at least 1"),
        ])
    }
}
