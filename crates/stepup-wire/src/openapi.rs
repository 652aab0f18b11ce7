//! The OpenAPI document: every row of the table with what it takes and answers. It is put together from the
//! descriptions beside the handlers, and every answer of the test suites is held against it.

use http::Method;
use serde_json::{Map, Value, json};
use stepup_core::app::AppInfo;

use crate::route::{Endpoint, ROUTES, describe, schemas};
use crate::table::{Access, Body, Row};
use crate::transport::Rules;

/// The document of a site, as OpenAPI 3.1.
pub fn document(app: &AppInfo, rules: &Rules) -> Value {
    let mut paths = Map::new();
    for row in ROUTES {
        add(&mut paths, row.path.to_owned(), row, None);
        if row.tenant {
            add(
                &mut paths,
                format!("/{{tenantId}}{}", row.path),
                row,
                Some("InTenant"),
            );
        }
    }
    let names = rules.cookies.names;
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": format!("Sign-in of {}", app.name()),
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Outcomes of the clients' endpoints are a 200 with a `status`; everything else is an error with a `message`.",
        },
        "servers": [{ "url": app.issuer() }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "cookie": { "type": "apiKey", "in": "cookie", "name": names.access() },
                "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
                "refreshCookie": { "type": "apiKey", "in": "cookie", "name": names.refresh() },
                "refreshBearer": { "type": "http", "scheme": "bearer", "description": "The refresh token." },
            },
            "parameters": parameters(),
            "headers": headers(),
            "responses": refusals(),
            "schemas": schemas(),
        },
    })
}

fn add(paths: &mut Map<String, Value>, path: String, row: &Row<Endpoint>, suffix: Option<&str>) {
    let operation = operation(row, suffix);
    let item = paths.entry(path).or_insert_with(|| json!({}));
    if let Some(item) = item.as_object_mut() {
        item.insert(row.method.as_str().to_ascii_lowercase(), operation);
    }
}

fn operation(row: &Row<Endpoint>, suffix: Option<&str>) -> Value {
    let about = describe(row.endpoint);
    let mut parameters = vec![
        component("parameters", "rid"),
        component("parameters", "fdi-version"),
        component("parameters", "st-auth-mode"),
    ];
    if suffix.is_some() {
        parameters.push(component("parameters", "tenantId"));
    }
    for (name, required) in about.query {
        parameters.push(
            json!({ "name": name, "in": "query", "required": required, "schema": { "type": "string" } }),
        );
    }
    let mut fine =
        json!({ "description": "The outcome.", "content": content(json!({ "anyOf": about.answers })) });
    if about.page
        && let Some(content) = fine.get_mut("content").and_then(Value::as_object_mut)
    {
        content.insert("text/html".to_owned(), json!({ "schema": { "type": "string" } }));
    }
    if about.tokens
        && let Some(fine) = fine.as_object_mut()
    {
        fine.insert("headers".to_owned(), token_headers());
    }
    let mut responses = Map::new();
    responses.insert("200".to_owned(), fine);
    if about.redirects {
        responses.insert(
            "303".to_owned(),
            json!({ "description": "The browser goes on to a page of the website." }),
        );
    }
    let mut refused = |status: &str, name: &str| {
        responses.insert(status.to_owned(), component("responses", name));
    };
    refused("400", "BadRequest");
    if row.access > Access::Open || about.unauthorised {
        refused("401", "Unauthorised");
    }
    refused(
        "403",
        if row.access > Access::Open || about.claims {
            "Forbidden"
        } else {
            "ForeignOrigin"
        },
    );
    if about.throttled {
        refused("429", "TooMany");
    }
    for (status, name) in [
        ("404", "NotFound"),
        ("413", "TooLarge"),
        ("415", "WrongType"),
        ("500", "Broken"),
        ("503", "Unavailable"),
    ] {
        refused(status, name);
    }
    let mut operation = json!({
        "operationId": format!("{}{}", operation_id(&row.method, row.path), suffix.unwrap_or_default()),
        "summary": about.summary,
        "description": asks(row.access),
        "parameters": parameters,
        "responses": responses,
        "security": security(row),
    });
    if let (Some(body), Some(operation)) = (about.body, operation.as_object_mut()) {
        let mut content = content(body.clone());
        if let (Body::Form, Some(content)) = (row.body, content.as_object_mut()) {
            content.insert(
                "application/x-www-form-urlencoded".to_owned(),
                json!({ "schema": body }),
            );
        }
        let body = json!({ "required": true, "content": content });
        operation.insert("requestBody".to_owned(), body);
    }
    operation
}

/// `postSigninupCode` for `POST /signinup/code`.
fn operation_id(method: &Method, path: &str) -> String {
    let mut id = method.as_str().to_ascii_lowercase();
    for word in path.split(|c: char| !c.is_ascii_alphanumeric()) {
        let mut letters = word.chars();
        id.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        id.push_str(letters.as_str());
    }
    id
}

fn asks(access: Access) -> &'static str {
    match access {
        Access::Open => "Needs no session.",
        Access::HalfLogin => "Needs a session; a first factor is enough.",
        Access::Complete => "Needs a session whose second factor is completed, if the user has one.",
        Access::Fresh => "Needs a session whose second factor was completed just now.",
    }
}

