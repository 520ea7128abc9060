//! [`Slot`]: one question that waits for whoever is inside, its answer, and the race over it between being served and
//! being withdrawn.
//!
//! ```text
//! free --reserve--> reserved --publish--> published --take--> taken --answer--> answered
//!   \<--------------------- withdraw ----------/                                  /
//!   \<-------------------------------- collect ----------------------------------/
//! ```
//!
//! Each arrow is one compare-and-swap or store of [`Slot::stage`], so exactly one side gets a published question: whoever
//! serves it or whoever withdraws it. A question that was withdrawn is gone before the slot is free: it is never
//! applied later, which is what makes [`Contention`](crate::strategy::Contention) true.
//!
//! Question and answer lie behind a lock that is never waited for: only the side whose turn the stage says it is takes it. (A
//! cell without a lock would need unsafe code.)
//!
//! **Memory order:** acquire where a stage is observed, release where it is left. The question itself is ordered by its lock.

use std::mem;
use std::thread;

use super::sync::{AtomicU8, Mutex, Ordering};

const FREE: u8 = 0;
const RESERVED: u8 = 1;
const PUBLISHED: u8 = 2;
const TAKEN: u8 = 3;
const ANSWERED: u8 = 4;

/// A place for one question.
#[derive(Debug)]
pub struct Slot<Q, A> {
    stage: AtomicU8,
    content: Mutex<Content<Q, A>>,
}

#[derive(Debug)]
enum Content<Q, A> {
    Nothing,
    Question(Q),
    /// With the payload of the panic, if answering it panicked.
    Answer(thread::Result<A>),
}

impl<Q, A> Slot<Q, A> {
    /// A free one.
    pub fn new() -> Self {
        Self { stage: AtomicU8::new(FREE), content: Mutex::new(Content::Nothing) }
    }

    /// Makes a free slot the caller's. Whether it was free.
    pub fn reserve(&self) -> bool {
        self.stage.load(Ordering::Relaxed) == FREE && self.advance(FREE, RESERVED)
    }

    /// Puts a question into a slot that the caller has reserved.
    pub fn publish(&self, question: Q) {
        *self.content.lock() = Content::Question(question);
        self.stage.store(PUBLISHED, Ordering::Release);
    }

    /// Claims the question, for whoever is inside, who must [`Slot::answer`] it. `None` if there is none to be had.
    pub fn take(&self) -> Option<Q> {
        self.advance(PUBLISHED, TAKEN).then(|| self.question())
    }

    /// Answers the question that was taken.
    pub fn answer(&self, answer: thread::Result<A>) {
        *self.content.lock() = Content::Answer(answer);
        self.stage.store(ANSWERED, Ordering::Release);
    }

    /// Whether the answer is there.
    pub fn is_answered(&self) -> bool {
        self.stage.load(Ordering::Acquire) == ANSWERED
    }

    /// The answer, which must be there. Frees the slot.
    pub fn collect(&self) -> thread::Result<A> {
        let content = mem::replace(&mut *self.content.lock(), Content::Nothing);
        self.stage.store(FREE, Ordering::Release);
        match content {
            Content::Answer(answer) => answer,
            _ => unreachable!("what is answered holds its answer until its asker collects it"),
        }
    }

    /// Claims the question for its own asker, and frees the slot. `None` if somebody else has taken it.
    pub fn withdraw(&self) -> Option<Q> {
        self.advance(PUBLISHED, RESERVED).then(|| {
            let question = self.question();
            self.stage.store(FREE, Ordering::Release);
            question
        })
    }

    fn question(&self) -> Q {
        match mem::replace(&mut *self.content.lock(), Content::Nothing) {
            Content::Question(question) => question,
            _ => unreachable!("what is published holds its question until it is claimed, once"),
        }
    }

    fn advance(&self, from: u8, to: u8) -> bool {
        self.stage.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}
