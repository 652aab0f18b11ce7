//! Audit events, and the sink that receives them.

use std::fmt::Debug;

use crate::id::{FactorId, SessionHandle, TenantId, UserId};
use crate::time::Timestamp;

/// Something that happened to an account. It carries no secret, no code, no token and no address but a
/// masked one (R-LOG-1).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// When, in UTC.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
    /// Whether it was allowed.
    pub outcome: Outcome,
    /// Why not, or what else is worth knowing: a fixed word, never text from a request.
    pub reason: Option<&'static str>,
    /// In which tenant.
    pub tenant: Option<TenantId>,
    /// Whose account, where known.
    pub user: Option<UserId>,
    /// The first 16 hex digits of the SHA-256 of the session's handle.
    pub session: Option<String>,
    /// With which factor.
    pub factor: Option<FactorId>,
    /// From which network.
    pub network: Option<String>,
    /// By which carrier, of a message.
    pub carrier: Option<&'static str>,
    /// To which address, masked, of a message.
    pub destination: Option<String>,
}

/// Whether the caller was let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Yes.
    Granted,
    /// No.
    Refused,
    /// Neither: something to know.
    Noted,
}

/// Kinds of events, by the names that they are logged with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// `account.created`
    AccountCreated,
    /// `account.changed`
    AccountChanged,
    /// `account.deleted`
    AccountDeleted,
    /// `reset.asked`: somebody asked for a link that sets a new password
    ResetAsked,
    /// `reset.done`: such a link was used
    ResetDone,
    /// `signin`
    SignIn,
    /// `identity.linked`: a provider's account was added to an account
    IdentityLinked,
    /// `provider.refused`: a provider, or we, did not accept what came back from it
    ProviderRefused,
    /// `provider.failed`: a provider does not answer
    ProviderFailed,
    /// `session.opened`
    SessionOpened,
    /// `session.refreshed`
    SessionRefreshed,
    /// `session.grace`: the same successor was answered again
    SessionGrace,
    /// `session.theft`
    SessionTheft,
    /// `session.ended`
    SessionEnded,
    /// `session.refused`
    SessionRefused,
    /// `code.sent`
    CodeSent,
    /// `code.refused`
    CodeRefused,
    /// `code.answered`
    CodeAnswered,
    /// `factor.completed`
    FactorCompleted,
    /// `factor.enrolled`
    FactorEnrolled,
    /// `factor.reset`
    FactorReset,
    /// `enrollment.asked`: a first second factor waits for leave, by mail or from an administrator
    EnrollmentAsked,
    /// `enrollment.allowed`: leave was given
    EnrollmentAllowed,
    /// `enrollment.denied`: an administrator gave none
    EnrollmentDenied,
    /// `factor.undone`: the first second factor was removed by the link in its notice
    FactorUndone,
    /// `contact.asked`: a code went to a contact that is to take the place of another
    ContactAsked,
    /// `contact.changed`: such a code was right, and the contact is another
    ContactChanged,
    /// `identity.undone`: a provider's account signs in no more, by the link in the notice of its addition
    IdentityUndone,
    /// `contact.undone`: the contact is what it was, by the link in the notice of its change
    ContactUndone,
    /// `factor.guessed`: somebody with the right first factor fails at the second again and again
    FactorGuessed,
    /// `factor.alarm`: half of what the site stands of such failures is spent
    FactorAlarm,
    /// `verification.asked`: somebody asked for a link that verifies an address
    VerificationAsked,
    /// `verification.done`: an address was verified, by a link or by a code that went there
    VerificationDone,
    /// `notice.delivered`
    NoticeDelivered,
    /// `notice.failed`
    NoticeFailed,
    /// `delivery.sent`: a carrier took a message
    DeliverySent,
    /// `delivery.failed`: a carrier did not take a message, and no other one was asked
    DeliveryFailed,
    /// `delivery.failed_over`: a carrier did not take a message, and the next one was asked
    DeliveryFailedOver,
    /// `delivery.refused`: a carrier refused a message for good
    DeliveryRefused,
    /// `token.invalid`
    TokenInvalid,
    /// `cookie.duplicate`
    CookieDuplicate,
    /// `origin.refused`
    OriginRefused,
    /// `throttled`
    Throttled,
    /// `sms.breaker`: a country's breaker opened
    SmsBreaker,
    /// `sms.budget`: half of the site's budget is spent
    SmsBudget,
    /// `policy.stuck`: a user can reach no factor that the policy accepts
    PolicyStuck,
    /// `key.rotated`
    KeyRotated,
    /// `hook.refused`: a hook of the application refused, before
    HookRefused,
    /// `hook.failed`: a hook failed; before, nothing was begun, after, what was to be handed out was taken back
    HookFailed,
    /// `access.denied`: a guard refused a session that lacks what its route asks
    AccessDenied,
    /// `clock.back`: the clock went back further than is waited out
    ClockBack,
    /// `fault`
    Fault,
}

