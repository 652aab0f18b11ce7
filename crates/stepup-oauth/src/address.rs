//! Which addresses may be asked (threat A-OAU-11).
//!
//! A provider's configuration, and the documents that a provider serves, name addresses. Whoever writes one of them could
//! have this server ask its own network: the metadata service of a cloud, a database, a neighbor. So the address is judged
//! after the name was resolved, and the connection goes to the very address that was judged: an answer of the name service
//! that changes in between (DNS rebinding) changes nothing.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use stepup_core::app::is_loopback;
use url::{Host, Url};

/// Which networks a provider may be in. The internet always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    /// This machine too.
    pub(crate) loopback: bool,
    /// Private networks too, and this machine.
    pub(crate) private: bool,
}

impl Reach {
    /// Reads an address that may be asked: https, or http on this machine where that is allowed. No credentials in it, no
    /// fragment.
    pub(crate) fn url(self, text: &str) -> Option<Url> {
        let url = Url::parse(text).ok()?;
        let scheme = match url.scheme() {
            "https" => true,
            "http" => self.loopback && is_loopback(text),
            _ => false,
        };
        // A literal address is not resolved, so it is judged here.
        let host = match url.host()? {
            Host::Domain(_) => true,
            Host::Ipv4(ip) => self.admits(ip.into()),
            Host::Ipv6(ip) => self.admits(ip.into()),
        };
        let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        (scheme && host && plain).then_some(url)
    }

    /// Whether `ip` may be asked.
    pub(crate) fn admits(self, ip: IpAddr) -> bool {
        match place_of(ip) {
            Place::Internet => true,
            Place::Machine => self.loopback || self.private,
            Place::Private => self.private,
            Place::Nowhere => false,
        }
    }
}

/// Where an address lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Internet,
    Machine,
    Private,
    /// Link-local, multicast, reserved, and the metadata services of clouds: no provider is there.
    Nowhere,
}

/// # Source
/// The IANA registries of special-purpose addresses (RFC 6890), IPv4 and IPv6.
fn place_of(ip: IpAddr) -> Place {
    match ip {
        IpAddr::V4(ip) => place_of_v4(ip),
        IpAddr::V6(ip) => place_of_v6(ip),
    }
}

fn place_of_v4(ip: Ipv4Addr) -> Place {
    match ip.octets() {
        // The metadata service of a cloud, in the middle of what carriers share.
        [100, 100, 100, 200] => Place::Nowhere,
        [127, ..] => Place::Machine,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] | [198, 18..=19, ..] => {
            Place::Private
        }
        [0, ..] | [169, 254, ..] | [192, 0, 0 | 2, _] | [192, 88, 99, _] => Place::Nowhere,
        [198, 51, 100, _] | [203, 0, 113, _] | [224..=255, ..] => Place::Nowhere,
        _ => Place::Internet,
    }
}

fn place_of_v6(ip: Ipv6Addr) -> Place {
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        place_of_v4(Ipv4Addr::new(a, b, c, d))
    };
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Place::Machine,
        // An address of version 4 in other clothes: mapped, translated (RFC 6052), 6to4.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0x2002, high, low, ..] => embedded(high, low),
        // Metadata services of clouds.
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => Place::Nowhere,
        [0x64, 0xff9b, 1, ..] | [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Place::Private,
        // Teredo, benchmarking, ORCHID and documentation are cut out of what is global.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Place::Nowhere,
        [0x2000..=0x3fff, ..] => Place::Internet,
        _ => Place::Nowhere,
    }
}

/// An address was refused before anything was sent there.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the name leads to an address that is not asked")]
pub(crate) struct Forbidden;

/// Finds the addresses of a name.
#[async_trait]
pub(crate) trait Lookup: fmt::Debug + Send + Sync + 'static {
    /// Asks for them. A port other than 0 counts only where the URL names none.
    async fn lookup(&self, name: &str) -> io::Result<Vec<SocketAddr>>;
}

/// The name service of the system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn lookup(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.collect())
    }
}

/// A [`Lookup`] that tells only the addresses that may be asked.
#[derive(Clone, Debug)]
pub(crate) struct Resolver {
    pub(crate) reach: Reach,
    pub(crate) lookup: Arc<dyn Lookup>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let Self { reach, lookup } = self.clone();
        Box::pin(async move {
            let found = lookup.lookup(name.as_str()).await?;
            let admitted: Vec<SocketAddr> = found.into_iter().filter(|at| reach.admits(at.ip())).collect();
            if admitted.is_empty() {
                return Err(Forbidden.into());
            }
            let addresses: Addrs = Box::new(admitted.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERNET: Reach = Reach {
        loopback: false,
        private: false,
    };
    const MACHINE: Reach = Reach {
        loopback: true,
        private: false,
    };
    const PRIVATE: Reach = Reach {
        loopback: false,
        private: true,
    };

    #[test]
    fn a_oau_11_an_address_inside_is_asked_only_where_that_was_allowed() {
        let judged = |text: &str| {
            let ip = text.parse().unwrap();
            [INTERNET, MACHINE, PRIVATE].map(|reach| reach.admits(ip))
        };
        for internet in [
            "8.8.8.8",
            "172.32.0.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
        ] {
            assert_eq!(judged(internet), [true, true, true], "{internet}");
        }
        for machine in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "::ffff:127.0.0.1",
            "2002:7f00:1::",
        ] {
            assert_eq!(judged(machine), [false, true, true], "{machine}");
        }
        for private in [
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "198.18.0.1",
            "fd12::1",
            "fc00::1",
            "fec0::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "2002:a00:1::",
        ] {
            assert_eq!(judged(private), [false, false, true], "{private}");
        }
        for nowhere in [
            "0.0.0.0",
            "169.254.169.254",
            "100.100.100.200",
            "192.0.0.192",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::7f00:1",
            "fe80::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::",
            "100::1",
            "5f00::1",
        ] {
            assert_eq!(judged(nowhere), [false, false, false], "{nowhere}");
        }
    }

    #[test]
    fn only_https_is_asked_except_on_this_machine() {
        for good in [
            "https://login.acme.test/x?y=z",
            "https://8.8.8.8/",
            "https://login.acme.test:8443",
        ] {
            assert!(INTERNET.url(good).is_some(), "{good}");
        }
        for wrong in [
            "http://login.acme.test",
            "http://localhost:3000",
            "https://127.0.0.1",
            "https://[::1]",
            "https://10.0.0.1",
            "https://169.254.169.254",
            "https://2130706433",
            "https://0x7f.1",
            "https://[::ffff:127.0.0.1]",
            "https://u:p@login.acme.test",
            "https://u@login.acme.test",
            "https://login.acme.test#x",
            "ftp://acme.test",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "login.acme.test",
            "",
        ] {
            assert!(INTERNET.url(wrong).is_none(), "{wrong}");
        }
        for good in [
            "http://localhost:3000",
            "http://127.0.0.1",
            "http://[::1]:1/x",
            "https://login.acme.test",
        ] {
            assert!(MACHINE.url(good).is_some(), "{good}");
        }
        for wrong in [
            "http://localhost.evil.test",
            "http://10.0.0.1",
            "https://10.0.0.1",
            "http://8.8.8.8",
        ] {
            assert!(MACHINE.url(wrong).is_none(), "{wrong}");
        }
        assert!(PRIVATE.url("https://10.0.0.1").is_some());
        assert!(PRIVATE.url("http://10.0.0.1").is_none());
        assert!(PRIVATE.url("https://169.254.169.254").is_none());
    }
}
