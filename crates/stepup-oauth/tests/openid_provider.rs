//! An OpenID provider that nobody here wrote (npm's oidc-provider), walked through by HTTP as a browser would.
//!
//! `cargo xtask test` starts these tests: they need node, and the packages of `tests/browser`. Elsewhere they are listed as
//! ignored, and fail if they are called without `STEPUP_OPENID_PROVIDER`, the path of the script that starts the provider.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panic"
)]

use std::collections::BTreeMap;
use std::process::Stdio;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client as Http, Response, redirect};
use stepup_core::provider::{Authorize, Identity, Proof, Provider, ProviderError};
use stepup_core::secret::Secret;
use stepup_oauth::{Client, OpenIdProvider, openid};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use url::Url;

const REDIRECT: &str = "http://localhost:3000/auth/callback/example";
const NONCE: &str = "n-0S6_WzA2Mj";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// The provider's process. It ends with its standard input, so none is left behind.
struct Running {
    _process: Child,
    /// Held open: a process that cannot write ends.
    _stdout: Lines<BufReader<ChildStdout>>,
    issuer: String,
    id: String,
    secret: String,
}

impl Running {
    async fn start() -> Self {
        let script = std::env::var("STEPUP_OPENID_PROVIDER")
            .expect("STEPUP_OPENID_PROVIDER names tests/browser/harness/openid-provider.js");
        let mut process = Command::new("node")
            .args([&script, REDIRECT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        // It has things to say about development on the same stream.
        let line = loop {
            let line = lines
                .next_line()
                .await
                .unwrap()
                .expect("the provider did not start");
            if line.starts_with('{') {
                break line;
            }
        };
        let told: serde_json::Value = serde_json::from_str(&line).unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        Self {
            _process: process,
            _stdout: lines,
            issuer: text(&told["issuer"]),
            id: text(&told["client"]["id"]),
            secret: text(&told["client"]["secret"]),
        }
    }

    fn provider(&self) -> OpenIdProvider {
        let client = Client::new(&self.id, Secret::new(self.secret.clone()));
        openid("example", "Example", &self.issuer, client)
            .build()
            .unwrap()
    }
}

/// A browser: it keeps cookies, and goes where it is sent.
struct Browser {
    http: Http,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    fn new() -> Self {
        let http = Http::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build();
        Self {
            http: http.unwrap(),
            cookies: BTreeMap::new(),
        }
    }

    /// Asks for a page, and follows redirects: the page, or the address at the site where they end.
    async fn open(&mut self, url: Url, form: Option<&str>) -> Result<String, Url> {
        let mut answer = self.ask(&url, form).await;
        let mut at = url;
        while answer.status().is_redirection() {
            at = at.join(answer.headers()[LOCATION].to_str().unwrap()).unwrap();
            if at.as_str().starts_with(REDIRECT) {
                return Err(at);
            }
            answer = self.ask(&at, None).await;
        }
        assert_eq!(answer.status(), 200, "{at}");
        Ok(answer.text().await.unwrap())
    }

    async fn ask(&mut self, url: &Url, form: Option<&str>) -> Response {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = match form {
            None => self.http.get(url.clone()),
            Some(form) => self
                .http
                .post(url.clone())
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form.to_owned()),
        };
        let answer = request.header(COOKIE, cookies.join("; ")).send().await.unwrap();
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            match value {
                "" => drop(self.cookies.remove(name)),
                value => drop(self.cookies.insert(name.to_owned(), value.to_owned())),
            }
        }
        answer
    }

    /// Signs in as `login` and consents: the address at the site where it ends.
    async fn sign_in(&mut self, address: &str, login: &str) -> Url {
        let mut page = self.open(Url::parse(address).unwrap(), None).await.unwrap();
        loop {
            let form = match page.contains(r#"name="login""#) {
                true => format!("prompt=login&login={login}&password=any"),
                false => "prompt=consent".to_owned(),
            };
            let (_, rest) = page.split_once(r#"<form autocomplete="off" action=""#).unwrap();
            let action = rest.split('"').next().unwrap();
            match self.open(Url::parse(action).unwrap(), Some(&form)).await {
                Ok(next) => page = next,
                Err(site) => return site,
            }
        }
    }
}

fn challenge() -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, VERIFIER.as_bytes());
    URL_SAFE_NO_PAD.encode(digest)
}

/// Walks through the provider's pages: the code that the browser brings back.
async fn code_of(provider: &OpenIdProvider, login: &str) -> String {
    let request = Authorize::new(REDIRECT.to_owned(), challenge(), NONCE.to_owned());
    // The state is added by the client of the protocol.
    let address = format!("{}&state=xyz", provider.authorize(&request).await.unwrap());
    let site = Browser::new().sign_in(&address, login).await;
    let pairs: BTreeMap<String, String> = site.query_pairs().into_owned().collect();
    assert_eq!(pairs["state"], "xyz");
    pairs["code"].clone()
}

async fn spend(
    provider: &OpenIdProvider,
    code: &str,
    verifier: &str,
    nonce: &str,
) -> Result<Identity, ProviderError> {
    let proof = Proof::Code {
        client_type: None,
        code: Secret::new(code.to_owned()),
        redirect_uri: REDIRECT.to_owned(),
        verifier: Secret::new(verifier.to_owned()),
        nonce: nonce.to_owned(),
    };
    provider.identify(&proof).await
}

#[tokio::test]
#[ignore = "needs node: cargo xtask test --only browser"]
async fn a_person_of_the_provider_is_identified_with_what_it_says_of_the_address() {
    let running = Running::start().await;
    let provider = running.provider();
    for (login, verified) in [("ann", true), ("ben", true), ("eve", false)] {
        let code = code_of(&provider, login).await;
        let identity = spend(&provider, &code, VERIFIER, NONCE).await.unwrap();
        assert_eq!(
            (identity.issuer.as_str(), identity.subject.as_str()),
            (running.issuer.as_str(), login)
        );
        let email = identity.email.unwrap();
        assert_eq!(
            (email.address, email.verified),
            (format!("{login}@example.test"), verified)
        );
    }
}

#[tokio::test]
#[ignore = "needs node: cargo xtask test --only browser"]
async fn a_oau_10_a_code_of_the_provider_works_once_with_its_own_verifier_and_nonce() {
    let running = Running::start().await;
    let provider = running.provider();
    let code = code_of(&provider, "ann").await;
    assert!(spend(&provider, &code, VERIFIER, NONCE).await.is_ok());
    let refused =
        |result: Result<Identity, ProviderError>| matches!(result, Err(ProviderError::Refused("code")));
    assert!(refused(spend(&provider, &code, VERIFIER, NONCE).await), "spent");
    let code = code_of(&provider, "ann").await;
    let other = VERIFIER.replace('d', "e");
    assert!(
        refused(spend(&provider, &code, &other, NONCE).await),
        "another verifier"
    );
    let code = code_of(&provider, "ann").await;
    let said = spend(&provider, &code, VERIFIER, "other").await;
    assert!(
        matches!(said, Err(ProviderError::Untrusted("wrong_nonce"))),
        "{said:?}"
    );
    assert!(
        refused(spend(&provider, "made-up", VERIFIER, NONCE).await),
        "made up"
    );

    let secret = Secret::new("wrong".to_owned());
    let impostor = openid(
        "example",
        "Example",
        &running.issuer,
        Client::new(&running.id, secret),
    )
    .build()
    .unwrap();
    let code = code_of(&provider, "ann").await;
    let said = spend(&impostor, &code, VERIFIER, NONCE).await;
    assert!(matches!(said, Err(ProviderError::Refused("client"))), "{said:?}");
}
