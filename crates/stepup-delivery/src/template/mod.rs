//! What messages say, in the language of their reader. Nothing in a text was typed by a user, so that nobody can write
//! messages in the application's name (threat A-SMS-08).

mod html;
mod sms;
#[cfg(test)]
mod tests;
mod words;

use std::fmt::Debug;
use std::time::Duration;

use stepup_core::delivery::{Channel, Content, Message, NoticeKind, NoticeLink};
use stepup_core::id::FactorId;
use stepup_core::secret::Secret;

use words::{Phrase, Words};

/// A message, ready to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// What kind of message it is, as one word.
    pub kind: &'static str,
    /// The subject of an e-mail.
    pub subject: String,
    /// The text.
    pub body: String,
    /// The same as HTML, for an e-mail that has it. Whoever writes it escapes what is put into it.
    pub html: Option<String>,
}

/// Writes messages. The texts of stepup are [`Standard`]; an application's own may fall back on [`text`] for what they do
/// not write, and must not put into a message what a user typed.
///
/// ```
/// use stepup_core::delivery::{Content, Message};
/// use stepup_delivery::{Templates, Text, text};
///
/// #[derive(Debug)]
/// struct Ours;
///
/// impl Templates for Ours {
///     fn write(&self, message: &Message) -> Text {
///         let standard = text(message);
///         match &message.content {
///             Content::Reset { .. } => Text { subject: "Back into your account".into(), ..standard },
///             _ => standard,
///         }
///     }
/// }
/// ```
pub trait Templates: Debug + Send + Sync + 'static {
    /// Writes `message`, in [`Message::language`] as far as there are words for it.
    fn write(&self, message: &Message) -> Text;
}

/// The texts of stepup: [`text`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Standard;

impl Templates for Standard {
    fn write(&self, message: &Message) -> Text {
        text(message)
    }
}

/// Writes `message` in its language; in English, where there are no words for that.
///
/// A text message fits into one segment as long as it holds no link, and is cut for it: words first, then the application's
/// name. One with a code ends in the line that browsers read to fill the code in at the right site, and nowhere else
/// (WICG, origin-bound one-time codes). An e-mail is written as text and as HTML. A notice by mail is written in the site's
/// first language too, if that is another one: who caused it may have chosen the language, to keep its reader from reading it.
pub fn text(message: &Message) -> Text {
    let words = Words::of(message.language);
    let (kind, phrase) = phrase(words, &message.content);
    let values = Values::of(message, words);
    let subject = fill(phrase.subject, |name| values.plain(name));
    if message.channel == Channel::Sms {
        let mut body = sms::fit(phrase.sms, &values, &message.website_host);
        if let Some(ends) = ending(words, &message.content) {
            body = format!("{body}\n{}", fill(ends, |name| values.plain(name)));
        }
        return Text {
            kind,
            subject,
            body,
            html: None,
        };
    }
    let mut versions = vec![(words, paragraphs(words, phrase, &message.content), values)];
    let site = Words::of(message.site_language);
    if matches!(message.content, Content::Notice(_)) && site.language != words.language {
        let phrase = self::phrase(site, &message.content).1;
        let paragraphs = paragraphs(site, phrase, &message.content);
        versions.push((site, paragraphs, Values::of(message, site)));
    }
    let written = versions
        .iter()
        .flat_map(|(_, paragraphs, values)| paragraphs.iter().map(|p| fill(p, |name| values.plain(name))));
    let body = written.collect::<Vec<_>>().join("\n\n");
    let html = html::page(&subject, &versions);
    Text {
        kind,
        subject,
        body,
        html: Some(html),
    }
}

/// The phrase for what a message says, and its name.
fn phrase<'w>(words: &'w Words, content: &Content) -> (&'static str, &'w Phrase) {
    match content {
        Content::Code { .. } => ("code", &words.code),
        Content::Link { code: None, .. } => ("link", &words.link),
        Content::Link { code: Some(_), .. } => ("link", &words.link_and_code),
        Content::Reset { .. } => ("reset", &words.reset),
        Content::Verify { .. } => ("verify", &words.verify),
        Content::Confirm { .. } => ("confirm", &words.confirm),
        Content::Notice(kind) => match kind {
            NoticeKind::FactorAdded { factor, .. } if *factor == FactorId::OTP_EMAIL => {
                ("factor_added", &words.mailbox_added)
            }
            NoticeKind::FactorAdded { factor, .. } if *factor == FactorId::OTP_PHONE => {
                ("factor_added", &words.phone_added)
            }
            NoticeKind::FactorAdded { .. } => ("factor_added", &words.factor_added),
            NoticeKind::FactorGuessed { .. } => ("factor_guessed", &words.factor_guessed),
            NoticeKind::AccountMade { .. } => ("account_made", &words.account_made),
            NoticeKind::SignUpTried { .. } => ("sign_up_tried", &words.sign_up_tried),
            NoticeKind::ContactChanged { channel, .. } => match channel {
                Channel::Sms => ("contact_changed", &words.phone_changed),
                Channel::Email => ("contact_changed", &words.mailbox_changed),
            },
            NoticeKind::PasswordChanged { .. } => ("password_changed", &words.password_changed),
            NoticeKind::EnrollmentDecided { allowed: true, .. } => {
                ("enrollment_decided", &words.enrollment_allowed)
            }
            NoticeKind::EnrollmentDecided { allowed: false, .. } => {
                ("enrollment_decided", &words.enrollment_refused)
            }
            NoticeKind::IdentityLinked { .. } => ("identity_linked", &words.identity_linked),
            NoticeKind::FactorsReset { .. } => ("factors_reset", &words.factors_reset),
            // The port may learn to say more than this version can put into words.
            _ => ("notice", &words.changed),
        },
        _ => ("notice", &words.changed),
    }
}

