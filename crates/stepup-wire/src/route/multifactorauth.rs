//! What a session may know of its factors.

use serde_json::{Value, json};
use stepup_core::flow::{ByFactor, FactorInfoOutcome};
use stepup_core::id::FactorId;

use super::passwordless::SIGN_IN_AGAIN;
use crate::call::Call;
use crate::gate::Verified;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::tokens;

/// `PUT /mfa/info`: the factors that are due, set up, and may be set up, and a new access token if the claims of the old
/// one no longer hold.
pub(super) async fn info(call: &Call<'_>, session: &Verified) -> Result<Reply, Refusal> {
    match call.stepup().factor_info(&session.claims).await? {
        FactorInfoOutcome::Known(info) => {
            let reply = Reply::ok(&json!({
                "status": "OK",
                "factors": {
                    "next": names(&info.choices.next),
                    "alreadySetup": names(&info.choices.already_set_up),
                    "allowedToSetup": names(&info.choices.allowed_to_set_up),
                },
                "emails": by_factor(&info.emails),
                "phoneNumbers": by_factor(&info.phones),
            }));
            Ok(match info.tokens {
                Some(issued) => reply.with_tokens(tokens::hand_out(session.mode, issued)),
                None => reply,
            })
        }
        FactorInfoOutcome::Ended => Err(Refusal::SessionOver),
        FactorInfoOutcome::SignInAgain => Ok(Reply::general_error(SIGN_IN_AGAIN)),
        FactorInfoOutcome::Stuck => Ok(Reply::general_error(
            "No second factor can be used for this account. Please contact us.",
        )),
    }
}

fn names(factors: &[FactorId]) -> Vec<&str> {
    factors.iter().map(FactorId::as_str).collect()
}

fn by_factor(lists: &ByFactor) -> Value {
    lists
        .iter()
        .map(|(factor, list)| (factor.as_str().to_owned(), Value::from(list.clone())))
        .collect()
}
