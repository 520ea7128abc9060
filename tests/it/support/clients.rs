//! Many callers at once: [`run`] gives each a thread of its own and lets all go at the same moment.

use std::future::Future;
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// How long any client may take before it is given up for dead. No measure of speed: the slowest test takes a tenth
/// of it, and only a client that would never end runs into it.
pub(crate) const WATCHDOG: Duration = Duration::from_secs(90);

/// Runs `count` clients, numbered from 0, each on a thread of its own; they start together, at a barrier. Returns what
/// each returned, in their order.
///
/// Threads rather than tasks: a strategy whose calls never await would run the tasks of one worker one after the
/// other. A client that panics, or hangs, fails the test.
pub(crate) async fn run<T, F>(count: usize, client: impl Fn(usize) -> F + Send + Sync + 'static) -> Vec<T>
where
    F: Future<Output = T>,
    T: Send + 'static,
{
    let (client, barrier) = (Arc::new(client), Arc::new(Barrier::new(count)));
    let (ended, mut endings) = mpsc::unbounded_channel();
    let spawn = |number| {
        let (client, barrier) = (Arc::clone(&client), Arc::clone(&barrier));
        let (ended, runtime) = (ended.clone(), Handle::current());
        std::thread::spawn(move || {
            // Dropped, and so told, on the way out of a panic too.
            let _ended: mpsc::UnboundedSender<()> = ended;
            barrier.wait();
            runtime.block_on(client(number))
        })
    };
    let threads: Vec<_> = (0..count).map(spawn).collect();
    drop(ended);
    let all_ended = tokio::time::timeout(WATCHDOG, endings.recv()).await;
    assert!(all_ended.is_ok(), "DEADLOCK: after {WATCHDOG:?} some of the {count} clients are still inside");
    let join = |thread: std::thread::JoinHandle<T>| match thread.join() {
        Ok(returned) => returned,
        Err(panic) => std::panic::resume_unwind(panic),
    };
    threads.into_iter().map(join).collect()
}

/// Polls a future once; what it returned, or nothing if it would wait.
pub(crate) fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(returned) => Some(returned),
        Poll::Pending => None,
    }
}