fn security(row: &Row<Endpoint>) -> Value {
    match (row.endpoint, row.access) {
        (Endpoint::Open(_), Access::Open) => json!([]),
        (Endpoint::Open(_), _) => json!([{ "refreshCookie": [] }, { "refreshBearer": [] }]),
        // Where codes sign in, they need none.
        (Endpoint::Codes(_), _) => json!([{ "cookie": [] }, { "bearer": [] }, {}]),
        (Endpoint::Guarded(_), _) => json!([{ "cookie": [] }, { "bearer": [] }]),
    }
}

fn content(schema: Value) -> Value {
    json!({ "application/json": { "schema": schema } })
}

fn component(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

fn parameters() -> Value {
    let header = |name: &str, text: &str| json!({ "name": name, "in": "header", "required": false, "description": text, "schema": { "type": "string" } });
    json!({
        "rid": header("rid", "Any value. Needed where the cookies travel across sites."),
        "fdi-version": header("fdi-version", "The version of the protocol that the client speaks, or a list of them."),
        "st-auth-mode": header("st-auth-mode", "`cookie` or `header`: how the tokens of a new session travel."),
        "tenantId": {
            "name": "tenantId",
            "in": "path",
            "required": true,
            "schema": { "type": "string", "pattern": "^[a-zA-Z0-9-]{1,64}$" },
        },
    })
}

fn headers() -> Value {
    let header = |text: &str| json!({ "description": text, "schema": { "type": "string" } });
    json!({
        "front-token": header("Base64 of what the client may know of its session; `remove` ends it."),
        "st-access-token": header("The access token, in header mode; empty to clear it."),
        "st-refresh-token": header("The refresh token, in header mode; empty to clear it."),
        "set-cookie": header("The tokens, in cookie mode."),
    })
}

fn token_headers() -> Value {
    ["front-token", "st-access-token", "st-refresh-token", "set-cookie"]
        .into_iter()
        .map(|name| (name.to_owned(), component("headers", name)))
        .collect()
}

fn refusals() -> Value {
    let message = || json!({ "$ref": "#/components/schemas/Message" });
    let refusal = |text: &str, schema: Value| json!({ "description": text, "content": content(schema) });
    let mut unauthorised = refusal(
        "There is no session, it is over, or a refresh may help.",
        message(),
    );
    if let Some(unauthorised) = unauthorised.as_object_mut() {
        unauthorised.insert("headers".to_owned(), token_headers());
    }
    let claims = json!({ "$ref": "#/components/schemas/InvalidClaims" });
    json!({
        "BadRequest": refusal("The request cannot be understood.", message()),
        "Unauthorised": unauthorised,
        "Forbidden": refusal(
            "The session lacks what the endpoint asks for, or a page of another origin sent the request.",
            json!({ "anyOf": [claims, message()] }),
        ),
        "ForeignOrigin": refusal("A page of another origin sent the request.", message()),
        "NotFound": refusal("There is no such thing here.", message()),
        "WrongMethod": refusal("The path is there, the method is not.", message()),
        "TooLarge": refusal("The body is too large.", message()),
        "WrongType": refusal("The body is not JSON.", message()),
        "TooMany": refusal("Too often; `retry-after` says for how many seconds to wait.", message()),
        "Broken": refusal("Something is broken here.", message()),
        "Unavailable": refusal("Try again later.", message()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Transport;

    fn of_acme() -> Value {
        let app = AppInfo::new("Acme", "https://api.acme.test", "https://acme.test");
        document(&app, &Rules::new(&app, &Transport::new()))
    }

    #[test]
    fn every_row_is_described_with_and_without_its_tenant() {
        let document = of_acme();
        let mut ids = Vec::new();
        for row in ROUTES {
            let method = row.method.as_str().to_ascii_lowercase();
            let at = |path: &str| {
                document["paths"][path][&method]["operationId"]
                    .as_str()
                    .map(str::to_owned)
            };
            ids.push(at(row.path).unwrap());
            let in_tenant = at(&format!("/{{tenantId}}{}", row.path));
            assert_eq!(in_tenant.is_some(), row.tenant, "{row:?}");
            ids.extend(in_tenant);
        }
        let all = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), all, "{ids:?}");
        assert_eq!(document["servers"][0]["url"], "https://api.acme.test/auth");
    }

    #[test]
    fn an_operation_is_named_after_its_method_and_path() {
        assert_eq!(operation_id(&Method::POST, "/signinup/code"), "postSigninupCode");
        assert_eq!(operation_id(&Method::GET, "/jwt/jwks.json"), "getJwtJwksJson");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn walk(root: &Value, at: &Value) {
            match at {
                Value::Object(map) => {
                    if let Some(Value::String(to)) = map.get("$ref") {
                        let found = root.pointer(to.trim_start_matches('#'));
                        assert!(found.is_some(), "{to}");
                    }
                    map.values().for_each(|value| walk(root, value));
                }
                Value::Array(items) => items.iter().for_each(|value| walk(root, value)),
                _ => {}
            }
        }
        let document = of_acme();
        walk(&document, &document);
    }
}