/// The paragraphs of a mail.
fn paragraphs(words: &'static Words, phrase: &Phrase, content: &Content) -> Vec<&'static str> {
    phrase
        .mail
        .iter()
        .copied()
        .chain(ending(words, content))
        .collect()
}

/// What a notice ends with that has a link.
fn ending(words: &'static Words, content: &Content) -> Option<&'static str> {
    match content {
        Content::Notice(
            NoticeKind::FactorAdded { undo: Some(_), .. }
            | NoticeKind::ContactChanged { undo: Some(_), .. }
            | NoticeKind::IdentityLinked { undo: Some(_), .. },
        ) => Some(words.undo),
        // In the words of the link that does the same.
        Content::Notice(NoticeKind::AccountMade { verify: Some(_), .. }) => {
            words.verify.mail.first().copied()
        }
        _ => None,
    }
}

/// What can be put into a phrase.
struct Values<'m> {
    app: String,
    time: String,
    contact: String,
    provider: String,
    code: Option<&'m Secret<String>>,
    url: Option<&'m str>,
}

impl<'m> Values<'m> {
    fn of(message: &'m Message, words: &Words) -> Self {
        let (code, url) = match &message.content {
            Content::Code { code, .. } => (Some(code), None),
            Content::Link { url, code, .. } => (code.as_ref(), Some(url.expose().as_str())),
            Content::Reset { url, .. } | Content::Verify { url, .. } | Content::Confirm { url, .. } => {
                (None, Some(url.expose().as_str()))
            }
            Content::Notice(
                NoticeKind::FactorAdded { undo: link, .. }
                | NoticeKind::ContactChanged { undo: link, .. }
                | NoticeKind::IdentityLinked { undo: link, .. }
                | NoticeKind::AccountMade { verify: link, .. },
            ) => (None, link.as_ref().map(NoticeLink::expose)),
            _ => (None, None),
        };
        let contact = match &message.content {
            Content::Notice(NoticeKind::FactorAdded { contact, .. }) => shown(contact.as_deref()),
            _ => String::new(),
        };
        // The site named it.
        let provider = match &message.content {
            Content::Notice(NoticeKind::IdentityLinked { provider, .. }) => provider.clone(),
            _ => String::new(),
        };
        Self {
            app: message.app_name.clone(),
            time: time(words, message.content.lifetime().unwrap_or_default()),
            contact,
            provider,
            code,
            url,
        }
    }

    /// The value called `name`, as it stands in a text.
    fn plain(&self, name: &str) -> String {
        let secret =
            |secret: Option<&Secret<String>>| secret.map_or_else(String::new, |s| s.expose().clone());
        match name {
            "app" => self.app.clone(),
            "time" => self.time.clone(),
            "contact" => self.contact.clone(),
            "provider" => self.provider.clone(),
            "code" => secret(self.code),
            "url" => self.url.unwrap_or_default().to_owned(),
            _ => String::new(),
        }
    }
}

/// A masked number in brackets. Nothing of a mailbox: its domain was typed by whoever added it, and mail programs make links
/// of domains.
fn shown(contact: Option<&str>) -> String {
    match contact {
        Some(number) if number.starts_with('+') && number.bytes().all(|b| b"+*0123456789".contains(&b)) => {
            format!(" ({number})")
        }
        _ => String::new(),
    }
}

/// "5 minutes", "24 hours": hours where it is whole ones.
fn time(words: &Words, lifetime: Duration) -> String {
    let minutes = lifetime.as_secs().div_ceil(60);
    let (number, [one, many]) = if minutes >= 60 && minutes.is_multiple_of(60) {
        (minutes / 60, words.hours)
    } else {
        (minutes, words.minutes)
    };
    let pattern = if number == 1 { one } else { many };
    fill(pattern, |_| number.to_string())
}

/// Puts values into the places of a phrase, such as `{app}`. It goes over the phrase once, so that a value that looks like a
/// place is left as it is.
fn fill(phrase: &str, value: impl Fn(&str) -> String) -> String {
    fill_with(phrase, str::to_owned, value)
}

/// The same, with what stands between the places written by `words`.
fn fill_with(phrase: &str, words: impl Fn(&str) -> String, value: impl Fn(&str) -> String) -> String {
    let mut written = String::new();
    let mut rest = phrase;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        written.push_str(&words(before));
        written.push_str(&value(name));
        rest = after;
    }
    written.push_str(&words(rest));
    written
}
