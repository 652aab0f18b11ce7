//! Who may change by what an account is signed in to: add a way, or put another contact into one.

use crate::delivery::Channel;
use crate::error::Fault;
use crate::factor::third_party;
use crate::flow::code::{self, CodeRefusal};
use crate::flow::session::Checked;
use crate::flow::{Caller, leave};
use crate::parts::Parts;

/// Whether `checked` may, by the rule for one more second factor: with one, it has to be complete, and the strongest of them
/// new. Without, the leave is wanted that the first of them needs, and asked for: a guessed password would gain the account by
/// another key or another mailbox as well as by a factor (threat A-MFA-41).
pub(super) async fn admitted(
    parts: &Parts,
    caller: &Caller,
    checked: &Checked,
    channel: Channel,
) -> Result<Result<(), CodeRefusal>, Fault> {
    let leave = leave::of(parts, checked).await?;
    // By a factor that nobody enrolls, and no policy demands: the rule alone decides.
    Ok(match code::enrollable(parts, checked, leave, &third_party::ID) {
        Ok(()) => Ok(()),
        Err(refusal) => Err(code::enroll_refusal(parts, caller, checked, channel, refusal).await?),
    })
}
