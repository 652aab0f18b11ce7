//! Portuguese.

use stepup_core::delivery::Language;

use super::{Phrase, Words};

#[rustfmt::skip]
pub(super) const WORDS: Words = Words {
    language: Language::PORTUGUESE,
    tag: "pt",
    minutes: ["{} minuto", "{} minutos"],
    hours: ["{} hora", "{} horas"],
    undo: "Se isso lhe é estranho, anule-o de imediato: {url}",
    code: Phrase {
        subject: "O seu código {app}",
        mail: &[
            "{code} é o seu código {app}. É válido por {time}. Não o partilhe com ninguém.",
        ],
        sms: &[
            "{code} é a sua chave {app}. Vale por {time}. Nunca a partilhe com ninguém.",
            "{code} é a sua chave {app}. Nunca a partilhe com ninguém.",
            "{code} é a sua chave {app}.",
            "{code} é a sua chave.",
        ],
    },
    link: Phrase {
        subject: "Entrar em {app}",
        mail: &[
            "Entre em {app}: {url}",
            "O link é válido por {time}. Não o partilhe com ninguém.",
        ],
        sms: &[
            "Entre em {app}: {url}",
        ],
    },
    link_and_code: Phrase {
        subject: "Entrar em {app}",
        mail: &[
            "{code} é o seu código {app}. É válido por {time}. Não o partilhe com ninguém.",
            "Ou entre por este link: {url}",
        ],
        sms: &[
            "{code} é a sua chave {app}. Ou entre em {url}",
        ],
    },
    reset: Phrase {
        subject: "Uma nova senha para {app}",
        mail: &[
            "Defina uma nova senha para a sua conta {app}: {url}",
            "O link é válido uma só vez, por {time}. Se não o pediu, não precisa de fazer nada.",
        ],
        sms: &[
            "Nova senha {app}: {url}",
        ],
    },
    verify: Phrase {
        subject: "O seu endereço de e-mail em {app}",
        mail: &[
            "Confirme que este endereço pertence à sua conta {app}: {url}",
            "O link é válido por {time}. Se não tem conta, não precisa de fazer nada.",
        ],
        sms: &[
            "Confirme o seu e-mail em {app}: {url}",
        ],
    },
    confirm: Phrase {
        subject: "Adicionar um segundo fator ou outra forma de entrar à sua conta {app}?",
        mail: &[
            "Alguém que entrou na sua conta {app} quer adicionar-lhe um segundo fator ou outra forma de entrar, ou mudar o seu endereço ou número. Se é você, permita: {url}",
            "O link é válido por {time}. Se não é você, altere a sua senha. Se não tem nenhuma aqui, contacte-nos.",
        ],
        sms: &[
            "Permita um segundo fator em {app}: {url}",
        ],
    },
    phone_added: Phrase {
        subject: "Um segundo fator foi adicionado à sua conta {app}",
        mail: &[
            "Um telefone{contact} foi adicionado à sua conta {app} como segundo fator, e todas as outras sessões foram encerradas.",
            "Se não foi você, alguém consegue entrar na sua conta: contacte-nos imediatamente.",
        ],
        sms: &[
            "Um telefone foi adicionado à sua conta {app}. Se isso lhe é estranho, contacte-nos de imediato.",
            "Um telefone foi adicionado à sua conta. Se isso lhe é estranho, contacte-nos de imediato.",
        ],
    },
    mailbox_added: Phrase {
        subject: "Um segundo fator foi adicionado à sua conta {app}",
        mail: &[
            "Um endereço de e-mail foi adicionado à sua conta {app} como segundo fator, e todas as outras sessões foram encerradas.",
            "Se não foi você, alguém consegue entrar na sua conta: contacte-nos imediatamente.",
        ],
        sms: &[
            "Um e-mail foi adicionado à sua conta {app}. Se isso lhe é estranho, contacte-nos de imediato.",
            "Um e-mail foi adicionado à sua conta. Se isso lhe é estranho, contacte-nos de imediato.",
        ],
    },
    factor_added: Phrase {
        subject: "Um segundo fator foi adicionado à sua conta {app}",
        mail: &[
            "Um segundo fator foi adicionado à sua conta {app}, e todas as outras sessões foram encerradas.",
            "Se não foi você, alguém consegue entrar na sua conta: contacte-nos imediatamente.",
        ],
        sms: &[
            "Um segundo fator foi adicionado à sua conta {app}. Se isso lhe é estranho, contacte-nos de imediato.",
            "Um segundo fator foi adicionado à sua conta. Se isso lhe é estranho, contacte-nos de imediato.",
        ],
    },
    factor_guessed: Phrase {
        subject: "Códigos errados na sua conta {app}",
        mail: &[
            "Alguém começou a entrar na sua conta {app} e depois deu códigos errados, repetidamente.",
            "Se não foi você, altere a sua senha. Se não tem nenhuma aqui, contacte-nos.",
        ],
        sms: &[
            "Foram dadas chaves erradas na sua conta {app}. Se isso lhe é estranho, altere a senha ou contacte-nos.",
            "Foram dadas chaves erradas na sua conta. Se isso lhe é estranho, altere a senha ou contacte-nos.",
        ],
    },
    account_made: Phrase {
        subject: "A sua conta {app}",
        mail: &[
            "Foi criada uma conta {app} com este endereço. Se não foi você, contacte-nos.",
        ],
        sms: &[
            "Foi criada uma conta {app} com este contacto. Se isso lhe é estranho, contacte-nos.",
            "Foi criada uma conta com este contacto. Se isso lhe é estranho, contacte-nos.",
        ],
    },
    sign_up_tried: Phrase {
        subject: "Já tem uma conta {app}",
        mail: &[
            "Alguém tentou criar uma conta {app} com este endereço, que já tem uma. Se foi você, entre com a que tem.",
            "Caso contrário, não precisa de fazer nada: a sua conta não foi tocada.",
        ],
        sms: &[
            "Existe uma conta {app} com este contacto. Se tentou criar outra, entre com a que tem.",
            "Existe uma conta com este contacto. Se tentou criar outra, entre com a que tem.",
        ],
    },
    phone_changed: Phrase {
        subject: "O telefone da sua conta {app} foi alterado",
        mail: &[
            "O número de telefone da sua conta {app} foi alterado, e todas as outras sessões foram encerradas.",
            "Se não foi você, contacte-nos imediatamente.",
        ],
        sms: &[
            "O telefone da sua conta {app} foi alterado. Se isso lhe é estranho, contacte-nos de imediato.",
            "O telefone da sua conta foi alterado. Se isso lhe é estranho, contacte-nos de imediato.",
        ],
    },
    mailbox_changed: Phrase {
        subject: "O e-mail da sua conta {app} foi alterado",
        mail: &[
            "O endereço de e-mail da sua conta {app} foi alterado, e todas as outras sessões foram encerradas.",
            "Se não foi você, contacte-nos imediatamente.",
        ],
        sms: &[
            "O e-mail da sua conta {app} foi alterado. Se isso lhe é estranho, contacte-nos de imediato.",
            "O e-mail da sua conta foi alterado. Se isso lhe é estranho, contacte-nos de imediato.",
        ],
    },
    password_changed: Phrase {
        subject: "A senha da sua conta {app} foi alterada",
        mail: &[
            "A senha da sua conta {app} foi alterada, e todas as sessões foram encerradas.",
            "Se não foi você, contacte-nos imediatamente.",
        ],
        sms: &[
            "A senha da sua conta {app} foi alterada. Se isso lhe é estranho, contacte-nos de imediato.",
            "A senha da sua conta foi alterada. Se isso lhe é estranho, contacte-nos de imediato.",
        ],
    },
    factors_reset: Phrase {
        subject: "Os segundos fatores da sua conta {app} foram removidos",
        mail: &[
            "Removemos os segundos fatores da sua conta {app} e encerrámos as suas sessões. Quando entrar, ser-lhe-á pedido que adicione um novo.",
            "Se não o pediu, contacte-nos imediatamente.",
        ],
        sms: &[
            "Os segundos fatores da sua conta {app} foram removidos. Se isso lhe é estranho, contacte-nos de imediato.",
            "Os segundos fatores da sua conta foram removidos. Se isso lhe é estranho, contacte-nos de imediato.",
        ],
    },
    enrollment_allowed: Phrase {
        subject: "Pode adicionar um segundo fator ou outra forma de entrar à sua conta {app}",
        mail: &[
            "Permitimos que adicione um segundo fator ou outra forma de entrar à sua conta {app}. Entre para o fazer.",
            "Se não o pediu, contacte-nos imediatamente.",
        ],
        sms: &[
            "Pode agora juntar um segundo fator à sua conta {app}. Se isso lhe é estranho, contacte-nos.",
            "Pode agora juntar um segundo fator à sua conta. Se isso lhe é estranho, contacte-nos.",
        ],
    },
    enrollment_refused: Phrase {
        subject: "Sem segundo fator nem outra forma de entrar para a sua conta {app}",
        mail: &[
            "Recusámos adicionar um segundo fator ou outra forma de entrar à sua conta {app}.",
            "Se não o pediu, alguém consegue entrar na sua conta: altere a sua senha. Se não tem nenhuma aqui, contacte-nos.",
        ],
        sms: &[
            "Foi recusado um segundo fator para a conta {app}. Se isso lhe é estranho, altere a senha ou contacte-nos.",
            "Foi recusado um segundo fator para a sua conta. Se isso lhe é estranho, altere a senha ou contacte-nos.",
        ],
    },
    identity_linked: Phrase {
        subject: "Uma nova forma de entrar na sua conta {app}",
        mail: &[
            "A sua conta {provider} foi adicionada à sua conta {app} e permite agora entrar nela.",
            "Se não foi você, contacte-nos imediatamente.",
        ],
        sms: &[
            "Foi adicionada uma nova forma de entrar na sua conta {app}. Se isso lhe é estranho, contacte-nos de imediato.",
            "Foi adicionada uma nova forma de entrar na sua conta. Se isso lhe é estranho, contacte-nos de imediato.",
        ],
    },
    changed: Phrase {
        subject: "A sua conta {app}",
        mail: &[
            "Algo mudou na segurança da sua conta {app}.",
            "Se não foi você, contacte-nos imediatamente.",
        ],
        sms: &[
            "A conta {app} foi alterada. Se isso lhe é estranho, contacte-nos de imediato.",
            "A sua conta foi alterada. Se isso lhe é estranho, contacte-nos de imediato.",
        ],
    },
};
