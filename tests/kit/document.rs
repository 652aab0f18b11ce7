//! Holds every answer against the served OpenAPI document: what is not described fails the test that got it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::Validator;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::{Response, exchange};

/// Where the servers of the kit serve the protocol.
const BASE: &str = "/auth";

/// The document, read once from the first server; all servers of one build describe the same endpoints.
static DOCUMENT: OnceCell<Document> = OnceCell::const_new();

/// Fails unless the answer of the server at `address` to a request is one that its document describes. What lies
/// elsewhere than the protocol is the application's.
pub async fn check(address: SocketAddr, method: &str, target: &str, response: &Response) {
    let Some(path) = target.split('?').next().and_then(|path| path.strip_prefix(BASE)) else {
        return;
    };
    // A preflight is the browser's affair, and what is no answer at all has nothing to check.
    // The demo's website has its pages for links there too, as the clients expect them.
    if ["/verify", "/verify-email", "/reset-password"].contains(&path)
        || !path.starts_with('/')
        || method == "OPTIONS"
        || response.status == 0
    {
        return;
    }
    let document = DOCUMENT.get_or_init(|| Document::read(address)).await;
    if let Err(problem) = document.judge(method, path, response) {
        panic!("{method} {target} was answered as the document does not say: {problem}\n{response:?}");
    }
}

/// An OpenAPI document, with the validators that were needed so far.
pub struct Document {
    json: Value,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

impl Document {
    async fn read(address: SocketAddr) -> Self {
        let request =
            format!("GET {BASE}/openapi.json HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let response = exchange(address, request.as_bytes()).await;
        assert_eq!(response.status, 200, "{response:?}");
        Self::of(response.json())
    }

    pub fn of(json: Value) -> Self {
        assert_eq!(json["openapi"], "3.1.0");
        Self {
            json,
            validators: Mutex::default(),
        }
    }

    pub fn judge(&self, method: &str, path: &str, response: &Response) -> Result<(), String> {
        let Some(item) = self.item(path) else {
            return self.is(response, &[404], "/components/responses/NotFound");
        };
        let wanted = if method == "HEAD" { "GET" } else { method };
        let lower = wanted.to_ascii_lowercase();
        // Methods are told apart by case.
        let operation = item.get(&lower).filter(|_| lower.to_ascii_uppercase() == wanted);
        let Some(operation) = operation else {
            // Of a tenant that is not there nothing is said, its methods neither.
            let name = if response.status == 404 {
                "NotFound"
            } else {
                "WrongMethod"
            };
            return self.is(response, &[404, 405], &format!("/components/responses/{name}"));
        };
        let status = response.status.to_string();
        let described = operation["responses"].get(&status);
        let described = described.ok_or_else(|| format!("{status} is not described"))?;
        if method == "HEAD" {
            return if response.body.is_empty() {
                Ok(())
            } else {
                Err("an answer to HEAD has a body".to_owned())
            };
        }
        self.body(described, response)
    }

    /// The path's entry: one without a tenant beats every reading with one.
    fn item(&self, path: &str) -> Option<&Value> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let paths = &self.json["paths"];
        if let Some(item) = paths.get(path) {
            return Some(item);
        }
        let (tenant, rest) = path.strip_prefix('/')?.split_once('/')?;
        let is_path = paths
            .as_object()?
            .keys()
            .any(|known| known.split('/').nth(1) == Some(tenant));
        let plain = tenant
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if is_path || !plain || !(1..=64).contains(&tenant.len()) {
            return None;
        }
        paths.get(format!("/{{tenantId}}/{rest}"))
    }

    fn is(&self, response: &Response, statuses: &[u16], pointer: &str) -> Result<(), String> {
        if !statuses.contains(&response.status) {
            return Err(format!("only {statuses:?} may be said of it"));
        }
        if response.body.is_empty() {
            return Ok(());
        }
        self.body(self.json.pointer(pointer).ok_or("no such response")?, response)
    }

    fn body(&self, described: &Value, response: &Response) -> Result<(), String> {
        let described = match described["$ref"].as_str() {
            Some(to) => self
                .json
                .pointer(to.trim_start_matches('#'))
                .ok_or("a broken reference")?,
            None => described,
        };
        if response.header("content-type") == Some("text/html; charset=utf-8")
            && described["content"]["text/html"].is_object()
        {
            return Ok(());
        }
        if response.header("content-type") != Some("application/json") {
            return Err("it is not typed as JSON".to_owned());
        }
        let body: Value =
            serde_json::from_slice(&response.body).map_err(|error| format!("no JSON: {error}"))?;
        let schema = &described["content"]["application/json"]["schema"];
        let validator = self.validator(schema);
        let errors: Vec<String> = validator
            .iter_errors(&body)
            .map(|error| error.to_string())
            .collect();
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors.join("; "))
        }
    }

    fn validator(&self, schema: &Value) -> Arc<Validator> {
        let mut validators = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || {
            let whole = json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "components": self.json["components"],
                "allOf": [schema],
            });
            Arc::new(jsonschema::validator_for(&whole).unwrap())
        };
        Arc::clone(validators.entry(schema.to_string()).or_insert_with(made))
    }
}
