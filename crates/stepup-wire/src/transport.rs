//! How the protocol is carried at one site: what an application may set, and what follows from it and from where the
//! application lives.

use http::HeaderName;
use stepup_core::app::AppInfo;
use stepup_core::network::Subnet;

use crate::cookie::{CookieRules, Names};
use crate::cors::Cors;
use crate::csrf::CsrfRules;
use crate::site::{Origin, SameSite, is_public_suffix};
use crate::transfer::Allowed;

/// What an application may set of cookies, CORS and proxies. The defaults follow from [`AppInfo`].
#[derive(Clone, Debug, Default)]
pub struct Transport {
    allowed: Allowed,
    names: Names,
    same_site: Option<SameSite>,
    domain: Option<String>,
    older_domain: Option<String>,
    gateway_path: String,
    request_headers: Vec<HeaderName>,
    without_cors: bool,
    without_document: bool,
    trusted_proxies: Vec<Subnet>,
}

impl Transport {
    /// The defaults: both transfer modes, host-only cookies, CORS for the configured origins, no trusted proxy.
    pub fn new() -> Self {
        Self::default()
    }

    /// Allows one transfer mode only.
    #[must_use]
    pub fn with_mode(mut self, allowed: Allowed) -> Self {
        self.allowed = allowed;
        self
    }

    /// Names the session cookies `__Host-sAccessToken` and `__Secure-sRefreshToken`, which no sibling host can plant
    /// (ASVS v5.0.0-3.3.1, 3.3.3). Needs https and no cookie domain; helpers that render on a server and read the
    /// cookie by its plain name do not find it.
    #[must_use]
    pub fn with_prefixed_cookies(mut self) -> Self {
        self.names = Names::Prefixed;
        self
    }

    /// Sets `SameSite` of the session cookies, in the place of what follows from the two domains.
    #[must_use]
    pub fn with_same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = Some(same_site);
        self
    }

    /// Shares the session cookies with other hosts of `domain`. Each of them can then read and plant them.
    #[must_use]
    pub fn with_cookie_domain(mut self, domain: impl AsRef<str>) -> Self {
        self.domain = Some(normal_domain(domain.as_ref()));
        self
    }

    /// The cookie domain of earlier times, empty if there was none; its leftovers are removed when they come along
    /// with the cookies of today. Keep it for a year after the change, which is how long those cookies live.
    #[must_use]
    pub fn with_older_cookie_domain(mut self, domain: impl AsRef<str>) -> Self {
        self.older_domain = Some(normal_domain(domain.as_ref())).filter(|domain| !domain.is_empty());
        self
    }

    /// The path that a gateway in front adds before the base path; browsers see it, this server does not.
    #[must_use]
    pub fn with_gateway_path(mut self, path: impl AsRef<str>) -> Self {
        self.gateway_path = path.as_ref().trim_end_matches('/').to_owned();
        self
    }

    /// Lets pages of the configured origins send one more header, beside those of the protocol.
    #[must_use]
    pub fn with_request_header(mut self, name: HeaderName) -> Self {
        self.request_headers.push(name);
        self
    }

    /// Leaves CORS to the application. Without its headers on every status, errors included, clients of other origins
    /// do not work.
    #[must_use]
    pub fn without_cors(mut self) -> Self {
        self.without_cors = true;
        self
    }

    /// Serves no OpenAPI document at `openapi.json`.
    #[must_use]
    pub fn without_document(mut self) -> Self {
        self.without_document = true;
        self
    }

    /// Believes the `X-Forwarded-For` of these peers.
    #[must_use]
    pub fn with_trusted_proxies(mut self, proxies: impl IntoIterator<Item = Subnet>) -> Self {
        self.trusted_proxies.extend(proxies);
        self
    }

    /// Everything that is wrong with it for `app`, a sentence each.
    pub fn problems(&self, app: &AppInfo) -> Vec<String> {
        let Ok(api) = Origin::parse(app.api_origin()) else {
            return vec!["the api domain is no origin".to_owned()];
        };
        let mut problems = Vec::new();
        if let Some(domain) = &self.domain {
            let bare = domain.trim_start_matches('.');
            if api.is_loopback() || bare.parse::<std::net::IpAddr>().is_ok() || is_public_suffix(bare) {
                problems.push("browsers refuse cookies for this cookie domain: it is an address, localhost or a public suffix".to_owned());
            } else if !is_within(api.host(), bare) {
                problems.push("the cookie domain does not cover the api domain".to_owned());
            }
        }
        if let Some(older) = &self.older_domain
            && !is_within(api.host(), older.trim_start_matches('.'))
        {
            problems.push("the older cookie domain does not cover the api domain".to_owned());
        }
        if self.names == Names::Prefixed && (!api.is_https() || self.domain.is_some()) {
            problems.push("prefixed cookies need https and no cookie domain".to_owned());
        }
        let cookies = self.allowed != Allowed::Header;
        if cookies && self.same_site_for(app, &api) == SameSite::None && !api.is_https() && !app.is_loopback()
        {
            problems.push(
                "the website is another site than the api, and browsers refuse its cookies without https"
                    .to_owned(),
            );
        }
        if !self.gateway_path.is_empty() && !is_plain_path(&self.gateway_path) {
            problems.push("the gateway path must be like /gateway".to_owned());
        }
        problems
    }

    fn same_site_for(&self, app: &AppInfo, api: &Origin) -> SameSite {
        let origins: Vec<Origin> = app
            .origins()
            .filter_map(|origin| Origin::parse(origin).ok())
            .collect();
        self.same_site.unwrap_or_else(|| SameSite::between(api, &origins))
    }
}

