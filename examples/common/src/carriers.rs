//! Who carries the demo's messages: the console and the outbox, or providers that the environment names.

use std::collections::HashMap;

use stepup::delivery::{Both, Console, FailOver, Outbox, Smtp, Twilio};
use stepup::wire::core::secret::Secret;
use url::Url;

use crate::settings::Settings;

/// A carrier for each channel.
#[derive(Clone, Debug)]
pub struct Carriers {
    /// For text messages.
    pub sms: FailOver,
    /// For e-mail.
    pub email: FailOver,
    /// For notices, which go by either.
    pub notices: FailOver,
}

impl Carriers {
    /// Providers where there are some; the others print what they are given, and keep it for the page's drawer.
    pub fn new(settings: &Settings, outbox: &Outbox) -> Self {
        let here = || Both(outbox.clone(), Console);
        let sms = match settings.twilio.clone() {
            Some(twilio) => FailOver::new(twilio),
            None => FailOver::new(here()),
        };
        let email = match settings.smtp.clone() {
            Some(smtp) => FailOver::new(smtp),
            None => FailOver::new(here()),
        };
        Self {
            notices: FailOver::new(email.clone()).then(sms.clone()),
            sms,
            email,
        }
    }
}

/// Reads `https://ACCOUNT:TOKEN@api.twilio.com?from=SENDER`.
///
/// # Errors
/// A sentence that quotes nothing of it.
pub fn twilio(url: &str) -> Result<Twilio, String> {
    let form = || format!("STEPUP_TWILIO_URL must look like {TWILIO_FORM}");
    let (url, from) = split(url).ok_or_else(form)?;
    let token = Secret::new(url.password().ok_or_else(form)?.to_owned());
    let base = url.origin().ascii_serialization();
    Twilio::at(&base, url.username(), token, &from).map_err(|error| format!("STEPUP_TWILIO_URL: {error}"))
}

/// Reads `smtps://USER:PASSWORD@HOST?from=SENDER`.
///
/// # Errors
/// A sentence that quotes nothing of it.
pub fn smtp(url: &str) -> Result<Smtp, String> {
    let form = || format!("STEPUP_SMTP_URL must look like {SMTP_FORM}");
    let (url, from) = split(url).ok_or_else(form)?;
    Smtp::new(url.as_str(), &from).map_err(|error| format!("STEPUP_SMTP_URL: {error}"))
}

/// How `STEPUP_TWILIO_URL` is written.
pub(crate) const TWILIO_FORM: &str = "https://ACCOUNT:TOKEN@api.twilio.com?from=SENDER";

/// How `STEPUP_SMTP_URL` is written.
pub(crate) const SMTP_FORM: &str = "smtps://USER:PASSWORD@HOST?from=SENDER";

fn split(url: &str) -> Option<(Url, String)> {
    let mut url = Url::parse(url).ok()?;
    let mut query: HashMap<String, String> = url.query_pairs().into_owned().collect();
    let from = query.remove("from").filter(|_| query.is_empty())?;
    url.set_query(None);
    Some((url, from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_named_by_one_url_and_a_wrong_one_is_not_quoted() {
        let account = "AC0123456789abcdef0123456789abcdef";
        assert!(
            twilio(&format!(
                "https://{account}:t0ken@api.twilio.com?from=%2B15005550006"
            ))
            .is_ok()
        );
        assert!(smtp("smtps://user:t0ken@mail.acme.test?from=Acme%20%3Cno-reply%40acme.test%3E").is_ok());
        for wrong in [
            "t0ken".to_owned(),
            format!("http://{account}:t0ken@api.twilio.com?from=Acme"),
            format!("https://{account}:t0ken@api.twilio.com"),
            format!("https://{account}@api.twilio.com?from=t0ken"),
            format!("https://{account}:t0ken@api.twilio.com?from=Acme&region=x"),
            "https://user:t0ken@api.twilio.com?from=Acme".to_owned(),
            "smtps://user:t0ken@mail.acme.test".to_owned(),
        ] {
            for told in [twilio(&wrong).err(), smtp(&wrong).err()] {
                let told = told.unwrap_or_else(|| panic!("{wrong}"));
                assert!(!told.contains("t0ken") && told.starts_with("STEPUP_"), "{told}");
            }
        }
    }
}
