//! A user's own factors, by their names.

use serde_json::{Map, Value, json};
use stepup_core::flow::{OwnFactor, Role};
use stepup_core::id::FactorId;

use crate::call::Call;
use crate::gate::Verified;
use crate::refusal::Refusal;
use crate::reply::Reply;

/// `GET /factor/list`: what the user has, and what is due. A half-login may ask; it learns no address (R-MFA-2).
pub(super) async fn list(call: &Call<'_>, session: &Verified) -> Result<Reply, Refusal> {
    call.count_own(session).await?;
    let own = call
        .stepup()
        .own_factors(&session.claims)
        .await?
        .ok_or(Refusal::SessionOver)?;
    let factors: Vec<Value> = own.factors.iter().map(entry).collect();
    let next: Vec<&str> = own.next.iter().map(FactorId::as_str).collect();
    Ok(Reply::ok(&json!({
        "status": "OK",
        "factors": factors,
        "next": next,
        "complete": own.complete,
    })))
}

fn entry(own: &OwnFactor) -> Value {
    let role = match own.role {
        Role::First => "first",
        Role::Second => "second",
    };
    let mut entry = Map::new();
    entry.insert("id".to_owned(), own.factor.as_str().into());
    entry.insert("role".to_owned(), role.into());
    let more = [
        ("contact", own.contact.clone().map(Value::from)),
        ("addedAt", own.added_at.map(|at| at.as_ms().into())),
        ("completedAt", own.completed_at.map(|at| at.as_ms().into())),
    ];
    for (name, value) in more {
        // What is not known is left out: to clients, `null` is a value.
        if let Some(value) = value {
            entry.insert(name.to_owned(), value);
        }
    }
    entry.into()
}
