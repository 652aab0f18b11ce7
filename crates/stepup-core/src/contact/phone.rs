//! Phone numbers.

use std::fmt;

use phonenumber::Metadata;
use phonenumber::metadata::{DATABASE, Descriptor};
use regex_lite::Regex;
use unicode_normalization::UnicodeNormalization;

use super::{ContactError, ELLIPSIS};

/// A phone number in E.164 form, known to a numbering plan by its range and not only by its length.
///
/// The digits that were typed are the digits of the number, in that order: nothing is added or taken away, so that a
/// message never goes to a number that nobody wrote. `00` for `+`, a trunk zero and an extension are therefore
/// refused.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PhoneNumber {
    e164: String,
    /// Digits of the country code.
    code_len: usize,
    country: Option<&'static str>,
    kind: PhoneKind,
}

/// What a number is for, by its numbering plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PhoneKind {
    /// A mobile phone.
    Mobile,
    /// A fixed line.
    FixedLine,
    /// Either: the plan does not tell them apart (North America).
    FixedOrMobile,
    /// Free for the caller.
    TollFree,
    /// The caller pays extra: the prize of SMS pumping.
    Premium,
    /// Caller and receiver share the cost.
    SharedCost,
    /// Follows a person, wherever it leads.
    Personal,
    /// Voice over IP.
    Voip,
    /// A pager.
    Pager,
    /// A company's own access number.
    Company,
    /// Voice mail.
    Voicemail,
    /// A stored number whose range no plan knows any longer.
    Unknown,
}

impl PhoneNumber {
    /// The most characters that are looked at: 15 digits and generous grouping.
    pub const MAX_CHARS: usize = 32;

    /// Reads the numbering plans, which the first use would do otherwise: a tenth of a second, once per process.
    pub fn prepare() {
        let _ = DATABASE.by_code(&1);
    }

    /// Brings `text` to normal form. It begins with `+` and the country code; blanks, dashes, dots and brackets may
    /// group the digits, and full-width forms of all of them are read as their plain ones.
    ///
    /// # Errors
    /// [`ContactError`]; a normal form never fails under the same metadata.
    pub fn parse(text: &str) -> Result<Self, ContactError> {
        let digits = digits_of(text)?;
        let plan = Plan::of(&digits).ok_or(ContactError::Unassigned)?;
        Ok(Self {
            code_len: digits.len() - plan.national.len(),
            country: plan.country(),
            kind: plan.kind().ok_or(ContactError::Unassigned)?,
            e164: format!("+{digits}"),
        })
    }

    /// Reads a number that was stored in normal form. Numbering plans change: a number that was valid when it was
    /// verified stays usable, as [`PhoneKind::Unknown`], when newer metadata no longer knows its range.
    ///
    /// # Errors
    /// [`ContactError::Malformed`] for what never was a normal form.
    pub fn from_stored(e164: &str) -> Result<Self, ContactError> {
        let digits = e164.strip_prefix('+').ok_or(ContactError::Malformed)?;
        if !is_e164(digits) || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(ContactError::Malformed);
        }
        let plan = Plan::of(digits);
        Ok(Self {
            code_len: plan.as_ref().map_or(1, |plan| digits.len() - plan.national.len()),
            country: plan.as_ref().and_then(Plan::country),
            kind: plan.as_ref().and_then(Plan::kind).unwrap_or(PhoneKind::Unknown),
            e164: e164.to_owned(),
        })
    }

    /// The number in E.164 form: `+` and 7 to 15 digits.
    pub fn as_str(&self) -> &str {
        &self.e164
    }

    /// The country or territory, as two upper-case letters (ISO 3166-1 alpha-2); none for satellite and other
    /// networks that belong to no country.
    pub fn country(&self) -> Option<&'static str> {
        self.country
    }

    /// What the number is for.
    pub fn kind(&self) -> PhoneKind {
        self.kind
    }

    /// Whether a code may be sent there: a mobile phone, or what cannot be told from one, in some country. Satellite
    /// phones (`+881`, `+882`) are mobile and cost like premium numbers.
    ///
    /// # Source
    /// Threat A-SMS-03.
    pub fn is_sendable(&self) -> bool {
        self.country.is_some() && matches!(self.kind, PhoneKind::Mobile | PhoneKind::FixedOrMobile)
    }

    /// The number as logs and screens may show it: country code and the last two digits, `+41…67`.
    pub fn masked(&self) -> String {
        let code = self.e164.get(..=self.code_len).unwrap_or("+");
        let tail = self.e164.get(self.e164.len() - 2..).unwrap_or_default();
        format!("{code}{ELLIPSIS}{tail}")
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PhoneNumber({})", self.masked())
    }
}

