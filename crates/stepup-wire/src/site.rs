//! Origins and sites: who the API and the website are to a browser, and which cookies may pass between them.

use std::fmt;

use url::{Host, Url};

/// An origin as browsers serialize it: scheme, host and port, lower case, default port left out.
///
/// Never `null`, never opaque: what has no host is no origin here.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    text: String,
    host: String,
    https: bool,
}

/// Why a text names no origin.
#[derive(Debug, thiserror::Error)]
#[error("not an origin of the form https://host[:port]: {0}")]
pub struct OriginError(String);

impl Origin {
    /// Reads the origin of `url`, which must be http or https; path and query are left aside.
    ///
    /// # Errors
    /// [`OriginError`] for anything else, user info included: `https://acme.test@evil.test` is a trap, not an origin.
    pub fn parse(url: &str) -> Result<Self, OriginError> {
        let fail = || OriginError(url.to_owned());
        let parsed = Url::parse(url).map_err(|_| fail())?;
        let https = match parsed.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(fail()),
        };
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(fail());
        }
        let host = match parsed.host().ok_or_else(fail)? {
            // The dot of a fully qualified name belongs to no cookie and no site.
            Host::Domain(name) => name.trim_end_matches('.').to_owned(),
            address => address.to_string(),
        };
        if host.is_empty() {
            return Err(fail());
        }
        Ok(Self {
            text: parsed.origin().ascii_serialization(),
            host,
            https,
        })
    }

    /// The origin as it stands in an `Origin` header.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its host; an IPv6 address stands in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether it is reached by https, and its cookies therefore are `Secure`.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Whether it is this machine: `localhost`, a name below it, 127.0.0.0/8 or `[::1]`.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self.host.ends_with(".localhost")
            || self.host == "[::1]"
            || self
                .host
                .parse::<std::net::Ipv4Addr>()
                .is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The `SameSite` attribute of the session cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Sent with requests of the same site only.
    Strict,
    /// Sent with requests of the same site, and with navigations to it.
    Lax,
    /// Sent with every request: the website is another site than the API.
    None,
}

impl SameSite {
    /// What the API's cookies need so that pages of all `websites` can use them: [`SameSite::None`] if one of them
    /// is another site or has another scheme (browsers count the scheme as part of the site), else
    /// [`SameSite::Lax`].
    pub fn between<'a>(api: &Origin, websites: impl IntoIterator<Item = &'a Origin>) -> Self {
        let same = |website: &Origin| api.https == website.https && site(&api.host) == site(&website.host);
        if websites.into_iter().all(same) {
            Self::Lax
        } else {
            Self::None
        }
    }

    /// The attribute's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        }
    }
}

/// The registrable domain of `host` by the public suffix list, its private part included: `a.vercel.app` and
/// `b.vercel.app` belong to two strangers. Hosts under `.local`, and hosts that are a public suffix, stand for
/// themselves; `localhost` and IPv4 addresses are one site, since that is what a developer's machine is.
fn site(host: &str) -> &str {
    if host == "localhost" || host.ends_with(".localhost") || host.parse::<std::net::Ipv4Addr>().is_ok() {
        return "localhost";
    }
    if host.starts_with('[') || host.ends_with(".local") {
        return host;
    }
    psl::domain_str(host).unwrap_or(host)
}

/// Whether a cookie for `domain` would be refused by browsers, or shared with strangers: a public suffix.
pub(crate) fn is_public_suffix(domain: &str) -> bool {
    psl::domain_str(domain).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(api: &str, website: &str) -> SameSite {
        SameSite::between(&Origin::parse(api).unwrap(), [&Origin::parse(website).unwrap()])
    }

    #[test]
    fn an_origin_is_serialized_as_browsers_do() {
        for (text, origin) in [
            ("https://Acme.test", "https://acme.test"),
            ("https://acme.test:443/x?y", "https://acme.test"),
            ("http://localhost:3000/", "http://localhost:3000"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("http://[::1]:80", "http://[::1]"),
        ] {
            assert_eq!(Origin::parse(text).unwrap().as_str(), origin);
        }
    }

    #[test]
    fn what_has_no_host_or_hides_one_is_no_origin() {
        for text in [
            "null",
            "*",
            "",
            "acme.test",
            "ftp://acme.test",
            "file:///x",
            "https://acme.test@evil.test",
            "https://",
        ] {
            assert!(Origin::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn loopback_is_this_machine_only() {
        for text in [
            "http://localhost",
            "http://a.localhost:1",
            "http://127.9.0.1",
            "http://[::1]",
        ] {
            assert!(Origin::parse(text).unwrap().is_loopback(), "{text}");
        }
        for text in [
            "http://localhost.evil.test",
            "http://128.0.0.1",
            "http://[::2]",
            "http://notlocalhost",
        ] {
            assert!(!Origin::parse(text).unwrap().is_loopback(), "{text}");
        }
    }

    #[test]
    fn two_hosts_of_one_registrable_domain_are_one_site() {
        assert_eq!(
            between("https://api.acme.test", "https://acme.test"),
            SameSite::Lax
        );
        assert_eq!(
            between("https://api.acme.co.uk", "https://www.acme.co.uk"),
            SameSite::Lax
        );
        assert_eq!(
            between("https://api.acme.co.uk", "https://evil.co.uk"),
            SameSite::None
        );
        assert_eq!(
            between("https://api.acme.test", "https://acme.example"),
            SameSite::None
        );
    }

    #[test]
    fn private_suffixes_separate_strangers() {
        assert_eq!(
            between("https://a.vercel.app", "https://b.vercel.app"),
            SameSite::None
        );
        assert_eq!(
            between("https://x.github.io", "https://y.github.io"),
            SameSite::None
        );
    }

    #[test]
    fn another_scheme_is_another_site() {
        assert_eq!(
            between("https://api.acme.test", "http://acme.test"),
            SameSite::None
        );
    }

    #[test]
    fn a_developers_machine_is_one_site() {
        assert_eq!(
            between("http://localhost:3001", "http://localhost:3000"),
            SameSite::Lax
        );
        assert_eq!(
            between("http://127.0.0.1:3001", "http://localhost:3000"),
            SameSite::Lax
        );
        assert_eq!(
            between("http://api.localhost:3001", "http://localhost:3000"),
            SameSite::Lax
        );
    }

    #[test]
    fn local_names_and_bare_hosts_stand_for_themselves() {
        assert_eq!(between("http://a.local", "http://b.local"), SameSite::None);
        assert_eq!(between("http://intranet", "http://intranet:8080"), SameSite::Lax);
        assert_eq!(between("http://intranet", "http://other"), SameSite::None);
        assert_eq!(between("http://[::1]:1", "http://[::1]:2"), SameSite::Lax);
    }

    #[test]
    fn one_website_of_another_site_makes_the_cookies_cross_site() {
        let api = Origin::parse("https://api.acme.test").unwrap();
        let sites = ["https://acme.test", "https://acme.example"].map(|text| Origin::parse(text).unwrap());
        assert_eq!(SameSite::between(&api, &sites), SameSite::None);
    }
}
