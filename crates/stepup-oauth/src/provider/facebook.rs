//! Facebook.

use crate::client::Client;
use crate::mapping::Mapping;
use crate::oauth2::{Endpoints, OAuth2, Owner, ShowsToken, oauth2};
use crate::setup::Setup;

/// Facebook, `facebook`. It does not say whether an address is verified, so none is. Its dialog drops the PKCE challenge and its
/// token endpoint then refuses the verifier, so none is sent. Access tokens of applications on devices are accepted if Facebook
/// says that they are of this client, and if it takes tokens.
pub fn facebook(client: Client) -> Setup<OAuth2> {
    let endpoints = Endpoints::new(
        "https://www.facebook.com/v23.0/dialog/oauth",
        "https://graph.facebook.com/v23.0/oauth/access_token",
        "https://graph.facebook.com/v23.0/me?fields=id,email",
    );
    let mut setup = oauth2(
        "facebook",
        "Facebook",
        endpoints,
        Mapping::new("id").email("email"),
        client,
    )
    .scopes(["email"])
    .danger_without_pkce();
    setup.kind.shows_token = ShowsToken::Query;
    setup.kind.owner = Some(Owner::Facebook {
        url: "https://graph.facebook.com/v23.0/debug_token".to_owned(),
    });
    setup
}
