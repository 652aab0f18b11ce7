//! French.

use stepup_core::delivery::Language;

use super::{Phrase, Words};

#[rustfmt::skip]
pub(super) const WORDS: Words = Words {
    language: Language::FRENCH,
    tag: "fr",
    minutes: ["{} minute", "{} minutes"],
    hours: ["{} heure", "{} heures"],
    undo: "Si ce n'était pas vous, annulez-le tout de suite: {url}",
    code: Phrase {
        subject: "Votre code {app}",
        mail: &[
            "{code} est votre code {app}. Il est valable {time}. Ne le donnez à personne.",
        ],
        sms: &[
            "{code} est votre code {app}. Il est valable {time}. Ne le donnez à personne.",
            "{code} est votre code {app}. Ne le donnez à personne.",
            "{code} est votre code {app}.",
            "{code} est votre code.",
        ],
    },
    link: Phrase {
        subject: "Connexion à {app}",
        mail: &[
            "Connectez-vous à {app} : {url}",
            "Le lien est valable {time}. Ne le transmettez à personne.",
        ],
        sms: &[
            "Connexion à {app}: {url}",
        ],
    },
    link_and_code: Phrase {
        subject: "Connexion à {app}",
        mail: &[
            "{code} est votre code {app}. Il est valable {time}. Ne le donnez à personne.",
            "Ou connectez-vous par ce lien : {url}",
        ],
        sms: &[
            "{code} est votre code {app}. Ou connectez-vous ici: {url}",
        ],
    },
    reset: Phrase {
        subject: "Un nouveau mot de passe pour {app}",
        mail: &[
            "Choisissez un nouveau mot de passe pour votre compte {app} : {url}",
            "Le lien est valable une seule fois, pendant {time}. Si vous ne l’avez pas demandé, vous n’avez rien à faire.",
        ],
        sms: &[
            "Nouveau mot de passe {app}: {url}",
        ],
    },
    verify: Phrase {
        subject: "Votre adresse e-mail chez {app}",
        mail: &[
            "Confirmez que cette adresse appartient à votre compte {app} : {url}",
            "Le lien est valable {time}. Si vous n’avez pas de compte, vous n’avez rien à faire.",
        ],
        sms: &[
            "Confirmez votre adresse chez {app}: {url}",
        ],
    },
    confirm: Phrase {
        subject: "Ajouter un second facteur ou un autre moyen de connexion à votre compte {app} ?",
        mail: &[
            "Une personne connectée à votre compte {app} veut y ajouter un second facteur ou un autre moyen de connexion, ou en changer l’adresse ou le numéro. Si c’est vous, autorisez-le : {url}",
            "Le lien est valable {time}. Si ce n’est pas vous, changez votre mot de passe. Si vous n’en avez pas ici, contactez-nous.",
        ],
        sms: &[
            "Autoriser un second facteur chez {app}: {url}",
        ],
    },
    phone_added: Phrase {
        subject: "Un second facteur a été ajouté à votre compte {app}",
        mail: &[
            "Un téléphone{contact} a été ajouté à votre compte {app} comme second facteur, et toutes les autres sessions ont été fermées.",
            "Si ce n’était pas vous, quelqu’un peut se connecter à votre place : contactez-nous immédiatement.",
        ],
        sms: &[
            "Un téléphone a été ajouté à votre compte {app}. Si ce n'était pas vous, contactez-nous vite.",
            "Un téléphone a été ajouté à votre compte. Si ce n'était pas vous, contactez-nous vite.",
        ],
    },
    mailbox_added: Phrase {
        subject: "Un second facteur a été ajouté à votre compte {app}",
        mail: &[
            "Une adresse e-mail a été ajoutée à votre compte {app} comme second facteur, et toutes les autres sessions ont été fermées.",
            "Si ce n’était pas vous, quelqu’un peut se connecter à votre place : contactez-nous immédiatement.",
        ],
        sms: &[
            "Une adresse e-mail a été ajoutée à votre compte {app}. Si ce n'était pas vous, contactez-nous vite.",
            "Une adresse e-mail a été ajoutée à votre compte. Si ce n'était pas vous, contactez-nous vite.",
        ],
    },
    factor_added: Phrase {
        subject: "Un second facteur a été ajouté à votre compte {app}",
        mail: &[
            "Un second facteur a été ajouté à votre compte {app}, et toutes les autres sessions ont été fermées.",
            "Si ce n’était pas vous, quelqu’un peut se connecter à votre place : contactez-nous immédiatement.",
        ],
        sms: &[
            "Un second facteur a été ajouté à votre compte {app}. Si ce n'était pas vous, contactez-nous vite.",
            "Un second facteur a été ajouté à votre compte. Si ce n'était pas vous, contactez-nous vite.",
        ],
    },
    factor_guessed: Phrase {
        subject: "Codes erronés sur votre compte {app}",
        mail: &[
            "Quelqu’un a commencé à se connecter à votre compte {app}, puis a donné des codes erronés, encore et encore.",
            "Si ce n’était pas vous, changez votre mot de passe. Si vous n’en avez pas ici, contactez-nous.",
        ],
        sms: &[
            "De faux codes ont été donnés pour votre compte {app}. Pas vous? Changez de mot de passe ou contactez-nous.",
            "De faux codes ont été donnés pour votre compte. Pas vous? Changez de mot de passe ou contactez-nous.",
        ],
    },
    account_made: Phrase {
        subject: "Votre compte {app}",
        mail: &[
            "Un compte {app} a été créé avec cette adresse. Si ce n’était pas vous, contactez-nous.",
        ],
        sms: &[
            "Un compte {app} a été créé avec ce numéro. Si ce n'était pas vous, contactez-nous.",
            "Un compte a été créé avec ce numéro. Si ce n'était pas vous, contactez-nous.",
        ],
    },
    sign_up_tried: Phrase {
        subject: "Vous avez déjà un compte {app}",
        mail: &[
            "Quelqu’un a voulu créer un compte {app} avec cette adresse, qui en a déjà un. Si c’était vous, connectez-vous.",
            "Sinon, vous n’avez rien à faire : votre compte n’a pas été touché.",
        ],
        sms: &[
            "Vous avez déjà un compte {app}. Si vous vouliez en créer un, connectez-vous.",
            "Vous avez déjà un compte. Si vous vouliez en créer un, connectez-vous.",
        ],
    },
    phone_changed: Phrase {
        subject: "Le numéro de téléphone de votre compte {app} a été modifié",
        mail: &[
            "Le numéro de téléphone de votre compte {app} a été modifié, et toutes les autres sessions ont été fermées.",
            "Si ce n’était pas vous, contactez-nous immédiatement.",
        ],
        sms: &[
            "Le numéro de votre compte {app} a été modifié. Si ce n'était pas vous, contactez-nous vite.",
            "Le numéro de votre compte a été modifié. Si ce n'était pas vous, contactez-nous vite.",
        ],
    },
    mailbox_changed: Phrase {
        subject: "L’adresse e-mail de votre compte {app} a été modifiée",
        mail: &[
            "L’adresse e-mail de votre compte {app} a été modifiée, et toutes les autres sessions ont été fermées.",
            "Si ce n’était pas vous, contactez-nous immédiatement.",
        ],
        sms: &[
            "L'adresse e-mail de votre compte {app} a été modifiée. Si ce n'était pas vous, contactez-nous vite.",
            "L'adresse e-mail de votre compte a été modifiée. Si ce n'était pas vous, contactez-nous vite.",
        ],
    },
    password_changed: Phrase {
        subject: "Le mot de passe de votre compte {app} a été modifié",
        mail: &[
            "Le mot de passe de votre compte {app} a été modifié, et toutes les sessions ont été fermées.",
            "Si ce n’était pas vous, contactez-nous immédiatement.",
        ],
        sms: &[
            "Le mot de passe de votre compte {app} a été modifié. Si ce n'était pas vous, contactez-nous vite.",
            "Le mot de passe de votre compte a été modifié. Si ce n'était pas vous, contactez-nous vite.",
        ],
    },
    factors_reset: Phrase {
        subject: "Les seconds facteurs de votre compte {app} ont été supprimés",
        mail: &[
            "Nous avons supprimé les seconds facteurs de votre compte {app} et fermé ses sessions. À la prochaine connexion, il vous sera demandé d’en ajouter un nouveau.",
            "Si vous ne l’avez pas demandé, contactez-nous immédiatement.",
        ],
        sms: &[
            "Nous avons supprimé les seconds facteurs de votre compte {app}. Pas demandé? Contactez-nous vite.",
            "Nous avons supprimé les seconds facteurs de votre compte. Pas demandé? Contactez-nous vite.",
        ],
    },
    enrollment_allowed: Phrase {
        subject: "Vous pouvez ajouter un second facteur ou un autre moyen de connexion à votre compte {app}",
        mail: &[
            "Nous vous avons autorisé à ajouter un second facteur ou un autre moyen de connexion à votre compte {app}. Connectez-vous pour l’ajouter.",
            "Si vous ne l’avez pas demandé, contactez-nous immédiatement.",
        ],
        sms: &[
            "Vous pouvez ajouter un second facteur à votre compte {app}. Pas demandé? Contactez-nous vite.",
            "Vous pouvez ajouter un second facteur à votre compte. Pas demandé? Contactez-nous vite.",
        ],
    },
    enrollment_refused: Phrase {
        subject: "Pas de second facteur ni d’autre moyen de connexion pour votre compte {app}",
        mail: &[
            "Nous avons refusé d’ajouter un second facteur ou un autre moyen de connexion à votre compte {app}.",
            "Si vous ne l’avez pas demandé, quelqu’un peut se connecter à votre place : changez votre mot de passe. Si vous n’en avez pas ici, contactez-nous.",
        ],
        sms: &[
            "Nous avons refusé un second facteur à votre compte {app}. Pas demandé? Changez de mot de passe ou contactez-nous.",
            "Nous avons refusé un second facteur à votre compte. Pas demandé? Changez de mot de passe ou contactez-nous.",
        ],
    },
    identity_linked: Phrase {
        subject: "Un nouveau moyen de connexion à votre compte {app}",
        mail: &[
            "Votre compte {provider} a été ajouté à votre compte {app} et permet désormais de s’y connecter.",
            "Si ce n’était pas vous, contactez-nous immédiatement.",
        ],
        sms: &[
            "Un nouveau moyen de connexion à votre compte {app} a été ajouté. Pas vous? Contactez-nous vite.",
            "Un nouveau moyen de connexion à votre compte a été ajouté. Pas vous? Contactez-nous vite.",
        ],
    },
    changed: Phrase {
        subject: "Votre compte {app}",
        mail: &[
            "La sécurité de votre compte {app} a été modifiée.",
            "Si ce n’était pas vous, contactez-nous immédiatement.",
        ],
        sms: &[
            "La sécurité de votre compte {app} a été modifiée. Si ce n'était pas vous, contactez-nous vite.",
            "La sécurité de votre compte a été modifiée. Si ce n'était pas vous, contactez-nous vite.",
        ],
    },
};
