//! Waiting for a future on a thread of its own, without a runtime in between.
//!
//! The strategies that share memory are ready at the first poll: for them a call costs that poll and nothing else.
//! Those that pass messages really wait, and then the thread parks.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

/// Waits on behalf of the thread that made it. Made once per thread, since making a waker allocates.
#[derive(Debug)]
pub struct Parker {
    signal: Arc<Signal>,
    waker: Waker,
}

#[derive(Debug)]
struct Signal {
    thread: Thread,
    woken: AtomicBool,
    yielded: AtomicBool,
}

impl Parker {
    /// A parker of the running thread.
    pub fn new() -> Self {
        let (woken, yielded) = (AtomicBool::new(false), AtomicBool::new(false));
        let signal = Arc::new(Signal { thread: thread::current(), woken, yielded });
        let waker = Waker::from(Arc::clone(&signal));
        Self { signal, waker }
    }

    /// Polls until the future is ready. Only on the thread that made the parker: no other would be woken.
    #[inline]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.block_on_made(|| future)
    }

    /// As [`Parker::block_on`], with the future made where it is polled: moving it there first costs a copy of some hundred
    /// bytes, which callers in a runtime do not pay.
    #[inline]
    pub fn block_on_made<F: Future>(&self, make: impl FnOnce() -> F) -> F::Output {
        let mut future = pin!(make());
        let mut context = Context::from_waker(&self.waker);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
            self.signal.wait();
        }
    }
}

impl Default for Parker {
    fn default() -> Self {
        Self::new()
    }
}

impl Signal {
    #[cold]
    fn wait(&self) {
        // Relaxed: only this thread sets it, while it polls.
        if self.yielded.swap(false, Ordering::Relaxed) {
            return thread::yield_now();
        }
        // Acquire, after the waker's release: what the waker did before it woke is seen by the next poll. A wake-up left
        // over from an earlier future costs one poll too many and does no harm.
        while !self.woken.swap(false, Ordering::Acquire) {
            thread::park();
        }
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if thread::current().id() == self.thread.id() {
            // A future that wakes itself while it is polled gives way to others, as in a runtime: so does the thread.
            self.yielded.store(true, Ordering::Relaxed);
        } else {
            self.woken.store(true, Ordering::Release);
            self.thread.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn what_is_ready_is_answered_and_what_yields_is_polled_again() {
        let parker = Parker::new();
        assert_eq!(parker.block_on(async { 7 }), 7);
        let twice = async {
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            8
        };
        assert_eq!(parker.block_on(twice), 8);
    }

    #[test]
    fn an_answer_from_another_thread_wakes_the_sleeper() {
        let parker = Parker::new();
        for number in 0..1_000 {
            let (ask, asked) = oneshot::channel::<oneshot::Sender<u32>>();
            let answering = thread::spawn(move || {
                let answer = Parker::new().block_on(asked).expect("asked");
                answer.send(number).expect("awaited");
            });
            let (answer, answered) = oneshot::channel();
            ask.send(answer).expect("listening");
            assert_eq!(parker.block_on(answered), Ok(number));
            answering.join().expect("answered");
        }
    }
}
