//! A1 to A32, in cookie and in header mode.

use crate::kit::{MODES, Server, half};

#[tokio::test(flavor = "multi_thread")]
async fn a1_sign_up_gives_a_session_whose_second_factor_claim_is_false() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = half(&server, mode, "ann@example.com").await;
        assert!(!ann.completed());
        assert!(ann.payload().get("phoneNumber").is_none());
        let refused = ann.get("/api/secret").await;
        assert_eq!(refused.status, 403);
        assert!(
            refused.failed_claims().contains(&"2fa-completed".to_owned()),
            "{refused:?}"
        );
    }
}
