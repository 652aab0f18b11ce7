//! Events as the three kinds of gateways send them.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "each test file uses a part of it, and a test fails by panic"
)]

use serde_json::{Map, Value, json};

/// Who sends an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gateway {
    /// API Gateway, payload format 1.0 (REST).
    V1,
    /// API Gateway, payload format 2.0 (HTTP), and function URLs.
    V2,
    /// A load balancer with multi-value headers.
    Alb,
}

pub const ALL: [Gateway; 3] = [Gateway::V1, Gateway::V2, Gateway::Alb];

/// A request, before a gateway has made an event of it.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
    /// Where the client really is.
    pub from: String,
}

pub fn call(method: &str, path: &str) -> Call {
    Call {
        method: method.to_owned(),
        path: path.to_owned(),
        headers: Vec::new(),
        body: None,
        from: "203.0.113.7".to_owned(),
    }
}

impl Call {
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn json(mut self, body: &Value) -> Self {
        self.body = Some(body.to_string());
        self.header("content-type", "application/json")
    }

    /// The event.
    pub fn by(&self, gateway: Gateway) -> Value {
        let mut lines = self.headers.clone();
        if !lines.iter().any(|(name, _)| name == "host") {
            lines.push(("host".to_owned(), "localhost:3000".to_owned()));
        }
        // As gateways do: they add to what the client wrote.
        let earlier = lines.iter().position(|(name, _)| name == "x-forwarded-for");
        let hops = match earlier {
            Some(at) => format!("{}, {}", lines.remove(at).1, self.from),
            None => self.from.clone(),
        };
        lines.push(("x-forwarded-for".to_owned(), hops));
        match gateway {
            Gateway::V1 => self.v1(&lines),
            Gateway::V2 => self.v2(&lines),
            Gateway::Alb => self.alb(&lines),
        }
    }

    fn v1(&self, lines: &[(String, String)]) -> Value {
        json!({
            "resource": "/{proxy+}",
            "path": self.path,
            "httpMethod": self.method,
            "headers": last_of(lines),
            "multiValueHeaders": all_of(lines),
            "queryStringParameters": null,
            "multiValueQueryStringParameters": null,
            "pathParameters": null,
            "stageVariables": null,
            "requestContext": {
                "accountId": "000000000000",
                "resourceId": "r",
                "stage": "$default",
                "requestId": "local",
                "identity": { "sourceIp": self.from, "userAgent": "curl/8" },
                "resourcePath": "/{proxy+}",
                "httpMethod": self.method,
                "apiId": "local",
            },
            "body": self.body,
            "isBase64Encoded": false,
        })
    }

    fn v2(&self, lines: &[(String, String)]) -> Value {
        // Cookies come apart from the other headers, and lines of one name are joined by commas.
        let cookies: Vec<&str> = lines
            .iter()
            .filter(|(name, _)| name == "cookie")
            .flat_map(|(_, value)| value.split("; "))
            .collect();
        let mut headers = Map::new();
        for (name, value) in lines.iter().filter(|(name, _)| name != "cookie") {
            let joined = match headers.get(name) {
                Some(earlier) => format!("{},{value}", earlier.as_str().unwrap()),
                None => value.clone(),
            };
            headers.insert(name.clone(), joined.into());
        }
        json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": self.path,
            "rawQueryString": "",
            "cookies": cookies,
            "headers": headers,
            "requestContext": {
                "accountId": "000000000000",
                "apiId": "local",
                "domainName": "localhost",
                "http": {
                    "method": self.method, "path": self.path, "protocol": "HTTP/1.1",
                    "sourceIp": self.from, "userAgent": "curl/8",
                },
                "requestId": "local",
                "routeKey": "$default",
                "stage": "$default",
                "time": "24/Nov/2026:12:00:00 +0000",
                "timeEpoch": 1_795_521_600_000_i64,
            },
            "body": self.body,
            "isBase64Encoded": false,
        })
    }

    fn alb(&self, lines: &[(String, String)]) -> Value {
        json!({
            "requestContext": { "elb": { "targetGroupArn": "arn:aws:elasticloadbalancing:eu-central-1:0:targetgroup/t/1" } },
            "httpMethod": self.method,
            "path": self.path,
            "multiValueQueryStringParameters": {},
            "multiValueHeaders": all_of(lines),
            "body": self.body.clone().unwrap_or_default(),
            "isBase64Encoded": false,
        })
    }
}

fn last_of(lines: &[(String, String)]) -> Value {
    lines
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(value.clone())))
        .collect::<Map<_, _>>()
        .into()
}

fn all_of(lines: &[(String, String)]) -> Value {
    let mut all = Map::new();
    for (name, value) in lines {
        let values = all.entry(name.clone()).or_insert_with(|| json!([]));
        values.as_array_mut().unwrap().push(value.clone().into());
    }
    all.into()
}

/// The body of sign-up and sign-in.
pub fn form(email: &str) -> Value {
    json!({ "formFields": [
        { "id": "email", "value": email },
        { "id": "password", "value": "correct horse battery staple" },
    ] })
}
