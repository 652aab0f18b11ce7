use proptest::prelude::*;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn network(text: &str) -> String {
    Network::of(ip(text)).to_string()
}

fn subnets(texts: &[&str]) -> Vec<Subnet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn a_rl_03_all_addresses_of_one_64_are_one_network() {
    for n in 0..1_000_u64 {
        let lower = u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let address = Ipv6Addr::from_bits((0x2001_0db8_0001_0002 << 64) | lower);
        assert_eq!(Network::of(address.into()).to_string(), "2001:db8:1:2::/64");
    }
    assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
}

#[test]
fn a_rl_03_spellings_of_an_address_are_one_network() {
    for text in [
        "2001:DB8:1:2:0:0:0:1",
        "2001:0db8:0001:0002::0001",
        "2001:db8:1:2::1",
    ] {
        assert_eq!(network(text), "2001:db8:1:2::/64", "{text}");
    }
    for text in [
        "192.0.2.7",
        "::ffff:192.0.2.7",
        "::FFFF:c000:0207",
        "64:ff9b::192.0.2.7",
    ] {
        assert_eq!(network(text), "192.0.2.7", "{text}");
    }
    assert_eq!(network("::1"), "::/64");
    assert_eq!(network("fe80::1"), "fe80::/64");
}

#[test]
fn a_rl_02_without_trust_no_header_is_read() {
    let peer = Some(ip("203.0.113.9"));
    assert_eq!(client_address(peer, &["198.51.100.1"], &[]), peer);
    let trusted = subnets(&["10.0.0.0/8"]);
    assert_eq!(
        client_address(peer, &["198.51.100.1", "10.0.0.1"], &trusted),
        peer
    );
    assert_eq!(client_address(None, &["198.51.100.1"], &trusted), None);
}

#[test]
fn a_rl_02_behind_trusted_proxies_the_right_most_stranger_is_the_client() {
    let trusted = subnets(&["10.0.0.0/8", "2001:db8:ffff::/48", "::1"]);
    let client = |header: &[&str]| client_address(Some(ip("10.0.0.2")), header, &trusted).unwrap();
    assert_eq!(client(&["198.51.100.1"]), ip("198.51.100.1"));
    // Everything left of it may be invented.
    assert_eq!(client(&["1.1.1.1, 10.0.0.9, 198.51.100.1"]), ip("198.51.100.1"));
    assert_eq!(client(&["nonsense, 198.51.100.1"]), ip("198.51.100.1"));
    // A second proxy of ours appended the first, in one line or in two.
    assert_eq!(client(&["1.1.1.1, 198.51.100.1, 10.0.0.1"]), ip("198.51.100.1"));
    assert_eq!(
        client(&["1.1.1.1", "198.51.100.1", "10.0.0.1, 2001:db8:ffff::1"]),
        ip("198.51.100.1")
    );
    // The proxy itself asks, and a request that began inside.
    assert_eq!(client(&[]), ip("10.0.0.2"));
    assert_eq!(client(&["10.0.0.7"]), ip("10.0.0.7"));
}

#[test]
fn a_rl_02_a_hop_that_is_no_address_ends_the_search_at_the_peer() {
    let trusted = subnets(&["10.0.0.0/8"]);
    for hop in [
        "",
        " ",
        "unknown",
        "_hidden",
        "198.51.100",
        "198.51.100.1:",
        "198.51.100.1:99999",
        "[::1",
        "::1]",
        "198.51.100.1 198.51.100.2",
        "0198.51.100.1",
        "198.51.100.1\0",
        "2001:db8::g",
        "\"198.51.100.1\"",
        "[::1]x",
    ] {
        let header = format!("198.51.100.1, {hop}");
        assert_eq!(
            client_address(Some(ip("10.0.0.2")), &[&header], &trusted),
            Some(ip("10.0.0.2")),
            "{hop:?}"
        );
    }
}

