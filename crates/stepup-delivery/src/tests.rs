use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use stepup_core::background::Background;
use tokio::sync::{Semaphore, mpsc};

use crate::BackgroundThread;
use crate::background::LANES;

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
    let gate = Arc::new(Semaphore::new(0));
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
async fn a_thousand_messages_drain_at_the_providers_pace() {
    let thread = BackgroundThread::start().unwrap();
    let pace = Arc::new(Semaphore::new(0));
    let (started, mut starts) = mpsc::unbounded_channel();
    let (now, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    for _ in 0..1_000 {
        let (pace, started) = (Arc::clone(&pace), started.clone());
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        thread
            .spawn(Box::pin(async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                started.send(()).unwrap();
                pace.acquire().await.unwrap().forget();
                now.fetch_sub(1, Ordering::SeqCst);
            }))
            .unwrap();
    }
    for _ in 0..LANES {
        starts.recv().await.unwrap();
    }
    // From here on one goes to the provider for each that the provider is done with.
    for _ in LANES..1_000 {
        pace.add_permits(1);
        starts.recv().await.unwrap();
    }
    pace.add_permits(LANES);
    assert!(thread.drain(Duration::from_secs(10)).await);
    assert!(starts.is_empty());
    assert_eq!(most.load(Ordering::SeqCst) as usize, LANES);
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
