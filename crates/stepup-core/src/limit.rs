//! Throttles: who may try again, and when. Here are the questions; the counters are the store's.

use std::time::Duration;

use crate::config::{Curve, LimitConfig, Window};
use crate::error::Fault;
use crate::id::{FactorId, SessionHandle, TenantId, UserId};
use crate::keyring::{Keyring, Purpose};
use crate::record::counter::{Ask, Charge, CounterKey, ENDLESS};
use crate::storage::CounterStore;
use crate::time::Timestamp;

/// Makes asks. Keys are keyed digests: the table holds no address, and a copy of it tells nobody who was counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits<'a> {
    pub(crate) keyring: &'a Keyring,
    pub(crate) config: &'a LimitConfig,
}

/// An answer to a set of asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Granted; the counts afterwards.
    Granted(Vec<u32>),
    /// Refused by the ask at `index`.
    Refused { index: usize, retry_after: Duration },
}

/// Asks the store. The charge is committed by itself, before anything is compared (R-OTP-7).
pub(crate) async fn ask<S: CounterStore + ?Sized>(
    store: &S,
    asks: &[Ask],
    now: Timestamp,
) -> Result<Leave, Fault> {
    Ok(match store.charge(asks, now).await? {
        Charge::Granted(counts) => Leave::Granted(counts),
        Charge::Refused { index, retry_after } => Leave::Refused { index, retry_after },
    })
}

