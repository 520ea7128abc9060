//! How changes and transactions share cells without a lock. Generic over the memory, so that the model checker
//! runs this very code on its own atomics.
//!
//! # The protocol
//!
//! A **change** of one level loads the cell, judges the level, swaps the word. A failed swap means another
//! change came first: look again.
//!
//! A **transaction** goes through four steps:
//!
//! 1. *Register*: a descriptor, with room for each level before and after, is registered under a fresh number.
//! 2. *Claim*: cell by cell in ascending order of the key: note the level and its successor in the descriptor, then swap
//!    the cell's word from exactly that level to a claim (number, entry). From then on the level cannot change.
//! 3. *Decide*: one store to the descriptor's gate. **That store is the instant at which the whole transaction
//!    happens**, for every observer.
//! 4. *Release*: each claim is swapped for the level after (committed) or before (aborted), then the descriptor is
//!    deregistered.
//!
//! **Reading a claimed cell**: look the descriptor up and read the gate: undecided or aborted, the level is the one before;
//! committed, the one after. If the number is no longer registered, the cell has been released: load it again. So
//! nobody ever sees a part of a transaction, and a reader never waits: whichever cells it reads, in whichever order, all
//! of them are "before" until the store and "after" from then on.
//!
//! **A snapshot** of many cells reads all of them, and reads all again: if no level has changed in between, all were so at once, the
//! moment the second round began, since no version is ever used again (a *double collect*: Afek, Attiya, Dolev, Gafni, Merritt and
//! Shavit, "Atomic Snapshots of Shared Memory", JACM 1993). Where changes keep coming it claims the cells, as a transaction does that
//! changes nothing and never commits: at the moment it holds all of them, all are as it found them.
//!
//! **Who waits:** a change, or another transaction, that must change a cell claimed by an *undecided* transaction. A change
//! that the level "before" refuses need not: that is the level right now. **Who helps:** whoever meets the claim of
//! a *decided* transaction swaps it away itself instead of waiting for the owner to come by. Nobody helps an undecided
//! transaction to claim: a helper that was delayed could claim a cell after the transaction had ended.
//!
//! **No deadlock:** whoever waits while holding claims waits for a claim on a higher key than all it holds. **Bounded:** a
//! transaction has at most [`ENTRIES_MAX`](crate::stock::ENTRIES_MAX) cells, all looked up and judged once before the first is claimed, so the time
//! between first claim and decision is that many swaps: some hundred microseconds for 10 000 lines, unless the
//! thread is preempted. A waiter gives up at the lock timeout; a transaction that gives up aborts, and releases
//! what it had claimed.
//!
//! **Refusals:** a transaction that finds a level short aborts at once. That level was short at that instant; the other
//! levels it reports are those it had claimed, or are read on the spot.
//!
//! **Unwinding** aborts and releases like a timeout does ([`Claims`] is dropped).

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::gate::{Gate, Verdict};
use super::word::{Claim, State, Word};
use crate::stock::{Applied, Change, Level, Refusal, Transaction};
use crate::strategy::{Contention, Meter, Rejected, TransactRejected, table};

/// Failed swaps between two looks at the clock: a change that keeps losing gives up at the lock timeout.
const RETRIES_PER_CLOCK: u64 = 64;

/// What the protocol runs on.
pub trait Memory: Sized {
    /// A cell.
    type Word: Word;
    /// A transaction's verdict.
    type Gate: Gate;
    /// The transactions that have claims.
    type Register: Register<Self>;
}

/// The transactions that have claims, by number.
pub trait Register<M: Memory>: Default {
    /// Registers a transaction of that many entries under a number never used before.
    fn enter(&self, entries: usize) -> Arc<Descriptor<M>>;
    /// The transaction of that number, unless it has left.
    fn find(&self, id: u64) -> Option<Arc<Descriptor<M>>>;
    /// Removes a transaction that has no claims any more.
    fn leave(&self, id: u64);
}

