//! Which ways of signing in a tenant has.

use serde_json::json;
use stepup_core::id::FactorId;

use crate::call::Call;
use crate::reply::Reply;

/// `GET /loginmethods`. Web clients draw their sign-in form by it, where it is not the same for all tenants.
pub(super) fn login_methods(call: &Call<'_>) -> Reply {
    let factors = call.stepup().first_factors(&call.caller.tenant);
    let names: Vec<&str> = factors.iter().map(FactorId::as_str).collect();
    let signs_in = names.contains(&"thirdparty");
    let providers = call.stepup().providers(&call.caller.tenant);
    let providers = providers.into_iter().filter(|_| signs_in);
    let providers: Vec<_> = providers
        .map(|(id, name)| json!({ "id": id, "name": name }))
        .collect();
    let any = |ours: &[&str]| names.iter().any(|name| ours.contains(name));
    Reply::ok(&json!({
        "status": "OK",
        "emailPassword": { "enabled": any(&["emailpassword"]) },
        "passwordless": { "enabled": any(&["otp-phone", "otp-email", "link-phone", "link-email"]) },
        "webauthn": { "enabled": any(&["webauthn"]) },
        "thirdParty": { "enabled": signs_in, "providers": providers },
        "firstFactors": names,
    }))
}
