//! The environment of the example servers.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use stepup::config::{Config, EmailVerification};
use stepup::delivery::{Smtp, Twilio};
use stepup::oauth::OpenIdProvider;
use stepup::session::keys::SigningAlgorithm;
use stepup::wire::core::secret::Secret;
use stepup::{FactorId, Profile};

use crate::{carriers, provider};

/// What the environment says; the defaults run the demo on this machine.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen. Port 0 picks a free one.
    pub listen: SocketAddr,
    /// The database's URL.
    pub database: String,
    /// Public origin of the API; `http://localhost:PORT` if none.
    pub api_domain: Option<String>,
    /// Public origin of the website; the same.
    pub website_domain: Option<String>,
    /// These sign in.
    pub first_factors: Vec<FactorId>,
    /// Any one of these is demanded as the second factor.
    pub second_factors: Vec<FactorId>,
    /// Tenants beside the public one.
    pub tenants: Vec<String>,
    /// Key material; made at the first start if none.
    pub secret: Option<Secret<String>>,
    /// `Domain` of the session cookies.
    pub cookie_domain: Option<String>,
    /// A former one.
    pub cookie_domain_older: Option<String>,
    /// Addresses whose sessions get the claim `role`.
    pub admins: Vec<String>,
    /// How access tokens are signed; as the profile says if nothing.
    pub signing: Option<SigningAlgorithm>,
    /// A set of numbers.
    pub profile: Profile,
    /// What is made of whether an address was verified.
    pub email_verification: EmailVerification,
    /// Countries that may be sent to; everywhere if none.
    pub sms_countries: Option<Vec<String>>,
    /// Who sends text messages; the console if nobody.
    pub twilio: Option<Twilio>,
    /// Who sends e-mail; the same.
    pub smtp: Option<Smtp>,
    /// Who else signs people in, "Example"; nobody if none.
    pub provider: Option<Arc<OpenIdProvider>>,
    /// Proxies whose forwarding headers are believed.
    pub trusted_proxies: Vec<String>,
    /// Opens `POST /dev/clock`.
    pub dev_clock: bool,
    /// Multiplies every throttle.
    pub throttle_scale: u32,
    /// Changes numbers that no variable names: for tests.
    pub configure: fn(&mut Config),
}

/// Variables of parts that are not built yet. Setting one must not look as if it worked.
const NOT_BUILT: [&str; 1] = ["STEPUP_REDIS_URL"];

/// What can sign in.
const FIRST_FACTORS: [FactorId; 6] = [
    FactorId::EMAIL_PASSWORD,
    FactorId::THIRD_PARTY,
    FactorId::OTP_PHONE,
    FactorId::OTP_EMAIL,
    FactorId::LINK_PHONE,
    FactorId::LINK_EMAIL,
];