/// What others may need to know of a transaction that has claims.
pub struct Descriptor<M: Memory> {
    id: u64,
    gate: M::Gate,
    /// Each entry's level before and after. Written by the owner before it claims the entry's cell, read by
    /// others only after they saw that claim.
    levels: Box<[(M::Word, M::Word)]>,
}

/// The shared part of the strategy: everything but the map.
pub struct Protocol<M: Memory> {
    pub(super) register: M::Register,
}

/// How long a caller waits, in all. The clock starts at the first wait: who need not wait reads no clock.
#[derive(Debug)]
pub struct Patience<'a> {
    timeout: Duration,
    deadline: Option<Instant>,
    retries: u64,
    meter: &'a Meter,
}

impl<M: Memory> Protocol<M> {
    /// The level at one instant. Never waits.
    #[inline]
    pub fn read(&self, cell: &M::Word) -> Level {
        loop {
            match cell.load() {
                State::Level(level) => return level,
                State::Claimed(claim) => {
                    if let Some((by, verdict)) = self.claimant(claim) {
                        return by.level(claim.entry, verdict);
                    }
                }
            }
        }
    }

    /// The levels of several cells, as all were at one instant. `cell(index)` finds one of the `count` cells, or that there is none (yet).
    /// After that many `rounds` in which a level had changed, the cells are claimed.
    pub fn snapshot<'c>(
        &self,
        count: usize,
        cell: impl Fn(usize) -> Option<&'c M::Word>,
        rounds: usize,
        patience: Patience<'_>,
    ) -> Result<Vec<Level>, Contention>
    where
        M: 'c,
    {
        let mut cells = vec![None; count];
        let mut collect = || {
            let mut read = |index: usize| {
                let known = &mut cells[index];
                // A cell stays where it is; only one that was not there has to be looked for again.
                *known = known.or_else(|| cell(index));
                known.map_or(Level::ABSENT, |cell| self.read(cell))
            };
            (0..count).map(&mut read).collect::<Vec<Level>>()
        };
        let mut levels = collect();
        for _ in 0..rounds {
            let again = collect();
            if again == levels {
                return Ok(levels);
            }
            levels = again;
        }
        self.claimed_snapshot(cells, cell, patience)
    }

    /// [`Protocol::snapshot`] by claiming the cells there are; those that are not there must still not be when the others are claimed.
    fn claimed_snapshot<'c>(
        &self,
        mut cells: Vec<Option<&'c M::Word>>,
        cell: impl Fn(usize) -> Option<&'c M::Word>,
        mut patience: Patience<'_>,
    ) -> Result<Vec<Level>, Contention> {
        loop {
            let there: Vec<&M::Word> = cells.iter().flatten().copied().collect();
            let descriptor = self.register.enter(there.len());
            // Dropped, it aborts: what was claimed is as it was.
            let mut claims = Claims { protocol: self, cells: &there, descriptor, claimed: 0 };
            let mut levels = Vec::with_capacity(cells.len());
            let mut is_whole = true;
            for _ in &there {
                match claims.claim_next(Ok, &mut patience) {
                    Ok(claimed) => levels.push(claimed.before),
                    Err(Rejected::Contention(contention)) => return Err(contention),
                    Err(Rejected::Refused(_)) => unreachable!("who changes nothing is refused nothing"),
                }
            }
            // From here on no cell changes. One that is found not to be there now was not there at the start of this either, and a
            // level without a cell was never changed.
            for (index, known) in cells.iter_mut().enumerate().filter(|(_, known)| known.is_none()) {
                *known = cell(index);
                is_whole &= known.is_none();
            }
            if is_whole {
                patience.meter.lock_free();
                let mut levels = levels.into_iter();
                let level = |known: &Option<_>| known.and_then(|_| levels.next()).unwrap_or(Level::ABSENT);
                return Ok(cells.iter().map(level).collect());
            }
        }
    }

    /// Judges one change and makes it.
    #[inline]
    pub fn apply(
        &self,
        cell: &M::Word,
        change: Change,
        mut patience: Patience<'_>,
    ) -> Result<Applied, Rejected> {
        loop {
            match cell.load() {
                State::Level(before) => {
                    let after = change.judge(before)?;
                    if cell.swap_if(State::Level(before), State::Level(after)) {
                        patience.meter.lock_free();
                        return Ok(Applied { before, after });
                    }
                    patience.after_retry()?;
                }
                State::Claimed(claim) => {
                    self.give_way(cell, claim, |level| change.judge(level), &mut patience)?;
                }
            }
        }
    }

    /// Judges a transaction and makes it. `cells[i]` is the cell of entry `i`.
    pub fn transact(
        &self,
        transaction: &Transaction,
        cells: &[&M::Word],
        mut patience: Patience<'_>,
    ) -> Result<Vec<Applied>, TransactRejected> {
        let descriptor = self.register.enter(cells.len());
        let mut claims = Claims { protocol: self, cells, descriptor, claimed: 0 };
        let mut applied = Vec::with_capacity(cells.len());
        for entry in transaction.entries() {
            match claims.claim_next(|level| entry.change.judge(level), &mut patience) {
                Ok(claimed) => applied.push(claimed),
                Err(Rejected::Contention(contention)) => return Err(contention.into()),
                Err(Rejected::Refused(refusal)) => {
                    return Err(self.refuse(transaction, cells, &applied, refusal));
                }
            }
        }
        claims.descriptor.gate.decide(Verdict::Committed);
        patience.meter.lock_free();
        Ok(applied)
    }

    /// The refusal of a transaction whose entry `applied.len()` was found short.
    fn refuse(
        &self,
        transaction: &Transaction,
        cells: &[&M::Word],
        applied: &[Applied],
        refusal: Refusal,
    ) -> TransactRejected {
        let rest = cells[applied.len() + 1..].iter().map(|cell| self.read(cell));
        let claimed = applied.iter().map(|applied| applied.before);
        let found = claimed.chain(std::iter::once(refusal.found)).chain(rest).collect();
        match table::judge(transaction, found) {
            Err(refused) => refused.into(),
            Ok(_) => unreachable!("the entry that was refused is refused again: judging is pure"),
        }
    }

    /// Waits for the transaction behind a claim and swaps the claim away; then the cell is worth another look.
    // Rare, and apart: so that a change that meets no claim is not slowed by what it does not do.
    #[cold]
    fn give_way(
        &self,
        cell: &M::Word,
        claim: Claim,
        judge: impl Fn(Level) -> Result<Level, Refusal>,
        patience: &mut Patience<'_>,
    ) -> Result<(), Rejected> {
        let Some((by, verdict)) = self.claimant(claim) else { return Ok(()) };
        if verdict == Verdict::Undecided {
            // Judged first: a refusal by the level as it is now need not wait.
            judge(by.level(claim.entry, verdict))?;
        }
        Ok(patience.settle(cell, claim, &by, verdict)?)
    }

    /// Whose claim it is, and its verdict so far. `None` if it is gone: released since it was loaded, and the next load
    /// sees what it was released to, or something later.
    #[cold]
    fn claimant(&self, claim: Claim) -> Option<(Arc<Descriptor<M>>, Verdict)> {
        let by = self.register.find(claim.transaction)?;
        let verdict = by.gate.verdict();
        Some((by, verdict))
    }
}

