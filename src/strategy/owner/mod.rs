//! Owners: threads that each have a map of their own, and answer what they are sent. For the strategies that share no map
//! but pass messages.
//!
//! The parts, as a call meets them: [`Owners`] is the callers' side. A [`call`] is the question and its answer, and the race
//! between taking it and giving it up. A [`queue`] holds what waits for one owner. The [`worker`] is the owner's
//! thread, the [`message`] what it is sent, and the [`reaper`] ends what has waited too long. [`sync`] is
//! what all of them lock with, so that the model checker can run them.
//!
//! A call costs one allocation (question, answer and waker together), two hand-overs of a queue's lock, and, where the owner
//! or the caller sleeps, waking it: that dominates.

pub mod call;
pub mod message;
pub mod queue;
pub mod reaper;
pub mod worker;

#[cfg(test)]
pub(super) mod model;

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use self::call::{Answer, Call, Outstanding};
use self::message::{Message, Nothing, Question, Restore};
use self::queue::{Patience, Queue};
use self::reaper::Reaper;
use self::worker::Desk;
use super::{Contention, ContentionReport, Ledger, Meter, StrategyConfig};
use crate::stock::{Level, StockKey};
use crate::sync;

/// Owners and their queues. Dropped, it closes the queues: the owners work off what is there, and end.
#[derive(Debug)]
pub struct Owners {
    queues: Box<[Arc<Queue<Message>>]>,
    reaper: Arc<Reaper>,
    meter: Arc<Meter>,
    lock_timeout: Duration,
}

impl Owners {
    /// Starts that many owners, whose threads are named after `name`.
    pub fn start(name: &str, count: usize, config: &StrategyConfig, ledger: &Ledger) -> Self {
        let queues: Box<[_]> = (0..count).map(|_| Arc::new(Queue::new(config.actor_queue))).collect();
        let meter = Arc::new(Meter::default());
        for (number, queue) in queues.iter().enumerate() {
            let desk = Desk::new(ledger.clone(), Arc::clone(&meter), Arc::clone(queue));
            sync::spawn(format!("{name}-{number}"), move || worker::run(desk));
        }
        let lock_timeout = config.lock_timeout;
        let reaper = Arc::new(Reaper::new(lock_timeout, queues.clone()));
        let reaping = Arc::clone(&reaper);
        sync::spawn_outside_models(format!("{name}-reaper"), move || reaping.run());
        Self { queues, reaper, meter, lock_timeout }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.queues.len()
    }

    /// Asks one owner, and waits for its answer.
    pub async fn ask<Q: Question>(&self, owner: usize, question: Q) -> Result<Q::Answer, Contention> {
        self.ask_patiently(owner, question, self.patience()).await
    }

    /// How long a call may wait.
    pub fn patience(&self) -> Patience {
        Patience::new(Some(self.lock_timeout))
    }

    /// Puts a message into the queue of an owner.
    pub fn send(&self, owner: usize, message: Message, patience: &mut Patience) -> Result<(), Contention> {
        self.queues[owner].push(message, patience)
    }

    /// Waits for the answer to what was sent. Dropped, it gives it up.
    pub async fn answer<C: Outstanding>(
        &self,
        call: Arc<C>,
        sent: Result<(), Contention>,
        patience: &Patience,
    ) -> Result<C::Answer, Contention> {
        let answer = Answer(call);
        if sent.is_err() {
            self.meter.gave_up(Duration::ZERO);
            return Err(Contention);
        }
        if patience.is_contended() {
            self.reaper.watch();
        }
        answer.await.inspect_err(|_| self.meter.gave_up(self.lock_timeout))
    }

    /// Waits until all that was asked before is done.
    pub async fn join(&self) {
        for owner in 0..self.count() {
            // An owner that has ended has nothing left to do.
            let _ended = self.ask_patiently(owner, Nothing, Patience::new(None)).await;
        }
    }

    /// Gives an owner levels that were there before.
    pub async fn restore(&self, owner: usize, levels: Vec<(StockKey, Level)>) {
        let restored = self.ask_patiently(owner, Restore { levels }, Patience::new(None)).await;
        restored.expect("an owner lives as long as its strategy is open, and nobody's patience ends");
    }

    /// Takes no more questions, and waits until the owners have answered those there are and have ended.
    pub async fn shut_down(&self) {
        self.close();
        for queue in &self.queues {
            poll_fn(|context| queue.poll_ended(context)).await;
        }
    }

    /// What waiting has cost so far.
    pub fn contention(&self) -> ContentionReport {
        self.meter.report()
    }

    /// Gives up whatever waits for others, as the reaper would in a thousand years: a model has no clock.
    #[cfg(test)]
    pub(super) fn reap_all(&self) {
        self.reaper.reap(std::time::Instant::now() + Duration::from_hours(24 * 365));
    }

    async fn ask_patiently<Q: Question>(
        &self,
        owner: usize,
        question: Q,
        mut patience: Patience,
    ) -> Result<Q::Answer, Contention> {
        let call = Arc::new(Call::new(question));
        let sent = self.send(owner, Arc::clone(&call) as Message, &mut patience);
        self.answer(call, sent, &patience).await
    }

    fn close(&self) {
        self.queues.iter().for_each(|queue| queue.close());
        self.reaper.close();
    }
}

impl Drop for Owners {
    fn drop(&mut self) {
        self.close();
    }
}
