use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;

use super::*;

fn pool(threads: usize, queue: usize) -> Arc<Pool> {
    Arc::new(
        Pool::start(PoolConfig {
            threads,
            queue,
            memory_kib: 100,
            wait: Duration::from_secs(60),
        })
        .unwrap(),
    )
}

/// A job that tells when it begins, and ends when it is told to.
fn held(
    pool: &Arc<Pool>,
    memory_kib: u32,
) -> (
    tokio::task::JoinHandle<Result<(), OffloadError>>,
    mpsc::Receiver<()>,
    mpsc::Sender<()>,
) {
    let (begun, has_begun) = mpsc::channel();
    let (end, may_end) = mpsc::channel();
    let work = Box::new(move || {
        let _ = begun.send(());
        let _ = may_end.recv();
    });
    let pool = pool.clone();
    let ran = tokio::spawn(async move { pool.run(Job { memory_kib, work }).await });
    (ran, has_begun, end)
}

fn job(work: impl FnOnce() + Send + 'static) -> Job {
    Job {
        memory_kib: 1,
        work: Box::new(work),
    }
}

async fn waiting(pool: &Pool, count: usize) {
    while pool.shared.lock().queue.len() != count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_and_its_result_comes_back() {
    let pool = pool(2, 64);
    assert_eq!(compute(&*pool, 1, || 6 * 7).await.unwrap(), 42);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_res_03_no_more_jobs_run_than_threads_and_surplus_is_refused_at_once() {
    let pool = pool(2, 3);
    let running = [held(&pool, 1), held(&pool, 1)];
    for (_, has_begun, _) in &running {
        has_begun.recv().unwrap();
    }
    let queued = [held(&pool, 1), held(&pool, 1), held(&pool, 1)];
    waiting(&pool, 3).await;
    for _ in 0..1_000 {
        assert_eq!(pool.run(job(|| panic!("ran"))).await, Err(OffloadError::Busy));
    }
    // All may end at once: which of those that wait comes first is for the pool to say.
    let jobs = running.into_iter().chain(queued).map(|(ran, _, _)| ran);
    for ran in jobs.collect::<Vec<_>>() {
        assert_eq!(ran.await.unwrap(), Ok(()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_res_03_a_job_that_waited_too_long_is_refused_while_every_thread_is_held() {
    let pool = pool(1, 64);
    let (ran, has_begun, end) = held(&pool, 1);
    has_begun.recv().unwrap();
    let until = Instant::now() + Duration::from_millis(30);
    let late: Vec<_> = (0..5)
        .map(|_| pool.shared.enqueue(job(|| panic!("ran")), until).unwrap())
        .collect();
    for late in late {
        assert_eq!(late.await, Ok(Err(OffloadError::Busy)));
    }
    assert!(Instant::now() >= until);
    drop(end);
    assert_eq!(ran.await.unwrap(), Ok(()));
    assert_eq!(pool.run(job(|| ())).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_res_03_running_jobs_stay_within_the_memory() {
    let pool = pool(8, 1_000);
    let (in_use, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let jobs: Vec<_> = (0..200)
        .map(|n| {
            let (pool, in_use, most) = (pool.clone(), in_use.clone(), most.clone());
            // One in ten needs more than there is, and runs alone.
            let memory_kib = if n % 10 == 0 { 130 } else { 30 };
            tokio::spawn(async move {
                let work = Box::new(move || {
                    let now = in_use.fetch_add(memory_kib.into(), Ordering::SeqCst) + u64::from(memory_kib);
                    most.fetch_max(now, Ordering::SeqCst);
                    thread::yield_now();
                    in_use.fetch_sub(memory_kib.into(), Ordering::SeqCst);
                });
                pool.run(Job { memory_kib, work }).await
            })
        })
        .collect();
    for job in jobs {
        assert_eq!(job.await.unwrap(), Ok(()));
    }
    assert!(most.load(Ordering::SeqCst) <= 130);
    waiting(&pool, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_res_08_whoever_hangs_up_leaves_no_slot_taken_and_no_job_to_run() {
    let pool = pool(1, 4);
    let (ran, has_begun, end) = held(&pool, 1);
    has_begun.recv().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    for _ in 0..500 {
        let count = count.clone();
        let work = job(move || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        let hung_up = {
            let pool = pool.clone();
            tokio::spawn(async move { pool.run(work).await })
        };
        while pool.shared.lock().queue.is_empty() && !hung_up.is_finished() {
            tokio::task::yield_now().await;
        }
        hung_up.abort();
        // A refusal would mean that those who left still fill the queue.
        assert!(hung_up.await.is_err_and(|e| e.is_cancelled()));
    }
    let stays = held(&pool, 1);
    drop(end);
    assert_eq!(ran.await.unwrap(), Ok(()));
    drop(stays.2);
    assert_eq!(stays.0.await.unwrap(), Ok(()));
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_has_begun_ends_although_its_caller_is_gone() {
    let pool = pool(1, 4);
    let (ran, has_begun, end) = held(&pool, 1);
    has_begun.recv().unwrap();
    ran.abort();
    assert!(ran.await.is_err());
    end.send(()).unwrap();
    assert_eq!(pool.run(job(|| ())).await, Ok(()));
    assert_eq!(pool.shared.lock().memory_kib, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_panics_takes_no_thread_with_it() {
    let pool = pool(1, 64);
    for _ in 0..10 {
        assert_eq!(
            pool.run(job(|| std::panic::resume_unwind(Box::new("gone"))))
                .await,
            Err(OffloadError::Panicked)
        );
    }
    assert!(matches!(
        compute(&*pool, 1, || -> () {
            std::panic::resume_unwind(Box::new("gone"))
        })
        .await,
        Err(Fault::Part(_))
    ));
    assert_eq!(pool.run(job(|| ())).await, Ok(()));
    assert_eq!(pool.shared.lock().memory_kib, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_is_dropped_refuses_who_waits_and_ends_its_threads() {
    let pool = pool(1, 4);
    let (begun, has_begun) = mpsc::channel();
    let (end, may_end) = mpsc::channel::<()>();
    let shared = pool.shared.clone();
    let later = Instant::now() + MAX_WAIT;
    let first = shared
        .enqueue(
            job(move || {
                begun.send(()).unwrap();
                let _ = may_end.recv();
            }),
            later,
        )
        .unwrap();
    has_begun.recv().unwrap();
    let second = shared.enqueue(job(|| ()), later).unwrap();
    drop(pool);
    assert_eq!(second.await, Ok(Err(OffloadError::Busy)));
    assert!(shared.enqueue(job(|| ()), later).is_err());
    drop(end);
    assert_eq!(first.await, Ok(Ok(())));
    while Arc::strong_count(&shared) > 1 {
        tokio::task::yield_now().await;
    }
}

#[derive(Debug)]
struct Liar;

#[async_trait]
impl Offload for Liar {
    async fn run(&self, _: Job) -> Result<(), OffloadError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_port_that_only_says_it_ran_the_job_is_a_fault() {
    assert!(matches!(compute(&Liar, 1, || 1).await, Err(Fault::Part(_))));
}
