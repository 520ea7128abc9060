//! [`Call`]: one question to an owner and its answer, and the race over it between whoever answers and whoever gives up.
//!
//! # The claim
//!
//! A call is *pending* until exactly one side claims it: the owner takes it, or the caller's side gives it up (at the lock
//! timeout, or because the caller went away). Both are one step under the call's own lock:
//!
//! ```text
//! pending --take--> taken --answer--> answered
//!    \----give up--> given up
//! ```
//!
//! There is no way back, so [`Contention`] is true: the question of a call that was given up is gone, and an owner that
//! comes upon it later finds nothing to do. And a call that was taken is answered whole, hand-off and all, whether
//! or not anybody still waits for the answer: that is the whole effect or none (P11).
//!
//! A lock rather than a bare atomic state, because question, answer and waker change hands with it; it is held for a move
//! of some words, by two threads at most.

use std::mem;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;

use crate::strategy::Contention;
use crate::sync::Mutex;

/// A question that is to be answered once, or given up.
#[derive(Debug)]
pub struct Call<Q, A> {
    stage: Mutex<Stage<Q, A>>,
}

#[derive(Debug)]
enum Stage<Q, A> {
    Pending {
        question: Q,
        caller: Option<Waker>,
    },
    Taken {
        caller: Option<Waker>,
    },
    /// With the payload of the panic, if answering it panicked.
    Answered(thread::Result<A>),
    GivenUp,
    /// The caller has its answer.
    Over,
}

/// What a caller can do with a call it has sent off.
pub trait Outstanding {
    /// What it waits for.
    type Answer;
    /// The answer; [`Contention`] once the call was given up. A panic of the owner while it worked on this call goes on here:
    /// it is the caller's, as it is where the caller does the work itself.
    fn poll_answer(&self, context: &mut Context<'_>) -> Poll<Result<Self::Answer, Contention>>;
    /// Gives it up, unless it was taken or is over.
    fn give_up(&self);
}

/// Waits for the answer. Dropped before, it gives the call up.
#[derive(Debug)]
pub struct Answer<C: Outstanding>(pub Arc<C>);

impl<Q, A> Call<Q, A> {
    /// A pending call.
    pub fn new(question: Q) -> Self {
        Self { stage: Mutex::new(Stage::Pending { question, caller: None }) }
    }

    /// Claims the call for the owner, who must [`Call::answer`] it. `None` if it was given up.
    pub fn take(&self) -> Option<Q> {
        let mut stage = self.stage.lock();
        match mem::replace(&mut *stage, Stage::Over) {
            Stage::Pending { question, caller } => {
                *stage = Stage::Taken { caller };
                Some(question)
            }
            given_up => {
                *stage = given_up;
                None
            }
        }
    }

    /// Answers a call that was taken, and wakes the caller.
    pub fn answer(&self, answer: thread::Result<A>) {
        let mut stage = self.stage.lock();
        let taken = mem::replace(&mut *stage, Stage::Answered(answer));
        drop(stage);
        match taken {
            Stage::Taken { caller } => wake(caller),
            _ => unreachable!("who takes a call answers it, and nobody else"),
        }
    }

    /// Claims the call for nobody: it will never be taken. Whether it was still pending.
    pub fn give_up(&self) -> bool {
        let mut stage = self.stage.lock();
        match mem::replace(&mut *stage, Stage::GivenUp) {
            Stage::Pending { question, caller } => {
                // What the question holds (a hand-off) may do anything when it is dropped.
                drop(stage);
                drop(question);
                wake(caller);
                true
            }
            claimed => {
                *stage = claimed;
                false
            }
        }
    }
}

impl<Q, A> Outstanding for Call<Q, A> {
    type Answer = A;

    fn poll_answer(&self, context: &mut Context<'_>) -> Poll<Result<A, Contention>> {
        let mut stage = self.stage.lock();
        match &mut *stage {
            Stage::Pending { caller, .. } | Stage::Taken { caller } => {
                if !caller.as_ref().is_some_and(|caller| caller.will_wake(context.waker())) {
                    *caller = Some(context.waker().clone());
                }
                return Poll::Pending;
            }
            Stage::GivenUp => return Poll::Ready(Err(Contention)),
            Stage::Answered(_) | Stage::Over => {}
        }
        let answered = mem::replace(&mut *stage, Stage::Over);
        drop(stage);
        match answered {
            Stage::Answered(Ok(answer)) => Poll::Ready(Ok(answer)),
            Stage::Answered(Err(panic)) => resume_unwind(panic),
            _ => unreachable!("an answer is asked for until it is there, and not again"),
        }
    }

    fn give_up(&self) {
        Call::give_up(self);
    }
}

impl<C: Outstanding> Future for Answer<C> {
    type Output = Result<C::Answer, Contention>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_answer(context)
    }
}

impl<C: Outstanding> Drop for Answer<C> {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

fn wake(caller: Option<Waker>) {
    if let Some(caller) = caller {
        caller.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// What a poll says, and how often the waker was woken so far.
    fn poll(call: &Call<u8, u8>, woken: &Arc<Woken>) -> (Poll<Result<u8, Contention>>, usize) {
        let polled = call.poll_answer(&mut Context::from_waker(&Waker::from(Arc::clone(woken))));
        (polled, woken.0.load(Ordering::SeqCst))
    }

    #[test]
    fn a_call_that_was_taken_is_answered_and_cannot_be_given_up() {
        let (call, woken) = (Call::new(1), Arc::default());
        assert_eq!(poll(&call, &woken), (Poll::Pending, 0));
        assert_eq!(call.take(), Some(1));
        assert!(call.take().is_none() && !call.give_up());
        assert_eq!(poll(&call, &woken), (Poll::Pending, 0));
        call.answer(Ok(2));
        assert_eq!(poll(&call, &woken), (Poll::Ready(Ok(2)), 1));
    }

    #[test]
    fn a_call_that_was_given_up_cannot_be_taken() {
        let (call, woken) = (Call::new(1), Arc::default());
        assert_eq!(poll(&call, &woken), (Poll::Pending, 0));
        assert!(call.give_up());
        assert!(call.take().is_none() && !call.give_up());
        assert_eq!(poll(&call, &woken), (Poll::Ready(Err(Contention)), 1));
    }

    /// Whoever asks last is woken: a task may have moved.
    #[test]
    fn the_last_who_asked_is_woken() {
        let (call, first, last) = (Call::new(1), Arc::default(), Arc::default());
        assert!(poll(&call, &first).0.is_pending() && poll(&call, &last).0.is_pending());
        assert!(call.take().is_some());
        call.answer(Ok(2));
        assert_eq!((poll(&call, &last).1, first.0.load(Ordering::SeqCst)), (1, 0));
    }

    #[test]
    fn a_panic_while_it_was_answered_is_the_callers() {
        let (call, woken) = (Call::new(1), Arc::default());
        assert!(call.take().is_some());
        call.answer(Err(Box::new("on purpose")));
        let panic = catch_unwind(AssertUnwindSafe(|| poll(&call, &woken))).expect_err("it goes on here");
        assert_eq!(panic.downcast_ref(), Some(&"on purpose"));
    }
}
