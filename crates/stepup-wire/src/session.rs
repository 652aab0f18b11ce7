//! [`Session`]: what a handler holds, once its request was admitted.

use std::fmt;
use std::marker::PhantomData;

use serde_json::Value;
use stepup_core::error::Fault;
use stepup_core::flow::MergeError;
use stepup_core::id::{SessionHandle, TenantId, UserId};
use stepup_core::record::JsonMap;
use stepup_core::require::SitePolicy;
use stepup_core::session::access::{AccessClaims, PayloadError};
use stepup_core::time::Timestamp;

use crate::gate::{Refused, Verified};
use crate::refusal::Refusal;
use crate::service::Guard;
use crate::tokens;
use crate::transfer::Mode;
use crate::writes::TokenWrites;

/// The session of a request that met `R`; the site's policy, if none is named.
pub struct Session<R = SitePolicy> {
    verified: Verified,
    guard: Guard,
    meets: PhantomData<fn() -> R>,
}

/// Why a session was not changed.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// It has ended; the client is told so.
    #[error("the session has ended")]
    Ended,
    /// What was to be merged is no payload of the application's.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The store, or a key, failed.
    #[error("the session could not be changed")]
    Fault(#[from] Fault),
}

impl<R> Session<R> {
    pub(crate) fn new(verified: Verified, guard: Guard) -> Self {
        Self {
            verified,
            guard,
            meets: PhantomData,
        }
    }

    /// The user.
    pub fn user_id(&self) -> &UserId {
        self.claims().user_id()
    }

    /// The session's handle. It is no secret: it opens nothing by itself.
    pub fn handle(&self) -> &SessionHandle {
        self.claims().handle()
    }

    /// The tenant of the user.
    pub fn tenant_id(&self) -> &TenantId {
        self.claims().tenant_id()
    }

    /// All claims of the access token, typed.
    pub fn claims(&self) -> &AccessClaims {
        &self.verified.claims
    }

    /// The whole payload of the access token.
    pub fn payload(&self) -> &JsonMap {
        self.claims().payload()
    }

    /// The value of a claim `{"v", "t"}` of the application's own.
    pub fn claim(&self, key: &str) -> Option<&Value> {
        self.payload().get(key)?.get("v")
    }

    /// When the access token expires; the session lasts longer.
    pub fn expires_at(&self) -> Timestamp {
        self.claims().expires_at()
    }

    /// How its tokens travel.
    pub fn mode(&self) -> Mode {
        self.verified.mode
    }

    /// Merges `patch` into the application's part of the payload; `null` removes a key. The client gets a new access
    /// token with this response, whatever its status: new `iat`, old `exp`.
    ///
    /// # Errors
    /// [`SessionError`]; nothing was changed.
    pub async fn merge_payload(&mut self, patch: &JsonMap) -> Result<(), SessionError> {
        let stepup = self.guard.wire.stepup();
        match stepup.merge_own_payload(&self.verified.claims, patch).await? {
            Ok(issued) => {
                // Our own token, signed a moment ago. Should it not verify, the old claims stay, which say less.
                if let Ok(claims) = stepup.verify(issued.access.expose()) {
                    self.verified.claims = claims;
                }
                self.guard.owe(tokens::hand_out(self.verified.mode, issued));
                Ok(())
            }
            Err(MergeError::Ended) => {
                self.guard.owe(everything_taken_back());
                Err(SessionError::Ended)
            }
            Err(MergeError::Payload(error)) => Err(error.into()),
        }
    }

    /// Ends the session and tells the client.
    ///
    /// # Errors
    /// [`Fault`]; this process refuses its tokens all the same, and the client is told.
    pub async fn revoke(self) -> Result<(), Fault> {
        let mut writes = TokenWrites::new();
        writes.end(self.verified.mode);
        self.guard.owe(writes);
        self.guard.wire.stepup().revoke(self.handle()).await.map(drop)
    }
}

fn everything_taken_back() -> TokenWrites {
    let mut writes = TokenWrites::new();
    writes.end_everywhere();
    writes
}

impl<R> fmt::Debug for Session<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("user", self.user_id())
            .field("mode", &self.verified.mode)
            .finish_non_exhaustive()
    }
}

impl From<SessionError> for Refused {
    /// So that a handler can pass it on by `?`.
    fn from(error: SessionError) -> Self {
        Self::new(match error {
            // The outbox holds what the client is told.
            SessionError::Ended => Refusal::Unusable,
            SessionError::Payload(error) => {
                tracing::error!(target: "stepup", %error, "a handler merged what is no payload");
                Refusal::Broken
            }
            SessionError::Fault(fault) => fault.into(),
        })
    }
}
