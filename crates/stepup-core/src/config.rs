//! Every number that somebody may want to change, with its unit, its default and where the default comes from.

mod provider;

use std::time::Duration;

pub use provider::ProviderConfig;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The tunable numbers. A value past a hard limit is refused by `build()`.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Config {
    /// Sessions and tokens.
    pub sessions: SessionConfig,
    /// One-time codes.
    pub codes: CodeConfig,
    /// Links by mail.
    pub links: LinkConfig,
    /// Sign-in by providers of identities.
    pub providers: ProviderConfig,
    /// Throttles.
    pub limits: LimitConfig,
    /// Names of the derived claims in the access-token payload.
    pub claims: ClaimNames,
    /// Puts a mask in the place of the phone number in the payload, which scripts can read.
    pub mask_contacts: bool,
    /// Masks in `mfa/info` the addresses of factors that are not due; the client needs those that are.
    pub mask_settled: bool,
    /// What a stranger is told of accounts.
    pub disclosure: Disclosure,
}

/// What a stranger is told of accounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disclosure {
    /// What the protocol tells: sign-up and the `exists` endpoints say whether an address has an account, strictly
    /// limited.
    #[default]
    Protocol,
    /// Nothing: the `exists` endpoints answer "no" to everybody, and sign-up answers the same whether or not the address
    /// is new (ASVS v5.0.0-6.3.8). It opens no session then; the address is told by mail what happened, and an account
    /// opens once that address is verified. A user whose address nobody verified gets in by a new password
    /// (`/user/password/reset`), which proves it too.
    Hidden,
}

/// What is made of whether the address behind a session was verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmailVerification {
    /// Nothing: no claim says it, and there are no links.
    #[default]
    Off,
    /// Every session says it, in the claim `st-ev`; a route asks for it by
    /// [`VerifiedEmail`](crate::require::VerifiedEmail).
    Optional,
    /// Every guarded route asks for it beside what it names.
    Required,
}

/// Whether the mailbox of an account may be its second factor as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwnMailbox {
    /// It may. Beside a password it is a second factor, as long as nobody gets a new password by reading that mailbox: then
    /// whoever reads it holds both.
    #[default]
    Admitted,
    /// It may not: codes go to another address than the one that signs in.
    Refused,
}

/// What becomes of an account whose password was guessed at too often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lockout {
    /// Networks without a session of the account get [`LimitConfig::password_slow`]. A stranger can only delay.
    #[default]
    Delay,
    /// The password opens nothing, from anywhere, until the failures are forgiven. A stranger can lock an owner out.
    UntilReset,
}

/// Sessions and tokens.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionConfig {
    /// Life of an access token: 15 min, at most 60 (ASVS v5.0.0-8.3.2: it bounds the lag of a revocation).
    pub access: Duration,
    /// Life of a half-login's access token: 4 min, so that it can be refreshed within [`SessionConfig::half`].
    pub half_access: Duration,
    /// Tolerance on `exp` and `nbf`: 10 s, at most 60 (RFC 7519 §4.1.4).
    pub leeway: Duration,
    /// A session ends unless refreshed for this long: 7 days, at most 100 (ASVS v5.0.0-7.3.1).
    pub idle: Duration,
    /// A session ends after this long whatever happens: 30 days, at most 365 (NIST SP 800-63B-4 §2.1.3).
    pub absolute: Duration,
    /// Life of a half-login: 15 min, at most 60 (ASVS v5.0.0-2.3.1).
    pub half: Duration,
    /// How long the predecessor of a rotation is answered the same successor: 30 s, at most 60 (RFC 9700 §4.14.2).
    pub grace: Duration,
    /// How long a refresh token from before a rise in assurance is refused without being taken for theft: 60 s.
    pub rise_grace: Duration,
    /// Rotations of one session within [`SessionConfig::tally_window`]: 30; above it the current token is repeated.
    pub tally: u32,
    /// See [`SessionConfig::tally`]: 1 min.
    pub tally_window: Duration,
    /// A factor endpoint wants an access token with at least this much life: 30 s, so that no refresh races with it.
    pub factor_margin: Duration,
    /// Age of a factor that still admits changes of factors: 5 min, at most 60 (ASVS v5.0.0-7.5.1).
    pub step_up: Duration,
    /// Lifetime of a signing key: 7 days, at most 90 (ASVS v5.0.0-11.1.1).
    pub key_rotation: Duration,
    /// Bytes of memory for access tokens that were verified: 16 MiB, some 9000 tokens; 0 remembers none, and verifies each
    /// one anew.
    pub remembered_bytes: usize,
    /// Revocations that this process remembers for the life of an access token: 65 536, some 10 MB. When they are more,
    /// the store is asked about every token.
    pub revocations: usize,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            access: 15 * MINUTE,
            half_access: 4 * MINUTE,
            leeway: Duration::from_secs(10),
            idle: 7 * DAY,
            absolute: 30 * DAY,
            half: 15 * MINUTE,
            grace: Duration::from_secs(30),
            rise_grace: MINUTE,
            tally: 30,
            tally_window: MINUTE,
            factor_margin: Duration::from_secs(30),
            step_up: 5 * MINUTE,
            key_rotation: 7 * DAY,
            remembered_bytes: 16 * 1024 * 1024,
            revocations: 65_536,
        }
    }
}

