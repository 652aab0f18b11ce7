//! The tables that the rules read.

/// What one of our crates may import. Dev-dependencies and test code are free.
#[derive(Debug)]
pub(crate) struct Row {
    /// The crate.
    pub(crate) name: &'static str,
    /// Those of our crates that it may know.
    pub(crate) ours: &'static [&'static str],
    /// What it may know of the rest of the world.
    pub(crate) others: Others,
    /// The modules of core that it may name, where it may not name all of them.
    pub(crate) core: Option<&'static [&'static str]>,
}

/// What a crate may know of other people's crates.
#[derive(Debug)]
pub(crate) enum Others {
    /// These alone.
    Only(&'static [&'static str]),
    /// All but those of these groups.
    Not(&'static [&'static [&'static str]]),
}

use Others::{Not, Only};

/// Who may import whom.
#[rustfmt::skip]
pub(crate) const CRATES: &[Row] = &[
    of("stepup-core",     &[],                            Not(&[HTTP, FRAMEWORKS, DATABASES, RUNTIMES])),
    of("stepup-oauth",    &["stepup-core"],               Not(&[FRAMEWORKS, DATABASES])),
    of("stepup-webauthn", &["stepup-core"],               Not(&[FRAMEWORKS, DATABASES])),
    of("stepup-sqlx",     &["stepup-core"],               Not(&[HTTP, FRAMEWORKS])).but_of_core(DATABASE),
    of("stepup-redis",    &["stepup-core"],               Not(&[HTTP, FRAMEWORKS])).but_of_core(STORAGE),
    of("stepup-delivery", &["stepup-core"],               Not(&[FRAMEWORKS, DATABASES])).but_of_core(DELIVERY),
    of("stepup-wire",     &["stepup-core"],               Not(&[FRAMEWORKS, DATABASES, RUNTIMES])),
    of("stepup-verify",   &["stepup-core", "stepup-wire"], Not(&[FRAMEWORKS, DATABASES])),
    of("stepup-ui",       &["stepup-core", "stepup-wire"], Not(&[FRAMEWORKS, DATABASES, RUNTIMES])),
    of("stepup-axum",     &["stepup-wire"],               Only(&["axum", "bytes", "http", "http-body", "pin-project-lite", "tower", "tower-layer", "tower-service"])),
    of("stepup-actix",    &["stepup-wire"],               Only(&["actix-web", "futures-util", "http", "http-body"])),
    of("stepup-rocket",   &["stepup-wire"],               Only(&["bytes", "http", "rocket"])),
    of("stepup-cli",      &["stepup-core", "stepup-delivery", "stepup-sqlx"], Not(&[FRAMEWORKS])),
    of("stepup-testkit",  &["stepup-core", "stepup-wire"], Not(&[FRAMEWORKS, DATABASES])),
    of("stepup",          FACADE,                         Only(&[])),
];

/// All but the testkit, which is for tests, and the command line tool.
#[rustfmt::skip]
const FACADE: &[&str] = &[
    "stepup-actix", "stepup-axum", "stepup-core", "stepup-delivery", "stepup-oauth", "stepup-redis", "stepup-rocket", "stepup-sqlx",
    "stepup-ui", "stepup-verify", "stepup-webauthn", "stepup-wire",
];

/// What a store may know of core: the traits it implements, and the records these speak of.
const STORAGE: &[&str] = &["error", "evidence", "id", "record", "secret", "storage", "time"];

/// What a crate of one kind of database may know: a store, and the directory that reads the application's own table.
const DATABASE: &[&str] = &[
    "delivery", "error", "evidence", "id", "record", "secret", "storage", "time",
];

/// What a delivery may know of core: the ports it stands behind, and what these speak of.
const DELIVERY: &[&str] = &["app", "background", "delivery", "error", "id", "secret", "time"];

#[rustfmt::skip]
const HTTP: &[&str] = &[
    "http", "http-body", "http-body-util", "hyper", "hyper-util", "reqwest", "tower", "tower-http", "tower-layer", "tower-service", "ureq",
];

#[rustfmt::skip]
const FRAMEWORKS: &[&str] = &[
    "actix-http", "actix-rt", "actix-service", "actix-web", "axum", "axum-core", "axum-extra", "poem", "rocket", "salvo", "warp",
];

#[rustfmt::skip]
const DATABASES: &[&str] = &[
    "deadpool-postgres", "diesel", "fred", "libsqlite3-sys", "mysql_async", "redis", "rusqlite", "sea-orm", "sqlx", "sqlx-core", "tokio-postgres",
];

const RUNTIMES: &[&str] = &["async-std", "smol", "tokio", "tokio-util"];

const fn of(name: &'static str, ours: &'static [&'static str], others: Others) -> Row {
    Row {
        name,
        ours,
        others,
        core: None,
    }
}

impl Row {
    const fn but_of_core(self, modules: &'static [&'static str]) -> Self {
        Self {
            core: Some(modules),
            ..self
        }
    }
}

/// The row of a crate.
pub(crate) fn row(name: &str) -> Option<&'static Row> {
    CRATES.iter().find(|row| row.name == name)
}