/// What follows from the application's place and its settings: the rules that every request is judged by.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Where the protocol is served, as this server sees it.
    pub base: String,
    /// Which transfer modes are allowed.
    pub allowed: Allowed,
    /// How cookies are written.
    pub cookies: CookieRules,
    /// Whose pages may act for a user.
    pub csrf: CsrfRules,
    /// Whose pages may read answers; none if the application sees to that itself.
    pub cors: Option<Cors>,
    /// Whether the OpenAPI document is served.
    pub document: bool,
    /// Whose forwarding headers are believed.
    pub trusted_proxies: Vec<Subnet>,
}

impl Rules {
    /// Draws them up. `app` must have been checked by the builder; what cannot be used of it is left out, which
    /// refuses and never admits.
    pub fn new(app: &AppInfo, transport: &Transport) -> Self {
        let origins: Vec<Origin> = app
            .origins()
            .filter_map(|origin| Origin::parse(origin).ok())
            .collect();
        let api = Origin::parse(app.api_origin()).ok();
        let same_site = match &api {
            Some(api) => transport.same_site_for(app, api),
            None => SameSite::Strict,
        };
        let refresh_path = format!("{}{}/session/refresh", transport.gateway_path, app.base_path());
        Self {
            base: app.base_path().to_owned(),
            allowed: transport.allowed,
            cookies: CookieRules {
                names: transport.names,
                domain: transport.domain.clone(),
                older_domain: transport.older_domain.clone(),
                ..CookieRules::new(same_site, api.is_none_or(|api| api.is_https()), refresh_path)
            },
            cors: (!transport.without_cors).then(|| Cors::new(&origins, &transport.request_headers)),
            csrf: CsrfRules { origins, same_site },
            document: !transport.without_document,
            trusted_proxies: transport.trusted_proxies.clone(),
        }
    }
}

impl Rules {
    /// Those of a service that no page calls: nothing is served under a base path, tokens come in headers alone, and no
    /// origin is admitted. Cookie names and proxies are as `transport` says.
    pub fn without_pages(transport: &Transport) -> Self {
        Self {
            base: String::new(),
            allowed: Allowed::Header,
            cookies: CookieRules {
                names: transport.names,
                ..CookieRules::new(SameSite::Strict, true, String::new())
            },
            csrf: CsrfRules {
                origins: Vec::new(),
                same_site: SameSite::None,
            },
            cors: None,
            document: false,
            trusted_proxies: transport.trusted_proxies.clone(),
        }
    }
}

/// A cookie domain as it is written: lower case, without scheme, port and path; a leading dot is kept.
fn normal_domain(domain: &str) -> String {
    let lower = domain.trim().to_ascii_lowercase();
    let rest = lower.split_once("://").map_or(lower.as_str(), |(_, rest)| rest);
    let host = rest.split(['/', ':', ';', '?', '#']).next().unwrap_or_default();
    host.chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
        .collect()
}

