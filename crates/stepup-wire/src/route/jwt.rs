//! The public keys, and where others find them.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::json;

use crate::call::Call;
use crate::reply::Reply;

/// `GET /jwt/jwks.json`.
pub(super) fn keys(call: &Call<'_>) -> Reply {
    let keys = call.stepup().jwks();
    Reply::bytes(StatusCode::OK, Bytes::copy_from_slice(keys.body.as_bytes())).cached_for(keys.max_age)
}

/// `GET /.well-known/openid-configuration`. The document has the keys of the contract; of the endpoints in it only
/// `jwks_uri` is served.
pub(super) fn discovery(call: &Call<'_>) -> Reply {
    let stepup = call.stepup();
    let issuer = stepup.app().issuer();
    let at = |path: &str| format!("{issuer}{path}");
    Reply::ok(&json!({
        "issuer": issuer,
        "jwks_uri": at("/jwt/jwks.json"),
        "authorization_endpoint": at("/oauth/auth"),
        "token_endpoint": at("/oauth/token"),
        "userinfo_endpoint": at("/oauth/userinfo"),
        "revocation_endpoint": at("/oauth/revoke"),
        "token_introspection_endpoint": at("/oauth/introspect"),
        "end_session_endpoint": at("/oauth/end_session"),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [stepup.signing_algorithm()],
        "response_types_supported": ["code", "id_token", "id_token token"],
    }))
    .cached_for(DISCOVERY_CACHED)
}

const DISCOVERY_CACHED: Duration = Duration::from_secs(300);
