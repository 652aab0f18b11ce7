//! Claims in the payload: the two that are derived whenever a token is made, and those of the application's own.
//!
//! A claim of the application's own is a type: what its value is, where it comes from, and how old it may be. Most are a
//! [`BooleanClaim`], a [`PrimitiveClaim`] or an [`ArrayClaim`]; any other is an `impl` of [`Claim`].

use std::fmt::{self, Debug};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::config::Config;
use crate::error::Source;
use crate::evidence::Completed;
use crate::id::{FactorId, MethodId};
use crate::policy::{SecondFactor, Standing};
use crate::record::JsonMap;
use crate::record::user::{Summary, User};
use crate::rule::ClaimRule;
use crate::time::Timestamp;

/// The derived claims of a token, in their order. They are written here and nowhere else, and never stored (R-MFA-7).
///
/// `st-mfa.c` counts in seconds, everything else in milliseconds: so the clients read them.
pub fn derived(
    config: &Config,
    second_factor: SecondFactor,
    standing: &Standing,
    summary: &Summary,
    done: &Completed,
) -> JsonMap {
    let names = &config.claims;
    let completed: JsonMap = done
        .iter()
        .map(|(factor, c)| (factor.as_str().to_owned(), Value::from(c.at.as_secs())))
        .collect();
    let mut claims = JsonMap::new();
    claims.insert(
        names.mfa.clone(),
        json!({ "c": completed, "v": standing.satisfied }),
    );
    if second_factor == SecondFactor::Absent {
        return claims;
    }
    claims.insert(
        names.second_factor.clone(),
        json!({ "v": standing.second_factor, "t": standing.at.as_ms() }),
    );
    if let Some(phone) = summary
        .enrolled(&FactorId::OTP_PHONE)
        .and_then(|e| e.contact.as_deref())
    {
        let shown = if config.mask_contacts {
            mask_phone(phone)
        } else {
            phone.to_owned()
        };
        claims.insert(names.phone.clone(), Value::from(shown));
    }
    claims
}

/// The address with all but the first character of its local part hidden, and its length.
pub fn mask_email(email: &str) -> String {
    let (local, domain) = email.rsplit_once('@').unwrap_or((email, ""));
    let first: String = local.chars().take(1).collect();
    format!("{first}***@{domain}")
}

/// The number with all but its country's first digits and its last two hidden; taken for the stored number when a
/// client sends it back.
pub fn mask_phone(phone: &str) -> String {
    let chars: Vec<char> = phone.chars().collect();
    let hidden = 3..chars.len().saturating_sub(2);
    chars
        .iter()
        .enumerate()
        .map(|(i, c)| if hidden.contains(&i) { '*' } else { *c })
        .collect()
}

/// The mask of an address or a number, whichever it is.
pub fn mask_contact(contact: &str) -> String {
    if contact.contains('@') {
        mask_email(contact)
    } else {
        mask_phone(contact)
    }
}

/// A claim of the application's own: a fact about a user, kept in the payload of the user's sessions as
/// `{"v": value, "t": milliseconds}`.
///
/// ```
/// use stepup_core::error::Source;
/// use stepup_core::record::user::User;
/// use stepup_core::session::claim::Claim;
///
/// #[derive(Debug)]
/// struct Quota;
///
/// impl Claim for Quota {
///     type Value = u32;
///
///     fn key(&self) -> &str {
///         "quota"
///     }
///
///     async fn fetch(&self, user: &User) -> Result<Option<u32>, Source> {
///         Ok(Some(if user.metadata.contains_key("plan") { 1_000 } else { 10 }))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no claim",
    note = "use a `BooleanClaim`, `PrimitiveClaim` or `ArrayClaim`, or implement `Claim` for a type of your own"
)]
pub trait Claim: Debug + Send + Sync + 'static {
    /// Its value. It travels in a token that scripts can read.
    type Value: Serialize + DeserializeOwned + Send;

    /// Its key in the payload. A reserved one is refused by `build()`, and whenever it is written.
    fn key(&self) -> &str;

    /// Its value for `user`, whose row may be about to be written only; none leaves the payload as it is.
    ///
    /// # Errors
    /// The application's own. Whoever asked is denied.
    fn fetch(&self, user: &User) -> impl Future<Output = Result<Option<Self::Value>, Source>> + Send;

    /// The oldest value that is believed where a rule names no age of its own; none: any.
    fn max_age(&self) -> Option<Duration> {
        None
    }

    /// When it is fetched for the first time.
    fn first_fetch(&self) -> FirstFetch {
        FirstFetch::default()
    }
}

/// When a claim is fetched for the first time. Later it is fetched when a rule asks for it and it is too old.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FirstFetch {
    /// When a session is opened: the client sees it from the start.
    #[default]
    WithSession,
    /// When a rule asks for it.
    WhenAsked,
}

