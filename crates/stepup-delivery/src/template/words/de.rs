//! German.

use stepup_core::delivery::Language;

use super::{Phrase, Words};

#[rustfmt::skip]
pub(super) const WORDS: Words = Words {
    language: Language::GERMAN,
    tag: "de",
    minutes: ["{} Minute", "{} Minuten"],
    hours: ["{} Stunde", "{} Stunden"],
    undo: "Wenn Sie das nicht waren, machen Sie es sofort rückgängig: {url}",
    code: Phrase {
        subject: "Ihr Code für {app}",
        mail: &[
            "{code} ist Ihr Code für {app}. Er gilt {time}. Geben Sie ihn niemandem weiter.",
        ],
        sms: &[
            "{code} ist Ihr Code für {app}. Er gilt {time}. Geben Sie ihn niemandem weiter.",
            "{code} ist Ihr Code für {app}. Geben Sie ihn niemandem weiter.",
            "{code} ist Ihr Code für {app}.",
            "{code} ist Ihr Code.",
        ],
    },
    link: Phrase {
        subject: "Anmelden bei {app}",
        mail: &[
            "Melden Sie sich bei {app} an: {url}",
            "Der Link gilt {time}. Geben Sie ihn niemandem weiter.",
        ],
        sms: &[
            "Anmelden bei {app}: {url}",
        ],
    },
    link_and_code: Phrase {
        subject: "Anmelden bei {app}",
        mail: &[
            "{code} ist Ihr Code für {app}. Er gilt {time}. Geben Sie ihn niemandem weiter.",
            "Oder melden Sie sich mit diesem Link an: {url}",
        ],
        sms: &[
            "{code} ist Ihr Code für {app}. Oder hier anmelden: {url}",
        ],
    },
    reset: Phrase {
        subject: "Neues Passwort für {app}",
        mail: &[
            "Setzen Sie ein neues Passwort für Ihr Konto bei {app}: {url}",
            "Der Link gilt einmal und {time} lang. Wenn Sie ihn nicht verlangt haben, müssen Sie nichts tun.",
        ],
        sms: &[
            "Neues Passwort für {app} setzen: {url}",
        ],
    },
    verify: Phrase {
        subject: "Ihre E-Mail-Adresse bei {app}",
        mail: &[
            "Bestätigen Sie, dass diese Adresse zu Ihrem Konto bei {app} gehört: {url}",
            "Der Link gilt {time}. Wenn Sie kein solches Konto haben, müssen Sie nichts tun.",
        ],
        sms: &[
            "Adresse bei {app} bestätigen: {url}",
        ],
    },
    confirm: Phrase {
        subject: "Zweiten Faktor oder weitere Art der Anmeldung für Ihr Konto bei {app} hinzufügen?",
        mail: &[
            "Jemand hat sich bei Ihrem Konto bei {app} angemeldet und möchte ihm einen zweiten Faktor oder eine weitere Art der Anmeldung hinzufügen oder seine Adresse oder Nummer ändern. Wenn Sie das sind, erlauben Sie es: {url}",
            "Der Link gilt {time}. Wenn Sie es nicht sind, ändern Sie Ihr Passwort. Haben Sie hier keines, melden Sie sich bei uns.",
        ],
        sms: &[
            "Zweiten Faktor bei {app} erlauben: {url}",
        ],
    },
    phone_added: Phrase {
        subject: "Ihr Konto bei {app} hat einen zweiten Faktor",
        mail: &[
            "Ihrem Konto bei {app} wurde ein Telefon{contact} als zweiter Faktor hinzugefügt, und alle anderen Sitzungen wurden beendet.",
            "Wenn Sie das nicht waren, kann sich jemand als Sie anmelden: Melden Sie sich sofort bei uns.",
        ],
        sms: &[
            "Ihrem Konto bei {app} wurde ein Telefon hinzugefügt. Waren das nicht Sie, melden Sie sich sofort bei uns.",
            "Ihrem Konto wurde ein Telefon hinzugefügt. Waren das nicht Sie, melden Sie sich sofort bei uns.",
        ],
    },
    mailbox_added: Phrase {
        subject: "Ihr Konto bei {app} hat einen zweiten Faktor",
        mail: &[
            "Ihrem Konto bei {app} wurde eine E-Mail-Adresse als zweiter Faktor hinzugefügt, und alle anderen Sitzungen wurden beendet.",
            "Wenn Sie das nicht waren, kann sich jemand als Sie anmelden: Melden Sie sich sofort bei uns.",
        ],
        sms: &[
            "Ihrem Konto bei {app} wurde eine E-Mail-Adresse hinzugefügt. Waren das nicht Sie, melden Sie sich sofort bei uns.",
            "Ihrem Konto wurde eine E-Mail-Adresse hinzugefügt. Waren das nicht Sie, melden Sie sich sofort bei uns.",
        ],
    },
    factor_added: Phrase {
        subject: "Ihr Konto bei {app} hat einen zweiten Faktor",
        mail: &[
            "Ihrem Konto bei {app} wurde ein zweiter Faktor hinzugefügt, und alle anderen Sitzungen wurden beendet.",
            "Wenn Sie das nicht waren, kann sich jemand als Sie anmelden: Melden Sie sich sofort bei uns.",
        ],
        sms: &[
            "Ihrem Konto bei {app} wurde ein zweiter Faktor hinzugefügt. Waren das nicht Sie, melden Sie sich sofort bei uns.",
            "Ihrem Konto wurde ein zweiter Faktor hinzugefügt. Waren das nicht Sie, melden Sie sich sofort bei uns.",
        ],
    },
    factor_guessed: Phrase {
        subject: "Falsche Codes bei Ihrem Konto bei {app}",
        mail: &[
            "Jemand wollte sich bei Ihrem Konto bei {app} anmelden und hat immer wieder falsche Codes eingegeben.",
            "Wenn Sie das nicht waren, ändern Sie Ihr Passwort. Haben Sie hier keines, melden Sie sich bei uns.",
        ],
        sms: &[
            "Falsche Codes bei Ihrem Konto bei {app}. Nicht von Ihnen? Passwort ändern oder bei uns melden.",
            "Falsche Codes bei Ihrem Konto. Nicht von Ihnen? Passwort ändern oder bei uns melden.",
        ],
    },
    account_made: Phrase {
        subject: "Ihr Konto bei {app}",
        mail: &[
            "Mit dieser Adresse wurde ein Konto bei {app} eröffnet. Wenn Sie das nicht waren, melden Sie sich bei uns.",
        ],
        sms: &[
            "Mit dieser Nummer wurde ein Konto bei {app} eröffnet. Waren das nicht Sie, melden Sie sich bei uns.",
            "Mit dieser Nummer wurde ein Konto eröffnet. Waren das nicht Sie, melden Sie sich bei uns.",
        ],
    },
    sign_up_tried: Phrase {
        subject: "Sie haben bereits ein Konto bei {app}",
        mail: &[
            "Jemand wollte mit dieser Adresse ein Konto bei {app} eröffnen, die bereits eines hat. Wenn Sie das waren, melden Sie sich stattdessen an.",
            "Andernfalls müssen Sie nichts tun: Ihr Konto wurde nicht berührt.",
        ],
        sms: &[
            "Sie haben bereits ein Konto bei {app}. Wollten Sie eines eröffnen, melden Sie sich stattdessen an.",
            "Sie haben bereits ein Konto. Wollten Sie eines eröffnen, melden Sie sich stattdessen an.",
        ],
    },
    phone_changed: Phrase {
        subject: "Die Telefonnummer Ihres Kontos bei {app} wurde geändert",
        mail: &[
            "Die Telefonnummer Ihres Kontos bei {app} wurde geändert, und alle anderen Sitzungen wurden beendet.",
            "Wenn Sie das nicht waren, melden Sie sich sofort bei uns.",
        ],
        sms: &[
            "Die Telefonnummer Ihres Kontos bei {app} wurde geändert. Waren das nicht Sie, melden Sie sich sofort bei uns.",
            "Die Telefonnummer Ihres Kontos wurde geändert. Waren das nicht Sie, melden Sie sich sofort bei uns.",
        ],
    },
    mailbox_changed: Phrase {
        subject: "Die E-Mail-Adresse Ihres Kontos bei {app} wurde geändert",
        mail: &[
            "Die E-Mail-Adresse Ihres Kontos bei {app} wurde geändert, und alle anderen Sitzungen wurden beendet.",
            "Wenn Sie das nicht waren, melden Sie sich sofort bei uns.",
        ],
        sms: &[
            "Die E-Mail-Adresse Ihres Kontos bei {app} wurde geändert. Waren das nicht Sie, melden Sie sich sofort bei uns.",
            "Die E-Mail-Adresse Ihres Kontos wurde geändert. Waren das nicht Sie, melden Sie sich sofort bei uns.",
        ],
    },
    password_changed: Phrase {
        subject: "Das Passwort Ihres Kontos bei {app} wurde geändert",
        mail: &[
            "Das Passwort Ihres Kontos bei {app} wurde geändert, und alle Sitzungen wurden beendet.",
            "Wenn Sie das nicht waren, melden Sie sich sofort bei uns.",
        ],
        sms: &[
            "Das Passwort Ihres Kontos bei {app} wurde geändert. Waren das nicht Sie, melden Sie sich sofort bei uns.",
            "Das Passwort Ihres Kontos wurde geändert. Waren das nicht Sie, melden Sie sich sofort bei uns.",
        ],
    },
    factors_reset: Phrase {
        subject: "Die zweiten Faktoren Ihres Kontos bei {app} wurden entfernt",
        mail: &[
            "Wir haben die zweiten Faktoren Ihres Kontos bei {app} entfernt und seine Sitzungen beendet. Bei der nächsten Anmeldung werden Sie gebeten, einen neuen hinzuzufügen.",
            "Wenn Sie das nicht verlangt haben, melden Sie sich sofort bei uns.",
        ],
        sms: &[
            "Wir haben die zweiten Faktoren Ihres Kontos bei {app} entfernt. Nicht verlangt? Melden Sie sich sofort bei uns.",
            "Wir haben die zweiten Faktoren Ihres Kontos entfernt. Nicht verlangt? Melden Sie sich sofort bei uns.",
        ],
    },
    enrollment_allowed: Phrase {
        subject: "Sie dürfen Ihrem Konto bei {app} einen zweiten Faktor oder eine weitere Art der Anmeldung hinzufügen",
        mail: &[
            "Wir haben Ihnen erlaubt, Ihrem Konto bei {app} einen zweiten Faktor oder eine weitere Art der Anmeldung hinzuzufügen. Melden Sie sich dazu an.",
            "Wenn Sie das nicht verlangt haben, melden Sie sich sofort bei uns.",
        ],
        sms: &[
            "Sie dürfen Ihrem Konto bei {app} einen zweiten Faktor hinzufügen. Nicht verlangt? Melden Sie sich bei uns.",
            "Sie dürfen Ihrem Konto einen zweiten Faktor hinzufügen. Nicht verlangt? Melden Sie sich bei uns.",
        ],
    },
    enrollment_refused: Phrase {
        subject: "Kein zweiter Faktor und keine weitere Art der Anmeldung für Ihr Konto bei {app}",
        mail: &[
            "Wir haben es abgelehnt, Ihrem Konto bei {app} einen zweiten Faktor oder eine weitere Art der Anmeldung hinzuzufügen.",
            "Wenn Sie das nicht verlangt haben, kann sich jemand als Sie anmelden: Ändern Sie Ihr Passwort. Haben Sie hier keines, melden Sie sich bei uns.",
        ],
        sms: &[
            "Wir haben einen zweiten Faktor für Ihr Konto bei {app} abgelehnt. Nicht verlangt? Passwort ändern oder bei uns melden.",
            "Wir haben einen zweiten Faktor für Ihr Konto abgelehnt. Nicht verlangt? Passwort ändern oder bei uns melden.",
        ],
    },
    identity_linked: Phrase {
        subject: "Ihr Konto bei {app} lässt sich auf eine neue Art öffnen",
        mail: &[
            "Ihrem Konto bei {app} wurde Ihr Konto bei {provider} hinzugefügt. Man kann sich ab jetzt damit anmelden.",
            "Wenn Sie das nicht waren, melden Sie sich sofort bei uns.",
        ],
        sms: &[
            "Bei Ihrem Konto bei {app} kann man sich neu mit einem weiteren Anbieter anmelden. Waren das nicht Sie, melden Sie sich bei uns.",
            "Ihrem Konto wurde eine neue Art der Anmeldung hinzugefügt. Waren das nicht Sie, melden Sie sich bei uns.",
        ],
    },
    changed: Phrase {
        subject: "Ihr Konto bei {app}",
        mail: &[
            "An der Sicherheit Ihres Kontos bei {app} hat sich etwas geändert.",
            "Wenn Sie das nicht waren, melden Sie sich sofort bei uns.",
        ],
        sms: &[
            "Die Sicherheit Ihres Kontos bei {app} wurde geändert. Waren das nicht Sie, melden Sie sich sofort bei uns.",
            "Die Sicherheit Ihres Kontos wurde geändert. Waren das nicht Sie, melden Sie sich sofort bei uns.",
        ],
    },
};