impl Limits<'_> {
    fn key(&self, label: &str, parts: &[&str]) -> CounterKey {
        let mut bytes: Vec<&[u8]> = vec![label.as_bytes()];
        bytes.extend(parts.iter().map(|p| p.as_bytes()));
        let mac = self.keyring.mac(Purpose::Throttle, &bytes);
        let digest: String = mac
            .as_bytes()
            .iter()
            .take(20)
            .map(|b| format!("{b:02x}"))
            .collect();
        CounterKey::new(format!("{label}:{digest}"))
    }

    /// A window of a network. Callers whose address nobody knows share one counter, which is ten times as wide: narrow
    /// enough to stop a flood, wide enough not to stop everybody.
    fn near(&self, label: &str, network: &str, window: Window) -> Ask {
        let width = if network.is_empty() { 10 } else { 1 };
        self.window(
            label,
            &[network],
            Window {
                count: window.count.saturating_mul(width),
                ..window
            },
        )
    }

    fn near_all(&self, label: &str, network: &str, windows: &[Window]) -> Vec<Ask> {
        let ask = |w: &Window| self.near(&format!("{label}/{}", w.window.as_secs()), network, *w);
        windows.iter().map(ask).collect()
    }

    fn window(&self, label: &str, parts: &[&str], window: Window) -> Ask {
        Ask::window(
            self.key(label, parts),
            window.count.saturating_mul(self.config.scale),
            window.window,
        )
    }

    fn windows<'w>(
        &self,
        label: &str,
        parts: &[&str],
        windows: &'w [Window],
    ) -> impl Iterator<Item = Ask> + use<'w, '_> {
        let keys: Vec<Ask> = windows
            .iter()
            .map(|w| {
                let named = format!("{label}/{}", w.window.as_secs());
                self.window(&named, parts, *w)
            })
            .collect();
        keys.into_iter()
    }

    fn curve(&self, label: &str, parts: &[&str], curve: Curve) -> Ask {
        let scale = self.config.scale;
        Ask::curve(
            self.key(label, parts),
            curve.free.saturating_mul(scale),
            curve.base,
            curve.cap,
            curve.stop.saturating_mul(scale),
        )
    }

    /// Answers to codes that prove a new contact, by the account: a contact that is not one's own is not guessed into it.
    pub(crate) fn new_contact(&self, tenant: &TenantId, user: &UserId) -> Ask {
        let place = [tenant.as_str(), user.as_str()];
        self.curve("new-to", &place, self.config.second_factor)
    }

    /// The same by the contact too. No right answer clears it, or a mailbox of one's own would give tries at another's back
    /// (threat A-OTP-05).
    pub(crate) fn new_contact_at(&self, tenant: &TenantId, user: &UserId, destination: &str) -> Ask {
        let place = [tenant.as_str(), user.as_str(), destination];
        self.curve("new-to-at", &place, self.config.second_factor)
    }

    /// Attempts at a second factor: of its kind, and of all kinds together (A-OTP-08).
    pub(crate) fn second_factor(&self, tenant: &TenantId, user: &UserId, factor: &FactorId) -> [Ask; 2] {
        let account = [tenant.as_str(), user.as_str()];
        [
            self.curve(
                "2f",
                &[account[0], account[1], factor.as_str()],
                self.config.second_factor,
            ),
            self.curve("2f-all", &account, self.config.second_factor),
        ]
    }

    /// What completed resets have given back at each of the counters of [`Limits::second_factor`], in turns of
    /// [`GIVEN_BACK`]; never so much that the hard cap is passed.
    pub(crate) fn second_factor_given(
        &self,
        tenant: &TenantId,
        user: &UserId,
        factor: &FactorId,
    ) -> [Ask; 2] {
        let account = [tenant.as_str(), user.as_str()];
        let room = HARD_CAP.saturating_sub(self.config.second_factor.stop) / GIVEN_BACK;
        let turns = Window {
            count: room,
            window: ENDLESS,
        };
        [
            self.window("2f-more", &[account[0], account[1], factor.as_str()], turns),
            self.window("2f-more-all", &account, turns),
        ]
    }

    /// The same counters with the tries that were given back.
    fn second_factor_after(&self, asks: [Ask; 2], turns: &[u32]) -> [Ask; 2] {
        let turns = |at: usize| turns.get(at).copied().unwrap_or(0);
        let more = |at| {
            turns(at)
                .saturating_mul(GIVEN_BACK)
                .saturating_mul(self.config.scale)
        };
        let [kind, all] = asks;
        [(kind, 0), (all, 1)].map(|(ask, at)| Ask {
            limit: ask.limit.saturating_add(more(at)),
            ..ask
        })
    }

    /// Failures at second factors: per network over all accounts, and of the whole site (A-OTP-09). The site's is the
    /// last.
    pub(crate) fn second_factor_failed(&self, network: &str) -> Vec<Ask> {
        let mut asks = self.near_all("2f-bad", network, &self.config.second_factor_network);
        asks.push(self.window("2f-bad-all", &[], self.config.second_factor_site));
        asks
    }

    /// The second-factor counters of an account, for a reset that starts them anew.
    pub(crate) fn second_factor_keys(
        &self,
        tenant: &TenantId,
        user: &UserId,
        factors: &[FactorId],
    ) -> Vec<CounterKey> {
        let of = |factor| {
            [
                self.second_factor(tenant, user, factor),
                self.second_factor_given(tenant, user, factor),
            ]
        };
        let mut keys: Vec<CounterKey> = factors.iter().flat_map(of).flatten().map(|ask| ask.key).collect();
        keys.sort();
        keys.dedup();
        keys
    }

    /// A sign-in call: calls per network; a look at the failures per network; the account's failures from this
    /// network, and from everywhere.
    pub(crate) fn sign_in(&self, network: &str, account: &[&str]) -> Vec<Ask> {
        let mut asks = vec![self.near("in", network, self.config.sign_in)];
        asks.extend(self.sign_in_failed(network).into_iter().map(Ask::look));
        let mut near = account.to_vec();
        near.push(network);
        asks.push(self.curve("pw", &near, self.config.password));
        asks.push(Ask::window(self.key("pw-all", account), u32::MAX, ENDLESS));
        asks
    }

    /// A sign-in by a provider, before anybody knows whose: calls per network, and a look at the failures per network.
    pub(crate) fn sign_in_by_provider(&self, network: &str) -> Vec<Ask> {
        let mut asks = vec![self.near("in", network, self.config.sign_in)];
        asks.extend(self.sign_in_failed(network).into_iter().map(Ask::look));
        asks
    }

    /// Sign-ins by a provider that are begun, each of which makes a row: per network.
    pub(crate) fn provider_asked(&self, network: &str) -> Ask {
        self.near("out", network, self.config.sign_in)
    }

    /// The counter of an account once it has seen too many wrong passwords: one try per network.
    pub(crate) fn sign_in_slow(&self, network: &str, account: &[&str]) -> Ask {
        let mut near = account.to_vec();
        near.push(network);
        self.window("pw-slow", &near, self.config.password_slow)
    }

    /// Failed sign-ins per network.
    pub(crate) fn sign_in_failed(&self, network: &str) -> Vec<Ask> {
        self.near_all("in-bad", network, &self.config.sign_in_failed)
    }

    /// The failure counters that a right password clears.
    pub(crate) fn sign_in_keys(&self, network: &str, account: &[&str]) -> Vec<CounterKey> {
        let mut near = account.to_vec();
        near.push(network);
        vec![
            self.key("pw", &near),
            self.sign_in_account_key(account),
            self.key("pw-slow", &near),
        ]
    }

    /// Sign-ups per network.
    pub(crate) fn sign_up(&self, network: &str) -> Vec<Ask> {
        self.near_all("up", network, &self.config.sign_up)
    }

    /// A call for a link that sets a new password: per network, whatever the address.
    pub(crate) fn reset_calls(&self, network: &str) -> Ask {
        self.near("rst-net", network, self.config.reset_network)
    }

    /// A link for a new password, from a network in which its account is not signed in.
    ///
    /// The mailbox is not flooded (threat A-RST-05), and no stranger shuts it off for a day (R-RL-4). Of the long window's count
    /// half may come at once, and one network causes no more than all but one of those; the other half comes spaced out
    /// evenly, for as long as it is asked for. What is sent goes to the owner, whoever asked.
    pub(crate) fn reset(&self, network: &str, tenant: &TenantId, address: &str) -> Vec<Ask> {
        let [short, long] = self.config.reset;
        let place = [tenant.as_str(), address];
        let scaled = long.count.saturating_mul(self.config.scale);
        let at_once = scaled.div_ceil(2);
        let pause = long.window / scaled.saturating_sub(at_once).saturating_add(1);
        let share = Ask::window(
            self.key("rst-from", &[place[0], place[1], network]),
            at_once.saturating_sub(1).max(1),
            long.window,
        );
        let pool = Ask {
            free: at_once,
            base: pause,
            cap: pause,
            window: long.window,
            ..Ask::window(self.key("rst", &place), u32::MAX, long.window)
        };
        let mut asks = vec![self.window("rst-short", &place, short), pool];
        // Where networks are not known all callers are one.
        asks.extend((!network.is_empty()).then_some(share));
        asks
    }

    /// The same from a network in which the account is signed in: a budget that no stranger elsewhere can spend.
    pub(crate) fn reset_at_home(&self, tenant: &TenantId, user: &UserId, address: &str) -> Vec<Ask> {
        let place = [tenant.as_str(), user.as_str(), address];
        self.windows("rst-home", &place, &self.config.reset).collect()
    }

    /// A link that verifies an address: per account, which needs a session of it, and as any message to somebody who may
    /// not want it. Not the budget of codes, which a half-login could spend by it.
    pub(crate) fn verification(
        &self,
        tenant: &TenantId,
        user: &UserId,
        address: &str,
        network: &str,
    ) -> Vec<Ask> {
        let account = [tenant.as_str(), user.as_str()];
        let mut asks: Vec<Ask> = self.windows("vfy", &account, &self.config.codes).collect();
        asks.extend(self.for_anybody(address, None, network));
        asks
    }

    /// Mails to an address that somebody typed at sign-up: nobody's mailbox is filled that way.
    pub(crate) fn sign_up_mail(&self, tenant: &TenantId, address: &str) -> Vec<Ask> {
        self.windows("up-to", &[tenant.as_str(), address], &self.config.destination)
            .collect()
    }

    /// The failures of an account's password, from everywhere: what locks it where it can be locked.
    pub(crate) fn sign_in_account_key(&self, account: &[&str]) -> CounterKey {
        self.key("pw-all", account)
    }

    /// Counters that are an account's own, for its erasure. Those that hold a network as well are found by nobody who
    /// does not know it, and end by themselves.
    pub(crate) fn account_keys(
        &self,
        tenant: &TenantId,
        user: &UserId,
        factors: &[FactorId],
    ) -> Vec<CounterKey> {
        let mut keys = self.second_factor_keys(tenant, user, factors);
        keys.push(self.sign_in_account_key(&[tenant.as_str(), &format!("user:{user}")]));
        let codes = self.windows("code", &[tenant.as_str(), user.as_str()], &self.config.codes);
        keys.extend(codes.map(|ask| ask.key));
        keys.push(self.new_contact(tenant, user).key);
        keys.sort();
        keys.dedup();
        keys
    }

    /// The budgets of codes to the contacts that an account has verified, for a reset that starts them anew.
    pub(crate) fn code_keys<'c>(
        &self,
        tenant: &TenantId,
        user: &UserId,
        contacts: impl Iterator<Item = &'c str>,
    ) -> Vec<CounterKey> {
        let mut keys: Vec<CounterKey> = contacts
            .flat_map(|contact| self.code_to_verified(tenant, user, contact))
            .map(|ask| ask.key)
            .collect();
        keys.sort();
        keys.dedup();
        keys
    }

    /// Calls of an `exists` endpoint: per network and of the whole site.
    pub(crate) fn exists(&self, network: &str) -> Vec<Ask> {
        vec![
            self.near("ex", network, self.config.exists),
            self.window("ex-all", &[], self.config.exists_site),
        ]
    }

    /// Calls of our own endpoints by one session. Not by its account: a thief's session must not hold up the owner's, who
    /// wants to end it.
    pub(crate) fn own_calls(&self, session: &SessionHandle) -> Ask {
        self.window("own", &[session.as_str()], self.config.own_calls)
    }

    /// A code to a contact that the account has verified: a budget of its own, which no stranger can spend (A-SMS-11).
    pub(crate) fn code_to_verified(&self, tenant: &TenantId, user: &UserId, destination: &str) -> Vec<Ask> {
        let account = [tenant.as_str(), user.as_str()];
        self.windows("code", &account, &self.config.codes)
            .chain(self.windows(
                "to-own",
                &[account[0], account[1], destination],
                &self.config.destination,
            ))
            .collect()
    }

    /// A code to a contact that nobody has verified. For a phone the first three asks are its country's breaker, right
    /// answers and messages that were not sent, looked at; [`Limits::SENT`] is the place of the country's count. A mailbox has
    /// no country.
    pub(crate) fn code_to_unverified(
        &self,
        tenant: &TenantId,
        user: &UserId,
        destination: &str,
        country: Option<&str>,
        network: &str,
    ) -> Vec<Ask> {
        let mut asks = self.for_country(country);
        asks.extend(self.windows("code", &[tenant.as_str(), user.as_str()], &self.config.codes));
        asks.extend(self.for_anybody(destination, country, network));
        asks
    }

    /// A message that is to sign somebody in, to a contact that anybody may name. Phones have the budgets of unverified
    /// contacts, their country's first, as in [`Limits::code_to_unverified`]; mailboxes cost nothing but patience.
    pub(crate) fn first_code(&self, destination: &str, country: Option<&str>, network: &str) -> Vec<Ask> {
        let mut asks = self.for_country(country);
        asks.extend(self.for_anybody(destination, country, network));
        asks
    }

    /// The same from a network in which the account is signed in: a budget that no stranger elsewhere can spend (A-RL-06),
    /// apart from that of its second factor, which nobody at home may spend either.
    pub(crate) fn first_code_at_home(&self, tenant: &TenantId, user: &UserId, destination: &str) -> Vec<Ask> {
        let place = [tenant.as_str(), user.as_str(), destination];
        self.windows("to-home", &place, &self.config.destination)
            .collect()
    }

    /// A text message to a country, and of the site.
    fn for_country(&self, country: Option<&str>) -> Vec<Ask> {
        country.map_or_else(Vec::new, |country| {
            vec![
                self.breaker(country).look(),
                self.verified(country).look(),
                self.unsent(country).look(),
                self.window("sms-cc", &[country], self.config.sms_country),
                self.window("sms-all", &[], self.config.sms_site),
            ]
        })
    }

    /// A message to a contact, whoever asks for it, and from a network.
    fn for_anybody(&self, destination: &str, country: Option<&str>, network: &str) -> Vec<Ask> {
        let mut asks: Vec<Ask> = self
            .windows("to", &[destination], &self.config.destination)
            .collect();
        let label = if country.is_some() { "sms-net" } else { "mail-net" };
        asks.extend(self.near_all(label, network, &self.config.sms_network));
        asks
    }

    /// Where [`Limits::code_to_unverified`] asks for the country's right answers, those of its messages that were not sent, its
    /// messages, and the site's.
    pub(crate) const VERIFIED: usize = 1;
    pub(crate) const UNSENT: usize = 2;
    pub(crate) const SENT: usize = 3;
    pub(crate) const SITE: usize = 4;

    /// Opens, or asks for, the breaker of a country.
    pub(crate) fn breaker(&self, country: &str) -> Ask {
        Ask::window(self.key("sms-brk", &[country]), 1, self.config.breaker_open)
    }

    /// Counts a message to a country that surely was not sent: a provider that is down is no sign of pumping.
    pub(crate) fn unsent(&self, country: &str) -> Ask {
        Ask::window(
            self.key("sms-un", &[country]),
            u32::MAX,
            self.config.sms_country.window,
        )
    }

    /// Counts a right answer to a code sent to a country.
    pub(crate) fn verified(&self, country: &str) -> Ask {
        Ask::window(
            self.key("sms-ok", &[country]),
            u32::MAX,
            self.config.sms_country.window,
        )
    }
}

