//! Languages of readers, by their tags.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};

/// A language by its primary tag of two letters (BCP 47, RFC 5646 §2.2.1). What a request asks for becomes one only by
/// being on the site's list: no text of a header travels any further.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Language([u8; 2]);

impl Language {
    /// `en`: what is written where nothing else is asked for.
    pub const ENGLISH: Self = Self(*b"en");
    /// `de`
    pub const GERMAN: Self = Self(*b"de");
    /// `fr`
    pub const FRENCH: Self = Self(*b"fr");
    /// `es`
    pub const SPANISH: Self = Self(*b"es");
    /// `pt`
    pub const PORTUGUESE: Self = Self(*b"pt");
    /// `ja`
    pub const JAPANESE: Self = Self(*b"ja");
    /// `zh`, in simplified characters.
    pub const CHINESE: Self = Self(*b"zh");

    /// Those that stepup has texts in.
    pub const ALL: [Self; 7] = [
        Self::ENGLISH,
        Self::GERMAN,
        Self::FRENCH,
        Self::SPANISH,
        Self::PORTUGUESE,
        Self::JAPANESE,
        Self::CHINESE,
    ];

    /// The language of `tag`, two letters of any case; a language of the application's own texts, too.
    pub const fn new(tag: &str) -> Option<Self> {
        match tag.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Some(Self([a.to_ascii_lowercase(), b.to_ascii_lowercase()]))
            }
            _ => None,
        }
    }

    /// Its tag, in lower case.
    pub fn tag(&self) -> &str {
        std::str::from_utf8(&self.0).expect("two ASCII letters")
    }
}

impl Default for Language {
    fn default() -> Self {
        Self::ENGLISH
    }
}

impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Language({})", self.tag())
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tag())
    }
}

impl Serialize for Language {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.tag())
    }
}

impl<'de> Deserialize<'de> for Language {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let tag = String::deserialize(deserializer)?;
        Self::new(&tag).ok_or_else(|| de::Error::custom("a language is two letters"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_two_letters_and_nothing_else() {
        assert_eq!(Language::new("DE"), Some(Language::GERMAN));
        assert_eq!(Language::new("it").unwrap().to_string(), "it");
        for odd in ["", "d", "deu", "de-CH", "d1", "d\n", "é", "de "] {
            assert_eq!(Language::new(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn a_language_is_stored_as_its_tag() {
        let stored = serde_json::to_string(&Language::JAPANESE).unwrap();
        assert_eq!(stored, "\"ja\"");
        assert_eq!(
            serde_json::from_str::<Language>(&stored).unwrap(),
            Language::JAPANESE
        );
        assert!(serde_json::from_str::<Language>("\"ja-JP\"").is_err());
    }
}
