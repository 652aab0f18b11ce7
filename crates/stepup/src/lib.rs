//! Sign-in with a real second factor for Rust web applications: the one crate to depend on.
//!
//! ```ignore (needs carriers of its own; docs/quick-start.md is compiled)
//! let stepup = Stepup::builder(AppInfo::new("Acme", api_origin, website_origin), store, secrets)
//!     .factor(Password::new())
//!     .factor(Passwordless::sms(carrier).countries(Countries::only(["CH", "DE"])))
//!     .policy(Policy::second_factor(any_of([FactorId::OTP_PHONE])))
//!     .notices(mail)
//!     .background(BackgroundThread::start()?)
//!     .build()
//!     .await?;
//! let app = Router::new()
//!     .route("/secret", get(secret))
//!     .merge(stepup::axum::routes(&stepup)) // everything under /auth
//!     .layer(stepup::axum::layer(&stepup)); // cookies, headers and CORS, on every status
//!
//! async fn secret(session: Session<Require2fa>) -> String {
//!     format!("hello {}", session.user_id()) // nobody gets here with a password alone
//! }
//! ```
//!
//! Begin at [`Stepup::builder`]; what can be given is on [`Builder`], the numbers are in [`config`]. The repository's quick
//! start has the whole program.
//!
//! | feature | brings |
//! |---|---|
//! | `actix` | the module `actix`: extractors, endpoints and the middleware for Actix Web |
//! | `axum` | the module `axum`: extractors, routes and the layer for Axum |
//! | `rocket` | the module `rocket`: request guards and the fairing for Rocket |
//! | `sqlite` | the module `sqlite`: storage in an SQLite file |
//! | `verify` | the module `verify`: the same guards in services beside the site, without a database |
//! | `oauth` | the module `oauth`: "continue with a provider", OpenID Connect and OAuth 2 |
//! | `smtp`, `twilio`, `vonage`, `sns`, `webhook` | in the module `delivery`: e-mail, text messages, and a service of the application's own |
//!
//! The crates behind it can be depended on one by one; this one only gathers them.

#[cfg(feature = "actix")]
pub use stepup_actix as actix;
#[cfg(feature = "axum")]
pub use stepup_axum as axum;
#[cfg(feature = "oauth")]
pub use stepup_oauth as oauth;
#[cfg(feature = "rocket")]
pub use stepup_rocket as rocket;
#[cfg(feature = "sqlite")]
pub use stepup_sqlx as sqlite;
#[cfg(feature = "verify")]
pub use stepup_verify as verify;

pub use stepup_core::config::EmailVerification;
pub use stepup_core::delivery::{Channel, Deliver, DeliveryError, Message, UserDirectory};
pub use stepup_core::digest::{FirebaseKey, ForeignCost, HashParams};
pub use stepup_core::factor::password::Password;
pub use stepup_core::factor::passwordless::{Countries, Means, Passwordless};
pub use stepup_core::factor::third_party::{Linking, ThirdParty};
pub use stepup_core::flow::{Changed, External};
pub use stepup_core::id::{FactorId, SessionHandle, TenantId, UserId};
pub use stepup_core::keyring::{SecretList, Secrets};
pub use stepup_core::language::Language;
pub use stepup_core::password::PasswordRule;
pub use stepup_core::policy::{EnrollmentMode, Policy, any_of};
pub use stepup_core::profile::Profile;
pub use stepup_core::provider::Provider;
pub use stepup_core::record::user::User;
pub use stepup_core::require::{
    AnySession, ClaimKey, Fresh, OnlyThese, Or, Require2fa, Requirement, SitePolicy, VerifiedEmail, Without,
};
pub use stepup_core::rule::{ClaimRule, Rule};
pub use stepup_core::secret_file::SecretFile;
pub use stepup_core::session::claim::{ArrayClaim, BooleanClaim, Claim, PrimitiveClaim};
pub use stepup_core::tenant::{Tenant, Tenants};
pub use stepup_core::{AppInfo, BuildError, Builder, Ending, Stepup};
pub use stepup_core::{config, desk, event, flow, hook, import, password, rule, session, storage, time};
pub use stepup_delivery as delivery;
pub use stepup_wire as wire;
