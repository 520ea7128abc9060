//! Cells, gates and a register made of loom's atomics and locks.
//!
//! A [`LoomWord`] packs smaller fields into 64 bits, since loom knows no 128-bit atomics; a [`LoomGate`] sleeps as the real
//! one does; a [`LoomRegister`] is a list under a mutex, where the real one is a lock-free map.

use std::sync::Arc;
use std::time::Instant;

use loom::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use crate::stock::Level;
use crate::strategy::atomic::gate::{Gate, Verdict};
use crate::strategy::atomic::protocol::{Descriptor, Memory, Register};
use crate::strategy::atomic::word::{Claim, State, Word};

/// The memory of the model checker.
pub(super) enum Loom {}

impl Memory for Loom {
    type Word = LoomWord;
    type Gate = LoomGate;
    type Register = LoomRegister;
}

/// A cell of 64 bits: 8 on hand, 8 reserved, 16 version, a flag for "absent"; or a claim: 16 of the transaction's
/// number, 16 of the entry, and a flag.
pub(super) struct LoomWord(AtomicU64);

const ABSENT_FLAG: u64 = 1 << 32;
const CLAIM_FLAG: u64 = 1 << 33;

impl Word for LoomWord {
    fn new(level: Level) -> Self {
        Self(AtomicU64::new(pack(State::Level(level))))
    }

    fn load(&self) -> State {
        unpack(self.0.load(Ordering::SeqCst))
    }

    fn swap_if(&self, current: State, next: State) -> bool {
        self.0.compare_exchange(pack(current), pack(next), Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    fn store(&self, level: Level) {
        self.0.store(pack(State::Level(level)), Ordering::SeqCst);
    }
}

fn pack(state: State) -> u64 {
    match state {
        State::Level(level) => {
            let parts = [level.on_hand(), level.reserved(), level.version()];
            assert!(parts.iter().zip([8, 8, 16]).all(|(part, bits)| part >> bits == 0), "{level:?} fits");
            let flag = if level.exists() { 0 } else { ABSENT_FLAG };
            parts[0] | parts[1] << 8 | parts[2] << 16 | flag
        }
        State::Claimed(Claim { transaction, entry }) => {
            assert!(transaction >> 16 == 0 && entry >> 16 == 0, "the claim fits");
            CLAIM_FLAG | transaction | (entry as u64) << 16
        }
    }
}

fn unpack(word: u64) -> State {
    let field = |shift: u32, bits: u32| (word >> shift) & ((1 << bits) - 1);
    if word & CLAIM_FLAG != 0 {
        let entry = usize::try_from(field(16, 16)).unwrap();
        return State::Claimed(Claim { transaction: field(0, 16), entry });
    }
    let version = field(16, 16);
    let absent = word & ABSENT_FLAG != 0;
    let level =
        if absent { Level::tombstone(version) } else { Level::existing(field(0, 8), field(8, 8), version) };
    State::Level(level.expect("cells hold only what pack made"))
}

/// A gate whose waiters go to sleep at once, in the way those of the real one do after a while: a waiter that slept
/// through the decision would be a deadlock, which loom reports. (Waiting by yielding would leave loom with endless
/// interleavings as soon as two threads wait.)
#[derive(Default)]
pub(super) struct LoomGate {
    verdict: AtomicU8,
    asleep: loom::sync::Mutex<()>,
    decided: loom::sync::Condvar,
}

impl Gate for LoomGate {
    fn verdict(&self) -> Verdict {
        match self.verdict.load(Ordering::SeqCst) {
            0 => Verdict::Undecided,
            1 => Verdict::Committed,
            _ => Verdict::Aborted,
        }
    }

    fn decide(&self, verdict: Verdict) {
        let asleep = self.asleep.lock().unwrap();
        let before = self.verdict.swap(verdict as u8, Ordering::SeqCst);
        assert_eq!(before, Verdict::Undecided as u8, "a verdict is given once");
        drop(asleep);
        self.decided.notify_all();
    }

    fn wait(&self, deadline: Instant) -> Option<Verdict> {
        let mut asleep = self.asleep.lock().unwrap();
        loop {
            match self.verdict() {
                Verdict::Undecided if Instant::now() >= deadline => return None,
                Verdict::Undecided => asleep = self.decided.wait(asleep).unwrap(),
                decided => return Some(decided),
            }
        }
    }
}

/// The registered transactions: a list under a mutex. Numbers count from 0.
#[derive(Default)]
pub(super) struct LoomRegister(loom::sync::Mutex<Live>);

#[derive(Default)]
struct Live {
    next: u64,
    entered: Vec<(u64, Arc<Descriptor<Loom>>)>,
}

impl LoomRegister {
    /// Whether no transaction is registered.
    pub(super) fn is_empty(&self) -> bool {
        self.live().entered.is_empty()
    }

    fn live(&self) -> loom::sync::MutexGuard<'_, Live> {
        self.0.lock().unwrap()
    }
}

impl Register<Loom> for LoomRegister {
    fn enter(&self, entries: usize) -> Arc<Descriptor<Loom>> {
        let mut live = self.live();
        let id = live.next;
        live.next += 1;
        let descriptor = Arc::new(Descriptor::new(id, entries));
        live.entered.push((id, Arc::clone(&descriptor)));
        descriptor
    }

    fn find(&self, id: u64) -> Option<Arc<Descriptor<Loom>>> {
        let live = self.live();
        live.entered.iter().find(|(there, _)| *there == id).map(|(_, descriptor)| Arc::clone(descriptor))
    }

    fn leave(&self, id: u64) {
        self.live().entered.retain(|(there, _)| *there != id);
    }
}
