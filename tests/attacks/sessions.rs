//! Rows A-SES.

use crate::kit::{MODES, Server, full};

#[tokio::test(flavor = "multi_thread")]
async fn a_ses_02_the_half_logins_access_token_keeps_its_half_rights() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = crate::kit::half(&server, mode, "ann@example.com").await;
        let before = ann.clone();
        ann.complete(&server, crate::kit::PHONE).await;
        assert_eq!(before.handle(), ann.handle());
        assert_ne!(before.access_token(), ann.access_token());
        assert_ne!(before.refresh_token(), ann.refresh_token());
        assert_eq!(before.peek("GET", "/api/secret", None, &[]).await.status, 403);
        assert_eq!(ann.get("/api/secret").await.status, 200);
        let mut bob = full(&server, mode, "bob@example.com", crate::kit::OTHER_PHONE).await;
        assert_eq!(bob.get("/api/secret").await.status, 200);
    }
}