#[test]
fn a_rl_03_ports_brackets_zones_and_mapped_forms_of_a_hop_are_read() {
    let trusted = subnets(&["10.0.0.0/8"]);
    for (hop, address) in [
        ("198.51.100.1:4711", "198.51.100.1"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("fe80::7%eth0", "fe80::7"),
        ("[fe80::7%25eth0]:80", "fe80::7"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
    ] {
        assert_eq!(
            client_address(Some(ip("10.0.0.2")), &[hop], &trusted),
            Some(ip(address)),
            "{hop}"
        );
    }
}

#[test]
fn a_rl_02_a_dual_stack_socket_names_its_proxy_in_mapped_form() {
    let trusted = subnets(&["10.0.0.0/8"]);
    let client = client_address(Some(ip("::ffff:10.0.0.2")), &["198.51.100.1"], &trusted);
    assert_eq!(client, Some(ip("198.51.100.1")));
    assert_eq!(
        client_address(Some(ip("::ffff:192.0.2.7")), &[], &trusted),
        Some(ip("192.0.2.7"))
    );
}

#[test]
fn a_subnet_holds_its_addresses_and_no_others() {
    let holds = |subnet: &str, address: &str| subnets(&[subnet])[0].contains(ip(address));
    assert!(holds("10.0.0.0/8", "10.255.255.255"));
    assert!(!holds("10.0.0.0/8", "11.0.0.0"));
    assert!(holds("192.0.2.7", "192.0.2.7"));
    assert!(holds("192.0.2.7/32", "::ffff:192.0.2.7"));
    assert!(!holds("192.0.2.7", "192.0.2.6"));
    assert!(holds("2001:db8::/33", "2001:db8:7fff::1"));
    assert!(!holds("2001:db8::/33", "2001:db8:8000::1"));
    assert!(holds("::1/128", "::1"));
    assert!(!holds("0.0.0.0/1", "::1"));
    assert_eq!(Subnet::from(ip("::ffff:10.0.0.1")), subnets(&["10.0.0.1"])[0]);
}

#[test]
fn a_subnet_that_is_unclear_or_trusts_everybody_is_refused() {
    for (text, error) in [
        ("", SubnetError::Malformed),
        ("10.0.0.0/33", SubnetError::Malformed),
        ("::/129", SubnetError::Malformed),
        ("10.0.0.0/-1", SubnetError::Malformed),
        ("10.0.0.0/8/8", SubnetError::Malformed),
        ("proxy.internal", SubnetError::Malformed),
        ("::ffff:10.0.0.0/104", SubnetError::Malformed),
        ("10.0.0.1/8", SubnetError::HostBits),
        ("2001:db8::1/64", SubnetError::HostBits),
        ("0.0.0.0/0", SubnetError::Everything),
        ("::/0", SubnetError::Everything),
    ] {
        assert_eq!(text.parse::<Subnet>(), Err(error), "{text}");
    }
}

proptest! {
    #[test]
    fn a_rl_02_a_client_cannot_choose_its_address(
        invented in "[0-9a-f:., \\[\\]%x]{0,80}",
        lines in proptest::collection::vec("[0-9a-f:., ]{0,40}", 0..3),
        own in any::<u32>().prop_filter("a stranger", |own| own >> 24 != 10),
    ) {
        let own = Ipv4Addr::from_bits(own);
        let last = format!("{invented}, {own}");
        let mut header: Vec<&str> = lines.iter().map(String::as_str).collect();
        header.push(&last);
        let trusted = subnets(&["10.0.0.0/8"]);
        prop_assert_eq!(client_address(Some(ip("10.0.0.2")), &header, &trusted), Some(own.into()));
    }

    #[test]
    fn any_header_names_an_address_or_the_peer(header in "\\PC{0,80}", trusted in any::<bool>()) {
        let trusted = if trusted { subnets(&["10.0.0.0/8"]) } else { Vec::new() };
        prop_assert!(client_address(Some(ip("10.0.0.2")), &[&header], &trusted).is_some());
    }

    #[test]
    fn a_rl_02_an_address_that_was_found_is_found_again_when_it_is_written(
        address in any::<u128>(),
        v4 in any::<bool>(),
        port in any::<u16>(),
    ) {
        let own: IpAddr = match v4 {
            true => Ipv4Addr::from_bits((address >> 96) as u32).into(),
            false => Ipv6Addr::from_bits(address).into(),
        };
        let trusted = subnets(&["192.0.2.1"]);
        let find = |hop: &str| client_address(Some(ip("192.0.2.1")), &[hop], &trusted);
        let found = find(&own.to_string()).unwrap();
        prop_assert_eq!(find(&found.to_string()), Some(found));
        let with_port = match own {
            IpAddr::V4(own) => format!("{own}:{port}"),
            IpAddr::V6(own) => format!("[{own}]:{port}"),
        };
        prop_assert_eq!(find(&with_port), Some(found));
        prop_assert_eq!(Network::of(found), Network::of(own));
    }

    #[test]
    fn a_subnet_agrees_with_counting(base in any::<u128>(), address in any::<u128>(), prefix in 1_u8..=128) {
        let base = Ipv6Addr::from_bits(base & (u128::MAX << (128 - prefix)));
        prop_assume!(canonical(base.into()) == IpAddr::V6(base));
        let subnet: Subnet = format!("{base}/{prefix}").parse().unwrap();
        let first = base.to_bits();
        let last = first | u128::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
        for address in [address, first, last, last.wrapping_add(1), first.wrapping_sub(1)] {
            let inside = (first..=last).contains(&address);
            let address = Ipv6Addr::from_bits(address);
            prop_assume!(canonical(address.into()) == IpAddr::V6(address));
            prop_assert_eq!(subnet.contains(address.into()), inside);
        }
    }

    #[test]
    fn the_text_of_a_network_is_the_network(a in any::<u128>(), b in any::<u128>()) {
        let of = |bits: u128| Network::of(Ipv6Addr::from_bits(bits).into());
        prop_assert_eq!(of(a) == of(b), of(a).to_string() == of(b).to_string());
        prop_assert_eq!(of(a), of(a >> 64 << 64));
    }
}
