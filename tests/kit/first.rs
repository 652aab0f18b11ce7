//! First factors: one body of a test for people who type a password and for people who come back from a provider.

use std::ops::Deref;
use std::sync::Arc;

use demo_common::Settings;
use stepup::FactorId;
use stepup::wire::transfer::Allowed;
use stepup_core::factor::third_party::ThirdParty;
use stepup_testkit::provider::{FakeProvider, Somebody};

use super::provider::{EXAMPLE, by_provider};
use super::serving::App;
use super::{Add, Client, Mode, Response, Server, plain};

/// How people prove themselves first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    Password,
    Provider,
}

/// Each first factor.
pub const FIRSTS: [First; 2] = [First::Password, First::Provider];

/// Each first factor in each mode.
pub const WAYS: [(First, Mode); 4] = [
    (First::Password, Mode::Cookie),
    (First::Password, Mode::Header),
    (First::Provider, Mode::Cookie),
    (First::Provider, Mode::Header),
];

/// A demo whose people come with one first factor.
pub struct Place {
    server: Server,
    provider: Option<FakeProvider>,
}

impl Deref for Place {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl First {
    /// What claims call it.
    pub fn id(self) -> FactorId {
        match self {
            Self::Password => FactorId::EMAIL_PASSWORD,
            Self::Provider => FactorId::THIRD_PARTY,
        }
    }

    /// The demo with its defaults.
    pub async fn serve(self) -> Place {
        self.serve_with(|_| {}).await
    }

    /// The demo with other settings.
    pub async fn serve_with(self, change: impl FnOnce(&mut Settings)) -> Place {
        self.serve_app(App::Demo, change).await
    }

    /// The application of [`super::own`] in the place of the demo.
    pub async fn serve_own(self) -> Place {
        self.serve_app(App::Own(Allowed::Any), |_| {}).await
    }

    async fn serve_app(self, app: App, change: impl FnOnce(&mut Settings)) -> Place {
        let provider = (self == Self::Provider).then(|| FakeProvider::new(EXAMPLE));
        let add: Add = match provider.clone() {
            None => plain(),
            Some(provider) => {
                Arc::new(move |builder| builder.factor(ThirdParty::new().provider(provider.clone())))
            }
        };
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let server = Server::in_folder(app, add, folder, change).await;
        Place { server, provider }
    }
}

impl Place {
    /// Makes an account, with a session that has the first factor alone.
    pub async fn sign_up(&self, client: &mut Client, email: &str) -> Response {
        match &self.provider {
            None => client.sign_up(email).await,
            Some(provider) => {
                let response = self.come_from(provider, client, email).await;
                assert_eq!(response.json()["createdNewRecipeUser"], true, "{response:?}");
                response
            }
        }
    }

    /// Signs in to an account that there is.
    pub async fn sign_in(&self, client: &mut Client, email: &str) -> Response {
        match &self.provider {
            None => client.sign_in(email).await,
            Some(provider) => self.come_from(provider, client, email).await,
        }
    }

    async fn come_from(&self, provider: &FakeProvider, client: &mut Client, email: &str) -> Response {
        let somebody = Somebody::new(format!("{email} there"), email);
        by_provider(&self.server, provider, client, &somebody).await
    }

    /// A signed-up client, first factor only.
    pub async fn half(&self, mode: Mode, email: &str) -> Client {
        let mut client = self.client(mode);
        let response = self.sign_up(&mut client, email).await;
        assert_eq!(response.status_field(), "OK", "{response:?}");
        client
    }

    /// A signed-up client with its second factor completed.
    pub async fn full(&self, mode: Mode, email: &str, phone: &str) -> Client {
        let mut client = self.half(mode, email).await;
        client.complete(self, phone).await;
        client
    }

    /// A new client of somebody who has an account: first factor only.
    pub async fn back(&self, mode: Mode, email: &str) -> Client {
        let mut client = self.client(mode);
        let response = self.sign_in(&mut client, email).await;
        assert_eq!(response.status_field(), "OK", "{response:?}");
        client
    }

    /// An enrolled user who signed in anew: first factor only.
    pub async fn returning(&self, mode: Mode, email: &str, phone: &str) -> Client {
        self.full(mode, email, phone).await.sign_out().await;
        self.back(mode, email).await
    }
}