/// The digits of `text`, if they are grouped in a way that has one reading.
fn digits_of(text: &str) -> Result<String, ContactError> {
    let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
    if text.is_empty() {
        return Err(ContactError::Empty);
    }
    if text.chars().nth(PhoneNumber::MAX_CHARS).is_some() {
        return Err(ContactError::TooLong);
    }
    let mut rest = text.chars().map(plain);
    if rest.next() != Some('+') {
        // `0041 ..` is a number only from some countries, `079 ..` another one in each.
        return Err(ContactError::Ambiguous);
    }
    let mut digits = String::with_capacity(15);
    // The digits inside the open bracket.
    let mut group: Option<usize> = None;
    let mut zero_first = false;
    for c in rest {
        match (c, group) {
            ('0'..='9', _) => {
                zero_first |= group == Some(0) && c == '0';
                group = group.map(|n| n + 1);
                digits.push(c);
            }
            ('(', None) if !digits.is_empty() => group = Some(0),
            // `(0)` is dialed inside the country only; in Italy it would even be a digit.
            (')', Some(_)) if zero_first => return Err(ContactError::Ambiguous),
            (')', Some(1..)) => group = None,
            (' ' | '-' | '.', _) => {}
            // A second number, an extension, letters for digits.
            ('+' | ',' | ';' | '#' | '*' | '/', _) => return Err(ContactError::Ambiguous),
            _ if c.is_ascii_alphabetic() => return Err(ContactError::Ambiguous),
            ('(' | ')', _) => return Err(ContactError::Malformed),
            _ => return Err(ContactError::Character),
        }
    }
    if group.is_some() {
        return Err(ContactError::Malformed);
    }
    if is_e164(&digits) {
        Ok(digits)
    } else {
        Err(ContactError::Unassigned)
    }
}

/// The plain form of a digit or separator.
fn plain(c: char) -> char {
    match c {
        // Full-width forms: what an East Asian keyboard types.
        '\u{ff01}'..='\u{ff5e}' => c.nfkc().next().unwrap_or(c),
        '\u{a0}' | '\u{2007}' | '\u{202f}' | '\u{3000}' => ' ',
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        _ => c,
    }
}

/// As many digits as E.164 allows, and no leading zero, since no country code has one.
fn is_e164(digits: &str) -> bool {
    (7..=15).contains(&digits.len()) && !digits.starts_with('0')
}

/// A number as its numbering plan sees it.
///
/// The metadata crate's own parser is left aside: it reads letters, extensions and trunk prefixes, and takes away
/// digits where it believes that they are one. Its matcher accepts whatever begins like a number. Both would let a
/// number that was typed become another one.
struct Plan<'a> {
    metadata: &'static Metadata,
    /// The digits after the country code.
    national: &'a str,
}

impl<'a> Plan<'a> {
    fn of(digits: &'a str) -> Option<Self> {
        // Country codes are free of prefixes of each other, so at most one length fits.
        let (code, national) =
            (1..=3)
                .filter_map(|len| digits.split_at_checked(len))
                .find_map(|(code, national)| {
                    let code: u16 = code.parse().ok()?;
                    DATABASE.by_code(&code).map(|plans| (plans, national))
                })?;
        let mut candidates = code.into_iter().map(|metadata| Self { metadata, national });
        if candidates.len() == 1 {
            return candidates.next();
        }
        candidates.find(|plan| match plan.metadata.leading_digits() {
            Some(leading) => begins(leading.as_str(), national),
            None => plan.kind().is_some(),
        })
    }

    fn country(&self) -> Option<&'static str> {
        // Networks that span countries share the region of the whole world.
        Some(self.metadata.id()).filter(|id| *id != "001")
    }

    fn kind(&self) -> Option<PhoneKind> {
        let plan = self.metadata.descriptors();
        let is = |range: Option<&Descriptor>| range.is_some_and(|range| self.is_in(range));
        if !self.is_in(plan.general()) {
            return None;
        }
        // What costs most is asked first: a number in two ranges is the dearer one.
        let kinds = [
            (plan.premium_rate(), PhoneKind::Premium),
            (plan.toll_free(), PhoneKind::TollFree),
            (plan.shared_cost(), PhoneKind::SharedCost),
            (plan.voip(), PhoneKind::Voip),
            (plan.personal_number(), PhoneKind::Personal),
            (plan.pager(), PhoneKind::Pager),
            (plan.uan(), PhoneKind::Company),
            (plan.voicemail(), PhoneKind::Voicemail),
        ];
        if let Some((_, kind)) = kinds.into_iter().find(|(range, _)| is(*range)) {
            return Some(kind);
        }
        match (is(plan.fixed_line()), is(plan.mobile())) {
            (true, true) => Some(PhoneKind::FixedOrMobile),
            (true, false) => Some(PhoneKind::FixedLine),
            (false, true) => Some(PhoneKind::Mobile),
            (false, false) => None,
        }
    }

    fn is_in(&self, range: &Descriptor) -> bool {
        let lengths = range.possible_length();
        let fits = |n: &u16| usize::from(*n) == self.national.len();
        (lengths.is_empty() || lengths.iter().any(fits))
            && is_match(
                &format!("^(?:{})$", range.national_number().as_str()),
                self.national,
            )
    }
}

/// Whether `text` begins as `pattern` says.
fn begins(pattern: &str, text: &str) -> bool {
    is_match(&format!("^(?:{pattern})"), text)
}

/// Matches ASCII digits. A pattern that does not compile matches nothing.
fn is_match(pattern: &str, text: &str) -> bool {
    Regex::new(&format!("(?x){pattern}")).is_ok_and(|pattern| pattern.is_match(text))
}

#[cfg(test)]
mod tests;
