//! What `build()` and the compiler say to a mistake.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use stepup_core::config::Config;
use stepup_core::delivery::{Channel, Deliver, DeliveryError, Message};
use stepup_core::entropy::OsEntropy;
use stepup_core::error::Source;
use stepup_core::factor::password::Password;
use stepup_core::factor::passwordless::{Countries, Means, Passwordless};
use stepup_core::id::{FactorId, KeyId};
use stepup_core::keyring::{Root, SecretList};
use stepup_core::policy::{EnrollmentMode, Policy, any_of};
use stepup_core::profile::Profile;
use stepup_core::record::user::User;
use stepup_core::session::claim::ClaimSource;
use stepup_core::session::keys::SigningAlgorithm;
use stepup_core::storage::memory::MemoryStore;
use stepup_core::tenant::Tenant;
use stepup_core::{AppInfo, BuildError, Builder, Stepup};
use stepup_delivery::{BackgroundThread, Console, Outbox};

fn secrets() -> SecretList {
    SecretList::new(vec![Root::random(KeyId::from("k1"), &OsEntropy).unwrap()])
}

fn problems(error: BuildError) -> Vec<String> {
    match error {
        BuildError::Config(problems) => problems,
        fault => panic!("{fault:?}"),
    }
}

#[derive(Debug)]
struct Claim(&'static str);

#[async_trait]
impl ClaimSource for Claim {
    fn key(&self) -> &str {
        self.0
    }

    async fn fetch(&self, _: &User) -> Result<Option<Value>, Source> {
        Ok(None)
    }
}

/// Leaves this machine, and carries text messages only.
#[derive(Debug)]
struct Provider;

#[async_trait]
impl Deliver for Provider {
    fn carries(&self, channel: Channel) -> bool {
        channel == Channel::Sms
    }

    async fn deliver(&self, _: &Message) -> Result<(), DeliveryError> {
        Ok(())
    }
}

#[tokio::test]
async fn every_problem_of_a_configuration_is_named_at_once() {
    let app = AppInfo::new("", "http://api.acme.test", "acme");
    let weak = SecretList::new(vec![Root {
        id: KeyId::from("k1"),
        key: vec![7; 32].into_secret(),
    }]);
    let error = Stepup::builder(app, Arc::new(MemoryStore::new()), weak)
        .factor(Password::new())
        .factor(Password::new())
        .factor(Passwordless::sms(Provider))
        .notices(Provider)
        .policy(Policy::second_factor(any_of([FactorId::from_static("totp")])))
        .claim(Claim("st-mfa"))
        .claim(Claim("role"))
        .claim(Claim("role"))
        .configure(|config| {
            config.codes.digits = 4;
            config.codes.resend_cap = Duration::ZERO;
            config.limits.scale = 10;
            config.limits.sign_in.window = Duration::ZERO;
        })
        .build()
        .await
        .unwrap_err();
    // As `main` shows it: a line for each.
    let shown = format!("{error:?}");
    assert!(shown.starts_with("the configuration is wrong:\n  - "), "{shown}");
    assert!(
        shown.lines().skip(1).all(|line| line.starts_with("  - ")),
        "{shown}"
    );
    assert!(!shown.contains("Config(") && !shown.contains('['), "{shown}");
    let problems = problems(error).join("\n");
    for expected in [
        "application's name",
        "website domain",
        "plain http",
        "codes.digits",
        "codes.resend_cap",
        "limits.scale",
        "limits.sign_in must",
        "no background",
        "twice",
        "countries",
        "no e-mail",
        "totp",
        "st-mfa is reserved",
        "role is used twice",
    ] {
        assert!(
            problems.contains(expected),
            "{expected} is missing in\n{problems}"
        );
    }
    // The weak key is named too, and shows nothing of itself.
    assert!(problems.lines().count() >= 15, "{problems}");
    assert_eq!(problems.lines().count(), shown.lines().count() - 1);
}

trait IntoSecret {
    fn into_secret(self) -> stepup_core::secret::Secret<Vec<u8>>;
}

impl IntoSecret for Vec<u8> {
    fn into_secret(self) -> stepup_core::secret::Secret<Vec<u8>> {
        stepup_core::secret::Secret::new(self)
    }
}

#[tokio::test]
async fn a_sec_15_a_carrier_that_shows_codes_is_refused_off_this_machine() {
    let build = async |danger: bool| {
        let app = AppInfo::new("Acme", "https://api.acme.test", "https://acme.test");
        let builder = Stepup::builder(app, Arc::new(MemoryStore::new()), secrets())
            .factor(Password::new())
            .factor(Passwordless::sms(Console).countries(Countries::All))
            .notices(Outbox::new())
            .policy(Policy::second_factor(any_of([FactorId::OTP_PHONE])))
            .background(BackgroundThread::start().unwrap());
        let builder = if danger {
            builder.danger_print_codes()
        } else {
            builder
        };
        builder.build().await
    };
    let problems = problems(build(false).await.unwrap_err());
    assert_eq!(problems.len(), 1);
    assert!(problems[0].contains("danger_print_codes"), "{problems:?}");
    assert!(build(true).await.is_ok());
}

#[tokio::test]
async fn a_sec_16_a_store_of_another_secret_is_refused() {
    let store = Arc::new(MemoryStore::new());
    let build = async |secrets: SecretList| {
        let app = AppInfo::new("Acme", "http://localhost:1", "http://localhost:1");
        let builder = Stepup::builder(app, store.clone(), secrets).factor(Password::new());
        builder
            .background(BackgroundThread::start().unwrap())
            .build()
            .await
    };
    let (first, second) = (secrets(), secrets());
    build(SecretList::parse(first.to_text().expose()).unwrap())
        .await
        .unwrap();
    let problems = problems(build(second).await.unwrap_err());
    assert!(problems.iter().any(|p| p.contains("secret")), "{problems:?}");
    build(first).await.unwrap();
}

#[cfg(compile_fail)]
fn a_route_that_asks_for_nonsense() {
    fn ask<R: stepup_core::require::Requirement>() {}
    ask::<(stepup_core::require::Require2fa, u8)>();
}

#[test]
fn the_compiler_names_what_a_session_can_be_asked_for() {
    // Only this file is compiled with the flag, in check mode: what it needs is there from linting.
    let output = Command::new(env!("CARGO"))
        .args([
            "rustc",
            "--quiet",
            "-p",
            "stepup-tests",
            "--test",
            "builder",
            "--profile",
            "check",
            "--",
            "--cfg",
            "compile_fail",
        ])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "nonsense compiled");
    assert!(
        said.contains("`u8` is not something a session can be asked for"),
        "{said}"
    );
    assert!(
        said.contains("use `AnySession`, `SitePolicy`, `Require2fa`"),
        "{said}"
    );
}

