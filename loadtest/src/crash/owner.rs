//! The owner of one level that comes and goes: creates it, deletes it, creates it again, across all lives.
//!
//! `PUT` and `DELETE` take no idempotency key, and need none here. The owner is alone in changing its level, a change
//! raises the version by exactly 1, and a deleted level keeps its version. So after an answer was lost in a kill one read
//! in the next life says whether the change took effect; until then nothing else is sent. An answer that was lost in a
//! life that goes on leaves the level alone for the rest of it: the request may still be on its way in the server.
//!
//! Of several replicas over a database the one that was asked has to be gone, or to have said itself that it does not know. Even then what it had begun may
//! not be at its end in the database: so the look is one that waits for whoever is at the level (a consistent query).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use history::{Key, Outcome, Record, Request, Seen, Stock};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::access::{Gate, Stint, Traffic, Up};
use super::board::Board;
use super::errand::is_passing;
use super::haul::Haul;
use crate::client::answer::{Outcomes, judge};
use crate::client::failure::NO_CONNECTION;
use crate::client::{Call, Judgement};
use crate::runner::session::records;
use crate::schedule::Clock;

/// Units that a level comes with, at most; never none, so that there is something to lose.
const UNITS_MAX: u64 = 9;

/// Everything that decides what an owner does.
#[derive(Debug)]
pub struct Ownership {
    /// The number of the client.
    pub id: u32,
    /// Its level.
    pub key: Key,
    /// The seed of the units.
    pub seed: u64,
    /// The most records it keeps.
    pub records_max: usize,
    /// Whether it asks replicas over a database.
    pub has_replicas: bool,
}

/// One owner.
#[derive(Debug)]
pub struct Owner {
    own: Ownership,
    board: Arc<Board>,
    clock: Clock,
    gate: Gate,
    rng: Xoshiro256PlusPlus,
    /// The version it knows its level to be at: odd if there is one.
    version: u64,
    doubt: Option<Doubt>,
    /// Whether the server does not take what it asks.
    is_rejected: bool,
    haul: Haul,
}

/// A change that may have taken effect, or not.
#[derive(Debug)]
struct Doubt {
    call: Call,
    sent_ns: u64,
    /// The server it was sent to.
    stint: Arc<Stint>,
    /// Whether that has said that it is done with it, and does not know.
    is_told: bool,
}

impl Doubt {
    /// Whether nothing of it is on its way in a server any more.
    fn is_over(&self) -> bool {
        self.is_told || self.stint.is_over.load(Ordering::Acquire)
    }
}

/// The answer of a replica that is done with a change and does not know what became of it.
const DOES_NOT_KNOW: &str = "503 store-unavailable";

/// What to do next.
enum Step {
    Change,
    Settle(Doubt),
    Wait,
    Leave,
}

impl Owner {
    /// An owner whose level has never been there.
    pub fn new(own: Ownership, board: Arc<Board>, clock: Clock, gate: Gate) -> Self {
        let rng = Xoshiro256PlusPlus::seed_from_u64(own.seed);
        let haul = Haul::default();
        Self { own, board, clock, gate, rng, version: 0, doubt: None, is_rejected: false, haul }
    }

    /// Works until all is over, or until nothing is left in doubt of the rest; answers what it saw.
    pub async fn work(mut self) -> Haul {
        while let Some(up) = self.gate.up().await {
            let going_on = match self.next_step(&up) {
                Step::Change => self.change(&up).await,
                Step::Settle(doubt) => self.settle(doubt, &up).await,
                Step::Wait => self.gate.changed().await,
                Step::Leave => false,
            };
            if !going_on {
                break;
            }
        }
        self.leave()
    }