/// One-time codes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CodeConfig {
    /// Digits of a code: 6, or 7 or 8 (NIST SP 800-63B-4 §3.1.3.2: at least 6).
    pub digits: usize,
    /// Life of a code that is a second factor: 5 min, at most 10 (ASVS v5.0.0-6.5.5).
    pub lifetime: Duration,
    /// Life of a code or link that signs in: 10 min, at most 10 (NIST SP 800-63B-4 §3.1.3.2; ASVS v5.0.0-6.5.5).
    pub first_lifetime: Duration,
    /// Answers that end a challenge: 5, at most 10.
    pub attempts: u32,
    /// Codes of one challenge that live at once, the newest ones: 3, or fewer.
    pub live: usize,
    /// Pause before the first resend: 15 s, which is the clients' own; it doubles with each message.
    pub resend_base: Duration,
    /// The longest pause: 240 s.
    pub resend_cap: Duration,
    /// Life of a challenge in a complete session: 15 min. A half-login's challenge ends with the half-login.
    pub challenge: Duration,
    /// Whether the address that signs in may be the one that second-factor codes go to.
    pub own_mailbox: OwnMailbox,
}

impl Default for CodeConfig {
    fn default() -> Self {
        Self {
            digits: 6,
            lifetime: 5 * MINUTE,
            first_lifetime: 10 * MINUTE,
            attempts: 5,
            live: 3,
            resend_base: Duration::from_secs(15),
            resend_cap: Duration::from_secs(240),
            challenge: 15 * MINUTE,
            own_mailbox: OwnMailbox::Admitted,
        }
    }
}

/// Links that travel by mail and sign nobody in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LinkConfig {
    /// Life of a link that sets a new password: 30 min, at most 24 hours (NIST SP 800-63B-4 §4.2.1.2).
    pub reset: Duration,
    /// Life of a link that verifies an address: 24 h, at most 48 (NIST SP 800-63B-4 §4.2.1.2 gives a mailbox 24 h).
    pub verification: Duration,
    /// Life of a link that undoes the first second factor of an account: 72 h, between 24 h and 7 days.
    pub undo: Duration,
    /// Life of a link that lets a session add the first second factor, and then of that leave: 15 min, at most 60.
    pub confirmation: Duration,
    /// How long an administrator may be asked for leave to add the first second factor, and how long that leave lasts: 24 h,
    /// at most 72.
    pub approval: Duration,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            reset: 30 * MINUTE,
            verification: DAY,
            undo: 3 * DAY,
            confirmation: 15 * MINUTE,
            approval: DAY,
        }
    }
}