impl<M: Memory> Descriptor<M> {
    /// A descriptor of an undecided transaction with no claims.
    pub fn new(id: u64, entries: usize) -> Self {
        let levels = (0..entries).map(|_| (M::Word::new(Level::ABSENT), M::Word::new(Level::ABSENT)));
        Self { id, gate: M::Gate::default(), levels: levels.collect() }
    }

    /// The level of a claimed entry, given the verdict.
    fn level(&self, entry: usize, verdict: Verdict) -> Level {
        let (before, after) = &self.levels[entry];
        let word = if verdict == Verdict::Committed { after } else { before };
        match word.load() {
            State::Level(level) => level,
            State::Claimed(_) => unreachable!("a descriptor holds levels only"),
        }
    }

    /// Swaps a claim of this decided transaction for what it decided. Somebody else may have done so.
    fn release(&self, cell: &M::Word, claim: Claim, verdict: Verdict) {
        cell.swap_if(State::Claimed(claim), State::Level(self.level(claim.entry, verdict)));
    }
}

/// The cells a transaction has claimed so far. Dropping it releases them, and aborts if nothing was decided, so no way
/// out of the function leaves a claim behind.
struct Claims<'a, M: Memory> {
    protocol: &'a Protocol<M>,
    cells: &'a [&'a M::Word],
    descriptor: Arc<Descriptor<M>>,
    claimed: usize,
}

