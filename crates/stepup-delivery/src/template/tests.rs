use std::time::Duration;

use stepup_core::AppInfo;
use stepup_core::delivery::{Channel, Content, Language, Message, NoticeKind};
use stepup_core::id::FactorId;
use stepup_core::time::Timestamp;

use super::sms::segments;
use super::words::Words;
use super::{Text, text};

const AT: Timestamp = Timestamp::from_ms(1_700_000_000_000);
/// As long as `build()` admits one.
const LONGEST_NAME: &str = "A name of sixty-four characters, which is the longest permitted!";
const URL: &str = "https://acme.test/auth/verify?preAuthSessionId=Zm9v&tenantId=public#c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0";

fn secret(text: &str) -> stepup_core::secret::Secret<String> {
    text.to_owned().into()
}

fn contents() -> Vec<Content> {
    let (at, lifetime) = (AT, Duration::from_secs(300));
    let url = || secret(URL);
    let code = || secret("123456");
    let added = |factor, contact: &str| NoticeKind::FactorAdded {
        factor,
        contact: Some(contact.to_owned()),
        at,
        undo: None,
    };
    let notices = [
        added(FactorId::OTP_PHONE, "+41*******67"),
        added(FactorId::OTP_EMAIL, "a***@evil.test"),
        added(FactorId::new("totp"), ""),
        NoticeKind::FactorGuessed { at },
        NoticeKind::AccountMade { at, verify: None },
        NoticeKind::SignUpTried { at },
        NoticeKind::ContactChanged {
            channel: Channel::Sms,
            at,
            undo: None,
        },
        NoticeKind::ContactChanged {
            channel: Channel::Email,
            at,
            undo: None,
        },
        NoticeKind::PasswordChanged { at },
        NoticeKind::FactorsReset { at },
        NoticeKind::EnrollmentDecided { allowed: true, at },
        NoticeKind::EnrollmentDecided { allowed: false, at },
        NoticeKind::IdentityLinked {
            provider: "Example".to_owned(),
            at,
            undo: None,
        },
    ];
    let mut contents = vec![
        Content::Code {
            code: code(),
            lifetime,
            second_factor: true,
        },
        Content::Link {
            url: url(),
            code: None,
            lifetime,
        },
        Content::Link {
            url: url(),
            code: Some(code()),
            lifetime,
        },
        Content::Reset { url: url(), lifetime },
        Content::Verify { url: url(), lifetime },
        Content::Confirm { url: url(), lifetime },
    ];
    contents.extend(notices.map(Content::Notice));
    contents
}

fn written(name: &str, website: &str, channel: Channel, content: Content, language: Language) -> Text {
    let app = AppInfo::new(name, "https://api.acme.test", website);
    let to = (channel, "x".to_owned());
    text(&Message::new("m".to_owned(), to, content, &app, AT).in_language(language, language))
}

fn has_url(content: &Content) -> bool {
    matches!(
        content,
        Content::Link { .. } | Content::Reset { .. } | Content::Verify { .. } | Content::Confirm { .. }
    )
}

