//! Providers that need no more than their addresses.

use crate::client::{Client, TokenAuth};
use crate::mapping::{Emails, Mapping};
use crate::oauth2::{Endpoints, OAuth2, oauth2};
use crate::openid::{OpenId, openid};
use crate::setup::Setup;

/// GitLab, `gitlab`: at `base` (`https://gitlab.com`, or a host of one's own). It says of every address whether it is verified.
pub fn gitlab(base: &str, client: Client) -> Setup<OpenId> {
    openid("gitlab", "GitLab", base, client)
}

/// Okta, `okta`: the organization at `domain` (`https://acme.okta.com`). It says of every address whether it is verified; an
/// administrator can say so too.
pub fn okta(domain: &str, client: Client) -> Setup<OpenId> {
    openid("okta", "Okta", domain, client)
}

/// Discord, `discord`. It says whether the address is verified. Access tokens of applications on devices are accepted if Discord says
/// that they are of this client, and if it takes tokens.
pub fn discord(client: Client) -> Setup<OAuth2> {
    let endpoints = Endpoints::new(
        "https://discord.com/oauth2/authorize",
        "https://discord.com/api/oauth2/token",
        "https://discord.com/api/users/@me",
    );
    let mapping = Mapping::new("id").email("email").email_verified("verified");
    oauth2("discord", "Discord", endpoints, mapping, client)
        .scopes(["identify", "email"])
        .token_owner("https://discord.com/api/oauth2/@me", "application.id")
}

/// LinkedIn, `linkedin`. It says whether the address is verified. Its id tokens repeat no nonce, so its user info is asked instead;
/// its token endpoint refuses confidential clients that send a PKCE verifier, so none is sent.
pub fn linkedin(client: Client) -> Setup<OAuth2> {
    let endpoints = Endpoints::new(
        "https://www.linkedin.com/oauth/v2/authorization",
        "https://www.linkedin.com/oauth/v2/accessToken",
        "https://api.linkedin.com/v2/userinfo",
    );
    oauth2("linkedin", "LinkedIn", endpoints, Mapping::openid(), client)
        .scopes(["openid", "profile", "email"])
        .danger_without_pkce()
}

/// X, `twitter`, the id that the protocol's clients know. It tells an address only to applications that X admitted to `users.email`,
/// and says nothing about its verification.
pub fn x(client: Client) -> Setup<OAuth2> {
    let endpoints = Endpoints::new(
        "https://x.com/i/oauth2/authorize",
        "https://api.x.com/2/oauth2/token",
        "https://api.x.com/2/users/me?user.fields=confirmed_email",
    );
    let mapping = Mapping::new("data.id").email("data.confirmed_email");
    let mut setup = oauth2("twitter", "X", endpoints, mapping, client).scopes(["users.read", "tweet.read"]);
    setup.kind.auth = TokenAuth::Basic;
    setup
}

/// Bitbucket, `bitbucket`. The main address is the one that counts, and Bitbucket says whether it is confirmed.
pub fn bitbucket(client: Client) -> Setup<OAuth2> {
    let endpoints = Endpoints::new(
        "https://bitbucket.org/site/oauth2/authorize",
        "https://bitbucket.org/site/oauth2/access_token",
        "https://api.bitbucket.org/2.0/user",
    );
    let fields = ["email", "is_primary", "is_confirmed"];
    oauth2("bitbucket", "Bitbucket", endpoints, Mapping::new("uuid"), client)
        .scopes(["account", "email"])
        .emails(Emails::at(
            "https://api.bitbucket.org/2.0/user/emails",
            "values",
            fields,
        ))
}
