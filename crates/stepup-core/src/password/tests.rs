use proptest::prelude::*;

use super::*;

fn judge_at(rule: &PasswordRule, password: &str) -> Result<(), PasswordFault> {
    let email = EmailAddress::parse("ann.lee@example.com").unwrap();
    rule.judge(&Password::parse(password).unwrap(), Some(&email), "Acme Shop")
}

fn judge(password: &str) -> Result<(), PasswordFault> {
    judge_at(&PasswordRule::default(), password)
}

#[test]
fn a_pwd_01_every_code_point_counts_and_none_is_cut_off() {
    let long = "é🔑".repeat(100) + "x";
    assert_eq!(Password::parse(long.clone()).unwrap().normal().as_str(), long);
    assert_eq!(
        judge(&"Zq7 ".repeat(64).replace("Zq7 Zq7 Zq7 ", "Zq8 vbK")),
        Ok(())
    );
    assert_eq!(judge("a\0b\0c\0dx"), Ok(()));
}

#[test]
fn a_pwd_02_spellings_of_one_character_are_one_password_and_nothing_else_is() {
    let normal = |text: &str| Password::parse(text).unwrap().normal().to_string();
    assert_eq!(normal("caf\u{e9} \u{fb01}n"), normal("cafe\u{301} fin"));
    assert_eq!(normal("１２３"), "123");
    assert_ne!(normal("Secret phrase"), normal("secret phrase"));
    assert_ne!(normal("secret phrase"), normal("secret phrase "));
    assert_ne!(normal(" secret phrase"), normal("secret phrase"));
}

#[test]
fn a_pwd_03_no_common_password_is_accepted_in_any_case() {
    assert!(common_passwords().count() >= 3_000);
    for common in common_passwords().take(3_000) {
        assert_eq!(
            judge(&common.to_uppercase()),
            Err(PasswordFault::Common),
            "{common}"
        );
    }
    for common in common_passwords() {
        // The list is compared in this form; what is not in it would never be met.
        assert_eq!(
            folded(&Password::parse(common).unwrap().normal()).as_str(),
            common
        );
    }
}

#[test]
fn a_pwd_03_a_common_password_written_twice_is_common() {
    assert_eq!(judge("Trustno1Trustno1"), Err(PasswordFault::Common));
    assert_eq!(judge("abababababababab"), Err(PasswordFault::Common));
    assert_eq!(judge("zzzzzzzzzzzzzzzzz"), Err(PasswordFault::Common));
}

#[test]
fn a_pwd_03_counting_up_or_down_is_common() {
    for run in [
        "abcdefghijklmnopq",
        "98765432109876543",
        "34567890123456789",
        "ZYXWVUTSRQPONML",
    ] {
        assert_eq!(
            judge_at(&PasswordRule::sole_factor(), run),
            Err(PasswordFault::Common),
            "{run}"
        );
    }
}

#[test]
fn a_pwd_03_what_stands_in_the_address_or_the_name_of_the_service_is_refused() {
    for word in [
        "ann.lee@example.com",
        "Ann.Lee@Example.com",
        "annlee1990",
        "!!ann.lee!!",
        "2024ann-lee",
        "AcmeShop1",
        "acme shop",
        "ＡｃｍｅＳｈｏｐ",
        "acme_shop_2024!",
    ] {
        assert_eq!(judge(word), Err(PasswordFault::PersonalData), "{word}");
    }
    let rule = PasswordRule::default().with_words(["Road Runner", "1984"]);
    assert_eq!(judge_at(&rule, "roadrunner7"), Err(PasswordFault::PersonalData));
    assert_eq!(judge_at(&rule, "1-9-8-4."), Err(PasswordFault::PersonalData));
}

#[test]
fn a_pwd_03_a_phrase_that_merely_holds_such_a_word_is_accepted() {
    for phrase in [
        "ann.lee likes kites",
        "acme shop 4821 7 kites",
        "annleeannvilxq",
        "3 1 7 5 9 ann.lee 20",
        "my password is odd",
    ] {
        assert_eq!(judge(phrase), Ok(()), "{phrase}");
    }
}

#[test]
fn a_pwd_03_fourteen_characters_are_too_few_for_a_sole_factor() {
    let rule = PasswordRule::sole_factor();
    assert_eq!(
        judge_at(&rule, "v9-kites-blown"),
        Err(PasswordFault::TooShort { min: 15 })
    );
    assert_eq!(judge_at(&rule, "v9-kites-blown!"), Ok(()));
}

#[test]
fn a_pwd_03_no_class_of_characters_is_asked_for() {
    for password in ["kzvwqyhr", "90817264", "KZVWQYHR", "        y", "пчелаилес"] {
        assert_eq!(judge(password), Ok(()), "{password}");
    }
}

#[test]
fn length_is_counted_in_code_points_after_normalization() {
    // Eight letters, sixteen code points as typed, eight when composed.
    assert_eq!(
        judge("e\u{301}u\u{308}o\u{302}a\u{300}n\u{303}i\u{301}c\u{327}"),
        Err(PasswordFault::TooShort { min: 8 })
    );
    assert_eq!(
        judge("e\u{301}u\u{308}o\u{302}a\u{300}n\u{303}i\u{301}c\u{327}z"),
        Ok(())
    );
    // One ligature, 18 code points.
    assert_eq!(judge("\u{fdfa}"), Ok(()));
    let of = |len: usize| {
        (0..len)
            .map(|n| char::from(b'a' + (n * n % 23) as u8))
            .collect::<String>()
    };
    assert_eq!(judge(&of(256)), Ok(()));
    assert_eq!(judge(&of(257)), Err(PasswordFault::TooLong));
}

#[test]
fn a_res_04_a_password_of_a_megabyte_is_refused_unread() {
    assert!(matches!(
        Password::parse("x".repeat(1 << 20)),
        Err(PasswordFault::TooLong)
    ));
    assert!(Password::parse("x".repeat(Password::MAX_BYTES)).is_ok());
}

#[test]
fn debug_shows_nothing_of_a_password() {
    let password = Password::parse("canary").unwrap();
    assert_eq!(format!("{password:?}"), "Password(..)");
}

#[test]
fn lengths_below_the_standards_are_refused() {
    let rule = PasswordRule::default();
    assert_eq!(
        rule.clone().with_lengths(7, 256).unwrap_err(),
        PasswordRuleError::MinTooLow
    );
    assert_eq!(
        rule.clone().with_lengths(8, 63).unwrap_err(),
        PasswordRuleError::MaxTooLow
    );
    assert_eq!(
        rule.clone().with_lengths(70, 64).unwrap_err(),
        PasswordRuleError::MaxTooLow
    );
    assert_eq!(rule.with_lengths(12, 64).unwrap().min(), 12);
}

proptest! {
    #[test]
    fn judging_never_panics_and_normalizing_twice_changes_nothing(text in "\\PC{0,60}|[\\x00-\\x{10ffff}]{0,60}") {
        let password = Password::parse(text).unwrap();
        let normal = password.normal();
        let again = Password::parse(normal.to_string());
        if let Ok(again) = again {
            prop_assert_eq!(again.normal(), normal);
        }
        let _ = PasswordRule::default().judge(&password, None, "");
    }

    #[test]
    fn a_random_password_is_accepted(text in "[a-zA-Z0-9]{16}") {
        prop_assert_eq!(judge(&text), Ok(()));
    }
}
