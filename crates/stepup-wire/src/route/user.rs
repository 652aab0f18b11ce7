//! The user object of the protocol.

use serde_json::{Map, Value, json};
use stepup_core::id::{FactorId, MethodId};
use stepup_core::record::user::{Enrolled, Method, ThirdParty, User};
use stepup_core::session::claim::mask_contact;

use crate::call::Call;
use crate::fdi::Fdi;

/// How a user's second-factor contacts, and phones of every kind, are shown.
#[derive(Clone, Copy)]
pub(super) enum Shown {
    Plain,
    Masked,
}

impl Shown {
    fn of(self, contact: &str) -> String {
        match self {
            Self::Plain => contact.to_owned(),
            Self::Masked => mask_contact(contact),
        }
    }
}

/// How the site of `call` shows them.
pub(super) fn mask(call: &Call<'_>) -> Shown {
    if call.stepup().config().mask_contacts {
        Shown::Masked
    } else {
        Shown::Plain
    }
}

/// A second-factor contact as it is shown: a number or an address.
struct Second<'u> {
    enrolled: &'u Enrolled,
    shown: String,
}

impl Second<'_> {
    fn is(&self, factor: &FactorId) -> bool {
        self.enrolled.factor == *factor
    }
}

/// The user as the client's version knows users. `method` is the login method of the session.
///
/// A second-factor contact is shown among the login methods, with a `recipeUserId` of its own; it signs nobody in. What
/// a user does not have is left out: to the clients, `null` is a value.
pub(super) fn json(user: &User, method: &MethodId, fdi: Fdi, shown: Shown) -> Value {
    let contacts: Vec<Second<'_>> = user
        .summary
        .enrolled
        .iter()
        .filter_map(|enrolled| {
            let contact = enrolled.contact.as_deref()?;
            let shown = shown.of(contact);
            Some(Second { enrolled, shown })
        })
        .collect();
    if fdi.knows_login_methods() {
        linked(user, &contacts, shown)
    } else {
        flat(user, method, &contacts, shown)
    }
}

