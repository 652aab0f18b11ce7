//! Undoing an enrollment, or a change of a contact, by the link in its notice.

use crate::caller::Caller;
use crate::error::Fault;
use crate::flow::undo::{self, AfterUndo, UndoOutcome, Undoable};
use crate::hook::{Done, Step};
use crate::stepup::Stepup;
use crate::stepup::turn::Told;

impl Stepup {
    /// What `token` undoes still, and what that leaves to sign in by; none if it is used, too old or no such token. It spends
    /// nothing.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn undoes(&self, caller: &Caller, token: &str) -> Result<Option<(Undoable, AfterUndo)>, Fault> {
        undo::what(&self.parts, caller, token).await
    }

    /// Takes back what `token` was sent for, and what came after it: removes the second factors and the ways to sign in that
    /// the account behind it has since, puts its contacts back that were changed since, ends all that is signed in to it, and
    /// retires its password if it has one: it opens nothing until it was reset. If another account has proved the contact by
    /// now, the account is disabled instead.
    ///
    /// # Errors
    /// [`Fault`]: try again.
    ///
    /// # Source
    /// ASVS v5.0.0-6.3.7; threats A-MFA-22, A-MFA-41, A-CSR-08.
    pub async fn undo_factor(&self, caller: &Caller, token: &str) -> Result<UndoOutcome, Fault> {
        let turn = self.turn(caller, Step::UndoFactor).await?;
        turn.end(undo::undo(&self.parts, caller, token)).await
    }
}

impl Told for UndoOutcome {
    fn done(&self) -> Done<'_> {
        match self {
            Self::Done(..) => Done::Granted,
            Self::InvalidToken => Done::Refused("invalid_token"),
        }
    }
}
