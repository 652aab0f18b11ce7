//! Signature version 4 of AWS, for the one kind of request that is sent: a form by POST to `/`.
//!
//! # Source
//! AWS, "Create a signed AWS API request".

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use stepup_core::time::Timestamp;

use super::AwsKeys;

/// The type of the body, which is signed.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// Headers of a signed request.
pub(super) struct Signed {
    /// `x-amz-date`
    pub(super) date: String,
    /// `authorization`
    pub(super) authorization: String,
}

/// Signs `body` for the service of a region at `host`, as of `at`; AWS refuses what is more than five minutes off.
pub(super) fn sign(
    keys: &AwsKeys,
    (region, service): (&str, &str),
    host: &str,
    at: Timestamp,
    body: &[u8],
) -> Signed {
    let date = date(at);
    let day = date.split('T').next().unwrap_or_default();
    let (token, names) = match &keys.token {
        None => (String::new(), "content-type;host;x-amz-date"),
        Some(token) => (
            format!("x-amz-security-token:{}\n", token.expose()),
            "content-type;host;x-amz-date;x-amz-security-token",
        ),
    };
    let request = format!(
        "POST\n/\n\ncontent-type:{FORM}\nhost:{host}\nx-amz-date:{date}\n{token}\n{names}\n{}",
        hex(&Sha256::digest(body)),
    );
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let text = format!(
        "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
        hex(&Sha256::digest(request.as_bytes()))
    );
    let first = format!("AWS4{}", keys.secret.expose()).into_bytes();
    let key = [day, region, service, "aws4_request"]
        .into_iter()
        .fold(first, |key, part| mac(&key, part));
    let signature = hex(&mac(&key, &text));
    Signed {
        authorization: format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            keys.id
        ),
        date,
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `20150830T123600Z`
fn date(at: Timestamp) -> String {
    let seconds = at.as_ms().div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// The date of a day since 1970, in the Gregorian calendar: years begin in March here, so that the leap day comes last.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_signed_as_the_test_suite_of_aws_has_it() {
        let keys = AwsKeys::new(
            "AKIDEXAMPLE",
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned().into(),
        );
        let signed = sign(
            &keys,
            ("us-east-1", "service"),
            "example.amazonaws.com",
            Timestamp::from_ms(1_440_938_160_000),
            b"Param1=value1",
        );
        assert_eq!(signed.date, "20150830T123600Z");
        assert_eq!(
            signed.authorization,
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"
        );
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (ms, wanted) in [
            (0, "19700101T000000Z"),
            (-1_000, "19691231T235959Z"),
            (951_782_400_000, "20000229T000000Z"),
            (1_709_251_199_999, "20240229T235959Z"),
            (1_709_251_200_000, "20240301T000000Z"),
            (4_107_542_400_000, "21000301T000000Z"),
        ] {
            assert_eq!(date(Timestamp::from_ms(ms)), wanted);
        }
    }
}
