//! E-mail addresses.

use std::fmt;

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::{ContactError, ELLIPSIS};

/// An e-mail address in normal form: local part in lower case and NFC, domain as lower-case A-labels.
///
/// * The local part is a dot-atom (RFC 5322 §3.2.3, RFC 6531 §3.3). Dots and `+tag` are kept, since only the receiving
///   side knows what they mean; case is folded, since no receiving side of note tells `Ann` from `ann` and people type
///   both.
/// * Outside ASCII it holds letters, digits and marks whose case and normal forms lead back to them. `ß`, `ı`, `İ`,
///   `ς`, `ſ`, full-width letters and their like have a second spelling that some mail system or collation takes for
///   the same mailbox; they are refused.
/// * No quoted local part, comment, source route, list, or address literal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmailAddress {
    address: String,
    /// Where the `@` is.
    at: usize,
}

impl EmailAddress {
    /// The most bytes of an address (RFC 5321 §4.5.3.1.3, less the angle brackets).
    pub const MAX_BYTES: usize = 254;
    /// The most bytes of a local part (RFC 5321 §4.5.3.1.1).
    pub const MAX_LOCAL_BYTES: usize = 64;

    /// Brings `text` to normal form. Blanks around it are trimmed.
    ///
    /// # Errors
    /// [`ContactError`]; a normal form never fails.
    pub fn parse(text: &str) -> Result<Self, ContactError> {
        let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
        if text.is_empty() {
            return Err(ContactError::Empty);
        }
        // Composing makes one character of at most three: more than this is nobody's address.
        if text.len() > 3 * Self::MAX_BYTES {
            return Err(ContactError::TooLong);
        }
        if text.chars().any(is_unwelcome) {
            return Err(ContactError::Character);
        }
        // Somebody further down may normalize before splitting: then a full-width `＠` would move the domain.
        if text.nfkc().filter(|c| *c == '@').count() != 1 {
            return Err(ContactError::Malformed);
        }
        let (local, domain) = text.split_once('@').ok_or(ContactError::Malformed)?;
        let local = normal_local(local)?;
        let domain = normal_domain(domain)?;

        let address = format!("{local}@{domain}");
        if local.len() > Self::MAX_LOCAL_BYTES || address.len() > Self::MAX_BYTES {
            return Err(ContactError::TooLong);
        }
        Ok(Self {
            at: local.len(),
            address,
        })
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.address
    }

    /// The part before the `@`.
    pub fn local_part(&self) -> &str {
        self.address.split_at(self.at).0
    }

    /// The part after the `@`, as A-labels.
    pub fn domain(&self) -> &str {
        self.address.split_at(self.at).1.trim_start_matches('@')
    }

    /// The address as logs and screens may show it: `a…@e….com`.
    pub fn masked(&self) -> String {
        let (name, top) = self.domain().rsplit_once('.').unwrap_or_default();
        format!("{}@{}.{top}", first_of(self.local_part()), first_of(name))
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmailAddress({})", self.masked())
    }
}

/// The first character and an ellipsis; a part that is so short that this would tell it whole stays hidden.
fn first_of(part: &str) -> String {
    let mut chars = part.chars();
    match (chars.next(), chars.next()) {
        (Some(first), Some(_)) => format!("{first}{ELLIPSIS}"),
        _ => ELLIPSIS.to_string(),
    }
}

/// Lower case and NFC, if `local` is a dot-atom of characters that have one spelling each.
fn normal_local(local: &str) -> Result<String, ContactError> {
    // The Kelvin sign composes to `K`: nobody types it but to look like somebody else.
    let turns_ascii = |c: char| !c.is_ascii() && c.nfkc().any(|c| c.is_ascii());
    if local.chars().any(turns_ascii) {
        return Err(ContactError::Character);
    }
    let local = folded(local).ok_or(ContactError::Character)?;
    // Somebody further down may change case or take a compatibility form (`ﬁ`, `２`): that must lead back here.
    let shouted: String = local.chars().flat_map(char::to_uppercase).collect();
    if folded(&shouted).as_ref() != Some(&local) || !local.chars().eq(local.nfkc()) {
        return Err(ContactError::Character);
    }
    if is_dot_atom(&local) {
        Ok(local)
    } else {
        Err(ContactError::Malformed)
    }
}

/// The domain as lower-case A-labels, if it is a name with at least two labels.
fn normal_domain(domain: &str) -> Result<String, ContactError> {
    let ascii = Uts46::new()
        .to_ascii(
            domain.as_bytes(),
            AsciiDenyList::STD3,
            Hyphens::Check,
            DnsLength::Verify,
        )
        .map_err(|_| ContactError::Domain)?;
    let (_, top) = ascii.rsplit_once('.').ok_or(ContactError::Domain)?;
    let is_name = top.len() >= 2 && top.bytes().all(|b| b.is_ascii_lowercase());
    if is_name || top.starts_with("xn--") {
        Ok(ascii.into_owned())
    } else {
        Err(ContactError::Domain)
    }
}

/// `text` composed and in lower case; none if a character does not belong into a name.
fn folded(text: &str) -> Option<String> {
    let lower: String = text.nfc().map(lower).collect::<Option<_>>()?;
    Some(lower.nfc().collect())
}

/// `c` in lower case, by itself: the final sigma of a word is no other letter here.
fn lower(c: char) -> Option<char> {
    // Symbols, private and unassigned characters have no place in a name, and no stable meaning.
    let belongs = c.is_ascii() || c.is_alphanumeric() || is_combining_mark(c);
    let mut lower = c.to_lowercase();
    // `İ` has two: an ASCII `i` and a dot.
    lower.next().filter(|_| belongs && lower.next().is_none())
}

/// RFC 5322 §3.2.3, with RFC 6531 §3.3 for what is not ASCII.
fn is_dot_atom(local: &str) -> bool {
    let is_atext = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    local
        .split('.')
        .all(|atom| atom.chars().all(is_atext) && atom.chars().next().is_some_and(|c| !is_combining_mark(c)))
}

/// Characters that no contact holds: controls, and what cannot be seen, or moves what can.
fn is_unwelcome(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffd}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests;