fn linked(user: &User, contacts: &[Second<'_>], shown: Shown) -> Value {
    let own = user
        .methods
        .iter()
        .map(|method| login_method(user, method, shown));
    let seconds = contacts.iter().map(|second| {
        let field = match second.is(&FactorId::OTP_PHONE) {
            true => "phoneNumber",
            false => "email",
        };
        json!({
            "recipeId": "passwordless",
            "recipeUserId": second.enrolled.credential.as_str(),
            "tenantIds": [user.tenant.as_str()],
            "timeJoined": second.enrolled.at.as_ms(),
            "verified": true,
            field: second.shown,
        })
    });
    let methods: Vec<Value> = own.chain(seconds).collect();
    let of = |factor| contacts.iter().filter(move |second| second.is(&factor));
    let addresses = of(FactorId::OTP_EMAIL).map(|second| second.shown.as_str());
    let numbers = of(FactorId::OTP_PHONE).map(|second| second.shown.as_str());
    let signing = user.methods.iter().filter_map(|method| method.email.as_deref());
    let emails = distinct(signing.chain(addresses));
    let identities = user
        .methods
        .iter()
        .filter_map(|method| method.third_party.as_ref());
    let identities: Vec<Value> = identities.map(identity).collect();
    let own = user.methods.iter().filter_map(|method| method.phone.as_deref());
    let own: Vec<String> = own.map(|number| shown.of(number)).collect();
    let phones = distinct(numbers.chain(own.iter().map(String::as_str)));
    json!({
        "id": user.id.as_str(),
        "isPrimaryUser": methods.len() > 1,
        "tenantIds": [user.tenant.as_str()],
        "emails": emails,
        "phoneNumbers": phones,
        "thirdParty": identities,
        "webauthn": { "credentialIds": [] },
        "timeJoined": user.created_at.as_ms(),
        "loginMethods": methods,
    })
}

fn login_method(user: &User, method: &Method, shown: Shown) -> Value {
    let mut entry = Map::new();
    entry.insert("recipeId".to_owned(), recipe(&method.factor).into());
    entry.insert("recipeUserId".to_owned(), method.id.as_str().into());
    entry.insert("tenantIds".to_owned(), json!([user.tenant.as_str()]));
    entry.insert("timeJoined".to_owned(), method.joined_at.as_ms().into());
    entry.insert("verified".to_owned(), method.verified.into());
    put(&mut entry, "email", method.email.as_deref());
    let number = method.phone.as_deref().map(|number| shown.of(number));
    put(&mut entry, "phoneNumber", number.as_deref());
    if let Some(there) = &method.third_party {
        entry.insert("thirdParty".to_owned(), identity(there));
    }
    entry.into()
}

/// Who somebody is at a provider. The protocol has no place for the issuer.
fn identity(there: &ThirdParty) -> Value {
    json!({ "id": there.provider, "userId": there.subject })
}

/// The protocol's name of what a login method is.
fn recipe(factor: &FactorId) -> &str {
    match factor.as_str() {
        "otp-phone" | "otp-email" | "link-phone" | "link-email" => "passwordless",
        other => other,
    }
}

/// The user of clients that know one login method: the session's, else the oldest, with the id of the whole user.
fn flat(user: &User, method: &MethodId, contacts: &[Second<'_>], shown: Shown) -> Value {
    let own = user.methods.iter().find(|own| own.id == *method);
    let own = own.or_else(|| user.methods.iter().min_by_key(|own| own.joined_at));
    let mut entry = Map::new();
    entry.insert("id".to_owned(), user.id.as_str().into());
    entry.insert("timeJoined".to_owned(), user.created_at.as_ms().into());
    let second = |factor: FactorId| {
        let second = contacts.iter().find(|second| second.is(&factor));
        second.map(|second| second.shown.as_str())
    };
    let address = own.and_then(|own| own.email.as_deref());
    put(
        &mut entry,
        "email",
        address.or_else(|| second(FactorId::OTP_EMAIL)),
    );
    let number = second(FactorId::OTP_PHONE).map(str::to_owned);
    let number = number.or_else(|| Some(shown.of(own?.phone.as_deref()?)));
    put(&mut entry, "phoneNumber", number.as_deref());
    if let Some(there) = own.and_then(|own| own.third_party.as_ref()) {
        entry.insert("thirdParty".to_owned(), identity(there));
    }
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

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use stepup_core::id::{TenantId, UserId};
    use stepup_core::record::JsonMap;
    use stepup_core::record::user::{Summary, UserState};
    use stepup_core::time::Timestamp;

    use super::*;

    #[test]
    fn a_phone_that_signs_in_is_masked_as_one_that_comes_second() {
        let at = Timestamp::from_ms(1);
        let user = User {
            tenant: TenantId::public(),
            id: UserId::from("u"),
            state: UserState::Live,
            epoch: 1,
            revision: 1,
            methods: vec![Method {
                id: MethodId::from("m"),
                factor: FactorId::OTP_PHONE,
                email: None,
                phone: Some("+41791234567".to_owned()),
                third_party: None,
                verified: true,
                joined_at: at,
            }],
            summary: Summary::default(),
            metadata: JsonMap::new(),
            created_at: at,
        };
        let newest = Fdi::of(&HeaderMap::new());
        let older = Fdi::of(&HeaderMap::from_iter([(
            http::HeaderName::from_static("fdi-version"),
            http::HeaderValue::from_static("1.17"),
        )]));
        for fdi in [newest, older] {
            let told = |shown| json(&user, &MethodId::from("m"), fdi, shown).to_string();
            assert!(told(Shown::Plain).contains("+41791234567"));
            let masked = told(Shown::Masked);
            assert!(
                masked.contains("+41*******67") && !masked.contains("1234567"),
                "{masked}"
            );
        }
    }
}