impl LinkConfig {
    fn problems(&self) -> Vec<String> {
        broken(&[
            (
                self.reset >= MINUTE && self.reset <= DAY,
                "links.reset must lie between 1 min and 24 hours",
            ),
            (
                self.verification >= MINUTE && self.verification <= 2 * DAY,
                "links.verification must lie between 1 min and 48 hours",
            ),
            (
                self.undo >= DAY && self.undo <= 7 * DAY,
                "links.undo must lie between 24 hours and 7 days",
            ),
            (
                self.confirmation >= MINUTE && self.confirmation <= HOUR,
                "links.confirmation must lie between 1 and 60 min",
            ),
            (
                self.approval >= MINUTE && self.approval <= 3 * DAY,
                "links.approval must lie between 1 min and 72 hours",
            ),
        ])
    }
}

/// At most `count` in `window`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// How many.
    pub count: u32,
    /// In how long.
    pub window: Duration,
}

/// `free` tries without delay, then `base` doubling up to `cap`; a stop at `stop` tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Curve {
    /// Tries without delay.
    pub free: u32,
    /// The first delay.
    pub base: Duration,
    /// The longest delay.
    pub cap: Duration,
    /// Tries after which there are no more.
    pub stop: u32,
}

const fn per(count: u32, window: Duration) -> Window {
    Window { count, window }
}

/// Throttles (threat model §3.3). They live in the store, so that all nodes share them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LimitConfig {
    /// Multiplies every count, for load tests of a demo on loopback: 1.
    pub scale: u32,
    /// Second-factor failures per account, for each kind of factor and for all together (NIST SP 800-63B-4 §3.2.2).
    pub second_factor: Curve,
    /// Second-factor failures per network, over all accounts: who has many passwords guesses once at each.
    pub second_factor_network: [Window; 2],
    /// Second-factor failures of the whole site; at half of it there is an alarm.
    pub second_factor_site: Window,
    /// Password failures per account and network.
    pub password: Curve,
    /// Password failures of an account after which a network without a live session of it gets
    /// [`LimitConfig::password_slow`] only: 100 (NIST SP 800-63B-4 §3.2.2).
    pub password_account: u32,
    /// See [`LimitConfig::password_account`].
    pub password_slow: Window,
    /// What happens at [`LimitConfig::password_account`].
    pub lockout: Lockout,
    /// Sign-in calls per network.
    pub sign_in: Window,
    /// Failed sign-ins per network.
    pub sign_in_failed: [Window; 2],
    /// Sign-ups per network.
    pub sign_up: [Window; 2],
    /// Links for a new password per address.
    pub reset: [Window; 2],
    /// Calls that ask for one per network.
    pub reset_network: Window,
    /// Calls of the `exists` endpoints per network.
    pub exists: Window,
    /// Calls of the `exists` endpoints of the whole site.
    pub exists_site: Window,
    /// Calls per session of the endpoints that list and end what its user has.
    pub own_calls: Window,
    /// Code requests per account, resends included.
    pub codes: [Window; 2],
    /// Messages per destination, over all accounts and tenants; a verified contact has a budget of its own.
    pub destination: [Window; 3],
    /// Messages to unverified contacts per network.
    pub sms_network: [Window; 2],
    /// Messages to unverified contacts per country.
    pub sms_country: Window,
    /// Messages to unverified contacts of the whole site.
    pub sms_site: Window,
    /// The breaker of a country opens when more than this many were sent within the window of
    /// [`LimitConfig::sms_country`] ..
    pub breaker_sent: u32,
    /// .. and less than this share of them, in percent, was answered rightly.
    pub breaker_percent: u32,
    /// How long it stays open.
    pub breaker_open: Duration,
}

