//! Claims of the application's own: `role`, fetched when asked for; `level`, at most a minute old; `terms`, which the
//! application sets and the site may ask of every route; `zeta`, which says nothing.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stepup::{ArrayClaim, BooleanClaim, ClaimKey, PrimitiveClaim, Requirement, Rule};

pub const MINUTE: Duration = Duration::from_secs(60);

/// What the application's table says, and how often it was asked.
#[derive(Debug, Default)]
pub struct Table {
    pub roles: Mutex<Vec<String>>,
    pub asked: AtomicU32,
    pub broken: AtomicBool,
}

pub fn roles_of(table: Arc<Table>) -> ArrayClaim<String> {
    ArrayClaim::new("role", move |_| {
        let table = table.clone();
        async move {
            table.asked.fetch_add(1, Ordering::SeqCst);
            if table.broken.load(Ordering::SeqCst) {
                return Err("the table is gone".into());
            }
            Ok(Some(table.roles.lock().unwrap().clone()))
        }
    })
    .when_asked()
}

pub fn roles() -> ArrayClaim<String> {
    ArrayClaim::set_only("role")
}

pub fn level() -> PrimitiveClaim<i64> {
    PrimitiveClaim::new("level", |_| async { Ok(Some(7)) }).with_max_age(MINUTE)
}

pub fn terms() -> BooleanClaim {
    BooleanClaim::set_only("terms")
}

pub fn zeta() -> PrimitiveClaim<i64> {
    PrimitiveClaim::set_only("zeta")
}

pub struct Admin;

impl Requirement for Admin {
    fn rule() -> Rule {
        roles().includes("admin").into()
    }
}

pub struct RecentAdmin;

impl Requirement for RecentAdmin {
    fn rule() -> Rule {
        roles().includes("admin").within(MINUTE).into()
    }
}

pub struct Seven;

impl Requirement for Seven {
    fn rule() -> Rule {
        level().is(7).into()
    }
}

pub struct Anything;

impl Requirement for Anything {
    fn rule() -> Rule {
        stepup::ClaimRule::own("zeta", |_| Ok(())).into()
    }
}

pub struct Terms;

impl ClaimKey for Terms {
    const KEY: &'static str = "terms";
}