/// Asks for leave to try a second factor; `more` is asked beside it. Where the tries are used up, those that completed
/// resets have given back are looked up: only then, since hardly anybody needs them.
pub(crate) async fn ask_second_factor<S: CounterStore + ?Sized>(
    store: &S,
    limits: &Limits<'_>,
    (tenant, user, factor): (&TenantId, &UserId, &FactorId),
    more: Vec<Ask>,
    now: Timestamp,
) -> Result<Leave, Fault> {
    let asks = |own: [Ask; 2]| own.into_iter().chain(more.iter().cloned()).collect::<Vec<_>>();
    let own = limits.second_factor(tenant, user, factor);
    let leave = ask(store, &asks(own.clone()), now).await?;
    match leave {
        Leave::Refused { retry_after, .. } if retry_after >= ENDLESS => {}
        leave => return Ok(leave),
    }
    let given = limits.second_factor_given(tenant, user, factor);
    let turns = turns(store, &given, now).await?;
    if turns.iter().all(|turns| *turns == 0) {
        return Ok(leave);
    }
    ask(store, &asks(limits.second_factor_after(own, &turns)), now).await
}

/// How many turns were given back at each of two counters.
async fn turns<S: CounterStore + ?Sized>(
    store: &S,
    given: &[Ask; 2],
    now: Timestamp,
) -> Result<Vec<u32>, Fault> {
    let looks = given.clone().map(|ask| Ask {
        limit: u32::MAX,
        cost: 0,
        ..ask
    });
    Ok(match ask(store, &looks, now).await? {
        Leave::Granted(turns) => turns,
        Leave::Refused { .. } => Vec::new(),
    })
}