/// Floors of core, lowest first. A file imports from lower floors only, not from its neighbors; a folder's `mod.rs` and the
/// files beside it may use each other, but through it these do not reach one another. A file that needs its neighbor gets
/// a floor of its own above it. Files that do not exist yet are reserved places.
#[rustfmt::skip]
pub(crate) const FLOORS: &[(&str, &[&str])] = &[
    ("ids and time",       &["app.rs", "entropy.rs", "id.rs", "language.rs", "network.rs", "secret.rs", "time.rs"]),
    ("contacts",           &["contact/mod.rs", "contact/email.rs", "contact/phone.rs"]),
    ("words",              &["background.rs", "config.rs", "config/provider.rs", "error.rs", "digest/fault.rs", "event.rs", "evidence.rs", "password.rs"]),
    ("records",            &["record/mod.rs", "record/counter.rs", "record/credential.rs", "record/key.rs", "record/notice.rs", "record/user.rs"]),
    ("records with parts", &["record/challenge.rs", "record/session.rs"]),
    ("ports",              &["delivery.rs", "offload.rs", "provider.rs", "storage/mod.rs"]),
    ("reference store",    &["storage/memory.rs", "storage/memory/flows.rs"]),
    ("hashes",             &["digest/argon.rs", "digest/foreign.rs"]),
    ("work of hashes",     &["digest/effort.rs"]),
    // Pure judgements of records; sessions and flows ask them.
    ("policy",             &["policy.rs", "rule.rs"]),
    ("policy as types",    &["require.rs", "tenant.rs"]),
    ("tools",              &["digest.rs", "json.rs", "keyring.rs", "session/remembered.rs", "session/signature.rs"]),
    ("throttles, keys",    &["import.rs", "limit.rs", "secret_file.rs", "session/keys.rs", "session/verified.rs"]),
    ("access tokens",      &["profile.rs", "session/access.rs", "session/key_set.rs", "session/watch.rs"]),
    ("factors",            &["factor/mod.rs", "factor/password.rs", "factor/passwordless.rs", "factor/third_party.rs", "factor/recovery.rs", "factor/totp.rs",
    /* and sessions */       "session/mod.rs", "session/claim.rs", "session/refresh.rs", "session/revocation.rs",
    /* and devices */        "device.rs"]),
    ("claims of ours",     &["email.rs"]),
    ("callers",            &["caller.rs"]),
    ("hooks",              &["hook.rs"]),
    ("parts",              &["parts.rs"]),
    ("deliveries",         &["flow/dispatch.rs"]),
    ("flow",               &["flow/mod.rs", "flow/link.rs", "flow/session.rs", "flow/upkeep.rs"]),
    ("flow of passwords",  &["flow/password.rs"]),
    ("flow of accounts",   &["flow/account.rs", "flow/claim.rs", "flow/mailbox.rs"]),
    ("flow of leave",      &["flow/leave.rs"]),
    ("flow of factors",    &["flow/code.rs", "flow/moved.rs", "flow/own.rs", "flow/user.rs"]),
    ("flow of answers",    &["flow/answer.rs", "flow/contact.rs", "flow/export.rs", "flow/import.rs", "flow/info.rs", "flow/kept.rs", "flow/key.rs", "flow/update.rs"]),
    ("flow of open codes", &["flow/change.rs", "flow/identity.rs", "flow/pending.rs", "flow/readdress.rs", "flow/reset.rs", "flow/undo.rs"]),
    ("desk",               &["desk.rs"]),
    ("flow of strangers",  &["flow/first.rs", "flow/third_party.rs", "flow/verify.rs"]),
    ("Stepup",             &["builder.rs", "builder/check.rs", "stepup.rs", "stepup/admit.rs", "stepup/claims.rs", "stepup/ended.rs", "stepup/turn.rs", "stepup/users.rs"]),
    ("more of Stepup",     &["stepup/contact.rs", "stepup/first.rs", "stepup/reset.rs", "stepup/leave.rs", "stepup/third_party.rs", "stepup/undo.rs", "stepup/verify.rs"]),
    ("verifying elsewhere", &["verifier.rs"]),
    ("front door",         &["lib.rs"]),
];

/// Files that name each other all the same: two sides of one thing.
pub(crate) const PAIRS: &[(&str, &str)] = &[
    ("builder.rs", "stepup.rs"),
    // A hook is handed stepup, which holds the parts, which hold the hooks.
    ("hook.rs", "parts.rs"),
    ("hook.rs", "stepup.rs"),
    // The parts hold when upkeep is due next, which is read by nobody else.
    ("parts.rs", "flow/upkeep.rs"),
];

/// The one file that reads the system clock.
pub(crate) const CLOCK: &str = "crates/stepup-core/src/time.rs";

/// Files of the store that may hand a string that is no literal to the database. Each must make it from constants.
pub(crate) const MAY_BUILD_SQL: &[&str] = &[];

/// Crates that only convert between a framework and `stepup-wire`.
pub(crate) const ADAPTERS: &[&str] = &["stepup-actix", "stepup-axum", "stepup-rocket"];

/// Most lines of a source file.
pub(crate) const FILE_LINES: usize = 700;

/// Files that are over it, and what they may grow to until they are taken apart. A row that is needed no more is refused.
pub(crate) const LONG_FILES: &[(&str, usize)] = &[
    ("crates/stepup-core/src/session/access/tests.rs", 1300),
    ("crates/stepup-testkit/src/suite/storage/flows.rs", 800),
];

/// An adapter has fewer lines than this.
pub(crate) const ADAPTER_LINES: usize = 500;