impl EventKind {
    /// The name that logs and alarms use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AccountCreated => "account.created",
            Self::AccountChanged => "account.changed",
            Self::AccountDeleted => "account.deleted",
            Self::ResetAsked => "reset.asked",
            Self::ResetDone => "reset.done",
            Self::SignIn => "signin",
            Self::IdentityLinked => "identity.linked",
            Self::ProviderRefused => "provider.refused",
            Self::ProviderFailed => "provider.failed",
            Self::SessionOpened => "session.opened",
            Self::SessionRefreshed => "session.refreshed",
            Self::SessionGrace => "session.grace",
            Self::SessionTheft => "session.theft",
            Self::SessionEnded => "session.ended",
            Self::SessionRefused => "session.refused",
            Self::CodeSent => "code.sent",
            Self::CodeRefused => "code.refused",
            Self::CodeAnswered => "code.answered",
            Self::FactorCompleted => "factor.completed",
            Self::FactorEnrolled => "factor.enrolled",
            Self::FactorReset => "factor.reset",
            Self::EnrollmentAsked => "enrollment.asked",
            Self::EnrollmentAllowed => "enrollment.allowed",
            Self::EnrollmentDenied => "enrollment.denied",
            Self::FactorUndone => "factor.undone",
            Self::ContactAsked => "contact.asked",
            Self::ContactChanged => "contact.changed",
            Self::IdentityUndone => "identity.undone",
            Self::ContactUndone => "contact.undone",
            Self::FactorGuessed => "factor.guessed",
            Self::FactorAlarm => "factor.alarm",
            Self::VerificationAsked => "verification.asked",
            Self::VerificationDone => "verification.done",
            Self::NoticeDelivered => "notice.delivered",
            Self::NoticeFailed => "notice.failed",
            Self::DeliverySent => "delivery.sent",
            Self::DeliveryFailed => "delivery.failed",
            Self::DeliveryFailedOver => "delivery.failed_over",
            Self::DeliveryRefused => "delivery.refused",
            Self::TokenInvalid => "token.invalid",
            Self::CookieDuplicate => "cookie.duplicate",
            Self::OriginRefused => "origin.refused",
            Self::Throttled => "throttled",
            Self::SmsBreaker => "sms.breaker",
            Self::SmsBudget => "sms.budget",
            Self::PolicyStuck => "policy.stuck",
            Self::KeyRotated => "key.rotated",
            Self::HookRefused => "hook.refused",
            Self::HookFailed => "hook.failed",
            Self::AccessDenied => "access.denied",
            Self::ClockBack => "clock.back",
            Self::Fault => "fault",
        }
    }
}

impl Event {
    /// An event of `kind` at `at`; the rest by name.
    pub fn new(kind: EventKind, outcome: Outcome, at: Timestamp) -> Self {
        Self {
            at,
            kind,
            outcome,
            reason: None,
            tenant: None,
            user: None,
            session: None,
            factor: None,
            network: None,
            carrier: None,
            destination: None,
        }
    }

    /// Adds the account.
    #[must_use]
    pub fn of(mut self, tenant: &TenantId, user: &UserId) -> Self {
        self.tenant = Some(tenant.clone());
        self.user = Some(user.clone());
        self
    }

    /// Adds the session, digested.
    #[must_use]
    pub fn in_session(mut self, handle: &SessionHandle) -> Self {
        self.session = Some(fingerprint(handle.as_str()));
        self
    }

    /// Adds the factor.
    #[must_use]
    pub fn with_factor(mut self, factor: &FactorId) -> Self {
        self.factor = Some(factor.clone());
        self
    }

    /// Adds the reason.
    #[must_use]
    pub fn because(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    /// Adds the network.
    #[must_use]
    pub fn from_network(mut self, network: &str) -> Self {
        self.network = Some(network.to_owned());
        self
    }

    /// Adds the address that a message goes to, which the caller has masked.
    #[must_use]
    pub(crate) fn with_destination(mut self, masked: &str) -> Self {
        self.destination = Some(masked.to_owned());
        self
    }
}

/// The first 16 hex digits of the SHA-256 of `text`: enough to join log lines, of no use to a reader of logs.
pub(crate) fn fingerprint(text: &str) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(text.as_bytes())
        .iter()
        .take(8)
        .map(|b| format!("{b:02x}"))
        .collect()
}

/// Receives events. It must not block: it is called in the middle of requests.
pub trait EventSink: Debug + Send + Sync + 'static {
    /// Receives one event.
    fn record(&self, event: &Event);
}

/// Writes events to `tracing`, target `stepup::audit`. Every field is encoded by the subscriber.
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingSink;

impl EventSink for TracingSink {
    fn record(&self, e: &Event) {
        tracing::info!(
            target: "stepup::audit",
            at_ms = e.at.as_ms(),
            event = e.kind.name(),
            outcome = ?e.outcome,
            reason = e.reason,
            tenant = e.tenant.as_ref().map(tracing::field::display),
            // Ids of an application's own may hold anything: `Debug` encodes line breaks and control characters.
            user = e.user.as_ref().map(|u| tracing::field::debug(u.as_str().to_owned())),
            session = e.session.as_deref(),
            factor = e.factor.as_ref().map(tracing::field::display),
            network = e.network.as_deref(),
            carrier = e.carrier,
            destination = e.destination.as_deref().map(tracing::field::debug),
        );
    }
}