/// Gives a turn of tries back at each counter of a second factor that has none left, once for a completed reset: inside the
/// hard cap, so that no number of resets makes guessing endless.
pub(crate) async fn give_back<S: CounterStore + ?Sized>(
    store: &S,
    limits: &Limits<'_>,
    (tenant, user): (&TenantId, &UserId),
    factors: &[FactorId],
    now: Timestamp,
) -> Result<(), Fault> {
    let mut due: Vec<Ask> = Vec::new();
    for factor in factors {
        let given = limits.second_factor_given(tenant, user, factor);
        let turns = turns(store, &given, now).await?;
        let own = limits.second_factor_after(limits.second_factor(tenant, user, factor), &turns);
        for (own, given) in own.into_iter().zip(given) {
            let leave = ask(store, &[own.look()], now).await?;
            let is_suspended = matches!(leave, Leave::Refused { retry_after, .. } if retry_after >= ENDLESS);
            if is_suspended && !due.iter().any(|ask| ask.key == given.key) {
                due.push(given);
            }
        }
    }
    for given in due {
        // Refused means that the hard cap is reached.
        ask(store, &[given], now).await?;
    }
    Ok(())
}

/// Tries that a completed reset gives back at a suspended second factor (threat model §3.3).
const GIVEN_BACK: u32 = 5;
/// The most consecutive failures of an account at a second factor, whatever is given back (NIST SP 800-63B-4 §3.2.2).
const HARD_CAP: u32 = 100;

