//! Issued tokens, as what an answer says about them.

use stepup_core::flow::IssuedTokens;

use crate::transfer::Mode;
use crate::writes::{TokenWrites, front_token};

/// Hands tokens to a client of `mode`.
pub(crate) fn hand_out(mode: Mode, tokens: IssuedTokens) -> TokenWrites {
    let mut writes = TokenWrites::new();
    let front = front_token(tokens.user.as_str(), tokens.expires_at, &tokens.payload);
    writes.set_access(mode, tokens.access, front);
    if let Some(refresh) = tokens.refresh {
        writes.set_refresh(mode, refresh.token, refresh.expires_at);
    }
    writes
}
