//! The user object of the protocol.

use serde_json::{Map, Value, json};
use stepup_core::id::{FactorId, MethodId};
use stepup_core::record::user::{Enrolled, Method, User};
use stepup_core::session::claim::mask_phone;

use crate::call::Call;
use crate::fdi::Fdi;

/// How a user's second-factor phone is shown.
#[derive(Clone, Copy)]
pub(super) enum Phone {
    Plain,
    Masked,
}

/// How the site of `call` shows phones.
pub(super) fn mask(call: &Call<'_>) -> Phone {
    if call.stepup().config().mask_contacts {
        Phone::Masked
    } else {
        Phone::Plain
    }
}

/// The user as the client's version knows users. `method` is the login method of the session.
///
/// A second-factor phone is shown among the login methods, with a `recipeUserId` of its own; it signs nobody in. What
/// a user does not have is left out: to the clients, `null` is a value.
pub(super) fn json(user: &User, method: &MethodId, fdi: Fdi, phone: Phone) -> Value {
    let contacts: Vec<(&Enrolled, String)> = user
        .summary
        .enrolled
        .iter()
        .filter(|enrolled| enrolled.factor == FactorId::OTP_PHONE)
        .filter_map(|enrolled| Some((enrolled, shown(enrolled.contact.as_deref()?, phone))))
        .collect();
    if fdi.knows_login_methods() {
        linked(user, &contacts)
    } else {
        flat(user, method, &contacts)
    }
}

fn shown(number: &str, phone: Phone) -> String {
    match phone {
        Phone::Plain => number.to_owned(),
        Phone::Masked => mask_phone(number),
    }
}

fn linked(user: &User, contacts: &[(&Enrolled, String)]) -> Value {
    let own = user.methods.iter().map(|method| login_method(user, method));
    let seconds = contacts.iter().map(|(enrolled, number)| {
        json!({
            "recipeId": "passwordless",
            "recipeUserId": enrolled.credential.as_str(),
            "tenantIds": [user.tenant.as_str()],
            "timeJoined": enrolled.at.as_ms(),
            "verified": true,
            "phoneNumber": number,
        })
    });
    let methods: Vec<Value> = own.chain(seconds).collect();
    let emails = distinct(user.methods.iter().filter_map(|method| method.email.as_deref()));
    let numbers = contacts.iter().map(|(_, number)| number.as_str());
    let phones = distinct(numbers.chain(user.methods.iter().filter_map(|method| method.phone.as_deref())));
    json!({
        "id": user.id.as_str(),
        "isPrimaryUser": methods.len() > 1,
        "tenantIds": [user.tenant.as_str()],
        "emails": emails,
        "phoneNumbers": phones,
        "thirdParty": [],
        "webauthn": { "credentialIds": [] },
        "timeJoined": user.created_at.as_ms(),
        "loginMethods": methods,
    })
}

fn login_method(user: &User, method: &Method) -> Value {
    let mut entry = Map::new();
    entry.insert("recipeId".to_owned(), recipe(&method.factor).into());
    entry.insert("recipeUserId".to_owned(), method.id.as_str().into());
    entry.insert("tenantIds".to_owned(), json!([user.tenant.as_str()]));
    entry.insert("timeJoined".to_owned(), method.joined_at.as_ms().into());
    entry.insert("verified".to_owned(), method.verified.into());
    put(&mut entry, "email", method.email.as_deref());
    put(&mut entry, "phoneNumber", method.phone.as_deref());
    entry.into()
}

/// The protocol's name of what a login method is.
fn recipe(factor: &FactorId) -> &str {
    match factor.as_str() {
        "otp-phone" | "otp-email" | "link-phone" | "link-email" => "passwordless",
        other => other,
    }
}

/// The user of clients that know one login method: the session's, else the oldest, with the id of the whole user.
fn flat(user: &User, method: &MethodId, contacts: &[(&Enrolled, String)]) -> Value {
    let own = user.methods.iter().find(|own| own.id == *method);
    let own = own.or_else(|| user.methods.iter().min_by_key(|own| own.joined_at));
    let mut entry = Map::new();
    entry.insert("id".to_owned(), user.id.as_str().into());
    entry.insert("timeJoined".to_owned(), user.created_at.as_ms().into());
    put(&mut entry, "email", own.and_then(|own| own.email.as_deref()));
    let number = contacts.first().map(|(_, number)| number.as_str());
    put(
        &mut entry,
        "phoneNumber",
        number.or_else(|| own.and_then(|own| own.phone.as_deref())),
    );
    entry.into()
}

fn put(entry: &mut Map<String, Value>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        entry.insert(name.to_owned(), value.into());
    }
}

fn distinct<'a>(values: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut list = Vec::new();
    for value in values {
        if !list.contains(&value) {
            list.push(value);
        }
    }
    list
}