/// Threat A-SMS-08.
#[test]
fn sms_08_a_text_message_fits_one_segment_in_every_language() {
    // From what is usual to the longest that DNS has names for.
    let hosts = [
        "acme.test".to_owned(),
        "accounts.some-company.example.com".to_owned(),
        format!("{}.{}.example.com", "a".repeat(60), "b".repeat(50)),
        format!(
            "{}.{}.{}.{}",
            "a".repeat(63),
            "b".repeat(63),
            "c".repeat(63),
            "d".repeat(61)
        ),
    ];
    let names = [
        "Acme",
        LONGEST_NAME,
        "二十一個の漢字の名前は六十三バイトになりま",
        "Ça vaut le coût",
        "{code} {url}",
    ];
    for language in Language::ALL {
        for host in &hosts {
            for name in names {
                assert!(name.len() <= 64);
                for content in contents().into_iter().filter(|content| !has_url(content)) {
                    let is_code = matches!(content, Content::Code { .. });
                    let sms = written(name, &format!("https://{host}"), Channel::Sms, content, language).body;
                    assert_eq!(segments(&sms), 1, "{language} {name} {host}: {sms}");
                    if is_code {
                        assert!(sms.contains("123456"));
                        // The line that binds it is whole or not there.
                        let bound = format!("\n\n@{host} #123456");
                        assert_eq!(sms.ends_with(&bound), host.len() <= 140, "{sms}");
                        assert_eq!(sms.contains('@'), host.len() <= 140, "{sms}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_message_is_cut_by_words_first_and_by_the_applications_name_then() {
    let code = |name: &str, website: &str, language| {
        let content = contents().swap_remove(0);
        written(name, website, Channel::Sms, content, language).body
    };
    let acme = "https://acme.test";
    assert_eq!(
        code("Acme", acme, Language::ENGLISH),
        "123456 is your Acme code. It works for 5 minutes. Never give it to anybody.\n\n@acme.test #123456"
    );
    assert_eq!(
        code(
            LONGEST_NAME,
            "https://accounts.some-company.example.com",
            Language::ENGLISH
        ),
        format!(
            "123456 is your {LONGEST_NAME} code. Never give it to anybody.\n\n@accounts.some-company.example.com #123456"
        )
    );
    assert_eq!(
        code("Acme", acme, Language::JAPANESE),
        "Acmeの確認コード: 123456（有効期間5分）。誰にも教えないでください。\n\n@acme.test #123456"
    );
    assert_eq!(
        code(LONGEST_NAME, acme, Language::JAPANESE),
        "確認コード: 123456\n\n@acme.test #123456"
    );
    let long = format!("{}.example.com", "a".repeat(60));
    assert_eq!(
        code("Acme", &format!("https://{long}"), Language::CHINESE),
        format!("123456\n\n@{long} #123456")
    );
}

#[test]
fn every_language_has_its_own_words_for_everything() {
    for (index, content) in contents().into_iter().enumerate() {
        for channel in [Channel::Sms, Channel::Email] {
            let all: Vec<Text> = Language::ALL
                .into_iter()
                .map(|language| written("Acme", "https://acme.test", channel, content.clone(), language))
                .collect();
            for (one, text) in all.iter().enumerate() {
                assert!(!text.subject.is_empty() && !text.body.is_empty(), "{index}");
                assert!(!text.body.contains(['{', '}']), "{}", text.body);
                assert_eq!(text.kind, all[0].kind);
                for other in &all[..one] {
                    assert_ne!(text.body, other.body, "{index}");
                    assert_ne!(text.html.is_some(), channel == Channel::Sms);
                }
                if has_url(&content) {
                    assert!(text.body.contains(URL), "{}", text.body);
                }
            }
        }
    }
}

#[test]
fn every_notice_has_words_of_its_own() {
    for language in Language::ALL {
        let mut written_so_far: Vec<Text> = Vec::new();
        for content in contents().into_iter().filter(|c| matches!(c, Content::Notice(_))) {
            for channel in [Channel::Email, Channel::Sms] {
                let text = written("Acme", "https://acme.test", channel, content.clone(), language);
                assert_ne!(
                    text.kind, "notice",
                    "{content:?} falls back on what is said of anything"
                );
                let general = Words::of(language).changed.subject.replace("{app}", "Acme");
                if text.kind != "account_made" {
                    assert_ne!(text.subject, general, "{language}: {content:?}");
                }
                let other = written_so_far.iter().find(|other| other.body == text.body);
                // A short text may leave out which kind of contact it was.
                assert!(other.is_none_or(|other| other.kind == text.kind), "{other:?}");
                written_so_far.push(text);
            }
        }
    }
}

/// The kinds are core's, and may grow: whoever adds one adds words for it, or this fails.
#[test]
fn every_kind_of_notice_is_among_those_that_are_tried() {
    let source = include_str!("../../../stepup-core/src/delivery.rs");
    let (_, rest) = source.split_once("pub enum NoticeKind {").unwrap();
    let (body, _) = rest.split_once("\n}").unwrap();
    let kinds: Vec<&str> = body
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()))
        .map(|line| line.split([' ', ',']).next().unwrap())
        .collect();
    assert!(kinds.len() >= 9, "{kinds:?}");
    let tried: Vec<String> = contents().iter().map(|content| format!("{content:?}")).collect();
    for kind in kinds {
        assert!(
            tried
                .iter()
                .any(|content| content.contains(&format!("Notice({kind}"))),
            "{kind}"
        );
    }
}

#[test]
fn text_messages_in_latin_letters_keep_to_the_gsm_alphabet() {
    for language in Language::ALL {
        let words = Words::of(language);
        let texts = words
            .phrases()
            .into_iter()
            .flat_map(|phrase| phrase.sms)
            .chain([&words.undo]);
        for text in texts.filter(|_| ![Language::JAPANESE, Language::CHINESE].contains(&language)) {
            // Of 160 letters, in the GSM alphabet, there is one segment; of any others there would be three.
            let padded = format!("{:x<160}", text.replace(['{', '}'], ""));
            assert_eq!(segments(&padded), 1, "{language}: {text}");
        }
    }
}

#[test]
fn whoever_is_asked_for_leave_reads_in_every_language_that_it_is_for_either_addition() {
    for (language, factor, way) in [
        (Language::ENGLISH, "second factor", "way to sign in"),
        (Language::GERMAN, "Faktor", "Art der Anmeldung"),
        (Language::FRENCH, "second facteur", "moyen de connexion"),
        (Language::SPANISH, "segundo factor", "forma de entrar"),
        (Language::PORTUGUESE, "segundo fator", "forma de entrar"),
        (Language::JAPANESE, "認証手段", "ログイン方法"),
        (Language::CHINESE, "第二重验证", "登录方式"),
    ] {
        let words = Words::of(language);
        assert_eq!(words.tag, language.tag());
        for phrase in [
            &words.confirm,
            &words.enrollment_allowed,
            &words.enrollment_refused,
        ] {
            for text in [phrase.subject, phrase.mail[0]] {
                assert!(text.contains(factor) && text.contains(way), "{language}: {text}");
            }
        }
    }
}

#[test]
fn no_phrase_has_a_place_that_nothing_is_put_into() {
    for language in Language::ALL {
        let words = Words::of(language);
        assert_eq!(words.tag, language.tag());
        for phrase in words.phrases() {
            let texts = phrase.mail.iter().chain(phrase.sms).chain([&phrase.subject]);
            for text in texts {
                for place in text.split('{').skip(1) {
                    let name = place.split('}').next().unwrap();
                    assert!(
                        ["app", "code", "url", "time", "contact", "provider"].contains(&name),
                        "{language}: {text}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_language_without_words_is_written_in_english() {
    let content = contents().swap_remove(0);
    let italian = Language::new("it").unwrap();
    let text = written("Acme", "https://acme.test", Channel::Email, content, italian);
    assert_eq!(
        text.body,
        "123456 is your Acme code. It works for 5 minutes. Never give it to anybody."
    );
    assert!(text.html.unwrap().contains("<html lang=\"en\">"));
}

#[test]
fn a_notice_is_read_by_whoever_did_not_cause_it_too() {
    let app = AppInfo::new("Acme", "https://api.acme.test", "https://acme.test");
    let to = (Channel::Email, "ann@acme.test".to_owned());
    let notice = Content::Notice(NoticeKind::PasswordChanged { at: AT });
    let message = Message::new("m".to_owned(), to.clone(), notice, &app, AT)
        .in_language(Language::JAPANESE, Language::ENGLISH);
    let text = text(&message);
    assert!(
        text.body.contains("変更") && text.body.contains("was changed"),
        "{}",
        text.body
    );
    let html = text.html.unwrap();
    assert!(html.contains("<div lang=\"ja\">") && html.contains("<div lang=\"en\">"));
    // A code is for whoever asked for it.
    let message = Message::new("m".to_owned(), to, contents().swap_remove(0), &app, AT)
        .in_language(Language::JAPANESE, Language::ENGLISH);
    assert!(!super::text(&message).body.contains("anybody"));
}

/// Threat A-INJ-05.
#[test]
fn inj_05_html_is_escaped_loads_nothing_and_says_where_its_links_lead() {
    let name = "<img src=x onerror=\"alert('1')\">&amp; {url}";
    for language in Language::ALL {
        for content in contents() {
            let linked = has_url(&content);
            let html = written(name, "https://acme.test", Channel::Email, content, language)
                .html
                .unwrap();
            assert!(
                !html.contains("<img") && !html.contains("&amp; {url}") && !html.contains("onerror=\""),
                "{html}"
            );
            for loads in [
                "src=",
                "url(",
                "@import",
                "<script",
                "<link",
                "<iframe",
                "http-equiv",
            ] {
                let shown = html.replace("&lt;img src=x", "");
                assert!(!shown.contains(loads), "{loads}: {html}");
            }
            let escaped = URL.replace('&', "&amp;");
            let link = format!("<a href=\"{escaped}\" style=\"word-break:break-all\">{escaped}</a>");
            assert_eq!(html.matches("<a ").count(), usize::from(linked), "{html}");
            assert_eq!(html.contains(&link), linked, "{html}");
        }
    }
}

#[test]
fn nothing_of_a_mailbox_that_somebody_added_is_in_the_notice() {
    for language in Language::ALL {
        for content in contents() {
            for channel in [Channel::Sms, Channel::Email] {
                let text = written("Acme", "https://acme.test", channel, content.clone(), language);
                assert!(!format!("{text:?}").contains("evil.test"));
            }
        }
        let phone = contents().swap_remove(6);
        let text = written("Acme", "https://acme.test", Channel::Email, phone, language);
        assert!(text.body.contains(" (+41*******67)"), "{}", text.body);
    }
}

#[test]
fn times_are_told_in_hours_where_they_are_whole_ones() {
    let verify = |seconds| {
        let content = Content::Verify {
            url: secret(URL),
            lifetime: Duration::from_secs(seconds),
        };
        written(
            "Acme",
            "https://acme.test",
            Channel::Email,
            content,
            Language::ENGLISH,
        )
        .body
    };
    for (seconds, wanted) in [
        (1, "1 minute."),
        (60, "1 minute."),
        (61, "2 minutes."),
        (3_600, "1 hour."),
        (5_400, "90 minutes."),
        (86_400, "24 hours."),
    ] {
        let body = verify(seconds);
        assert!(body.contains(&format!("works for {wanted}")), "{seconds}: {body}");
    }
}

#[test]
fn a_notice_with_a_link_ends_with_it_in_every_language_and_shows_it_nowhere_else() {
    let link = || Some(stepup_core::delivery::NoticeLink::new(&secret(URL)));
    let notices = || {
        [
            NoticeKind::FactorAdded {
                factor: FactorId::OTP_PHONE,
                contact: None,
                at: AT,
                undo: link(),
            },
            NoticeKind::AccountMade {
                at: AT,
                verify: link(),
            },
            NoticeKind::IdentityLinked {
                provider: "Example".to_owned(),
                at: AT,
                undo: link(),
            },
        ]
    };
    for language in Language::ALL {
        for channel in [Channel::Sms, Channel::Email] {
            for notice in notices() {
                assert!(!format!("{notice:?}").contains(URL));
                let content = Content::Notice(notice);
                let text = written("Acme", "https://acme.test", channel, content, language);
                assert!(text.body.ends_with(URL), "{language} {channel:?}: {}", text.body);
            }
        }
    }
}
