//! What messages say. Nothing in a text was typed by a user, so that nobody can write messages in the
//! application's name (threat A-SMS-08).

use stepup_core::delivery::{Channel, Content, Message, NoticeKind};
use stepup_core::id::FactorId;

/// A message, ready to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// What kind of message it is, as one word.
    pub kind: &'static str,
    /// The subject of an e-mail.
    pub subject: String,
    /// The text.
    pub body: String,
}

/// Writes the text of `message`.
///
/// A text message with a code ends in the line that browsers read to fill the code in at the right site, and nowhere
/// else (origin-bound one-time codes).
pub fn text(message: &Message) -> Text {
    let app = &message.app_name;
    match &message.content {
        Content::Code { code, lifetime, .. } => {
            let code = code.expose();
            let minutes = lifetime.as_secs().div_ceil(60);
            let plain = format!(
                "{code} is your {app} code. It works for {minutes} minutes. Never give it to anybody."
            );
            let body = match message.channel {
                Channel::Sms => format!("{plain}\n\n@{} #{code}", message.website_host),
                _ => plain,
            };
            Text {
                kind: "code",
                subject: format!("Your {app} code"),
                body,
            }
        }
        Content::Link { url, code, lifetime } => {
            let minutes = lifetime.as_secs().div_ceil(60);
            let url = url.expose();
            let mut body = format!("Sign in to {app}: {url}\nThe link works for {minutes} minutes.");
            if let Some(code) = code {
                let code = code.expose();
                body = format!(
                    "{code} is your {app} code, good for {minutes} minutes. Never give it to anybody. Or sign in by {url}"
                );
                if message.channel == Channel::Sms {
                    body = format!("{body}\n\n@{} #{code}", message.website_host);
                }
            }
            Text {
                kind: "link",
                subject: format!("Sign in to {app}"),
                body,
            }
        }
        Content::Reset { url, lifetime } => {
            let (url, minutes) = (url.expose(), lifetime.as_secs().div_ceil(60));
            Text {
                kind: "reset",
                subject: format!("A new password for {app}"),
                body: format!(
                    "Set a new password for your {app} account: {url}\nThe link works once, for {minutes} minutes. If you \
                     did not ask for it, there is nothing to do."
                ),
            }
        }
        Content::Verify { url, lifetime } => {
            let (url, hours) = (url.expose(), lifetime.as_secs().div_ceil(3600));
            Text {
                kind: "verify",
                subject: format!("Your e-mail address at {app}"),
                body: format!(
                    "Confirm that this address belongs to your {app} account: {url}\nThe link works for {hours} hours."
                ),
            }
        }
        Content::Confirm { url, lifetime } => {
            let (url, minutes) = (url.expose(), lifetime.as_secs().div_ceil(60));
            Text {
                kind: "confirm",
                subject: format!("Add a second factor to your {app} account?"),
                body: format!(
                    "Somebody who knows your password wants to add a second factor to your {app} account. If that is you, \
                     allow it: {url}\nThe link works for {minutes} minutes. If not, change your password."
                ),
            }
        }
        Content::Notice(NoticeKind::FactorAdded { factor, contact, .. }) => {
            let which = contact
                .as_deref()
                .map_or(String::new(), |contact| format!(" ({contact})"));
            let what = if *factor == FactorId::OTP_EMAIL {
                "An e-mail address"
            } else {
                "A phone"
            };
            let body = format!(
                "{what}{which} was added to your {app} account as its second factor, and all other sessions were ended. \
                 If that was not you, somebody knows your password: contact us at once."
            );
            Text {
                kind: "factor_added",
                subject: format!("A second factor was added to your {app} account"),
                body,
            }
        }
        Content::Notice(NoticeKind::FactorGuessed { .. }) => Text {
            kind: "factor_guessed",
            subject: format!("Wrong codes at your {app} account"),
            body: format!(
                "Somebody gave the right password of your {app} account, and then wrong codes again and again. If that \
                 was not you, change your password."
            ),
        },
        Content::Notice(NoticeKind::AccountMade { .. }) => Text {
            kind: "account_made",
            subject: format!("Your {app} account"),
            body: format!("An account at {app} was made with this address. If that was not you, contact us."),
        },
        Content::Notice(NoticeKind::SignUpTried { .. }) => Text {
            kind: "sign_up_tried",
            subject: format!("You already have a {app} account"),
            body: format!(
                "Somebody tried to make an account at {app} with this address, which already has one. If that was you, \
                 sign in instead. Otherwise there is nothing to do: your account was not touched."
            ),
        },
        Content::Notice(NoticeKind::ContactChanged { channel, .. }) => {
            let what = match channel {
                Channel::Sms => "phone number",
                Channel::Email => "e-mail address",
            };
            Text {
                kind: "contact_changed",
                subject: format!("The {what} of your {app} account was changed"),
                body: format!(
                    "The {what} that signs in to your {app} account was changed, and all its sessions were ended. If \
                     that was not you, contact us at once."
                ),
            }
        }
        Content::Notice(NoticeKind::PasswordChanged { .. }) => Text {
            kind: "password_changed",
            subject: format!("The password of your {app} account was changed"),
            body: format!(
                "The password of your {app} account was changed, and all its sessions were ended. If that was not you, \
                 contact us at once."
            ),
        },
        Content::Notice(NoticeKind::FactorsReset { .. }) => Text {
            kind: "factors_reset",
            subject: format!("The second factors of your {app} account were removed"),
            body: format!(
                "We removed the second factors of your {app} account and ended its sessions. You will be asked to add a \
                 new one when you sign in. If you did not ask for this, contact us at once."
            ),
        },
        // The port may learn to say more than this version can put into words.
        _ => Text {
            kind: "notice",
            subject: format!("Your {app} account"),
            body: format!("Something about the security of your {app} account has changed."),
        },
    }
}
