use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<String, ContactError> {
    EmailAddress::parse(text).map(|address| address.as_str().to_owned())
}

#[test]
fn a_rl_01_case_blanks_and_composition_make_no_second_address() {
    for text in [
        "alice@example.com",
        " alice@example.com ",
        "\talice@example.com\r\n",
        "Alice@Example.COM",
        "ALICE@EXAMPLE.COM",
        "alice@ｅｘａｍｐｌｅ.com",
        "alice@example。com",
    ] {
        assert_eq!(parse(text).as_deref(), Ok("alice@example.com"), "{text:?}");
    }
    assert_eq!(
        parse("Ju\u{308}rgen@example.com"),
        parse("j\u{fc}rgen@example.com")
    );
    assert_eq!(parse("J\u{dc}RGEN@example.com"), parse("j\u{fc}rgen@example.com"));
}

#[test]
fn a_rl_01_a_character_with_a_second_spelling_is_refused() {
    for text in [
        "m\u{131}ke@example.com",  // dotless i: upper case I
        "M\u{130}KE@example.com",  // dotted I: lower case i and a dot
        "mi\u{307}ke@example.com", // the same, taken apart
        "\u{212a}ate@example.com", // Kelvin sign: k
        "\u{17f}am@example.com",   // long s: s
        "stra\u{df}e@example.com", // sharp s: SS
        "o\u{3c2}@example.com",    // final sigma: sigma
        "\u{b5}@example.com",      // micro sign: mu
        "\u{fb01}n@example.com",   // ligature: fi
        "ａｎｎ@example.com",      // full width
        "x\u{b2}@example.com",     // superscript two
        "a\u{345}@example.com",    // iota below: iota
        "\u{1fef}@example.com",    // Greek grave accent: `
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_inj_06_a_second_at_sign_is_refused_in_every_form() {
    for text in [
        "alice@example.com@evil.test",
        "alice\u{ff20}evil.test@example.com",
        "alice@example.com\u{ff20}evil.test",
        "alice\u{fe6b}evil.test@example.com",
    ] {
        assert_eq!(parse(text), Err(ContactError::Malformed), "{text}");
    }
    for text in ["alice", "@example.com", "alice@", "alice\u{ff20}example.com"] {
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_inj_06_what_cannot_be_seen_is_refused() {
    for c in [
        '\0',
        '\n',
        '\r',
        '\u{7f}',
        '\u{85}',
        '\u{ad}',
        '\u{34f}',
        '\u{61c}',
        '\u{115f}',
        '\u{180e}',
        '\u{200b}',
        '\u{200d}',
        '\u{200e}',
        '\u{2028}',
        '\u{202e}',
        '\u{2060}',
        '\u{2066}',
        '\u{3164}',
        '\u{fe0f}',
        '\u{feff}',
        '\u{ffa0}',
        '\u{fffd}',
        '\u{e0041}',
        '\u{e0101}',
    ] {
        assert_eq!(
            parse(&format!("al{c}ice@example.com")),
            Err(ContactError::Character),
            "{c:?}"
        );
        assert_eq!(
            parse(&format!("alice@exam{c}ple.com")),
            Err(ContactError::Character),
            "{c:?}"
        );
    }
    // Symbols, private and unassigned characters have no stable meaning.
    for c in ['😀', '\u{e000}', '\u{378}', '“', '\u{a0}', '\u{3000}'] {
        assert!(parse(&format!("al{c}ice@example.com")).is_err(), "{c:?}");
    }
}

#[test]
fn a_inj_06_every_form_of_a_domain_is_one_domain() {
    for text in [
        "bücher.example",
        "BÜCHER.example",
        "bu\u{308}cher.example",
        "xn--bcher-kva.example",
        "XN--BCHER-KVA.EXAMPLE",
    ] {
        assert_eq!(
            parse(&format!("a@{text}")).as_deref(),
            Ok("a@xn--bcher-kva.example"),
            "{text}"
        );
    }
    // Look-alikes are other domains, in a form in which they look it.
    assert_eq!(parse("a@\u{430}pple.com").as_deref(), Ok("a@xn--pple-43d.com"));
    assert_eq!(parse("a@fa\u{df}.de").as_deref(), Ok("a@xn--fa-hia.de"));
}

#[test]
fn a_inj_06_no_domain_that_idna_forbids_is_accepted() {
    for domain in [
        "xn--example-.com", // ASCII in disguise
        "xn--a.com",
        "xn--.com",
        "a\u{378}.com",
        "\u{5d0}1a.com", // directions mixed
        "-a.com",
        "a-.com",
        "ab--cd.com",
        "a_b.com",
        "a..com",
        ".a.com",
        "a.com.",
        "localhost",
        "a.c",
        "a.123",
        "a.c0m",
        "127.0.0.1",
        "[127.0.0.1]",
        "[IPv6:::1]",
        "a.com/x",
        "a.com:25",
        "a b.com",
        "a%00.com",
    ] {
        assert_eq!(
            parse(&format!("a@{domain}")),
            Err(ContactError::Domain),
            "{domain}"
        );
    }
    let label = "a".repeat(63);
    assert!(parse(&format!("a@{label}.com")).is_ok());
    assert_eq!(parse(&format!("a@{label}a.com")), Err(ContactError::Domain));
}

#[test]
fn the_local_part_is_a_dot_atom() {
    for local in [
        "a",
        "a.b",
        "a+tag",
        "o'neil",
        "x_y-z",
        "!#$%&'*+-/=?^_`{|}~",
        "用户",
        "दि",
        "ё",
    ] {
        assert!(parse(&format!("{local}@example.com")).is_ok(), "{local}");
    }
    for local in [
        "",
        ".a",
        "a.",
        "a..b",
        "\"a b\"",
        "\"a\"",
        "a b",
        "a(c)",
        "a,b",
        "a;b",
        "a:b",
        "a<b",
        "a>b",
        "a[b",
        "a]b",
        "a\\b",
        "a\"b",
        "\u{301}a",
        "a.\u{301}b",
    ] {
        assert!(parse(&format!("{local}@example.com")).is_err(), "{local}");
    }
    for list in [
        "a@example.com,b@example.com",
        "a@example.com b@example.com",
        "<a@example.com>",
        "Ann <a@example.com>",
    ] {
        assert!(parse(list).is_err(), "{list}");
    }
}

#[test]
fn a_inj_07_dots_and_tags_are_kept_apart_and_case_is_not() {
    let distinct = [
        "annlee@example.com",
        "ann.lee@example.com",
        "annlee+x@example.com",
    ]
    .map(|text| parse(text).unwrap());
    assert_eq!(
        distinct,
        [
            "annlee@example.com",
            "ann.lee@example.com",
            "annlee+x@example.com"
        ]
    );
    assert_eq!(
        parse("Ann.Lee+X@example.com").as_deref(),
        Ok("ann.lee+x@example.com")
    );
}

#[test]
fn a_inj_03_letters_that_collations_confuse_are_distinct_or_refused() {
    let texts = [
        "a@x.test",
        "á@x.test",
        "ä@x.test",
        "ss@x.test",
        "а@x.test",
        "%@x.test",
        "_@x.test",
    ];
    let addresses: std::collections::HashSet<_> = texts.iter().map(|text| parse(text).unwrap()).collect();
    assert_eq!(addresses.len(), texts.len());
}

#[test]
fn lengths_are_those_of_smtp() {
    let local = "a".repeat(64);
    assert!(parse(&format!("{local}@example.com")).is_ok());
    assert_eq!(
        parse(&format!("{local}a@example.com")),
        Err(ContactError::TooLong)
    );

    let label = "b".repeat(61);
    let domain = format!("{label}.{label}.{label}.com");
    assert_eq!(domain.len(), 189);
    assert!(parse(&format!("{local}@{domain}")).is_ok());
    assert_eq!(parse(&format!("{local}@b.{domain}")), Err(ContactError::TooLong));
    assert_eq!(parse(""), Err(ContactError::Empty));
    assert_eq!(parse(" \t"), Err(ContactError::Empty));
}

#[test]
fn a_res_10_long_input_is_refused_before_it_is_looked_at() {
    let start = std::time::Instant::now();
    for unit in ["a", "a.", "@", "a@", "\u{fdfa}", "e\u{301}", "xn--"] {
        assert!(parse(&unit.repeat(1 << 20)).is_err());
    }
    let label = "ß".repeat(300);
    assert!(parse(&format!("a@{label}.com")).is_err());
    assert!(start.elapsed() < std::time::Duration::from_secs(1));
}

#[test]
fn a_masked_address_and_debug_tell_first_letters_only() {
    let masked = |text| EmailAddress::parse(text).unwrap().masked();
    assert_eq!(masked("alice@example.com"), "a…@e….com");
    assert_eq!(masked("a@x.test"), "…@….test");
    assert_eq!(masked("alice@mail.example.co.uk"), "a…@m….uk");
    let address = EmailAddress::parse("alice@example.com").unwrap();
    assert_eq!(format!("{address:?}"), "EmailAddress(a…@e….com)");
    assert_eq!((address.local_part(), address.domain()), ("alice", "example.com"));
}

/// Either an error, or an address in a form that holds what it promises.
fn check(text: &str) -> Result<(), TestCaseError> {
    let Ok(address) = EmailAddress::parse(text) else {
        return Ok(());
    };
    let normal = address.as_str();
    prop_assert_eq!(EmailAddress::parse(normal), Ok(address.clone()));
    prop_assert!(normal.len() <= EmailAddress::MAX_BYTES);
    prop_assert_eq!(normal.matches('@').count(), 1);
    prop_assert!(
        address
            .domain()
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b))
    );
    prop_assert!(
        !normal
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || "<>()[]\\,;:\"".contains(c))
    );
    // No normalization or case mapping that anybody may apply later leads anywhere else.
    prop_assert_eq!(normal.nfkc().collect::<String>(), normal);
    let again = normal
        .chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase);
    prop_assert_eq!(again.nfc().collect::<String>(), normal);
    for spelling in [
        normal.to_uppercase(),
        normal.nfd().collect(),
        format!(" {normal}\n"),
    ] {
        prop_assert_eq!(EmailAddress::parse(&spelling), Ok(address.clone()));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn any_text_is_an_address_or_an_error(text in "\\PC{0,20}|[\\x00-\\x{10ffff}]{0,20}@[\\x00-\\x{10ffff}]{0,20}") {
        check(&text)?;
    }

    #[test]
    fn any_likely_text_is_an_address_or_an_error(
        text in "[a-zA-Z0-9.+_ıßσςµéÉüøØあ用ёЁ\u{301}\u{307}-]{1,12}@[a-zA-Z0-9.ßüあ用Ёxn\u{301}-]{1,12}\\.(com|de|xn--p1ai)",
    ) {
        check(&text)?;
    }
}

#[test]
fn every_letter_of_unicode_is_refused_or_has_one_normal_form() {
    // Ideographs and Hangul have no case; a sample of them will do.
    let sampled = |c: char| matches!(c, '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{17000}'..);
    for c in ('\u{80}'..=char::MAX).filter(|c| !sampled(*c) || u32::from(*c) % 97 == 0) {
        let text = format!("a{c}b@example.com");
        check(&text).unwrap();
        let Ok(address) = EmailAddress::parse(&text) else {
            continue;
        };
        // Its normal form is not another character's.
        assert!(!address.local_part().is_ascii(), "{c:?}");
    }
}