    fn next_step(&mut self, up: &Up) -> Step {
        if let Some(doubt) = self.doubt.take_if(|doubt| doubt.is_over()) {
            return Step::Settle(doubt);
        }
        let is_done = self.is_rejected || self.haul.records.len() >= self.own.records_max;
        match up.traffic {
            Traffic::Rest => Step::Leave,
            Traffic::All | Traffic::Hush if self.doubt.is_none() && !is_done => Step::Change,
            Traffic::All | Traffic::Hush | Traffic::Retries => Step::Wait,
        }
    }

    async fn change(&mut self, up: &Up) -> bool {
        let key = self.own.key;
        let (call, request) = if self.version.is_multiple_of(2) {
            let call = Call::Create { key, on_hand: self.rng.random_range(1..=UNITS_MAX) };
            let request = up.client.prepare(&call);
            (call, request)
        } else {
            (Call::Delete(key), up.client.prepare_delete(key, self.version))
        };
        self.haul.counts.requests += 1;
        let sent_ns = self.board.ask(key, self.version + 1);
        let reply = up.client.send(request).await;
        let status = reply.as_ref().ok().map(|answer| answer.status);
        let judgement = judge(&call, up.client.catalogue(), reply);
        self.haul.tally.add(&judgement);
        match &judgement.outcomes {
            Outcomes::Whole(Outcome::Applied(seen)) => {
                let version = seen.first().map_or(self.version + 1, |seen| seen.version);
                self.made(call, judgement.outcomes, version, sent_ns);
                up.stint.outages.acknowledged(sent_ns);
                return true;
            }
            Outcomes::Whole(Outcome::Refused(refused)) => {
                // Nobody else changes it, so this cannot be. What the refusal shows is a sight like any other.
                self.haul.counts.comings.refused += 1;
                if let Some(refused) = refused.first() {
                    self.saw(refused.seen, sent_ns);
                }
            }
            Outcomes::Whole(Outcome::Unknown) | Outcomes::Lines(_) => {
                self.haul.counts.comings.unknown += 1;
                up.stint.doubt();
                up.stint.outages.failed();
                up.stint.outages.unknown();
                let is_told = self.own.has_replicas
                    && judgement.failure.as_ref().is_some_and(|failure| failure.kind == DOES_NOT_KNOW);
                self.doubt = Some(Doubt { call, sent_ns, stint: Arc::clone(&up.stint), is_told });
                self.gate.go_on();
            }
            Outcomes::Whole(_) => {
                up.stint.outages.failed();
                return self.not_done(&judgement, status).await;
            }
        }
        self.gate.pause().await
    }

    fn made(&mut self, call: Call, outcomes: Outcomes, version: u64, sent_ns: u64) {
        let comings = &mut self.haul.counts.comings;
        match call {
            Call::Delete(_) => comings.deleted += 1,
            _ => comings.created += 1,
        }
        let at_ns = self.board.settle(self.own.key, version);
        self.haul.records.extend(records(self.own.id, call, outcomes, sent_ns, at_ns));
        self.version = version;
    }

    /// It certainly did not take effect: it is asked for again, unless the server will never have it.
    async fn not_done(&mut self, judgement: &Judgement, status: Option<u16>) -> bool {
        let Some(failure) = &judgement.failure else { return self.gate.pause().await };
        if failure.kind == NO_CONNECTION {
            return self.gate.next_life().await;
        }
        if !is_passing(status, &failure.kind) {
            self.haul.counts.rejected.add(|| failure.example.clone());
            self.is_rejected = true;
        }
        self.gate.pause().await
    }

