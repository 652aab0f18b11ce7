//! What is kept about a user, for the user: everything but secrets.

use serde_json::{Value, json};

use crate::error::Fault;
use crate::flow::user;
use crate::id::{TenantId, UserId};
use crate::parts::Parts;
use crate::record::credential::{Credential, CredentialKind};
use crate::record::session::{Origin, Session};
use crate::record::user::{User, UserState};

/// Everything about a user as one JSON object, times in milliseconds; none for an unknown user and for a tombstone, of
/// which nothing is kept. Digests, hashes and whatever is sealed stay where they are.
pub(crate) async fn export(parts: &Parts, tenant: &TenantId, id: &UserId) -> Result<Option<Value>, Fault> {
    let row = parts.store.user(tenant, id).await?;
    let Some(row) = row.filter(|row| row.state != UserState::Deleted) else {
        return Ok(None);
    };
    let mut credentials = Vec::new();
    for kind in CredentialKind::ALL {
        credentials.extend(parts.store.credentials(tenant, id, kind).await?);
    }
    let sessions = parts.store.sessions(tenant, id, parts.now()).await?;
    let metadata = user::metadata(parts, tenant, id).await?;
    Ok(Some(json!({
        "user": of_user(&row),
        "metadata": metadata,
        "credentials": credentials.iter().map(of_credential).collect::<Vec<_>>(),
        "sessions": sessions.iter().map(of_session).collect::<Vec<_>>(),
    })))
}

fn of_user(user: &User) -> Value {
    let methods: Vec<Value> = user
        .methods
        .iter()
        .map(|method| {
            let mut told = json!({
                "id": method.id.as_str(),
                "factor": method.factor.as_str(),
                "email": method.email,
                "phone": method.phone,
                "verified": method.verified,
                "joinedAt": method.joined_at.as_ms(),
            });
            if let (Some(there), Some(told)) = (&method.third_party, told.as_object_mut()) {
                told.insert("thirdParty".to_owned(), json!(there));
            }
            told
        })
        .collect();
    let enrolled: Vec<Value> = user
        .summary
        .enrolled
        .iter()
        .map(|factor| {
            json!({
                "factor": factor.factor.as_str(),
                "credential": factor.credential.as_str(),
                "contact": factor.contact,
                "enrolledAt": factor.at.as_ms(),
            })
        })
        .collect();
    json!({
        "tenant": user.tenant.as_str(),
        "id": user.id.as_str(),
        "state": user.state.as_str(),
        "createdAt": user.created_at.as_ms(),
        "methods": methods,
        "secondFactors": enrolled,
        "requiredFactors": user.summary.required,
    })
}

fn of_credential(credential: &Credential) -> Value {
    json!({
        "kind": credential.kind.as_str(),
        "id": credential.id.as_str(),
        "public": credential.public,
        "createdAt": credential.created_at.as_ms(),
    })
}

fn of_session(session: &Session) -> Value {
    let factors: serde_json::Map<String, Value> = session
        .factors
        .iter()
        .map(|(factor, completion)| (factor.as_str().to_owned(), completion.at.as_ms().into()))
        .collect();
    let refreshed = session.chain.rotated.as_ref();
    json!({
        "handle": session.handle.as_str(),
        "createdAt": session.created_at.as_ms(),
        "endsAt": session.end().as_ms(),
        "factors": factors,
        "payload": session.payload,
        "from": of_origin(&session.origin),
        "refreshedAt": refreshed.map(|rotation| rotation.at.as_ms()),
        "refreshedFrom": refreshed.map(|rotation| of_origin(&rotation.origin)),
    })
}

fn of_origin(origin: &Origin) -> Value {
    json!({ "network": origin.network, "userAgent": origin.agent })
}
