use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use stepup_core::background::Background;

use crate::BackgroundThread;

#[tokio::test]
async fn a_job_that_panics_takes_nothing_with_it() {
    let thread = BackgroundThread::start().unwrap();
    let done = Arc::new(AtomicU32::new(0));
    for n in 0..3 {
        let done = Arc::clone(&done);
        thread
            .spawn(Box::pin(async move {
                assert_ne!(n, 1, "the second job panics");
                done.fetch_add(1, Ordering::SeqCst);
            }))
            .unwrap();
    }
    assert!(thread.drain(Duration::from_secs(10)).await);
    assert_eq!(done.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn the_queue_is_bounded_and_has_room_again_afterwards() {
    let thread = BackgroundThread::start().unwrap();
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let mut refused = false;
    for _ in 0..2_000 {
        let gate = Arc::clone(&gate);
        refused |= thread
            .spawn(Box::pin(async move { drop(gate.acquire().await) }))
            .is_err();
    }
    assert!(refused);
    gate.add_permits(2_000);
    assert!(thread.drain(Duration::from_secs(10)).await);
    assert!(thread.spawn(Box::pin(async {})).is_ok());
}

#[tokio::test]
async fn a_repetition_survives_a_panic_and_ends_when_there_is_nothing_left() {
    let thread = BackgroundThread::start().unwrap();
    let runs = Arc::new(AtomicU32::new(0));
    let (ended, wait) = tokio::sync::oneshot::channel();
    let ended = std::sync::Mutex::new(Some(ended));
    let count = Arc::clone(&runs);
    thread.every(
        Duration::from_millis(1),
        Arc::new(move || match count.fetch_add(1, Ordering::SeqCst) {
            0 => Some(Box::pin(async { panic!("the first run panics") })),
            1 | 2 => Some(Box::pin(async {})),
            _ => {
                ended.lock().unwrap().take().map(|e| e.send(()));
                None
            }
        }),
    );
    tokio::time::timeout(Duration::from_secs(10), wait)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 4);
}
