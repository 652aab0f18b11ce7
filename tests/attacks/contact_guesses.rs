//! Guesses at the code for a contact that is somebody else's.

use serde_json::Value;

use super::contact::{asked, changed, confirm, email};
use crate::kit::{Client, Mode, PHONE, Server, full, wrong};

const MALLORY: &str = "mallory@example.com";
const OWN: &str = "mallory@new.example.com";
const VICTIM: &str = "victim@example.com";

async fn guesses(client: &mut Client, (device, code): &(Value, String), count: usize) {
    for _ in 0..count {
        let answer = confirm(client, device, &wrong(code)).await;
        let told = answer.status_field();
        assert!(
            ["INCORRECT_USER_INPUT_CODE_ERROR", "RESTART_FLOW_ERROR"].contains(&told.as_str()),
            "{answer:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_05_a_mailbox_of_ones_own_gives_no_guesses_at_anothers_back() {
    // Ten tries without a wait, and messages enough.
    let server = Server::start_with(|settings| settings.throttle_scale = 2).await;
    let mut mallory = full(&server, Mode::Header, MALLORY, PHONE).await;
    for count in [5, 4] {
        let sent = asked(&server, &mut mallory, email(VICTIM)).await;
        guesses(&mut mallory, &sent, count).await;
    }
    changed(&server, &mut mallory, email(OWN)).await;
    let sent = asked(&server, &mut mallory, email(VICTIM)).await;
    guesses(&mut mallory, &sent, 1).await;
    let (device, code) = sent;
    for typed in [wrong(&code), code] {
        let answer = confirm(&mut mallory, &device, &typed).await;
        assert_eq!(answer.status, 429, "{answer:?}");
        assert!(answer.touches_no_token());
    }
}
