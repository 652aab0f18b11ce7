//! Which of the site's languages a request asks for.

use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;
use stepup_core::language::Language;

/// The language of `offered` that `Accept-Language` wants most; the first of several wanted alike. None where it wants none
/// of them, or says nothing that can be read.
///
/// Ranges are looked up by their primary tag: `de-CH` is German (RFC 4647 §3.4, RFC 9110 §12.5.4). `*` wants no language in
/// particular, so that the site's first one is as good as any.
pub(crate) fn wanted(headers: &HeaderMap, offered: &[Language]) -> Option<Language> {
    let mut best: Option<(Language, u16)> = None;
    let lines = headers.get_all(ACCEPT_LANGUAGE).iter();
    let ranges = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    for (language, weight) in ranges.take(MAX_RANGES).filter_map(range) {
        if weight > best.map_or(0, |(_, weight)| weight) && offered.contains(&language) {
            best = Some((language, weight));
        }
    }
    best.map(|(language, _)| language)
}

/// More are not read: browsers send a handful.
const MAX_RANGES: usize = 32;

/// `de-CH;q=0.8` as German and 800.
fn range(text: &str) -> Option<(Language, u16)> {
    let (tag, weight) = match text.split_once(';') {
        None => (text, 1000),
        Some((tag, parameter)) => {
            let (name, value) = parameter.split_once('=')?;
            let is_weight = name.trim().eq_ignore_ascii_case("q");
            (tag, is_weight.then(|| thousandths(value.trim()))??)
        }
    };
    let primary = tag.trim().split('-').next()?;
    Some((Language::new(primary)?, weight))
}

/// `0.8` as 800: a weight has at most three decimals (RFC 9110 §12.4.2).
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, decimals) = weight.split_once('.').unwrap_or((weight, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part: u16 = format!("{decimals:0<3}").parse().ok()?;
    match (whole, part) {
        ("0", part) => Some(part),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const OFFERED: &[Language] = &[Language::ENGLISH, Language::GERMAN, Language::FRENCH];

    fn of(lines: &[&str]) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT_LANGUAGE, HeaderValue::from_str(line).unwrap());
        }
        let wanted = wanted(&headers, OFFERED)?;
        ["en", "de", "fr"].into_iter().find(|tag| *tag == wanted.tag())
    }

    #[test]
    fn the_heaviest_range_that_is_offered_wins_and_the_first_of_equals() {
        for (lines, language) in [
            (&["de"][..], Some("de")),
            (&["de-CH, en;q=0.9"], Some("de")),
            (&["it, fr;q=0.5, de;q=0.7"], Some("de")),
            (&["fr;q=0.7,de;q=0.7"], Some("fr")),
            (&["en;q=0.2", "DE-ch;Q=0.300"], Some("de")),
            (&["zh-Hans-CN , fr ; q=0.001"], Some("fr")),
        ] {
            assert_eq!(of(lines), language, "{lines:?}");
        }
    }

    #[test]
    fn what_is_refused_not_offered_or_not_to_be_read_wants_nothing() {
        for lines in [
            &[][..],
            &[""],
            &["*"],
            &["it"],
            &["de;q=0"],
            &["de;q=0.0000"],
            &["de;q=1.5"],
            &["de;q=-1"],
            &["de;q="],
            &["de;level=1"],
            &["de/../../etc/passwd"],
            &["deutsch"],
            &["i-default"],
            &[";,;=,,;q=1"],
            &["\u{e9}"],
        ] {
            assert_eq!(of(lines), None, "{lines:?}");
        }
    }

    #[test]
    fn no_more_is_read_than_browsers_send() {
        let mut long = "it,".repeat(10_000);
        long.push_str("de");
        assert_eq!(of(&[&long]), None);
    }
}
