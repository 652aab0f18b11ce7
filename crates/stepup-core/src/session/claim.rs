//! Claims in the payload: the two that are derived whenever a token is made, and those of the application's own.

use std::fmt::Debug;

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::config::Config;
use crate::error::Source;
use crate::evidence::Completed;
use crate::id::FactorId;
use crate::policy::Standing;
use crate::record::JsonMap;
use crate::record::user::{Summary, User};
use crate::time::Timestamp;

/// The derived claims of a token, in their order. They are written here and nowhere else, and never stored (R-MFA-7).
///
/// `st-mfa.c` counts in seconds, everything else in milliseconds: so the clients read them.
pub fn derived(config: &Config, standing: &Standing, summary: &Summary, done: &Completed) -> JsonMap {
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

/// A claim of the application's own, fetched when a session is opened and kept in its payload as
/// `{"v": value, "t": milliseconds}`: a boolean, another primitive, or an array of primitives.
#[async_trait]
pub trait ClaimSource: Debug + Send + Sync + 'static {
    /// Its key in the payload. A reserved one is refused by `build()`.
    fn key(&self) -> &str;

    /// Its value for `user`, whose row may be about to be written only; none leaves the claim out.
    ///
    /// # Errors
    /// The application's own. No session is opened then.
    async fn fetch(&self, user: &User) -> Result<Option<Value>, Source>;
}

/// A claim's entry in the payload.
pub fn entry(value: Value, now: Timestamp) -> Value {
    json!({ "v": value, "t": now.as_ms() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_number_keeps_its_ends_and_its_length() {
        assert_eq!(mask_phone("+41791234567"), "+41*******67");
        assert_eq!(mask_phone("+1"), "+1");
    }
}
