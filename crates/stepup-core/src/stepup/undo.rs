//! Undoing an enrollment, by the link in its notice.

use crate::caller::Caller;
use crate::error::Fault;
use crate::flow::undo::{self, UndoOutcome};
use crate::hook::{Done, Step};
use crate::stepup::Stepup;
use crate::stepup::turn::Told;

impl Stepup {
    /// Whether `token` undoes an enrollment still. It spends nothing.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn can_undo_factor(&self, caller: &Caller, token: &str) -> Result<bool, Fault> {
        undo::is_live(&self.parts, caller, token).await
    }

    /// Removes the second factors that the account behind `token` has since its first was added, ends all that is signed in
    /// to it, and retires its password: it opens nothing until it was reset.
    ///
    /// # Errors
    /// [`Fault`]: try again.
    ///
    /// # Source
    /// ASVS v5.0.0-6.3.7; threats A-MFA-41, A-CSR-08.
    pub async fn undo_factor(&self, caller: &Caller, token: &str) -> Result<UndoOutcome, Fault> {
        let turn = self.turn(caller, Step::UndoFactor).await?;
        turn.end(undo::undo(&self.parts, caller, token)).await
    }
}

impl Told for UndoOutcome {
    fn done(&self) -> Done<'_> {
        match self {
            Self::Done => Done::Granted,
            Self::InvalidToken => Done::Refused("invalid_token"),
        }
    }
}