/// What can be a second factor.
const SECOND_FACTORS: [FactorId; 2] = [FactorId::OTP_PHONE, FactorId::OTP_EMAIL];

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// A sentence for each variable that cannot be used.
    pub fn from_env() -> Result<Self, Vec<String>> {
        Self::read(|name| std::env::var(name).ok().filter(|value| !value.trim().is_empty()))
    }

    /// Reads them from anywhere.
    ///
    /// # Errors
    /// As [`Settings::from_env`].
    pub fn read(var: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<String>> {
        let mut problems: Vec<String> = NOT_BUILT
            .iter()
            .filter(|name| var(name).is_some())
            .map(|name| format!("{name}: not built yet"))
            .collect();
        let list = |name: &str| -> Vec<String> {
            let text = var(name).unwrap_or_default();
            text.split(',')
                .map(|item| item.trim().to_owned())
                .filter(|item| !item.is_empty())
                .collect()
        };

        let listen = var("STEPUP_LISTEN").unwrap_or_else(|| "127.0.0.1:3000".to_owned());
        let listen = listen.parse().unwrap_or_else(|_| {
            problems.push("STEPUP_LISTEN must be an address and port like 127.0.0.1:3000".to_owned());
            SocketAddr::from(([127, 0, 0, 1], 3000))
        });
        let database =
            var("STEPUP_DATABASE_URL").unwrap_or_else(|| "sqlite://demo.sqlite?mode=rwc".to_owned());
        if !database.starts_with("sqlite:") {
            problems.push("STEPUP_DATABASE_URL: only sqlite: is built yet".to_owned());
        }
        let mut first_factors = Vec::new();
        for first in list("STEPUP_FIRST_FACTORS") {
            match FIRST_FACTORS.iter().find(|factor| factor.as_str() == first) {
                Some(factor) => first_factors.push(factor.clone()),
                None => problems.push(format!("STEPUP_FIRST_FACTORS: {first} is not built yet")),
            }
        }
        let provider = provider::read(&var).unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        if first_factors.is_empty() {
            first_factors.push(FactorId::EMAIL_PASSWORD);
            first_factors.extend(provider.iter().map(|_| FactorId::THIRD_PARTY));
        } else if first_factors.contains(&FactorId::THIRD_PARTY) && provider.is_none() {
            problems.push("STEPUP_FIRST_FACTORS: thirdparty needs STEPUP_OIDC_ISSUER".to_owned());
        }
        let mut second_factors = Vec::new();
        for second in list("STEPUP_SECOND_FACTORS") {
            match SECOND_FACTORS.iter().find(|factor| factor.as_str() == second) {
                Some(factor) => second_factors.push(factor.clone()),
                // It would be opened without the session that it is to complete.
                None if second.starts_with("link-") => {
                    problems.push(format!(
                        "STEPUP_SECOND_FACTORS: {second}: a link is no second factor"
                    ));
                }
                None => problems.push(format!("STEPUP_SECOND_FACTORS: {second} is not built yet")),
            }
        }
        if second_factors.is_empty() {
            second_factors.push(FactorId::OTP_PHONE);
        }
        let profile = match var("STEPUP_PROFILE").as_deref().map(str::parse) {
            None => Profile::Default,
            Some(Ok(profile)) => profile,
            Some(Err(unknown)) => {
                problems.push(format!("STEPUP_PROFILE: {unknown}"));
                Profile::Default
            }
        };
        let signing = match var("STEPUP_SIGNING").as_deref() {
            None => None,
            Some("es256") => Some(SigningAlgorithm::Es256),
            Some("rs256") => Some(SigningAlgorithm::Rs256),
            Some("eddsa") => Some(SigningAlgorithm::EdDsa),
            Some(_) => {
                problems.push("STEPUP_SIGNING must be es256, rs256 or eddsa".to_owned());
                None
            }
        };
        let email_verification = match var("STEPUP_EMAIL_VERIFICATION").as_deref() {
            None | Some("off") => EmailVerification::Off,
            Some("optional") => EmailVerification::Optional,
            Some("required") => EmailVerification::Required,
            Some(_) => {
                problems.push("STEPUP_EMAIL_VERIFICATION must be off, optional or required".to_owned());
                EmailVerification::Off
            }
        };
        let countries = list("STEPUP_SMS_COUNTRIES");
        let everywhere = countries.is_empty() || countries.iter().any(|country| country == "*");
        let twilio = var("STEPUP_TWILIO_URL")
            .map(|url| carriers::twilio(&url))
            .transpose();
        let twilio = twilio.unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        let smtp = var("STEPUP_SMTP_URL").map(|url| carriers::smtp(&url)).transpose();
        let smtp = smtp.unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        if twilio.is_some() && countries.is_empty() {
            problems
                .push("STEPUP_SMS_COUNTRIES must name the countries that may be sent to, or *".to_owned());
        }
        let throttle_scale = match var("STEPUP_DEMO_THROTTLE_SCALE").map(|scale| scale.parse::<u32>()) {
            None => 1,
            Some(Ok(scale)) if scale >= 1 => scale,
            Some(_) => {
                problems.push("STEPUP_DEMO_THROTTLE_SCALE must be a whole number from 1 on".to_owned());
                1
            }
        };
        let settings = Self {
            listen,
            database,
            api_domain: var("STEPUP_API_DOMAIN"),
            website_domain: var("STEPUP_WEBSITE_DOMAIN"),
            first_factors,
            second_factors,
            tenants: list("STEPUP_TENANTS"),
            secret: var("STEPUP_SECRET").map(Secret::new),
            cookie_domain: var("STEPUP_COOKIE_DOMAIN"),
            cookie_domain_older: var("STEPUP_COOKIE_DOMAIN_OLDER"),
            admins: list("STEPUP_DEMO_ADMINS")
                .into_iter()
                .map(|a| a.to_ascii_lowercase())
                .collect(),
            signing,
            profile,
            email_verification,
            sms_countries: (!everywhere).then_some(countries),
            twilio,
            smtp,
            provider,
            trusted_proxies: list("STEPUP_TRUSTED_PROXIES"),
            dev_clock: var("STEPUP_DEMO_CLOCK").is_some_and(|value| value == "1"),
            throttle_scale,
            configure: |_| {},
        };
        if problems.is_empty() {
            Ok(settings)
        } else {
            Err(problems)
        }
    }

    /// The file of the database, if it is one.
    pub fn database_file(&self) -> Option<PathBuf> {
        let rest = self.database.strip_prefix("sqlite:")?;
        let path = rest.strip_prefix("//").unwrap_or(rest).split('?').next()?;
        (!path.is_empty() && path != ":memory:").then(|| PathBuf::from(path))
    }

    /// Whether only this machine can reach the server.
    pub fn listens_on_loopback(&self) -> bool {
        match self.listen.ip() {
            IpAddr::V4(ip) => ip.is_loopback(),
            IpAddr::V6(ip) => ip.is_loopback(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
        Settings::read(|name| {
            vars.iter()
                .find(|(n, _)| *n == name)
                .map(|(_, v)| (*v).to_owned())
        })
    }

    #[test]
    fn an_empty_environment_is_the_demo_on_this_machine() {
        let settings = read(&[]).unwrap();
        assert!(settings.listens_on_loopback() && settings.sms_countries.is_none());
        assert_eq!(settings.second_factors, [FactorId::OTP_PHONE]);
        assert_eq!(settings.database_file(), Some(PathBuf::from("demo.sqlite")));
    }

    #[test]
    fn codes_to_phones_and_to_mailboxes_are_second_factors_in_their_order_and_links_are_none() {
        let settings = read(&[("STEPUP_SECOND_FACTORS", "otp-email, otp-phone")]).unwrap();
        assert_eq!(
            settings.second_factors,
            [FactorId::OTP_EMAIL, FactorId::OTP_PHONE]
        );
        for link in ["link-phone", "link-email"] {
            let problems = read(&[("STEPUP_SECOND_FACTORS", link)]).unwrap_err();
            assert!(
                problems.len() == 1 && problems[0].contains("no second factor"),
                "{problems:?}"
            );
        }
    }

    #[test]
    fn what_is_not_built_is_an_error_that_says_so_and_all_are_named() {
        let problems = read(&[
            ("STEPUP_SECOND_FACTORS", "otp-phone, totp"),
            ("STEPUP_FIRST_FACTORS", "thirdparty"),
            ("STEPUP_DATABASE_URL", "postgres://x"),
            ("STEPUP_REDIS_URL", "redis://x"),
            ("STEPUP_PROFILE", "aal9"),
            ("STEPUP_SIGNING", "hs256"),
            ("STEPUP_LISTEN", "localhost"),
            ("STEPUP_DEMO_THROTTLE_SCALE", "0"),
            ("STEPUP_TWILIO_URL", "https://api.twilio.com"),
            ("STEPUP_SMTP_URL", "mail.acme.test"),
            ("STEPUP_EMAIL_VERIFICATION", "yes"),
        ])
        .unwrap_err();
        assert_eq!(problems.len(), 11, "{problems:?}");
    }

    /// The names of variables in a text.
    fn variables(text: &str) -> BTreeSet<&str> {
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        text.split(|c| !is_name(c))
            .filter(|word| word.len() > 7 && word.starts_with("STEPUP_"))
            .collect()
    }

    #[test]
    fn the_page_about_the_demo_lists_every_variable_and_no_other() {
        let page = include_str!("../../../docs/demo.md");
        let read = [
            include_str!("settings.rs").split("mod tests").next().unwrap(),
            include_str!("carriers.rs"),
            include_str!("provider.rs"),
            include_str!("site.rs"),
            include_str!("start.rs"),
        ]
        .concat();
        let listed: String = page
            .lines()
            .filter(|line| line.starts_with("| `STEPUP_"))
            .collect();
        let mut known = variables(&read);
        for name in NOT_BUILT {
            assert!(known.remove(name) && !listed.contains(name), "{name}");
        }
        assert_eq!(variables(&listed), known);
        for factor in FIRST_FACTORS.into_iter().chain(SECOND_FACTORS) {
            assert!(listed.contains(&format!("`{factor}`")), "{factor}");
        }
        for profile in Profile::ALL {
            assert!(listed.contains(&format!("`{}`", profile.name())), "{profile:?}");
        }
        for form in [carriers::TWILIO_FORM, carriers::SMTP_FORM] {
            assert!(listed.contains(&format!("`{form}`")), "{form}");
        }
    }

    #[test]
    fn a_real_provider_of_text_messages_wants_its_countries_named() {
        let url = "https://AC0123456789abcdef0123456789abcdef:token@api.twilio.com?from=Acme";
        let problems = read(&[("STEPUP_TWILIO_URL", url)]).unwrap_err();
        assert!(
            problems.len() == 1 && problems[0].starts_with("STEPUP_SMS_COUNTRIES"),
            "{problems:?}"
        );
        for countries in ["CH, DE", "*"] {
            let settings = read(&[("STEPUP_TWILIO_URL", url), ("STEPUP_SMS_COUNTRIES", countries)]).unwrap();
            assert!(settings.twilio.is_some() && !format!("{settings:?}").contains("token@"));
        }
    }
}
