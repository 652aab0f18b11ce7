//! GitHub.

use crate::client::Client;
use crate::mapping::{Emails, Mapping};
use crate::oauth2::{Endpoints, OAuth2, Owner, oauth2};
use crate::setup::Setup;

/// GitHub, `github`. People are told apart by their number; their main address is the one that counts, and GitHub says whether it is
/// verified. Access tokens of applications on devices are accepted if GitHub says that they are of this client, and if it takes tokens.
pub fn github(client: Client) -> Setup<OAuth2> {
    let endpoints = Endpoints::new(
        "https://github.com/login/oauth/authorize",
        "https://github.com/login/oauth/access_token",
        "https://api.github.com/user",
    );
    let emails = Emails::at(
        "https://api.github.com/user/emails",
        "",
        ["email", "primary", "verified"],
    );
    let mut setup = oauth2("github", "GitHub", endpoints, Mapping::new("id"), client)
        .scopes(["read:user", "user:email"])
        .emails(emails);
    setup.kind.owner = Some(Owner::GitHub {
        url: "https://api.github.com".to_owned(),
    });
    setup
}
