//! Sign-in by a provider of identities, as a browser and its client do it.

use serde_json::{Value, json};
use stepup_core::factor::third_party::{Linking, ThirdParty};
use stepup_testkit::provider::{FakeProvider, Somebody};

use super::{Client, Response, Server};

/// The only provider of [`serving`].
pub const EXAMPLE: &str = "example";

/// The demo with a provider.
pub async fn serving(provider: &FakeProvider) -> Server {
    let provider = provider.clone();
    Server::start_adding(move |builder| {
        let factor = ThirdParty::new().provider(provider.clone());
        builder.factor(factor.linking(Linking::VerifiedAddress))
    })
    .await
}

/// The browser is away.
#[derive(Clone, Debug)]
pub struct Away {
    /// The tenant's part of paths: empty, or `/acme`.
    pub tenant: String,
    /// The provider's id.
    pub provider: String,
    /// Where it was sent.
    pub url: String,
    /// What the client keeps: the protocol's `pkceCodeVerifier`.
    pub kept: String,
    /// Where it comes back to.
    pub redirect_uri: String,
}

/// Where `provider` sends browsers back to.
pub fn redirect_uri(server: &Server, provider: &str) -> String {
    format!(
        "http://localhost:{}/auth/callback/{provider}",
        server.address.port()
    )
}

/// The path that asks where to go.
pub fn asking(tenant: &str, provider: &str, redirect_uri: &str) -> String {
    let escaped: String = redirect_uri.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("/auth{tenant}/authorisationurl?thirdPartyId={provider}&redirectURIOnProviderDashboard={escaped}")
}

/// Sends `client` to a provider.
pub async fn leave(server: &Server, client: &mut Client, provider: &str) -> Away {
    leave_in(server, client, "", provider).await
}

/// The same in a tenant: `/acme`.
pub async fn leave_in(server: &Server, client: &mut Client, tenant: &str, provider: &str) -> Away {
    let redirect_uri = redirect_uri(server, provider);
    let asked = client.get(&asking(tenant, provider, &redirect_uri)).await;
    assert_eq!(asked.status_field(), "OK", "{asked:?}");
    let text = |name: &str| asked.json()[name].as_str().unwrap().to_owned();
    Away {
        tenant: tenant.to_owned(),
        provider: provider.to_owned(),
        url: text("urlWithQueryParams"),
        kept: text("pkceCodeVerifier"),
        redirect_uri,
    }
}

impl Away {
    /// What the client sends when the browser is back with `code`.
    pub fn body(&self, code: &str) -> Value {
        json!({
            "thirdPartyId": self.provider,
            "redirectURIInfo": {
                "redirectURIOnProviderDashboard": self.redirect_uri,
                "redirectURIQueryParams": { "code": code, "state": "of the client" },
                "pkceCodeVerifier": self.kept,
            },
        })
    }

    /// Comes back with `code`.
    pub async fn back(&self, client: &mut Client, code: &str) -> Response {
        self.send(client, self.body(code)).await
    }

    /// Comes back with another body.
    pub async fn send(&self, client: &mut Client, body: Value) -> Response {
        client.post(&format!("/auth{}/signinup", self.tenant), body).await
    }
}

/// The whole way: there, yes, and back.
pub async fn by_provider(
    server: &Server,
    provider: &FakeProvider,
    client: &mut Client,
    somebody: &Somebody,
) -> Response {
    let away = leave(server, client, EXAMPLE).await;
    let code = provider.consent(&away.url, somebody);
    away.back(client, &code).await
}

/// Adds somebody to the user of the client's session.
pub async fn linking(
    server: &Server,
    provider: &FakeProvider,
    client: &mut Client,
    somebody: &Somebody,
) -> Response {
    let away = leave(server, client, EXAMPLE).await;
    let code = provider.consent(&away.url, somebody);
    let mut body = away.body(&code);
    body["shouldTryLinkingWithSessionUser"] = true.into();
    away.send(client, body).await
}

/// Whether an answer opens or touches a session. The ticket's cookie is none.
pub fn opens_nothing(response: &Response) -> bool {
    ["front-token", "st-access-token", "st-refresh-token"]
        .iter()
        .all(|name| response.header(name).is_none())
        && response.set_cookie("sAccessToken").is_none()
        && response.set_cookie("sRefreshToken").is_none()
}

/// That a sign-in by a provider, or a link to one, was refused in words that hold `says`, and opened nothing.
#[track_caller]
pub fn assert_told(response: &Response, says: &str) {
    assert_eq!(
        (response.status, response.status_field().as_str()),
        (200, "GENERAL_ERROR"),
        "{response:?}"
    );
    assert!(response.message().contains(says), "{response:?}");
    assert!(opens_nothing(response), "{response:?}");
}

/// The same, for the reason of `code`.
#[track_caller]
pub fn assert_barred(response: &Response, code: &str) {
    assert_eq!(response.status_field(), "SIGN_IN_UP_NOT_ALLOWED", "{response:?}");
    let reason = response.json()["reason"].as_str().unwrap().to_owned();
    assert!(reason.ends_with(&format!("(ERR_CODE_{code})")), "{reason}");
    assert!(opens_nothing(response), "{response:?}");
}
