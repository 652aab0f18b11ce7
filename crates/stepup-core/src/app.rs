//! What the application is called and where it lives.

use url::Url;

/// Name and public origins of the application. They decide cookies, CORS, links and the issuer of tokens; nothing of
/// a request ever does (threat A-OTP-17).
#[derive(Clone, Debug)]
pub struct AppInfo {
    name: String,
    api: String,
    website: String,
    base_path: String,
    website_path: String,
    trusted: Vec<String>,
}

impl AppInfo {
    /// The application `name`, whose API answers at the origin `api_domain` and whose pages live at
    /// `website_domain`, both like `https://api.acme.test`. They are checked by `build()`.
    pub fn new(
        name: impl Into<String>,
        api_domain: impl Into<String>,
        website_domain: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            api: api_domain.into(),
            website: website_domain.into(),
            base_path: "/auth".to_owned(),
            website_path: "/auth".to_owned(),
            trusted: Vec::new(),
        }
    }

    /// Serves the protocol under another path than `/auth`.
    #[must_use]
    pub fn with_base_path(mut self, path: impl Into<String>) -> Self {
        self.base_path = path.into();
        self
    }

    /// The website's pages of sign-in live under another path than `/auth`: links lead to `/verify` below it.
    #[must_use]
    pub fn with_website_base_path(mut self, path: impl Into<String>) -> Self {
        self.website_path = path.into();
        self
    }

    /// Allows one more origin to call the API with credentials, beside the website's.
    #[must_use]
    pub fn with_trusted_origin(mut self, origin: impl Into<String>) -> Self {
        self.trusted.push(origin.into());
        self
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The API's origin, in normal form once checked.
    pub fn api_origin(&self) -> &str {
        &self.api
    }

    /// The website's origin, in normal form once checked.
    pub fn website_origin(&self) -> &str {
        &self.website
    }

    /// Where the protocol is served: `/auth`.
    pub fn base_path(&self) -> &str {
        &self.base_path
    }

    /// Where the website's pages of sign-in live: `/auth`; empty for its root.
    pub fn website_base_path(&self) -> &str {
        &self.website_path
    }

    /// The origins that may call with credentials: website, API, and the trusted ones.
    pub fn origins(&self) -> impl Iterator<Item = &str> {
        [&self.website, &self.api]
            .into_iter()
            .chain(&self.trusted)
            .map(String::as_str)
    }

    /// The issuer of access tokens: API origin and base path.
    pub fn issuer(&self) -> String {
        format!("{}{}", self.api, self.base_path)
    }

    /// The website's host, for codes that name the place they are meant for.
    pub fn website_host(&self) -> String {
        Url::parse(&self.website)
            .ok()
            .and_then(|u| u.host_str().map(str::to_owned))
            .unwrap_or_default()
    }

    /// Whether website and API both live on this machine.
    pub fn is_loopback(&self) -> bool {
        [&self.api, &self.website]
            .into_iter()
            .all(|origin| is_loopback(origin))
    }

    /// Brings origins and path into normal form.
    ///
    /// # Errors
    /// A sentence for each thing that is wrong.
    pub fn checked(mut self) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        if self.name.trim().is_empty() || self.name.chars().any(char::is_control) || self.name.len() > 64 {
            problems.push("the application's name must have 1 to 64 printable characters".to_owned());
        }
        let fields = [
            ("api domain", &mut self.api),
            ("website domain", &mut self.website),
        ];
        for (what, origin) in fields
            .into_iter()
            .chain(self.trusted.iter_mut().map(|o| ("trusted origin", o)))
        {
            match normal_origin(origin) {
                Some(normal) => *origin = normal,
                None => problems.push(format!(
                    "the {what} must be an origin like https://acme.test, without a path"
                )),
            }
        }
        let is_path = |path: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.');
            path.starts_with('/') && !path.contains("//") && !path.contains("..") && path.chars().all(plain)
        };
        let path = self.base_path.trim_end_matches('/');
        if !is_path(path) {
            problems.push("the base path must be like /auth".to_owned());
        }
        self.base_path = path.to_owned();
        let path = self.website_path.trim_end_matches('/');
        if !path.is_empty() && !is_path(path) {
            problems.push("the website's base path must be like /auth".to_owned());
        }
        self.website_path = path.to_owned();
        if problems.is_empty() {
            Ok(self)
        } else {
            Err(problems)
        }
    }
}

/// The origin in the form that browsers send, or none if it is more or less than an http(s) origin.
fn normal_origin(origin: &str) -> Option<String> {
    let url = Url::parse(origin.trim()).ok()?;
    let bare = matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    (bare && matches!(url.scheme(), "http" | "https") && url.host().is_some())
        .then(|| url.origin().ascii_serialization())
}

/// Whether `origin` names this machine: `localhost`, `*.localhost`, 127.0.0.0/8 or `[::1]`.
pub fn is_loopback(origin: &str) -> bool {
    match Url::parse(origin).ok().as_ref().and_then(Url::host) {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_take_the_form_that_browsers_send() {
        let app = AppInfo::new("Acme", "HTTPS://Api.Acme.test:443/", "http://localhost:3000")
            .checked()
            .unwrap();
        assert_eq!(app.api_origin(), "https://api.acme.test");
        assert_eq!(app.website_origin(), "http://localhost:3000");
        assert_eq!(app.issuer(), "https://api.acme.test/auth");
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let app = AppInfo::new("", "api.acme.test", "https://u:p@acme.test/x").with_base_path("auth");
        assert_eq!(app.checked().unwrap_err().len(), 4);
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for yes in [
            "http://localhost:1",
            "http://a.localhost",
            "http://127.9.9.9",
            "http://[::1]:3",
        ] {
            assert!(is_loopback(yes), "{yes}");
        }
        for no in [
            "http://localhost.evil.test",
            "http://notlocalhost",
            "http://10.0.0.1",
            "http://[::2]",
            "x",
        ] {
            assert!(!is_loopback(no), "{no}");
        }
    }
}