impl Default for LimitConfig {
    fn default() -> Self {
        Self {
            scale: 1,
            second_factor: Curve {
                free: 5,
                base: Duration::from_secs(30),
                cap: HOUR,
                stop: 50,
            },
            second_factor_network: [per(20, MINUTE), per(100, HOUR)],
            second_factor_site: per(1_000, HOUR),
            password: Curve {
                free: 5,
                base: Duration::from_secs(1),
                cap: 15 * MINUTE,
                stop: u32::MAX,
            },
            password_account: 100,
            password_slow: per(1, 15 * MINUTE),
            lockout: Lockout::Delay,
            sign_in: per(30, MINUTE),
            sign_in_failed: [per(10, MINUTE), per(100, HOUR)],
            sign_up: [per(20, MINUTE), per(100, DAY)],
            reset: [per(5, MINUTE), per(10, DAY)],
            reset_network: per(20, MINUTE),
            exists: per(10, MINUTE),
            exists_site: per(1_000, HOUR),
            own_calls: per(60, MINUTE),
            codes: [per(3, 10 * MINUTE), per(10, DAY)],
            destination: [per(3, 10 * MINUTE), per(6, HOUR), per(10, DAY)],
            sms_network: [per(10, HOUR), per(20, DAY)],
            sms_country: per(100, HOUR),
            sms_site: per(1_000, HOUR),
            breaker_sent: 30,
            breaker_percent: 20,
            breaker_open: HOUR,
        }
    }
}

/// Names of the derived claims.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClaimNames {
    /// The claim that the multi-factor clients read: `st-mfa`.
    pub mfa: String,
    /// The boolean claim: `2fa-completed`.
    pub second_factor: String,
    /// The stored phone number, for display and for the client that asks for a code by itself: `phoneNumber`.
    pub phone: String,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            mfa: "st-mfa".to_owned(),
            second_factor: "2fa-completed".to_owned(),
            phone: "phoneNumber".to_owned(),
        }
    }
}

impl Config {
    /// Every value that lies past a hard limit, in a sentence each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = self.sessions.problems();
        problems.extend(self.codes.problems());
        problems.extend(self.links.problems());
        problems.extend(self.providers.problems());
        problems.extend(self.limits.problems());
        problems
    }
}

/// The sentences of the rules that do not hold.
fn broken(rules: &[(bool, &str)]) -> Vec<String> {
    let broken = rules.iter().filter(|(holds, _)| !holds);
    broken.map(|(_, sentence)| (*sentence).to_owned()).collect()
}

impl SessionConfig {
    fn problems(&self) -> Vec<String> {
        broken(&[
            (
                self.access >= MINUTE && self.access <= HOUR,
                "sessions.access must lie between 1 and 60 min",
            ),
            (
                self.half_access >= MINUTE && self.half_access <= self.access,
                "sessions.half_access must lie between 1 min and sessions.access",
            ),
            (
                self.half_access < self.half,
                "sessions.half_access must be shorter than sessions.half",
            ),
            (self.leeway <= MINUTE, "sessions.leeway must not pass 60 s"),
            (
                self.idle >= self.access && self.idle <= 100 * DAY,
                "sessions.idle must lie between sessions.access and 100 days",
            ),
            (
                self.absolute >= self.idle && self.absolute <= 365 * DAY,
                "sessions.absolute must lie between sessions.idle and 365 days",
            ),
            (self.half <= HOUR, "sessions.half must not pass 60 min"),
            (self.grace <= MINUTE, "sessions.grace must not pass 60 s"),
            (
                self.rise_grace <= MINUTE,
                "sessions.rise_grace must not pass 60 s",
            ),
            (self.tally >= 1, "sessions.tally must be at least 1"),
            (
                self.tally_window >= SECOND && self.tally_window <= HOUR,
                "sessions.tally_window must lie between 1 s and 60 min",
            ),
            (
                self.factor_margin < self.half_access,
                "sessions.factor_margin must be shorter than sessions.half_access",
            ),
            (
                self.step_up >= MINUTE && self.step_up <= HOUR,
                "sessions.step_up must lie between 1 and 60 min",
            ),
            (
                self.key_rotation >= HOUR && self.key_rotation <= 90 * DAY,
                "sessions.key_rotation must lie between 1 hour and 90 days",
            ),
        ])
    }
}