fn is_within(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn is_plain_path(path: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.');
    path.starts_with('/') && !path.contains("//") && path.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(api: &str, website: &str) -> AppInfo {
        AppInfo::new("Acme", api, website)
    }

    fn https() -> AppInfo {
        app("https://api.acme.test", "https://acme.test")
    }

    #[test]
    fn the_defaults_follow_from_where_the_application_lives() {
        let rules = Rules::new(&https(), &Transport::new());
        assert_eq!(
            rules.cookies,
            CookieRules::new(SameSite::Lax, true, "/auth/session/refresh")
        );
        assert_eq!(rules.csrf.origins.len(), 2);
        let local = app("http://localhost:3000", "http://localhost:3000").with_base_path("/api/auth");
        let rules = Rules::new(&local, &Transport::new().with_gateway_path("/gw/"));
        assert_eq!(
            rules.cookies,
            CookieRules::new(SameSite::Lax, false, "/gw/api/auth/session/refresh")
        );
        assert_eq!(rules.base, "/api/auth");
    }

    #[test]
    fn a_trusted_origin_of_another_site_makes_the_cookies_cross_site() {
        let app = https().with_trusted_origin("https://partner.example");
        assert_eq!(
            Rules::new(&app, &Transport::new()).cookies.same_site,
            SameSite::None
        );
        let strict = Transport::new().with_same_site(SameSite::Strict);
        let rules = Rules::new(&app, &strict);
        assert_eq!(
            (rules.cookies.same_site, rules.csrf.same_site),
            (SameSite::Strict, SameSite::Strict)
        );
    }

    #[test]
    fn a_cookie_domain_is_brought_into_form() {
        for (given, written) in [
            (" .Acme.Test ", ".acme.test"),
            ("https://acme.test:443/x", "acme.test"),
            ("acme.test; Secure", "acme.test"),
            ("acme\r\n.test", "acme.test"),
        ] {
            assert_eq!(normal_domain(given), written);
        }
    }

    #[test]
    fn a_cookie_domain_that_browsers_would_refuse_is_named() {
        let problems = |domain: &str| {
            Transport::new()
                .with_cookie_domain(domain)
                .problems(&https())
                .len()
        };
        assert_eq!(problems(".acme.test"), 0);
        assert_eq!(problems("api.acme.test"), 0);
        for wrong in [
            "evil.test",
            "cme.test",
            "test",
            "co.uk",
            "vercel.app",
            "10.0.0.1",
            "",
            "other.api.acme.test",
        ] {
            assert_eq!(problems(wrong), 1, "{wrong}");
        }
        let local = app("http://localhost:3000", "http://localhost:3000");
        assert_eq!(
            Transport::new()
                .with_cookie_domain("localhost")
                .problems(&local)
                .len(),
            1
        );
    }

    #[test]
    fn an_empty_older_domain_is_the_host_alone() {
        let transport = Transport::new().with_older_cookie_domain("");
        assert_eq!(transport.problems(&https()), Vec::<String>::new());
        assert_eq!(Rules::new(&https(), &transport).cookies.older_domain, None);
        assert_eq!(
            Transport::new()
                .with_older_cookie_domain("evil.test")
                .problems(&https())
                .len(),
            1
        );
    }

    #[test]
    fn prefixed_names_need_https_and_no_domain() {
        let prefixed = Transport::new().with_prefixed_cookies();
        assert!(prefixed.problems(&https()).is_empty());
        assert_eq!(
            prefixed
                .problems(&app("http://localhost:1", "http://localhost:1"))
                .len(),
            1
        );
        assert_eq!(
            prefixed.with_cookie_domain(".acme.test").problems(&https()).len(),
            1
        );
    }

    #[test]
    fn cookies_across_sites_need_https_except_on_this_machine() {
        let plain = app("http://api.acme.test", "http://other.example");
        assert_eq!(Transport::new().problems(&plain).len(), 1);
        assert!(
            Transport::new()
                .with_mode(Allowed::Header)
                .problems(&plain)
                .is_empty()
        );
        assert!(
            Transport::new()
                .problems(&app("http://[::1]:1", "http://localhost:2"))
                .is_empty()
        );
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let transport = Transport::new()
            .with_prefixed_cookies()
            .with_cookie_domain("evil.test")
            .with_gateway_path("gw");
        assert_eq!(transport.problems(&https()).len(), 3);
    }

    #[test]
    fn cors_can_be_left_to_the_application() {
        assert!(Rules::new(&https(), &Transport::new()).cors.is_some());
        assert!(
            Rules::new(&https(), &Transport::new().without_cors())
                .cors
                .is_none()
        );
    }
}
