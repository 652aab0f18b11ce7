//! Apple.

use crate::client::Client;
use crate::openid::{OpenId, openid};
use crate::setup::Setup;

/// Apple, `apple`. The client is one of [`Client::apple`]: a services id for a website, a bundle id for an application.
///
/// Apple says of every address whether it is verified, `"true"` included. It answers by a form that the browser posts; the `user` in
/// it, which comes with the first sign-in only, is signed by nobody and plays no part in who it is.
pub fn apple(client: Client) -> Setup<OpenId> {
    openid("apple", "Apple", "https://appleid.apple.com", client)
        // Apple answers in no other way if it is asked for an address.
        .parameter("response_mode", "form_post")
        .without_user_info()
}
