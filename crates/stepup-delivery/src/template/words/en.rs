//! English.

use stepup_core::delivery::Language;

use super::{Phrase, Words};

#[rustfmt::skip]
pub(super) const WORDS: Words = Words {
    language: Language::ENGLISH,
    tag: "en",
    minutes: ["{} minute", "{} minutes"],
    hours: ["{} hour", "{} hours"],
    undo: "If that was not you, undo it at once: {url}",
    code: Phrase {
        subject: "Your {app} code",
        mail: &[
            "{code} is your {app} code. It works for {time}. Never give it to anybody.",
        ],
        sms: &[
            "{code} is your {app} code. It works for {time}. Never give it to anybody.",
            "{code} is your {app} code. Never give it to anybody.",
            "{code} is your {app} code.",
            "{code} is your code.",
        ],
    },
    link: Phrase {
        subject: "Sign in to {app}",
        mail: &[
            "Sign in to {app}: {url}",
            "The link works for {time}. Never pass it on.",
        ],
        sms: &[
            "Sign in to {app}: {url}",
        ],
    },
    link_and_code: Phrase {
        subject: "Sign in to {app}",
        mail: &[
            "{code} is your {app} code. It works for {time}. Never give it to anybody.",
            "Or sign in by this link: {url}",
        ],
        sms: &[
            "{code} is your {app} code. Or sign in by {url}",
        ],
    },
    reset: Phrase {
        subject: "A new password for {app}",
        mail: &[
            "Set a new password for your {app} account: {url}",
            "The link works once, for {time}. If you did not ask for it, there is nothing to do.",
        ],
        sms: &[
            "Set a new password for {app}: {url}",
        ],
    },
    verify: Phrase {
        subject: "Your e-mail address at {app}",
        mail: &[
            "Confirm that this address belongs to your {app} account: {url}",
            "The link works for {time}. If you have no such account, there is nothing to do.",
        ],
        sms: &[
            "Confirm your address at {app}: {url}",
        ],
    },
    confirm: Phrase {
        subject: "Add a second factor or another way to sign in to your {app} account?",
        mail: &[
            "Somebody who signed in to your {app} account wants to add a second factor or another way to sign in to it, or to change its address or number. If that is you, allow it: {url}",
            "The link works for {time}. If it is not you, change your password. If you have none here, contact us.",
        ],
        sms: &[
            "Allow a second factor at {app}: {url}",
        ],
    },
    phone_added: Phrase {
        subject: "A second factor was added to your {app} account",
        mail: &[
            "A phone{contact} was added to your {app} account as its second factor, and all other sessions were ended.",
            "If that was not you, somebody can sign in as you: contact us at once.",
        ],
        sms: &[
            "A phone was added to your {app} account. If that was not you, contact us at once.",
            "A phone was added to your account. If that was not you, contact us at once.",
        ],
    },
    mailbox_added: Phrase {
        subject: "A second factor was added to your {app} account",
        mail: &[
            "An e-mail address was added to your {app} account as its second factor, and all other sessions were ended.",
            "If that was not you, somebody can sign in as you: contact us at once.",
        ],
        sms: &[
            "An e-mail address was added to your {app} account. If that was not you, contact us at once.",
            "An e-mail address was added to your account. If that was not you, contact us at once.",
        ],
    },
    factor_added: Phrase {
        subject: "A second factor was added to your {app} account",
        mail: &[
            "A second factor was added to your {app} account, and all other sessions were ended.",
            "If that was not you, somebody can sign in as you: contact us at once.",
        ],
        sms: &[
            "A second factor was added to your {app} account. If that was not you, contact us at once.",
            "A second factor was added to your account. If that was not you, contact us at once.",
        ],
    },
    factor_guessed: Phrase {
        subject: "Wrong codes at your {app} account",
        mail: &[
            "Somebody began to sign in to your {app} account, and then gave wrong codes again and again.",
            "If that was not you, change your password. If you have none here, contact us.",
        ],
        sms: &[
            "Wrong codes were given at your {app} account. If that was not you, change your password or contact us.",
            "Wrong codes were given at your account. If that was not you, change your password or contact us.",
        ],
    },
    account_made: Phrase {
        subject: "Your {app} account",
        mail: &[
            "An account at {app} was made with this address. If that was not you, contact us.",
        ],
        sms: &[
            "An account at {app} was made with this number. If that was not you, contact us.",
            "An account was made with this number. If that was not you, contact us.",
        ],
    },
    sign_up_tried: Phrase {
        subject: "You already have a {app} account",
        mail: &[
            "Somebody tried to make an account at {app} with this address, which already has one. If that was you, sign in instead.",
            "Otherwise there is nothing to do: your account was not touched.",
        ],
        sms: &[
            "You already have a {app} account. If you tried to make one, sign in instead.",
            "You already have an account. If you tried to make one, sign in instead.",
        ],
    },
    phone_changed: Phrase {
        subject: "The phone number of your {app} account was changed",
        mail: &[
            "The phone number of your {app} account was changed, and all other sessions were ended.",
            "If that was not you, contact us at once.",
        ],
        sms: &[
            "The phone number of your {app} account was changed. If that was not you, contact us at once.",
            "The phone number of your account was changed. If that was not you, contact us at once.",
        ],
    },
    mailbox_changed: Phrase {
        subject: "The e-mail address of your {app} account was changed",
        mail: &[
            "The e-mail address of your {app} account was changed, and all other sessions were ended.",
            "If that was not you, contact us at once.",
        ],
        sms: &[
            "The e-mail address of your {app} account was changed. If that was not you, contact us at once.",
            "The e-mail address of your account was changed. If that was not you, contact us at once.",
        ],
    },
    password_changed: Phrase {
        subject: "The password of your {app} account was changed",
        mail: &[
            "The password of your {app} account was changed, and all its sessions were ended.",
            "If that was not you, contact us at once.",
        ],
        sms: &[
            "The password of your {app} account was changed. If that was not you, contact us at once.",
            "The password of your account was changed. If that was not you, contact us at once.",
        ],
    },
    factors_reset: Phrase {
        subject: "The second factors of your {app} account were removed",
        mail: &[
            "We removed the second factors of your {app} account and ended its sessions. You will be asked to add a new one when you sign in.",
            "If you did not ask for this, contact us at once.",
        ],
        sms: &[
            "We removed the second factors of your {app} account. If you did not ask for this, contact us.",
            "We removed the second factors of your account. If you did not ask for this, contact us.",
        ],
    },
    enrollment_allowed: Phrase {
        subject: "You may add a second factor or another way to sign in to your {app} account",
        mail: &[
            "We have allowed you to add a second factor to your {app} account, or another way to sign in. Sign in to add it.",
            "If you did not ask for this, contact us at once.",
        ],
        sms: &[
            "You may now add a second factor to your {app} account. If you did not ask for this, contact us.",
            "You may now add a second factor to your account. If you did not ask for this, contact us.",
        ],
    },
    enrollment_refused: Phrase {
        subject: "No second factor and no other way to sign in for your {app} account",
        mail: &[
            "We have refused to add a second factor to your {app} account, or another way to sign in.",
            "If you did not ask for it, somebody can sign in as you: change your password. If you have none here, contact us.",
        ],
        sms: &[
            "We refused a second factor for your {app} account. Not you? Change your password or contact us.",
            "We refused a second factor for your account. Not you? Change your password or contact us.",
        ],
    },
    identity_linked: Phrase {
        subject: "A new way to sign in to your {app} account",
        mail: &[
            "Your account at {provider} was added to your {app} account, and signs in to it from now on.",
            "If that was not you, contact us at once.",
        ],
        sms: &[
            "A new way to sign in to your {app} account was added. If that was not you, contact us at once.",
            "A new way to sign in to your account was added. If that was not you, contact us at once.",
        ],
    },
    changed: Phrase {
        subject: "Your {app} account",
        mail: &[
            "Something about the security of your {app} account has changed.",
            "If that was not you, contact us at once.",
        ],
        sms: &[
            "The security of your {app} account has changed. If that was not you, contact us at once.",
            "The security of your account has changed. If that was not you, contact us at once.",
        ],
    },
};
