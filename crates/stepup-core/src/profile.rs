//! Profiles: sets of numbers that belong together, by name.

use std::str::FromStr;
use std::time::Duration;

use crate::config::{Config, Disclosure, Lockout, OwnMailbox};
use crate::session::keys::SigningAlgorithm;

/// A set of numbers that belong together. `docs/configuration.md` lists what each changes, and where it comes from;
/// what a profile does not name stays as it is by default.
///
/// Several can be chosen, one after the other; where two set the same number the later one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Profile {
    /// The defaults.
    Default,
    /// Safer for the account's owner, harder for everybody: one code lives at a time, an account whose password was
    /// guessed at a hundred times opens to nobody until it is reset, the mailbox that signs in is no second factor, and a
    /// session is shown no address in clear that it does not need.
    Strict,
    /// NIST SP 800-63B-4 §2.2.3: 1 h idle, 24 h at most, and a second factor of everybody, which is no code by e-mail
    /// (§3.1.3.1).
    Aal2,
    /// The lifetimes and the algorithm of SuperTokens, for a site that moves over.
    Supertokens,
    /// No answer tells a stranger whether an address has an account. Sign-up opens no session then.
    SafeEnumeration,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Default,
        Self::Strict,
        Self::Aal2,
        Self::Supertokens,
        Self::SafeEnumeration,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Strict => "strict",
            Self::Aal2 => "aal2",
            Self::Supertokens => "supertokens",
            Self::SafeEnumeration => "safe_enumeration",
        }
    }

    /// Sets its numbers.
    pub fn apply(self, config: &mut Config) {
        const MINUTE: Duration = Duration::from_secs(60);
        const HOUR: Duration = Duration::from_secs(3600);
        const DAY: Duration = Duration::from_secs(24 * 3600);
        match self {
            Self::Default => {}
            Self::Strict => {
                config.codes.live = 1;
                config.codes.own_mailbox = OwnMailbox::Refused;
                config.limits.lockout = Lockout::UntilReset;
                config.mask_settled = true;
            }
            Self::Aal2 => {
                config.sessions.access = 5 * MINUTE;
                config.sessions.idle = HOUR;
                config.sessions.absolute = 24 * HOUR;
            }
            Self::Supertokens => {
                config.sessions.access = HOUR;
                config.sessions.idle = 100 * DAY;
                // Theirs have no absolute end at all.
                config.sessions.absolute = 365 * DAY;
            }
            Self::SafeEnumeration => config.disclosure = Disclosure::Hidden,
        }
    }

    /// The algorithm that it signs with, if it names one.
    pub const fn signing(self) -> Option<SigningAlgorithm> {
        match self {
            Self::Supertokens => Some(SigningAlgorithm::Rs256),
            _ => None,
        }
    }
}

/// No profile bears the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the profiles are default, strict, aal2, supertokens and safe_enumeration")]
pub struct UnknownProfile;

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(name: &str) -> Result<Self, UnknownProfile> {
        let known = Self::ALL.into_iter().find(|profile| profile.name() == name);
        known.ok_or(UnknownProfile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(profile: Profile) -> Config {
        let mut config = Config::default();
        profile.apply(&mut config);
        config
    }

    /// The lines in which two configurations differ, as `Debug` shows them.
    fn differences(profile: Profile) -> Vec<String> {
        let (before, after) = (format!("{:#?}", Config::default()), format!("{:#?}", of(profile)));
        assert_eq!(before.lines().count(), after.lines().count(), "{profile:?}");
        let pairs = before.lines().zip(after.lines());
        let changed = pairs.filter(|(old, new)| old != new);
        changed
            .map(|(_, new)| new.trim().trim_end_matches(',').to_owned())
            .collect()
    }

    #[test]
    fn every_profile_lies_within_the_hard_limits_alone_and_with_every_other() {
        for one in Profile::ALL {
            for other in Profile::ALL {
                let mut config = of(one);
                other.apply(&mut config);
                assert_eq!(config.problems(), Vec::<String>::new(), "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn a_profile_differs_from_the_defaults_in_what_is_documented_and_in_nothing_else() {
        assert_eq!(differences(Profile::Default), Vec::<String>::new());
        assert_eq!(
            differences(Profile::Strict),
            [
                "live: 1",
                "own_mailbox: Refused",
                "lockout: UntilReset",
                "mask_settled: true"
            ]
        );
        assert_eq!(
            differences(Profile::Aal2),
            ["access: 300s", "idle: 3600s", "absolute: 86400s"]
        );
        assert_eq!(
            differences(Profile::Supertokens),
            ["access: 3600s", "idle: 8640000s", "absolute: 31536000s"]
        );
        assert_eq!(differences(Profile::SafeEnumeration), ["disclosure: Hidden"]);
        for profile in Profile::ALL {
            let signing = (profile == Profile::Supertokens).then_some(SigningAlgorithm::Rs256);
            assert_eq!(profile.signing(), signing);
        }
    }

    #[test]
    fn a_profile_is_found_by_its_name() {
        for profile in Profile::ALL {
            assert_eq!(profile.name().parse(), Ok(profile));
        }
        assert_eq!("aal3".parse::<Profile>(), Err(UnknownProfile));
    }
}
