//! Google.

use crate::client::Client;
use crate::openid::{OpenId, Required, openid};
use crate::setup::Setup;

/// What Google calls itself.
const ISSUER: &str = "https://accounts.google.com";

/// Google, `google`. It says of every address whether it is verified.
pub fn google(client: Client) -> Setup<OpenId> {
    openid("google", "Google", ISSUER, client)
}

/// Whose people may sign in with Google.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Workspaces {
    /// Those of these domains (`acme.test`), at least one.
    Of(Vec<String>),
    /// Those of any organization, but no private accounts.
    Any,
}

/// Google for the people of organizations alone, `google-workspaces`. Google's word in the id token decides, not the address.
pub fn google_workspaces(workspaces: Workspaces, client: Client) -> Setup<OpenId> {
    let (hint, required) = match workspaces {
        Workspaces::Any => ("*".to_owned(), Required::Any),
        Workspaces::Of(domains) => {
            let domains: Vec<String> = domains.iter().map(|domain| domain.to_ascii_lowercase()).collect();
            // Only one can be asked for; `*` is any organization.
            let hint = match domains.as_slice() {
                [one] => one.clone(),
                _ => "*".to_owned(),
            };
            (hint, Required::OneOf(domains))
        }
    };
    openid("google-workspaces", "Google Workspaces", ISSUER, client)
        .parameter("hd", hint)
        .require("hd", required)
}