/// Whether a country's messages look like pumping: many sent, few answered rightly (threat A-SMS-02).
pub(crate) fn breaker_opens(config: &LimitConfig, sent: u32, verified: u32) -> bool {
    sent > config.breaker_sent.saturating_mul(config.scale)
        && u64::from(verified) * 100 < u64::from(sent) * u64::from(config.breaker_percent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::counter::Counter;

    fn keyring() -> Keyring {
        let root = crate::keyring::Root::random("k".into(), &crate::entropy::OsEntropy).unwrap();
        Keyring::new(&crate::keyring::SecretList::new(vec![root])).unwrap()
    }

    #[test]
    fn callers_without_an_address_share_a_counter_ten_times_as_wide() {
        let (keyring, config) = (keyring(), LimitConfig::default());
        let limits = Limits {
            keyring: &keyring,
            config: &config,
        };
        let widths = |network: &str| -> Vec<u32> {
            let (tenant, user) = (TenantId::public(), UserId::from("u"));
            let mut asks = limits.sign_up(network);
            asks.extend(limits.sign_in_failed(network));
            asks.push(limits.exists(network).remove(0));
            asks.push(limits.sign_in(network, &["t", "a"]).remove(0));
            asks.extend(
                limits
                    .code_to_unverified(&tenant, &user, "+1", Some("US"), network)
                    .split_off(10),
            );
            asks.iter().map(|ask| ask.limit).collect()
        };
        let known = widths("192.0.2.1");
        assert_eq!(known, [20, 100, 10, 100, 10, 30, 10, 20]);
        assert_eq!(widths(""), known.iter().map(|n| n * 10).collect::<Vec<_>>());
    }

    #[test]
    fn no_two_counters_share_a_key_and_no_key_shows_what_it_counts() {
        let (keyring, config) = (keyring(), LimitConfig::default());
        let limits = Limits {
            keyring: &keyring,
            config: &config,
        };
        let (tenant, user) = (TenantId::public(), UserId::from("u"));
        let mut asks = limits.code_to_unverified(&tenant, &user, "+41791234567", Some("CH"), "192.0.2.1");
        asks.extend(
            limits
                .code_to_verified(&tenant, &user, "+41791234567")
                .split_off(2),
        );
        asks.extend(limits.second_factor(&tenant, &user, &FactorId::OTP_PHONE));
        asks.extend(limits.second_factor_failed("192.0.2.1"));
        asks.extend(limits.sign_in("192.0.2.1", &["public", "user:u"]));
        asks.extend(limits.sign_up("192.0.2.1"));
        asks.extend(limits.sign_up_mail(&tenant, "a@acme.test"));
        asks.extend(limits.exists("192.0.2.1"));
        asks.push(limits.reset_calls("192.0.2.1"));
        asks.extend(limits.reset("192.0.2.1", &tenant, "a@acme.test"));
        asks.extend(limits.reset_at_home(&tenant, &user, "a@acme.test"));
        asks.push(limits.own_calls(&SessionHandle::from("s")));
        let keys: std::collections::BTreeSet<&str> = asks.iter().map(|ask| ask.key.as_str()).collect();
        assert_eq!(keys.len(), asks.len());
        assert!(
            keys.iter()
                .all(|key| key.len() <= 64 && !key.contains("4179") && !key.contains("192."))
        );
    }

    #[test]
    fn a_rst_05_a_mailbox_that_is_asked_for_without_end_gets_ten_links_in_any_day_and_never_none() {
        let (keyring, config) = (keyring(), LimitConfig::default());
        let limits = Limits {
            keyring: &keyring,
            config: &config,
        };
        let minute = Duration::from_secs(60);
        let mut counters = std::collections::BTreeMap::new();
        let mut sent: Vec<u32> = Vec::new();
        // A network of its own for each minute of three days.
        for now in 0..3 * 24 * 60 {
            let at = Timestamp::from_ms(1_760_000_000_000).plus(minute * now);
            let network = format!("net {now}");
            for _ in 0..6 {
                let asks = limits.reset(&network, &TenantId::public(), "a@acme.test");
                let put = |ask: &Ask| ask.put_to(counters.get(&ask.key), at);
                if let Ok(granted) = asks.iter().map(put).collect::<Result<Vec<Counter>, _>>() {
                    counters.extend(asks.into_iter().map(|ask| ask.key).zip(granted));
                    sent.push(now);
                }
            }
        }
        let in_a_day = |from: u32| {
            sent.iter()
                .filter(|at| (from..from + 24 * 60).contains(at))
                .count()
        };
        let most = sent.iter().map(|from| in_a_day(*from)).max();
        assert_eq!(most, Some(10), "{sent:?}");
        let longest = sent.windows(2).map(|two| two[1] - two[0]).max();
        assert!(longest <= Some(4 * 60), "{sent:?}");
        // One network alone leaves one of those that come at once.
        assert_eq!(sent.iter().filter(|at| **at == 0).count(), 4);
    }

    #[test]
    fn the_breaker_opens_after_thirty_messages_that_hardly_anybody_answered() {
        let config = LimitConfig::default();
        assert!(!breaker_opens(&config, 30, 0));
        assert!(breaker_opens(&config, 31, 0));
        assert!(breaker_opens(&config, 31, 6));
        assert!(!breaker_opens(&config, 31, 7));
    }
}
