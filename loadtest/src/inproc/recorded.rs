//! The recorded pass: the same tapes on the same levels right after the timed pass, with every answer written down and
//! checked as `run` checks its history.
//!
//! It is a pass of its own because writing down costs more than what is measured: two readings of the clock and a
//! hundred bytes for a call of fifty nanoseconds. What it does not see, the timed pass itself, is verified by adding up
//! ([`super::measured`]). Answers go into lists made before the start, and become records when all is over.

use std::sync::Barrier;
use std::thread;

use history::{History, Key, Meta, Outcome, Reason, Record, Refused, Request, Seen};
use inventory::stock::{self, Applied, Level, Precondition, Refusal};
use inventory::strategy::{Rejected, TransactRejected};
use tokio::runtime::Handle;

use super::block_on::Parker;
use super::stock::{Answer, Stock};
use super::tape::{Step, Tape};
use crate::schedule::Clock;

/// One step in this many counts as sent and then lets other threads run before it is made: so calls overlap on any
/// machine, however few its cores.
const DAWDLE: usize = 64;

/// One call and its answer.
struct Noted {
    step: Step,
    invoked_ns: u64,
    returned_ns: u64,
    answer: Answer,
}

/// Plays `calls` steps of every tape, each in a thread of its own, between a first and a last read of every level.
pub fn recorded(stock: &Stock, tapes: &[Tape], calls: usize, runtime: &Handle, meta: Meta) -> History {
    let clock = Clock::start();
    let observer = u32::try_from(tapes.len()).expect("threads are few");
    let mut records = reads(stock, clock, observer);
    let start = Barrier::new(tapes.len());
    let noted: Vec<Vec<Noted>> = thread::scope(|scope| {
        let play = |tape| {
            let start = &start;
            scope.spawn(move || {
                let _context = runtime.enter();
                play(stock, tape, calls, clock, start)
            })
        };
        let threads: Vec<_> = tapes.iter().map(play).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Vec<Noted>>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect()
    });
    let last = reads(stock, clock, observer);
    for (client, (noted, tape)) in (0..).zip(noted.into_iter().zip(tapes)) {
        for noted in noted {
            noted.tell(client, tape, &mut records);
        }
    }
    records.extend(last);
    History { meta, keys: stock.names(), records }
}

fn play(stock: &Stock, tape: &Tape, calls: usize, clock: Clock, start: &Barrier) -> Vec<Noted> {
    let parker = Parker::new();
    let mut noted = Vec::with_capacity(calls);
    start.wait();
    for (number, &step) in tape.steps.iter().cycle().take(calls).enumerate() {
        let invoked_ns = clock.now_ns();
        if number % DAWDLE == 0 {
            thread::yield_now();
        }
        let answer = stock.answer(&parker, tape, step);
        noted.push(Noted { step, invoked_ns, returned_ns: clock.now_ns(), answer });
    }
    noted
}

/// Reads every level, by nobody else's client.
fn reads(stock: &Stock, clock: Clock, client: u32) -> Vec<Record> {
    let parker = Parker::new();
    let read = |key| {
        let invoked_ns = clock.now_ns();
        let answer = stock.read(&parker, key);
        let outcome = answer.map_or(Outcome::NotApplied, |level| Outcome::Read(seen(key, level)));
        Record {
            client,
            invoked_ns,
            returned_ns: clock.now_ns(),
            request: Request::Read(key),
            outcome,
            once: None,
        }
    };
    stock.levels().map(read).collect()
}

impl Noted {
    fn tell(self, client: u32, tape: &Tape, records: &mut Vec<Record>) {
        let Self { step, invoked_ns, returned_ns, answer } = self;
        let record =
            |request, outcome| Record { client, invoked_ns, returned_ns, request, outcome, once: None };
        let key = match step {
            Step::Read(level) | Step::Adjust { level, .. } => Key(level),
            Step::Change(index) => tape.changes[index as usize].line.key,
            Step::Transact(index) => return records.extend(many(tape, index, answer, record)),
        };
        let outcome = match answer {
            Answer::Read(Ok(level)) => Outcome::Read(seen(key, level)),
            Answer::One(Ok(applied)) => Outcome::Applied(vec![seen(key, applied.after)]),
            Answer::One(Err(Rejected::Refused(refusal))) => Outcome::Refused(vec![refused(key, refusal)]),
            Answer::Read(Err(_)) | Answer::One(Err(Rejected::Contention(_))) | Answer::Many(_) => {
                Outcome::NotApplied
            }
        };
        records.push(record(tape.request(step), outcome));
    }
}

fn many(tape: &Tape, index: u32, answer: Answer, record: impl Fn(Request, Outcome) -> Record) -> Vec<Record> {
    let levels = &tape.transactions[index as usize].levels;
    let mut records = Vec::new();
    let outcome = match answer {
        Answer::Many(Ok(applied)) => {
            let after = |(key, applied): (&Key, &Applied)| seen(*key, applied.after);
            Outcome::Applied(levels.iter().zip(&applied).map(after).collect())
        }
        Answer::Many(Err(TransactRejected::Refused(answer))) => {
            // The witness names levels that were not short, too: each is as good as a read.
            let witness = levels.iter().zip(&answer.found);
            records.extend(
                witness.map(|(key, level)| record(Request::Read(*key), Outcome::Read(seen(*key, *level)))),
            );
            let short = answer.refusals.iter().map(|short| refused(levels[short.entry], short.refusal));
            Outcome::Refused(short.collect())
        }
        _ => Outcome::NotApplied,
    };
    records.push(record(tape.request(Step::Transact(index)), outcome));
    records
}

fn seen(key: Key, level: Level) -> Seen {
    let stock = if level.exists() {
        history::Stock::Level { on_hand: level.on_hand(), reserved: level.reserved() }
    } else {
        history::Stock::Absent
    };
    Seen { key, version: level.version(), stock }
}

fn refused(key: Key, refusal: Refusal) -> Refused {
    let reason = match refusal.reason {
        stock::Reason::Insufficient { .. } | stock::Reason::NotReserved { .. } => Reason::Insufficient,
        stock::Reason::NotFound => Reason::Missing,
        stock::Reason::AlreadyExists | stock::Reason::PreconditionFailed(Precondition::Absent) => {
            Reason::Exists
        }
        stock::Reason::PreconditionFailed(_) => Reason::VersionMismatch,
        stock::Reason::StockReserved | stock::Reason::BelowReserved { .. } => Reason::Reserved,
        stock::Reason::QuantityOverflow { .. } | stock::Reason::VersionsExhausted => Reason::Overflow,
    };
    Refused { seen: seen(key, refusal.found), reason }
}
