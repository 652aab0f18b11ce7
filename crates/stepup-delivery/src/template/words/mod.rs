//! The words of each language.
//!
//! A phrase has places: `{app}`, `{code}`, `{url}`, `{time}` ("5 minutes"), `{provider}`, and `{contact}`, which brings its own space and
//! brackets. Latin scripts keep their text messages within the GSM alphabet: a single `ó` would more than halve what fits.

mod de;
mod en;
mod es;
mod fr;
mod ja;
mod pt;
mod zh;

use stepup_core::delivery::Language;

/// One message.
#[derive(Debug)]
pub(super) struct Phrase {
    /// The subject of a mail.
    pub(super) subject: &'static str,
    /// The paragraphs of a mail.
    pub(super) mail: &'static [&'static str],
    /// The text message, from long to short.
    pub(super) sms: &'static [&'static str],
}

/// All messages in one language.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) language: Language,
    pub(super) tag: &'static str,
    /// One minute, and several: `{}` is how many.
    pub(super) minutes: [&'static str; 2],
    pub(super) hours: [&'static str; 2],
    /// What a notice ends with that has a link to undo what it tells of.
    pub(super) undo: &'static str,
    pub(super) code: Phrase,
    pub(super) link: Phrase,
    pub(super) link_and_code: Phrase,
    pub(super) reset: Phrase,
    pub(super) verify: Phrase,
    pub(super) confirm: Phrase,
    pub(super) phone_added: Phrase,
    pub(super) mailbox_added: Phrase,
    pub(super) factor_added: Phrase,
    pub(super) factor_guessed: Phrase,
    pub(super) account_made: Phrase,
    pub(super) sign_up_tried: Phrase,
    pub(super) phone_changed: Phrase,
    pub(super) mailbox_changed: Phrase,
    pub(super) password_changed: Phrase,
    pub(super) factors_reset: Phrase,
    pub(super) enrollment_allowed: Phrase,
    pub(super) enrollment_refused: Phrase,
    pub(super) identity_linked: Phrase,
    /// Whatever else has changed.
    pub(super) changed: Phrase,
}

impl Words {
    /// The words of `language`; English, where there are none.
    pub(super) fn of(language: Language) -> &'static Self {
        match language {
            Language::GERMAN => &de::WORDS,
            Language::FRENCH => &fr::WORDS,
            Language::SPANISH => &es::WORDS,
            Language::PORTUGUESE => &pt::WORDS,
            Language::JAPANESE => &ja::WORDS,
            Language::CHINESE => &zh::WORDS,
            _ => &en::WORDS,
        }
    }

    /// All phrases.
    #[cfg(test)]
    pub(super) fn phrases(&self) -> [&Phrase; 20] {
        [
            &self.code,
            &self.link,
            &self.link_and_code,
            &self.reset,
            &self.verify,
            &self.confirm,
            &self.phone_added,
            &self.mailbox_added,
            &self.factor_added,
            &self.factor_guessed,
            &self.account_made,
            &self.sign_up_tried,
            &self.phone_changed,
            &self.mailbox_changed,
            &self.password_changed,
            &self.factors_reset,
            &self.enrollment_allowed,
            &self.enrollment_refused,
            &self.identity_linked,
            &self.changed,
        ]
    }
}
