//! Text messages that fit: what one segment holds, and how a message is cut for it.

use super::{Values, fill};

/// Writes a text message by the first of `phrases` that fits into one segment; they go from long to short. The last one is
/// taken, if none fits, which happens to links alone.
///
/// A code is followed by the line that binds it to `host`. If the phrases leave no room for that, the code stands alone above
/// it; a host of more than 140 characters gets no line, and the code is typed.
pub(super) fn fit(phrases: &[&str], values: &Values<'_>, host: &str) -> String {
    let written = || {
        phrases
            .iter()
            .map(|phrase| fill(phrase, |name| values.plain(name)))
    };
    let Some(code) = values.code.map(|code| code.expose().as_str()) else {
        return first(written());
    };
    let bound = |text: String| format!("{text}\n\n@{host} #{code}");
    if values.url.is_some() {
        return first(written().map(bound));
    }
    first(
        written()
            .map(bound)
            .chain([bound(code.to_owned())])
            .chain(written())
            .chain([code.to_owned()]),
    )
}

/// The first that fits, or the last.
fn first(texts: impl Iterator<Item = String>) -> String {
    let mut last = String::new();
    for text in texts {
        if segments(&text) == 1 {
            return text;
        }
        last = text;
    }
    last
}

/// How many segments a text takes: 160 septets of the GSM alphabet or 70 units of UCS-2 in one, 153 or 67 in each of several
/// (3GPP TS 23.038 §6.2, TS 23.040 §9.2.3.24).
pub(super) fn segments(text: &str) -> usize {
    let (length, one, several) = match septets(text) {
        Some(septets) => (septets, 160, 153),
        None => (text.encode_utf16().count(), 70, 67),
    };
    if length <= one {
        1
    } else {
        length.div_ceil(several)
    }
}

/// The length of a text in the GSM alphabet, if it can be written in it.
fn septets(text: &str) -> Option<usize> {
    text.chars()
        .map(|c| match c {
            c if BASIC.contains(c) => Some(1),
            c if EXTENDED.contains(c) => Some(2),
            _ => None,
        })
        .sum()
}

/// The default alphabet, but for the letters that look like none (3GPP TS 23.038 §6.2.1).
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿\
                     abcdefghijklmnopqrstuvwxyzäöñüà";

/// Those that take an escape and a letter (§6.2.1.1).
const EXTENDED: &str = "^{}\\[~]|€";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_holds_160_septets_or_70_units() {
        for (text, wanted) in [
            (String::new(), 1),
            ("a".repeat(160), 1),
            ("a".repeat(161), 2),
            ("a".repeat(306), 2),
            ("a".repeat(307), 3),
            ("€".repeat(80), 1),
            ("€".repeat(81), 2),
            ("字".repeat(70), 1),
            ("字".repeat(71), 2),
            // Two units each: what lies beyond the first plane.
            ("𠮷".repeat(35), 1),
            ("𠮷".repeat(36), 2),
            // One letter of another alphabet makes all of them long.
            (format!("{}ó", "a".repeat(69)), 1),
            (format!("{}ó", "a".repeat(70)), 2),
        ] {
            assert_eq!(segments(&text), wanted, "{text}");
        }
    }
}