impl<M: Memory> Claims<'_, M> {
    fn claim(&self, entry: usize) -> Claim {
        Claim { transaction: self.descriptor.id, entry }
    }

    /// Claims the cell of the next entry, for the level that comes after the one it has.
    fn claim_next(
        &mut self,
        judge: impl Fn(Level) -> Result<Level, Refusal>,
        patience: &mut Patience<'_>,
    ) -> Result<Applied, Rejected> {
        let cell = self.cells[self.claimed];
        loop {
            match cell.load() {
                State::Level(before) => {
                    let after = judge(before)?;
                    let (note_before, note_after) = &self.descriptor.levels[self.claimed];
                    note_before.store(before);
                    note_after.store(after);
                    let claim = State::Claimed(self.claim(self.claimed));
                    if cell.swap_if(State::Level(before), claim) {
                        self.claimed += 1;
                        return Ok(Applied { before, after });
                    }
                    patience.after_retry()?;
                }
                State::Claimed(claim) => self.protocol.give_way(cell, claim, &judge, patience)?,
            }
        }
    }
}

impl<M: Memory> Drop for Claims<'_, M> {
    fn drop(&mut self) {
        let gate = &self.descriptor.gate;
        if gate.verdict() == Verdict::Undecided {
            gate.decide(Verdict::Aborted);
        }
        let verdict = gate.verdict();
        for (entry, cell) in self.cells[..self.claimed].iter().enumerate() {
            self.descriptor.release(cell, self.claim(entry), verdict);
        }
        self.protocol.register.leave(self.descriptor.id);
    }
}

impl<'a> Patience<'a> {
    /// Waits of `timeout` in all, counted by `meter`.
    pub fn new(timeout: Duration, meter: &'a Meter) -> Self {
        Self { timeout, deadline: None, retries: 0, meter }
    }

    fn deadline(&mut self) -> Instant {
        *self.deadline.get_or_insert_with(|| Instant::now() + self.timeout)
    }

    /// Waits until the transaction behind a claim is decided, then swaps its claim away.
    fn settle<M: Memory>(
        &mut self,
        cell: &M::Word,
        claim: Claim,
        by: &Descriptor<M>,
        verdict: Verdict,
    ) -> Result<(), Contention> {
        let verdict = match verdict {
            Verdict::Undecided => {
                let deadline = self.deadline();
                self.meter.waited(|| by.gate.wait(deadline))?
            }
            decided => decided,
        };
        by.release(cell, claim, verdict);
        Ok(())
    }

    /// Looks at the clock now and then, so that a change that keeps losing ends.
    fn after_retry(&mut self) -> Result<(), Contention> {
        self.retries += 1;
        if self.retries.is_multiple_of(RETRIES_PER_CLOCK) && Instant::now() >= self.deadline() {
            return Err(self.meter.timed_out());
        }
        Ok(())
    }
}

/// However the call ended - applied, refused or given up - what it cost is counted.
impl Drop for Patience<'_> {
    fn drop(&mut self) {
        if self.retries > 0 || self.deadline.is_some() {
            self.meter.contended(self.retries);
        }
    }
}

impl<M: Memory> Default for Protocol<M> {
    fn default() -> Self {
        Self { register: M::Register::default() }
    }
}

impl<M: Memory> fmt::Debug for Protocol<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Protocol").finish_non_exhaustive()
    }
}

impl<M: Memory> fmt::Debug for Descriptor<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Descriptor")
            .field("id", &self.id)
            .field("verdict", &self.gate.verdict())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
