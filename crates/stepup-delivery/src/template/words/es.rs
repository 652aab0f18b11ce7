//! Spanish.

use stepup_core::delivery::Language;

use super::{Phrase, Words};

#[rustfmt::skip]
pub(super) const WORDS: Words = Words {
    language: Language::SPANISH,
    tag: "es",
    minutes: ["{} minuto", "{} minutos"],
    hours: ["{} hora", "{} horas"],
    undo: "Si no ha sido usted, anule esto ya: {url}",
    code: Phrase {
        subject: "Su código de {app}",
        mail: &[
            "{code} es su código de {app}. Vale {time}. No lo comparta con nadie.",
        ],
        sms: &[
            "{code} es su clave de {app}. Vale {time}. No la comparta con nadie.",
            "{code} es su clave de {app}. No la comparta con nadie.",
            "{code} es su clave de {app}.",
            "{code} es su clave.",
        ],
    },
    link: Phrase {
        subject: "Inicie sesión en {app}",
        mail: &[
            "Inicie sesión en {app}: {url}",
            "El enlace vale {time}. No lo comparta con nadie.",
        ],
        sms: &[
            "Entre en {app}: {url}",
        ],
    },
    link_and_code: Phrase {
        subject: "Inicie sesión en {app}",
        mail: &[
            "{code} es su código de {app}. Vale {time}. No lo comparta con nadie.",
            "O inicie sesión con este enlace: {url}",
        ],
        sms: &[
            "{code} es su clave de {app}. O entre en {url}",
        ],
    },
    reset: Phrase {
        subject: "Una contraseña nueva para {app}",
        mail: &[
            "Elija una contraseña nueva para su cuenta de {app}: {url}",
            "El enlace vale una sola vez, durante {time}. Si no lo ha pedido, no tiene que hacer nada.",
        ],
        sms: &[
            "Nueva contraseña de {app}: {url}",
        ],
    },
    verify: Phrase {
        subject: "Su dirección de correo en {app}",
        mail: &[
            "Confirme que esta dirección es la de su cuenta de {app}: {url}",
            "El enlace vale {time}. Si no tiene cuenta, no tiene que hacer nada.",
        ],
        sms: &[
            "Confirme su correo en {app}: {url}",
        ],
    },
    confirm: Phrase {
        subject: "¿Añadir un segundo factor u otra forma de entrar a su cuenta de {app}?",
        mail: &[
            "Alguien que ha entrado en su cuenta de {app} quiere añadirle un segundo factor u otra forma de entrar, o cambiar su dirección o número. Si es usted, permítalo: {url}",
            "El enlace vale {time}. Si no es usted, cambie su contraseña. Si no tiene ninguna aquí, póngase en contacto con nosotros.",
        ],
        sms: &[
            "Permita un segundo factor en {app}: {url}",
        ],
    },
    phone_added: Phrase {
        subject: "Se ha añadido un segundo factor a su cuenta de {app}",
        mail: &[
            "Se ha añadido un teléfono{contact} a su cuenta de {app} como segundo factor, y se han cerrado todas las demás sesiones.",
            "Si no ha sido usted, alguien puede entrar en su cuenta: póngase en contacto con nosotros de inmediato.",
        ],
        sms: &[
            "Su cuenta de {app} tiene un nuevo factor. Si no ha sido usted, contacte con nosotros ya.",
            "Su cuenta tiene un nuevo factor. Si no ha sido usted, contacte con nosotros ya.",
        ],
    },
    mailbox_added: Phrase {
        subject: "Se ha añadido un segundo factor a su cuenta de {app}",
        mail: &[
            "Se ha añadido una dirección de correo a su cuenta de {app} como segundo factor, y se han cerrado todas las demás sesiones.",
            "Si no ha sido usted, alguien puede entrar en su cuenta: póngase en contacto con nosotros de inmediato.",
        ],
        sms: &[
            "Su cuenta de {app} tiene un nuevo correo. Si no ha sido usted, contacte con nosotros ya.",
            "Su cuenta tiene un nuevo correo. Si no ha sido usted, contacte con nosotros ya.",
        ],
    },
    factor_added: Phrase {
        subject: "Se ha añadido un segundo factor a su cuenta de {app}",
        mail: &[
            "Se ha añadido un segundo factor a su cuenta de {app}, y se han cerrado todas las demás sesiones.",
            "Si no ha sido usted, alguien puede entrar en su cuenta: póngase en contacto con nosotros de inmediato.",
        ],
        sms: &[
            "Su cuenta de {app} tiene un nuevo factor. Si no ha sido usted, contacte con nosotros ya.",
            "Su cuenta tiene un nuevo factor. Si no ha sido usted, contacte con nosotros ya.",
        ],
    },
    factor_guessed: Phrase {
        subject: "Códigos erróneos en su cuenta de {app}",
        mail: &[
            "Alguien ha empezado a entrar en su cuenta de {app} y después ha dado códigos erróneos una y otra vez.",
            "Si no ha sido usted, cambie su contraseña. Si no tiene ninguna aquí, póngase en contacto con nosotros.",
        ],
        sms: &[
            "Han dado claves falsas en su cuenta de {app}. Si no ha sido usted, cambie la contraseña o contacte con nosotros.",
            "Han dado claves falsas en su cuenta. Si no ha sido usted, cambie la contraseña o contacte con nosotros.",
        ],
    },
    account_made: Phrase {
        subject: "Su cuenta de {app}",
        mail: &[
            "Se ha creado una cuenta de {app} con esta dirección. Si no ha sido usted, póngase en contacto con nosotros.",
        ],
        sms: &[
            "Se ha creado una cuenta de {app} con este contacto. Si no ha sido usted, contacte con nosotros.",
            "Se ha creado una cuenta con este contacto. Si no ha sido usted, contacte con nosotros.",
        ],
    },
    sign_up_tried: Phrase {
        subject: "Ya tiene una cuenta de {app}",
        mail: &[
            "Alguien ha intentado crear una cuenta de {app} con esta dirección, que ya tiene una. Si ha sido usted, inicie sesión.",
            "Si no, no tiene que hacer nada: su cuenta no se ha tocado.",
        ],
        sms: &[
            "Ya tiene una cuenta de {app}. Si ha intentado crear una, entre con la que tiene.",
            "Ya tiene una cuenta. Si ha intentado crear una, entre con la que tiene.",
        ],
    },
    phone_changed: Phrase {
        subject: "El teléfono de su cuenta de {app} ha cambiado",
        mail: &[
            "Se ha cambiado el número de teléfono de su cuenta de {app}, y se han cerrado todas las demás sesiones.",
            "Si no ha sido usted, póngase en contacto con nosotros de inmediato.",
        ],
        sms: &[
            "Ha cambiado el contacto de su cuenta de {app}. Si no ha sido usted, contacte con nosotros ya.",
            "Ha cambiado el contacto de su cuenta. Si no ha sido usted, contacte con nosotros ya.",
        ],
    },
    mailbox_changed: Phrase {
        subject: "El correo de su cuenta de {app} ha cambiado",
        mail: &[
            "Se ha cambiado la dirección de correo de su cuenta de {app}, y se han cerrado todas las demás sesiones.",
            "Si no ha sido usted, póngase en contacto con nosotros de inmediato.",
        ],
        sms: &[
            "Ha cambiado el correo de su cuenta de {app}. Si no ha sido usted, contacte con nosotros ya.",
            "Ha cambiado el correo de su cuenta. Si no ha sido usted, contacte con nosotros ya.",
        ],
    },
    password_changed: Phrase {
        subject: "La contraseña de su cuenta de {app} ha cambiado",
        mail: &[
            "Se ha cambiado la contraseña de su cuenta de {app}, y se han cerrado todas sus sesiones.",
            "Si no ha sido usted, póngase en contacto con nosotros de inmediato.",
        ],
        sms: &[
            "Ha cambiado la contraseña de su cuenta de {app}. Si no ha sido usted, contacte con nosotros ya.",
            "Ha cambiado la contraseña de su cuenta. Si no ha sido usted, contacte con nosotros ya.",
        ],
    },
    factors_reset: Phrase {
        subject: "Se han quitado los segundos factores de su cuenta de {app}",
        mail: &[
            "Hemos quitado los segundos factores de su cuenta de {app} y cerrado sus sesiones. La próxima vez que entre se le pedirá que añada uno nuevo.",
            "Si no lo ha pedido, póngase en contacto con nosotros de inmediato.",
        ],
        sms: &[
            "Hemos quitado los segundos factores de su cuenta de {app}. Si no lo ha pedido, contacte con nosotros ya.",
            "Hemos quitado los segundos factores de su cuenta. Si no lo ha pedido, contacte con nosotros ya.",
        ],
    },
    enrollment_allowed: Phrase {
        subject: "Puede añadir un segundo factor u otra forma de entrar a su cuenta de {app}",
        mail: &[
            "Le hemos permitido añadir un segundo factor u otra forma de entrar a su cuenta de {app}. Inicie sesión para ello.",
            "Si no lo ha pedido, póngase en contacto con nosotros de inmediato.",
        ],
        sms: &[
            "Ya puede añadir un segundo factor a su cuenta de {app}. Si no lo ha pedido, contacte con nosotros.",
            "Ya puede añadir un segundo factor a su cuenta. Si no lo ha pedido, contacte con nosotros.",
        ],
    },
    enrollment_refused: Phrase {
        subject: "Sin segundo factor ni otra forma de entrar para su cuenta de {app}",
        mail: &[
            "No hemos permitido añadir un segundo factor ni otra forma de entrar a su cuenta de {app}.",
            "Si no lo ha pedido, alguien puede entrar en su cuenta: cambie su contraseña. Si no tiene ninguna aquí, póngase en contacto con nosotros.",
        ],
        sms: &[
            "Hemos rechazado un segundo factor para su cuenta de {app}. Si no lo ha pedido, contacte con nosotros.",
            "Hemos rechazado un segundo factor para su cuenta. Si no lo ha pedido, contacte con nosotros.",
        ],
    },
    identity_linked: Phrase {
        subject: "Una nueva forma de entrar en su cuenta de {app}",
        mail: &[
            "Se ha añadido su cuenta de {provider} a su cuenta de {app}, y desde ahora permite entrar en ella.",
            "Si no ha sido usted, póngase en contacto con nosotros de inmediato.",
        ],
        sms: &[
            "Hay una nueva forma de entrar en su cuenta de {app}. Si no ha sido usted, contacte con nosotros ya.",
            "Hay una nueva forma de entrar en su cuenta. Si no ha sido usted, contacte con nosotros ya.",
        ],
    },
    changed: Phrase {
        subject: "Su cuenta de {app}",
        mail: &[
            "Ha cambiado algo en la seguridad de su cuenta de {app}.",
            "Si no ha sido usted, póngase en contacto con nosotros de inmediato.",
        ],
        sms: &[
            "Ha cambiado la seguridad de su cuenta de {app}. Si no ha sido usted, contacte con nosotros ya.",
            "Ha cambiado la seguridad de su cuenta. Si no ha sido usted, contacte con nosotros ya.",
        ],
    },
};