impl CodeConfig {
    fn problems(&self) -> Vec<String> {
        broken(&[
            ((6..=8).contains(&self.digits), "codes.digits must be 6, 7 or 8"),
            (
                self.lifetime >= MINUTE && self.lifetime <= 10 * MINUTE,
                "codes.lifetime must lie between 1 and 10 min",
            ),
            (
                self.first_lifetime >= MINUTE && self.first_lifetime <= 10 * MINUTE,
                "codes.first_lifetime must lie between 1 and 10 min",
            ),
            (
                (1..=10).contains(&self.attempts),
                "codes.attempts must lie between 1 and 10",
            ),
            (
                (1..=3).contains(&self.live),
                "codes.live must lie between 1 and 3",
            ),
            (
                self.resend_base >= 15 * SECOND,
                "codes.resend_base must be at least 15 s",
            ),
            (
                self.resend_cap >= self.resend_base && self.resend_cap <= HOUR,
                "codes.resend_cap must lie between codes.resend_base and 60 min",
            ),
            (
                self.challenge >= self.lifetime && self.challenge <= HOUR,
                "codes.challenge must lie between codes.lifetime and 60 min",
            ),
        ])
    }
}

impl LimitConfig {
    fn problems(&self) -> Vec<String> {
        let mut problems = broken(&[
            (self.scale >= 1, "limits.scale must be at least 1"),
            (
                self.second_factor.stop <= 100,
                "limits.second_factor.stop must not pass 100",
            ),
            (
                (1..=100).contains(&self.password_account),
                "limits.password_account must lie between 1 and 100",
            ),
            (
                self.destination
                    .iter()
                    .any(|window| window.count <= 5 && window.window >= 10 * MINUTE),
                "limits.destination must not let more than 5 messages pass in 10 min",
            ),
            (
                (1..=100).contains(&self.breaker_percent),
                "limits.breaker_percent must lie between 1 and 100",
            ),
            (
                self.breaker_open >= MINUTE && self.breaker_open <= DAY,
                "limits.breaker_open must lie between 1 min and 1 day",
            ),
        ]);
        for (name, windows) in self.windows() {
            let usable = |w: &Window| w.count >= 1 && w.window >= SECOND && w.window <= 180 * DAY;
            if !windows.iter().all(usable) {
                problems.push(format!(
                    "limits.{name} must let something pass, in windows between 1 s and 180 days"
                ));
            }
            // Each is counted by its own length.
            let lengths = windows.iter().map(|w| w.window.as_secs());
            if lengths.clone().collect::<std::collections::BTreeSet<_>>().len() < lengths.count() {
                problems.push(format!("the windows of limits.{name} must differ in length"));
            }
        }
        for (name, curve) in [("second_factor", self.second_factor), ("password", self.password)] {
            let grows = curve.base >= SECOND && curve.cap >= curve.base && curve.cap <= DAY;
            if !grows || curve.free > 10 || curve.stop <= curve.free {
                problems.push(format!(
                    "limits.{name} must begin after at most 10 free tries and before its stop, with delays between 1 s and 1 day"
                ));
            }
        }
        problems
    }