#[tokio::test]
async fn every_problem_of_every_tenant_is_named_at_once() {
    let app = AppInfo::new("Acme", "http://localhost:1", "http://localhost:1");
    let error = Stepup::builder(app, Arc::new(MemoryStore::new()), secrets())
        .factor(Passwordless::sms(Outbox::new()))
        .notices(Outbox::new())
        .background(BackgroundThread::start().unwrap())
        .tenants([
            Tenant::new("signin"),
            Tenant::new("a_b"),
            Tenant::new("acme").policy(Policy::second_factor(any_of([]))),
            Tenant::new("acme").policy(Policy::second_factor(any_of([FactorId::from_static("totp")]))),
            Tenant::new("globex").first_factors([
                FactorId::EMAIL_PASSWORD,
                FactorId::from_static("webauthn"),
                FactorId::from_static("smartcard"),
            ]),
        ])
        .build()
        .await
        .unwrap_err();
    let problems = problems(error);
    let expected = [
        "\"signin\" cannot be a tenant's id",
        "\"a_b\" cannot be a tenant's id",
        "acme is there twice",
        "tenant acme demands a second factor and accepts none",
        "tenant acme accepts totp",
        "tenant globex takes emailpassword",
        "tenant globex takes webauthn",
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:?}");
    for text in expected {
        assert!(
            problems.iter().any(|p| p.contains(text)),
            "{text} is missing in {problems:?}"
        );
    }
}

fn of(profile: Profile, policy: Policy) -> Builder {
    let app = AppInfo::new("Acme", "http://localhost:1", "http://localhost:1");
    Stepup::builder(app, Arc::new(MemoryStore::new()), secrets())
        .factor(Password::new())
        .factor(Passwordless::sms(Outbox::new()))
        .notices(Outbox::new())
        .background(BackgroundThread::start().unwrap())
        .policy(policy)
        .profile(profile)
}

#[tokio::test]
async fn a_profile_sets_numbers_and_what_is_configured_after_it_has_the_last_word() {
    let demanding = || Policy::second_factor(any_of([FactorId::OTP_PHONE]));
    for profile in Profile::ALL {
        let stepup = of(profile, demanding()).build().await.unwrap();
        let mut expected = Config::default();
        profile.apply(&mut expected);
        assert_eq!(
            format!("{:?}", stepup.config()),
            format!("{expected:?}"),
            "{profile:?}"
        );
        let algorithm = if profile == Profile::Supertokens {
            "RS256"
        } else {
            "ES256"
        };
        assert_eq!(stepup.signing_algorithm(), algorithm);
    }
    let idle = Duration::from_secs(1_800);
    let stepup = of(Profile::Aal2, demanding())
        .signing(SigningAlgorithm::EdDsa)
        .configure(|config| config.sessions.idle = idle)
        .build()
        .await
        .unwrap();
    assert_eq!(stepup.config().sessions.idle, idle);
    assert_eq!(stepup.signing_algorithm(), "EdDSA");
    let late = of(Profile::Default, demanding())
        .configure(|config| config.sessions.idle = idle)
        .profile(Profile::Aal2);
    let problems = problems(late.build().await.unwrap_err());
    assert!(
        problems.len() == 1 && problems[0].contains("call profile() first"),
        "{problems:?}"
    );
}

