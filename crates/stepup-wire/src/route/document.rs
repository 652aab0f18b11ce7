//! The OpenAPI document of the site.

use std::time::Duration;

use http::StatusCode;

use crate::call::Call;
use crate::refusal::Refusal;
use crate::reply::Reply;

/// `GET /openapi.json`, unless it was switched off. It says nothing of this site but its name and address.
pub(super) fn show(call: &Call<'_>) -> Result<Reply, Refusal> {
    if !call.wire.rules().document {
        return Err(Refusal::NotFound);
    }
    Ok(Reply::bytes(StatusCode::OK, call.wire.document()).cached_for(CACHED))
}

const CACHED: Duration = Duration::from_secs(300);
