//! Concurrent histories, judged by the checker that `loadtest` uses: every operation at once, snapshots too, from many threads, on few
//! levels (P1 to P6). The same body must convict `racy`, or it proves nothing of the others.

use std::sync::Arc;
use std::time::Instant;

use history::{Conclusion, Effect, History, Key, Line, Record, Request, Verdict};
use inventory::strategy::StrategyKind;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use crate::support::clients;
use crate::support::for_each_strategy;
use crate::support::recording::{self, Client};
use crate::support::stock::Stock;

const THREADS: usize = 4;
const CALLS_PER_CLIENT: usize = 4_000;
pub(crate) const KEYS: u32 = 4;
/// Every client's script follows from this and its number.
pub(crate) const SEED: u64 = 20_260;

/// The script of one client: what it asks next.
pub(crate) struct Script {
    random: Xoshiro256PlusPlus,
    /// The version each level had when this client last read it: what its counts demand.
    versions: [u64; KEYS as usize],
}

impl Script {
    pub(crate) fn new(client: usize) -> Self {
        Self { random: Xoshiro256PlusPlus::seed_from_u64(SEED + client as u64), versions: Default::default() }
    }

    pub(crate) fn next(&mut self) -> Request {
        match self.random.random_range(0..10) {
            0..2 => Request::Read(self.key()),
            2 => Request::Snapshot(self.some_keys()),
            3..7 => {
                let key = self.key();
                Request::Write(vec![Line { key, effect: self.effect(key) }])
            }
            _ => Request::Write(self.many_lines()),
        }
    }

    /// The client has seen the level at that version.
    pub(crate) fn saw(&mut self, key: Key, version: u64) {
        self.versions[key.0 as usize] = version;
    }

    /// At least two of the keys, ascending.
    fn some_keys(&mut self) -> Vec<Key> {
        let left_out = self.random.random_range(0..2 * KEYS);
        (0..KEYS).filter(|key| *key != left_out).map(Key).collect()
    }

    /// Two to four lines; those of one level are additions, which combine.
    fn many_lines(&mut self) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        for _ in 0..self.random.random_range(2..=4) {
            let key = self.key();
            let is_named = lines.iter().any(|line| line.key == key);
            if is_named {
                lines.retain(|line| line.key != key || matches!(line.effect, Effect::Add(_)));
                lines.push(Line { key, effect: Effect::Add(self.random.random_range(-3..=3)) });
            } else {
                lines.push(Line { key, effect: self.effect(key) });
            }
        }
        lines
    }

    fn effect(&mut self, key: Key) -> Effect {
        match self.random.random_range(0..20) {
            0..10 => Effect::Add(self.random.random_range(-4..=4)),
            10..15 => Effect::AddOrCreate(self.random.random_range(-1..=3)),
            15 => Effect::Create(self.random.random_range(0..6)),
            16 => Effect::Delete,
            17 => Effect::Count { on_hand: self.random.random_range(0..6), if_version: None },
            _ => {
                let if_version = Some(self.versions[key.0 as usize]);
                Effect::Count { on_hand: self.random.random_range(0..6), if_version }
            }
        }
    }

    fn key(&mut self) -> Key {
        Key(self.random.random_range(0..KEYS))
    }
}

async fn run_script(mut client: Client, number: usize) -> Vec<Record> {
    let mut script = Script::new(number);
    for _ in 0..CALLS_PER_CLIENT {
        match script.next() {
            Request::Read(key) => script.saw(key, client.read(key).await.version()),
            Request::Write(lines) => client.write(lines, script.random.random_ratio(1, 4)).await,
            Request::Snapshot(keys) => client.snapshot(keys).await,
        }
    }
    client.into_records()
}

/// All clients at once, then one that reads every level. Each thread has two clients, which take turns wherever one of
/// them waits, so that a strategy that is not atomic shows it on any machine.
async fn history(kind: StrategyKind) -> History {
    let (stock, epoch) = (Stock::new(kind), Instant::now());
    let keys = recording::keys(KEYS);
    let shared: Arc<[_]> = keys.clone().into();
    let mut last = Client::new(u32::MAX, &stock, &shared, epoch);
    let client = move |number: usize| {
        let client = Client::new(u32::try_from(number).expect("few clients"), &stock, &shared, epoch);
        run_script(client, number)
    };
    let thread = move |thread: usize| {
        let scripts = [2 * thread, 2 * thread + 1].map(&client);
        async move {
            let [one, other] = scripts;
            let (mut one, other) = tokio::join!(one, other);
            one.extend(other);
            one
        }
    };
    let mut records = clients::run(THREADS, thread).await;
    for key in 0..KEYS {
        last.read(Key(key)).await;
    }
    records.push(last.into_records());
    recording::history(&keys, SEED, records)
}

/// That a history shows what it must, so that its passing means something.
pub(crate) fn assert_it_shows_all(verdict: &Verdict) {
    let summary = verdict.summary;
    let enough = [
        ("writes overlap", summary.contended_writes > 100),
        ("transactions are applied", summary.applied_many_line > 100),
        ("requests are refused", summary.refused > 100),
        ("units run out", summary.reasons.insufficient > 0),
        ("levels are missing", summary.reasons.missing > 0),
        ("levels are there already", summary.reasons.exists > 0),
        ("versions are stale", summary.reasons.version_mismatch > 0),
        ("every level changes", summary.levels_written == u64::from(KEYS)),
    ];
    for (what, is_shown) in enough {
        assert!(is_shown, "the history does not show that {what}: {verdict}");
    }
}

for_each_strategy! {
    /// P1 to P6: one order of all that the clients did explains every answer they got, in real time.
    async fn one_order_explains_every_answer(kind: StrategyKind) {
        let verdict = history::check(&history(kind).await);
        assert!(verdict.is_consistent(), "{verdict}");
        assert_it_shows_all(&verdict);
    }
}

/// P1: the same clients and the same checker convict the strategy that checks first and acts later, and name two
/// changes of which one was lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racy_is_caught_with_two_culprits() {
    let verdict = history::check(&history(StrategyKind::Racy).await);
    assert!(matches!(verdict.conclusion, Conclusion::Violations { .. }), "{verdict}");
    assert!(verdict.count(history::Kind::LostUpdate) > 0, "{verdict}");
    let lost = verdict.violations().iter().find(|violation| violation.kind == history::Kind::LostUpdate);
    let culprits = &lost.expect("the most telling kind is listed first").culprits;
    assert!(culprits.len() >= 2 && culprits[0].record != culprits[1].record, "{verdict}");
}
