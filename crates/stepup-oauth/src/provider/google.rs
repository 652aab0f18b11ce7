//! Google.

use crate::client::Client;
use crate::openid::{OpenId, openid};
use crate::setup::Setup;

/// What Google calls itself.
const ISSUER: &str = "https://accounts.google.com";

/// Google, `google`. It says of every address whether it is verified.
pub fn google(client: Client) -> Setup<OpenId> {
    openid("google", "Google", ISSUER, client)
}

/// Google for the people of organizations alone, `google-workspaces`: those whose domain (`acme.test`) is one of `domains`; if none
/// is listed, those of any organization. Google's word in the id token decides, not the address.
pub fn google_workspaces(
    client: Client,
    domains: impl IntoIterator<Item = impl Into<String>>,
) -> Setup<OpenId> {
    let domains: Vec<String> = domains.into_iter().map(Into::into).collect();
    // Only one can be asked for; `*` is any organization.
    let hint = match domains.as_slice() {
        [one] => one.clone(),
        _ => "*".to_owned(),
    };
    openid("google-workspaces", "Google Workspaces", ISSUER, client)
        .parameter("hd", hint)
        .require_claim("hd", domains)
}
