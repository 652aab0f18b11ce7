//! Where a request comes from: the client's address behind trusted proxies, and the network that is throttled.
//!
//! # Source
//! Requirements R-RL-1 and R-RL-3; threats A-RL-02, A-RL-03.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network as throttles and sessions know it: a whole IPv4 address, or the /64 of an IPv6 address, since one
/// subscriber commands all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Network {
    /// One IPv4 address, however it was written or carried.
    V4(Ipv4Addr),
    /// The upper 64 bits of an IPv6 address.
    V6(u64),
}

impl Network {
    /// The network of `address`.
    pub fn of(address: IpAddr) -> Self {
        match canonical(address) {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6(upper_half(address)),
        }
    }
}

/// `192.0.2.7`, or `2001:db8:1:2::/64`: one text per network.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => address.fmt(f),
            Self::V6(upper) => {
                let address = Ipv6Addr::from_bits(u128::from(*upper) << 64);
                write!(f, "{address}/64")
            }
        }
    }
}

/// The client's address: the socket's peer, or, if the peer is a trusted proxy, the right-most hop that is not one.
///
/// `forwarded_for` are the values of all `X-Forwarded-For` lines in the order they came. Each proxy appends the
/// address that it saw, so that everything left of the first untrusted hop is the client's own invention and is not
/// even looked at. A hop that is no address ends the search at the peer: what a trusted proxy did not say cannot
/// be guessed.
pub fn client_address(peer: Option<IpAddr>, forwarded_for: &[&str], trusted: &[Subnet]) -> Option<IpAddr> {
    let peer = canonical(peer?);
    let is_trusted = |address: IpAddr| trusted.iter().any(|subnet| subnet.contains(address));

    let mut client = peer;
    let mut hops = forwarded_for.iter().rev().flat_map(|line| line.rsplit(','));
    while is_trusted(client) {
        match hops.next().map(parse_hop) {
            Some(Some(hop)) => client = canonical(hop),
            Some(None) => return Some(peer),
            None => break,
        }
    }
    Some(client)
}

/// A block of addresses, `10.0.0.0/8`, or a single one, `::1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subnet {
    base: IpAddr,
    prefix: u8,
}

/// A text is no block of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubnetError {
    /// Not `address` or `address/length`.
    #[error("not an address or a block of addresses")]
    Malformed,
    /// Bits beyond the prefix are set, so that it is unclear which block is meant.
    #[error("bits are set beyond the prefix")]
    HostBits,
    /// A prefix of zero would trust everybody.
    #[error("a block of all addresses is not accepted")]
    Everything,
}

impl Subnet {
    /// Whether `address` lies in the block. IPv4 carried in IPv6 is IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, canonical(address)) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                (base.to_bits() ^ address.to_bits()) >> (32 - self.prefix) == 0
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                (base.to_bits() ^ address.to_bits()) >> (128 - self.prefix) == 0
            }
            _ => false,
        }
    }
}

impl From<IpAddr> for Subnet {
    fn from(address: IpAddr) -> Self {
        let base = canonical(address);
        Self {
            base,
            prefix: width(base),
        }
    }
}

impl FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Self, SubnetError> {
        let Some((base, prefix)) = text.split_once('/') else {
            return text
                .parse::<IpAddr>()
                .map(Self::from)
                .map_err(|_| SubnetError::Malformed);
        };
        let base: IpAddr = base.parse().map_err(|_| SubnetError::Malformed)?;
        let prefix: u8 = prefix.parse().map_err(|_| SubnetError::Malformed)?;
        if prefix > width(base) {
            return Err(SubnetError::Malformed);
        }
        if prefix == 0 {
            return Err(SubnetError::Everything);
        }
        let beyond = match base {
            IpAddr::V4(base) => u128::from(base.to_bits()) & ((1 << (32 - prefix)) - 1),
            IpAddr::V6(base) => base.to_bits() & ((1 << (128 - prefix)) - 1),
        };
        // A block of IPv4-mapped addresses would never meet an address, since those are read as IPv4.
        if canonical(base) != base {
            return Err(SubnetError::Malformed);
        }
        if beyond != 0 {
            return Err(SubnetError::HostBits);
        }
        Ok(Self { base, prefix })
    }
}

/// An IPv4 address in IPv6 clothes (RFC 4291 §2.5.5.2, and RFC 6052 §2.1 behind a translator) as IPv4. Unread, every
/// IPv4 client of a translating front would share one /64.
fn canonical(address: IpAddr) -> IpAddr {
    const TRANSLATED: u128 = 0x0064_ff9b << 96;
    match address.to_canonical() {
        IpAddr::V6(v6) if v6.to_bits() >> 32 == TRANSLATED >> 32 => {
            let [.., a, b, c, d] = v6.octets();
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        address => address,
    }
}

/// One hop of the header: an address, perhaps with a port, brackets or a zone.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    if let Some(bracketed) = hop.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        let is_port = port.is_empty()
            || port
                .strip_prefix(':')
                .is_some_and(|port| port.parse::<u16>().is_ok());
        return is_port.then(|| parse_v6(address)).flatten();
    }
    if let Some((address, port)) = hop.split_once(':').filter(|(_, port)| !port.contains(':')) {
        port.parse::<u16>().ok()?;
        return address.parse::<Ipv4Addr>().ok().map(IpAddr::V4);
    }
    hop.parse::<Ipv4Addr>()
        .ok()
        .map(IpAddr::V4)
        .or_else(|| parse_v6(hop))
}

/// An IPv6 address; a zone only names an interface of the proxy.
fn parse_v6(text: &str) -> Option<IpAddr> {
    let address = text.split_once('%').map_or(text, |(address, _)| address);
    address.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

fn upper_half(address: Ipv6Addr) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = address.octets();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// Bits of an address.
const fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

#[cfg(test)]
mod tests;