/// A [`Claim`] whose type was forgotten: what the builder keeps. Implement [`Claim`] rather than this.
#[async_trait]
pub trait ClaimSource: Debug + Send + Sync + 'static {
    /// As [`Claim::key`].
    fn key(&self) -> &str;

    /// As [`Claim::fetch`].
    ///
    /// # Errors
    /// The application's own, or a value that is no JSON.
    async fn fetch(&self, user: &User) -> Result<Option<Value>, Source>;

    /// The same for a session that `method` opened, if that matters.
    ///
    /// # Errors
    /// As [`ClaimSource::fetch`].
    async fn fetch_for(&self, user: &User, method: &MethodId) -> Result<Option<Value>, Source> {
        let _ = method;
        self.fetch(user).await
    }

    /// As [`Claim::max_age`].
    fn max_age(&self) -> Option<Duration> {
        None
    }

    /// As [`Claim::first_fetch`].
    fn first_fetch(&self) -> FirstFetch {
        FirstFetch::default()
    }
}

#[async_trait]
impl<C: Claim> ClaimSource for C {
    fn key(&self) -> &str {
        Claim::key(self)
    }

    async fn fetch(&self, user: &User) -> Result<Option<Value>, Source> {
        let value = Claim::fetch(self, user).await?;
        Ok(value.map(serde_json::to_value).transpose()?)
    }

    fn max_age(&self) -> Option<Duration> {
        Claim::max_age(self)
    }

    fn first_fetch(&self) -> FirstFetch {
        Claim::first_fetch(self)
    }
}

/// A claim that is true or false.
pub type BooleanClaim = PrimitiveClaim<bool>;

/// A claim whose value is one boolean, number or text.
#[derive(Clone)]
pub struct PrimitiveClaim<T>(Own<T>);

/// A claim whose value is a list of booleans, numbers or texts.
#[derive(Clone)]
pub struct ArrayClaim<T>(Own<Vec<T>>, PhantomData<T>);

/// What a [`PrimitiveClaim`] can hold, and each item of an [`ArrayClaim`].
pub trait Primitive: Serialize + DeserializeOwned + Into<Value> + Clone + Send + Sync + 'static {}

impl Primitive for bool {}
impl Primitive for i32 {}
impl Primitive for i64 {}
impl Primitive for u32 {}
impl Primitive for u64 {}
impl Primitive for f64 {}
impl Primitive for String {}

#[derive(Clone)]
struct Own<V> {
    key: &'static str,
    fetch: Option<Fetch<V>>,
    max_age: Option<Duration>,
    first_fetch: FirstFetch,
}

type Fetch<V> = Arc<dyn Fn(User) -> Fetching<V> + Send + Sync>;
type Fetching<V> = Pin<Box<dyn Future<Output = Result<Option<V>, Source>> + Send>>;

impl<V: Send + 'static> Own<V> {
    fn new<F, A>(key: &'static str, fetch: F) -> Self
    where
        F: Fn(User) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Option<V>, Source>> + Send + 'static,
    {
        Self {
            fetch: Some(Arc::new(move |user| Box::pin(fetch(user)))),
            ..Self::set_only(key)
        }
    }

    fn set_only(key: &'static str) -> Self {
        Self {
            key,
            fetch: None,
            max_age: None,
            first_fetch: FirstFetch::default(),
        }
    }

    async fn fetch(&self, user: &User) -> Result<Option<V>, Source> {
        match &self.fetch {
            Some(fetch) => fetch(user.clone()).await,
            None => Ok(None),
        }
    }
}

macro_rules! own_claim {
    ($claim:ident, $value:ty, $make:expr) => {
        impl<T: Primitive> $claim<T> {
            /// The claim `key`, whose value `fetch` knows; its answer of none leaves the payload as it is.
            ///
            /// # Errors
            /// Those of `fetch` deny whoever asked.
            pub fn new<F, A>(key: &'static str, fetch: F) -> Self
            where
                F: Fn(User) -> A + Send + Sync + 'static,
                A: Future<Output = Result<Option<$value>, Source>> + Send + 'static,
            {
                $make(Own::new(key, fetch))
            }

            /// The claim `key`, which the application sets when it pleases, and nobody fetches.
            pub fn set_only(key: &'static str) -> Self {
                $make(Own::set_only(key))
            }

            /// The oldest value that is believed where a rule names no age of its own.
            #[must_use]
            pub fn with_max_age(mut self, max_age: Duration) -> Self {
                self.0.max_age = Some(max_age);
                self
            }

            /// Not fetched when a session is opened, but when a rule asks for it first.
            #[must_use]
            pub fn when_asked(mut self) -> Self {
                self.0.first_fetch = FirstFetch::WhenAsked;
                self
            }

            /// It passes `check`, which is quick and pure: given the value, it says why not. A value of another type
            /// than the claim's fails.
            pub fn passes(
                &self,
                check: impl Fn($value) -> Result<(), Value> + Send + Sync + 'static,
            ) -> ClaimRule {
                ClaimRule::own(self.0.key, move |value| {
                    match serde_json::from_value(value.clone()) {
                        Ok(value) => check(value),
                        Err(_) => Err(json!({ "message": "wrong value" })),
                    }
                })
            }
        }

        impl<T: Primitive> Claim for $claim<T> {
            type Value = $value;

            fn key(&self) -> &str {
                self.0.key
            }

            async fn fetch(&self, user: &User) -> Result<Option<$value>, Source> {
                self.0.fetch(user).await
            }

            fn max_age(&self) -> Option<Duration> {
                self.0.max_age
            }

            fn first_fetch(&self) -> FirstFetch {
                self.0.first_fetch
            }
        }

        impl<T> Debug for $claim<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($claim)).field(&self.0.key).finish()
            }
        }
    };
}