    /// Looks whether a change took effect that a server did not live to answer.
    async fn settle(&mut self, doubt: Doubt, up: &Up) -> bool {
        let key = self.own.key;
        let look = if self.own.has_replicas { Call::Query(vec![key]) } else { Call::Read(key) };
        self.haul.counts.requests += 1;
        let sent_ns = self.clock.now_ns();
        let reply = up.client.send(up.client.prepare(&look)).await;
        let judgement = judge(&look, up.client.catalogue(), reply);
        self.haul.tally.add(&judgement);
        let Some(seen) = only_level(&judgement.outcomes) else {
            self.doubt = Some(doubt);
            up.stint.outages.failed();
            let nobody = judgement.failure.is_some_and(|failure| failure.kind == NO_CONNECTION);
            return if nobody { self.gate.next_life().await } else { self.gate.pause().await };
        };
        up.stint.outages.settled();
        self.haul.counts.reads += 1;
        self.haul.sights.find(self.own.key, up.life, seen.version);
        let outcome = fate(&doubt.call, self.version, seen);
        let comings = &mut self.haul.counts.comings;
        match outcome {
            Outcome::Applied(_) => comings.unknown_done += 1,
            Outcome::NotApplied => comings.unknown_not_done += 1,
            _ => comings.unresolved += 1,
        }
        let at_ns = self.saw(seen, sent_ns);
        let outcomes = Outcomes::Whole(outcome);
        self.haul.records.extend(records(self.own.id, doubt.call, outcomes, doubt.sent_ns, at_ns));
        true
    }

    /// Goes on from what was seen; answers when that counts as returned.
    fn saw(&mut self, seen: Seen, sent_ns: u64) -> u64 {
        let returned_ns = self.board.settle(self.own.key, seen.version);
        self.version = seen.version;
        self.haul.records.push(Record {
            client: self.own.id,
            invoked_ns: sent_ns,
            returned_ns,
            request: Request::Read(seen.key),
            outcome: Outcome::Read(seen),
            once: None,
        });
        returned_ns
    }

    fn leave(mut self) -> Haul {
        if let Some(Doubt { call, sent_ns, .. }) = self.doubt.take() {
            self.haul.counts.comings.unresolved += 1;
            let (unknown, now_ns) = (Outcomes::Whole(Outcome::Unknown), self.clock.now_ns());
            self.haul.records.extend(records(self.own.id, call, unknown, sent_ns, now_ns));
        }
        self.haul
    }
}

/// The level that was looked at, if it was shown.
fn only_level(outcomes: &Outcomes) -> Option<Seen> {
    match outcomes {
        Outcomes::Whole(Outcome::Read(seen)) => Some(*seen),
        Outcomes::Whole(Outcome::Snapshot { levels, .. }) => levels.first().copied(),
        _ => None,
    }
}

/// What became of a change of a level at this version, if in the next life the level is as it was seen.
fn fate(call: &Call, version: u64, seen: Seen) -> Outcome {
    let stock = match call {
        Call::Create { on_hand, .. } => Stock::Level { on_hand: *on_hand, reserved: 0 },
        _ => Stock::Absent,
    };
    if seen == (Seen { key: seen.key, version: version + 1, stock }) {
        Outcome::Applied(vec![seen])
    } else if seen.version == version {
        Outcome::NotApplied
    } else {
        // Not a state that one change can have led to. The checker will say so.
        Outcome::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_look_says_what_became_of_a_change() {
        let there = |version| Seen { key: Key(3), version, stock: Stock::Level { on_hand: 7, reserved: 0 } };
        let gone = |version| Seen { key: Key(3), version, stock: Stock::Absent };
        let create = Call::Create { key: Key(3), on_hand: 7 };
        assert_eq!(fate(&create, 4, there(5)), Outcome::Applied(vec![there(5)]));
        assert_eq!(fate(&create, 4, gone(4)), Outcome::NotApplied);
        assert_eq!(fate(&Call::Delete(Key(3)), 5, gone(6)), Outcome::Applied(vec![gone(6)]));
        assert_eq!(fate(&Call::Delete(Key(3)), 5, there(5)), Outcome::NotApplied);
        // Whatever else there is, one change did not do it.
        for (version, seen) in [(4, gone(2)), (4, gone(5)), (4, there(7)), (5, there(6))] {
            let call = if version == 4 { &create } else { &Call::Delete(Key(3)) };
            assert_eq!(fate(call, version, seen), Outcome::Unknown, "{seen:?}");
        }
    }
}