    /// All windows, by their names.
    fn windows(&self) -> [(&'static str, &[Window]); 16] {
        let one = std::slice::from_ref;
        [
            ("second_factor_network", &self.second_factor_network),
            ("second_factor_site", one(&self.second_factor_site)),
            ("password_slow", one(&self.password_slow)),
            ("sign_in", one(&self.sign_in)),
            ("sign_in_failed", &self.sign_in_failed),
            ("sign_up", &self.sign_up),
            ("reset", &self.reset),
            ("reset_network", one(&self.reset_network)),
            ("exists", one(&self.exists)),
            ("exists_site", one(&self.exists_site)),
            ("codes", &self.codes),
            ("destination", &self.destination),
            ("sms_network", &self.sms_network),
            ("sms_country", one(&self.sms_country)),
            ("sms_site", one(&self.sms_site)),
            ("own_calls", one(&self.own_calls)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_lie_within_the_hard_limits() {
        assert_eq!(Config::default().problems(), Vec::<String>::new());
    }

    #[test]
    fn every_value_past_a_limit_is_named() {
        let mut config = Config::default();
        config.codes.digits = 4;
        config.sessions.leeway = Duration::from_secs(61);
        let problems = config.problems();
        assert_eq!(problems.len(), 2, "{problems:?}");
    }

    /// The one sentence that a change brings about.
    fn sentence(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::default();
        change(&mut config);
        let problems = config.problems();
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems.concat()
    }

    #[test]
    fn a_pause_a_challenge_and_a_tally_have_bounds() {
        for cap in [Duration::ZERO, 14 * SECOND, HOUR + SECOND] {
            assert!(sentence(|c| c.codes.resend_cap = cap).contains("codes.resend_cap"));
        }
        for life in [Duration::ZERO, 4 * MINUTE, HOUR + SECOND] {
            assert!(sentence(|c| c.codes.challenge = life).contains("codes.challenge"));
        }
        for window in [Duration::ZERO, HOUR + SECOND] {
            assert!(sentence(|c| c.sessions.tally_window = window).contains("sessions.tally_window"));
        }
        assert!(sentence(|c| c.sessions.step_up = Duration::ZERO).contains("sessions.step_up"));
    }

    #[test]
    fn a_throttle_that_would_hold_nothing_or_everything_is_named() {
        assert!(sentence(|c| c.limits.scale = 0).contains("limits.scale"));
        for (name, at) in Config::default().limits.windows().iter().zip(0..) {
            let name = name.0;
            for odd in [
                per(0, MINUTE),
                per(5, Duration::ZERO),
                per(5, Duration::from_millis(999)),
                per(5, 181 * DAY),
            ] {
                let text = sentence(|c| *window_mut(&mut c.limits, at) = odd);
                assert!(text.starts_with(&format!("limits.{name} must let")), "{text}");
            }
        }
        assert!(sentence(|c| c.limits.codes[1].window = 10 * MINUTE).contains("differ in length"));
        assert!(sentence(|c| c.limits.destination[0].count = 6).contains("5 messages"));
        for account in [0, 101] {
            assert!(sentence(|c| c.limits.password_account = account).contains("password_account"));
        }
        for percent in [0, 101] {
            assert!(sentence(|c| c.limits.breaker_percent = percent).contains("breaker_percent"));
        }
        assert!(sentence(|c| c.limits.breaker_open = Duration::ZERO).contains("breaker_open"));
    }

    #[test]
    fn a_curve_without_a_delay_or_with_an_endless_one_is_named() {
        let changes: [fn(&mut Curve); 5] = [
            |curve| curve.base = Duration::ZERO,
            |curve| curve.cap = Duration::ZERO,
            |curve| curve.cap = 2 * DAY,
            |curve| curve.free = 11,
            |curve| curve.stop = curve.free,
        ];
        for change in changes {
            assert!(sentence(|c| change(&mut c.limits.password)).starts_with("limits.password must begin"));
            assert!(
                sentence(|c| change(&mut c.limits.second_factor)).starts_with("limits.second_factor must")
            );
        }
    }

    /// The first window of each throttle, in the order of [`LimitConfig::windows`].
    fn window_mut(limits: &mut LimitConfig, at: usize) -> &mut Window {
        match at {
            0 => &mut limits.second_factor_network[0],
            1 => &mut limits.second_factor_site,
            2 => &mut limits.password_slow,
            3 => &mut limits.sign_in,
            4 => &mut limits.sign_in_failed[0],
            5 => &mut limits.sign_up[0],
            6 => &mut limits.reset[0],
            7 => &mut limits.reset_network,
            8 => &mut limits.exists,
            9 => &mut limits.exists_site,
            10 => &mut limits.codes[0],
            // The last, since the first is what bounds a destination.
            11 => &mut limits.destination[2],
            12 => &mut limits.sms_network[0],
            13 => &mut limits.sms_country,
            14 => &mut limits.sms_site,
            _ => &mut limits.own_calls,
        }
    }
}