own_claim!(PrimitiveClaim, T, PrimitiveClaim);
own_claim!(ArrayClaim, Vec<T>, |own| ArrayClaim(own, PhantomData));

impl<T: Primitive> PrimitiveClaim<T> {
    /// It is `value`.
    pub fn is(&self, value: T) -> ClaimRule {
        ClaimRule::is(self.0.key, value)
    }
}

impl<T: Primitive> ArrayClaim<T> {
    /// It includes `value`.
    pub fn includes(&self, value: impl Into<T>) -> ClaimRule {
        ClaimRule::includes(self.0.key, value.into())
    }

    /// It does not include `value`; a missing claim fails.
    pub fn excludes(&self, value: impl Into<T>) -> ClaimRule {
        ClaimRule::excludes(self.0.key, value.into())
    }

    /// It includes all of `values`.
    pub fn includes_all<V: Into<T>>(&self, values: impl IntoIterator<Item = V>) -> ClaimRule {
        ClaimRule::includes_all(self.0.key, values.into_iter().map(Into::<T>::into))
    }

    /// It includes at least one of `values`.
    pub fn includes_any<V: Into<T>>(&self, values: impl IntoIterator<Item = V>) -> ClaimRule {
        ClaimRule::includes_any(self.0.key, values.into_iter().map(Into::<T>::into))
    }

    /// It includes none of `values`; a missing claim fails.
    pub fn excludes_all<V: Into<T>>(&self, values: impl IntoIterator<Item = V>) -> ClaimRule {
        ClaimRule::excludes_all(self.0.key, values.into_iter().map(Into::<T>::into))
    }
}

/// A claim's value, with the time when it was fetched or set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamped<V> {
    /// The value.
    pub value: V,
    /// When it was fetched or set; none if the entry does not say.
    pub at: Option<Timestamp>,
}

/// A claim's entry in the payload.
pub fn entry(value: Value, now: Timestamp) -> Value {
    json!({ "v": value, "t": now.as_ms() })
}

/// What `payload` says of `claim`; none if it says nothing, or nothing of the claim's type.
pub fn read<C: Claim>(claim: &C, payload: &JsonMap) -> Option<Stamped<C::Value>> {
    let entry = payload.get(Claim::key(claim))?;
    let value = serde_json::from_value(entry.get("v")?.clone()).ok()?;
    let at = entry.get("t").and_then(Value::as_i64).map(Timestamp::from_ms);
    Some(Stamped { value, at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_number_keeps_its_ends_and_its_length() {
        assert_eq!(mask_phone("+41791234567"), "+41*******67");
        assert_eq!(mask_phone("+1"), "+1");
    }

    #[test]
    fn a_masked_address_keeps_its_first_character_and_its_domain() {
        assert_eq!(mask_email("alice@acme.test"), "a***@acme.test");
        assert_eq!(mask_email("é@acme.test"), "é***@acme.test");
    }

    #[test]
    fn a_claim_reads_what_is_of_its_type_and_nothing_else() {
        let plan = PrimitiveClaim::<String>::set_only("plan");
        let payload = |entry: Value| JsonMap::from_iter([("plan".to_owned(), entry)]);
        let read = |entry: Value| read(&plan, &payload(entry));
        let stamped = read(entry(json!("gold"), Timestamp::from_ms(7))).unwrap();
        assert_eq!(
            (stamped.value.as_str(), stamped.at),
            ("gold", Some(Timestamp::from_ms(7)))
        );
        assert_eq!(read(json!({ "v": "gold" })).unwrap().at, None);
        for other in [
            json!("gold"),
            json!({ "t": 7 }),
            json!({ "v": 1, "t": 7 }),
            json!({ "v": ["gold"], "t": 7 }),
        ] {
            assert_eq!(read(other), None);
        }
    }
}