#[tokio::test]
async fn a_profile_names_the_policies_that_do_not_go_with_it() {
    let phone = || Policy::second_factor(any_of([FactorId::OTP_PHONE]));
    for (profile, policy, problem) in [
        (
            Profile::Aal2,
            Policy::when_enrolled(),
            "aal2 needs policies that demand",
        ),
        (
            Profile::Aal2,
            phone().on_routes_only(),
            "aal2 needs policies that demand",
        ),
        (
            Profile::SafeEnumeration,
            phone().with_enrollment(EnrollmentMode::InSignUpSession),
            "have no session at sign-up",
        ),
    ] {
        let problems = problems(of(profile, policy).build().await.unwrap_err());
        assert!(
            problems.len() == 1 && problems[0].contains(problem),
            "{problems:?}"
        );
    }
    let lax = of(Profile::Aal2, phone()).tenants([Tenant::new("lax").policy(Policy::when_enrolled())]);
    assert_eq!(problems(lax.build().await.unwrap_err()).len(), 1);
    let app = AppInfo::new("Acme", "http://localhost:1", "http://localhost:1");
    let untold = Stepup::builder(app, Arc::new(MemoryStore::new()), secrets())
        .factor(Password::new())
        .background(BackgroundThread::start().unwrap())
        .profile(Profile::SafeEnumeration);
    let problems = problems(untold.build().await.unwrap_err());
    assert!(
        problems.len() == 1 && problems[0].contains("need .notices"),
        "{problems:?}"
    );
}

fn with_mailboxes(policy: Policy) -> Builder {
    let app = AppInfo::new("Acme", "http://localhost:1", "http://localhost:1");
    Stepup::builder(app, Arc::new(MemoryStore::new()), secrets())
        .factor(Password::new())
        .factor(Passwordless::sms(Outbox::new()))
        .factor(Passwordless::email(Outbox::new()))
        .notices(Outbox::new())
        .background(BackgroundThread::start().unwrap())
        .policy(policy)
}

#[tokio::test]
async fn a_code_by_mail_is_a_second_factor_but_not_by_the_profile_aal2() {
    let mail = || Policy::second_factor(any_of([FactorId::OTP_PHONE, FactorId::OTP_EMAIL]));
    let phone = || Policy::second_factor(any_of([FactorId::OTP_PHONE]));
    for profile in [Profile::Default, Profile::Strict, Profile::SafeEnumeration] {
        with_mailboxes(mail()).profile(profile).build().await.unwrap();
    }
    let aal2 = |policy| with_mailboxes(policy).profile(Profile::Aal2);
    aal2(phone()).build().await.unwrap();
    for builder in [
        aal2(mail()),
        aal2(phone()).tenants([Tenant::new("lax").policy(mail())]),
    ] {
        let problems = problems(builder.build().await.unwrap_err());
        assert!(
            problems.len() == 1 && problems[0].contains("aal2 takes no codes by e-mail"),
            "{problems:?}"
        );
    }
}

#[tokio::test]
async fn a_link_is_no_second_factor() {
    for (link, code) in [
        (FactorId::LINK_PHONE, "otp-phone"),
        (FactorId::LINK_EMAIL, "otp-email"),
    ] {
        let policy = Policy::second_factor(any_of([link.clone()]));
        let problems = problems(with_mailboxes(policy).build().await.unwrap_err());
        assert_eq!(
            problems,
            [format!(
                "the policy accepts {link}, and a link is no second factor: accept {code}"
            )]
        );
    }
    for means in [Means::Link, Means::Both] {
        let app = AppInfo::new("Acme", "http://localhost:1", "http://localhost:1");
        let builder = Stepup::builder(app, Arc::new(MemoryStore::new()), secrets())
            .factor(Passwordless::email(Outbox::new()).means(means))
            .notices(Outbox::new())
            .background(BackgroundThread::start().unwrap());
        let problems = problems(builder.build().await.unwrap_err());
        assert!(
            problems.len() == 1 && problems[0].contains("a second factor is always a code"),
            "{problems:?}"
        );
    }
}
