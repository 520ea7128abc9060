//! What the board makes of levels that were missing: case by case, and against the checker of histories in a simulation of
//! a server that keeps its promises, and of one that shows deletions before they are written.

use history::{Effect, History, Limits, Line, Outcome, Record, Request, Stock, check_with};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::super::sights::{Shown, Sights, View};
use super::*;

const KEY: Key = Key(10);

fn board() -> Board {
    Board::new(KEY, 2, Clock::start())
}

fn seen(key: Key, version: u64) -> Seen {
    Seen { key, version, stock: Stock::Level { on_hand: 1, reserved: 0 } }
}

fn missing(board: &Board, outset: &Outset) -> Option<(u64, bool, bool)> {
    let arrival = board.arrive(outset, &[], [KEY].into_iter());
    let told = |missing: &Missing| (missing.version, missing.is_early, missing.is_left_out);
    arrival.missing.first().map(told)
}

#[test]
fn a_level_that_was_missing_before_says_nothing_new() {
    let board = board();
    assert_eq!(missing(&board, &board.outset()), Some((0, false, false)));
    // Created, and deleted again, while the walk is under way: it may have been missing before as well as after.
    let outset = board.outset();
    for version in [1, 2] {
        board.ask(KEY, version);
        board.settle(KEY, version);
    }
    assert_eq!(missing(&board, &outset), Some((0, false, false)));
    assert_eq!(missing(&board, &board.outset()), Some((2, false, false)));
}

#[test]
fn a_deletion_that_is_on_its_way_was_seen() {
    let board = board();
    board.settle(KEY, 1);
    let outset = board.outset();
    board.ask(KEY, 2);
    assert_eq!(missing(&board, &outset), Some((2, true, false)));
    // Once is early; after that it is known, also to walks that began before.
    assert_eq!(missing(&board, &outset), Some((2, false, false)));
    assert_eq!(board.outset().told(KEY), 2);
    assert_eq!(board.outset().told(Key(11)), 0);
    // Created again meanwhile: what was missing was still the deletion.
    board.settle(KEY, 2);
    board.ask(KEY, 3);
    board.settle(KEY, 3);
    assert_eq!(missing(&board, &outset), Some((2, false, false)));
}

#[test]
fn a_deletion_in_doubt_is_still_the_one_that_was_seen() {
    let board = board();
    board.settle(KEY, 1);
    board.ask(KEY, 2);
    // A kill came in between, and the owner has not looked yet.
    assert_eq!(missing(&board, &board.outset()), Some((2, true, false)));
}

#[test]
fn a_level_that_nobody_deleted_was_left_out() {
    let board = board();
    board.settle(KEY, 1);
    let outset = board.outset();
    assert_eq!(missing(&board, &outset), Some((2, false, true)));
    // A deletion that is sent later excuses only walks that end later.
    board.ask(KEY, 2);
    assert_eq!(missing(&board, &outset), Some((2, true, false)));
}

#[test]
fn a_creation_that_was_only_seen_may_be_missing_elsewhere() {
    let board = board();
    board.ask(KEY, 1);
    let outset = board.outset();
    board.arrive(&outset, &[seen(KEY, 1)], std::iter::empty());
    assert_eq!(board.outset().told(KEY), 1);
    assert_eq!(missing(&board, &board.outset()), None);
    assert_eq!(missing(&board, &outset), Some((0, false, false)));
}

#[test]
fn what_is_known_is_known_before_its_answer_has_returned() {
    let board = board();
    board.ask(KEY, 1);
    let answered = board.settle(KEY, 1);
    let outset = board.outset();
    assert!(answered <= outset.at_ns && outset.told(KEY) == 1);
    // Other levels are no business of the board.
    board.tell(&seen(Key(3), 9));
    assert_eq!(outset.told(Key(3)), 0);
    board.tell(&seen(KEY, 2));
    assert_eq!(board.outset().told(KEY), 2);
}

#[tokio::test]
async fn who_waits_for_an_early_deletion_is_woken_by_it() {
    let board = board();
    board.settle(KEY, 1);
    let outset = board.outset();
    let early = board.early_deletion();
    tokio::pin!(early);
    let poll = std::future::poll_fn(|context| std::task::Poll::Ready(early.as_mut().poll(context)));
    assert!(poll.await.is_pending());
    board.ask(KEY, 2);
    missing(&board, &outset);
    early.await;
}

/// A level, its owner, and two who look at it, one step at a time in an order that is drawn.
struct Simulation {
    rng: Xoshiro256PlusPlus,
    board: Board,
    /// What the server has on disk.
    disk: u64,
    /// What it has in memory: one more at most.
    memory: u64,
    /// Whether what is missing in memory is missing from a walk, and not only what is missing on disk.
    is_hasty: bool,
    life: u32,
    /// The version its owner knows, and when it sent the request that is on its way.
    owned: u64,
    sent_ns: Option<u64>,
    walks: [Option<(Outset, Option<Seen>)>; 2],
    records: Vec<Record>,
    sights: Sights,
    left_out: usize,
    /// Whether a walk told of a deletion that a kill took back.
    has_lied: bool,
    /// The version that walks of this life told of.
    shown: u64,
}

fn level(version: u64) -> Seen {
    let stock = if version % 2 == 1 { Stock::Level { on_hand: 1, reserved: 0 } } else { Stock::Absent };
    Seen { key: Key(0), version, stock }
}

impl Simulation {
    fn new(seed: u64, is_hasty: bool) -> Self {
        Self {
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            board: Board::new(Key(0), 1, Clock::start()),
            disk: 0,
            memory: 0,
            is_hasty,
            life: 1,
            owned: 0,
            sent_ns: None,
            walks: [None, None],
            records: Vec::new(),
            sights: Sights::default(),
            left_out: 0,
            has_lied: false,
            shown: 0,
        }
    }

    fn run(mut self, steps: u32) -> Self {
        for _ in 0..steps {
            match self.rng.random_range(0..20) {
                0..3 => self.ask(),
                3..6 if self.sent_ns.is_some() => self.memory = self.owned + 1,
                6..8 => self.disk = self.memory,
                8..10 => self.answer(),
                10..13 => self.begin(),
                13..16 => self.look(),
                16..19 => self.arrive(),
                19 => self.kill(),
                _ => {}
            }
        }
        self.kill();
        self
    }

    fn ask(&mut self) {
        if self.sent_ns.is_none() {
            self.sent_ns = Some(self.board.ask(Key(0), self.owned + 1));
        }
    }

    fn answer(&mut self) {
        if self.disk > self.owned
            && let Some(sent_ns) = self.sent_ns.take()
        {
            self.owned = self.disk;
            let returned_ns = self.board.settle(Key(0), self.owned);
            self.made(sent_ns, returned_ns);
        }
    }

    fn walk(&mut self) -> &mut Option<(Outset, Option<Seen>)> {
        &mut self.walks[usize::from(self.rng.random::<bool>())]
    }

    fn begin(&mut self) {
        let outset = self.board.outset();
        self.walk().get_or_insert((outset, None));
    }

    fn look(&mut self) {
        let is_gone = self.is_hasty && level(self.memory).stock == Stock::Absent;
        let now = level(if is_gone { self.memory } else { self.disk });
        if let Some((_, seen)) = self.walk() {
            seen.get_or_insert(now);
        }
    }

    fn arrive(&mut self) {
        let Some((outset, Some(seen))) = self.walk().take_if(|walk| walk.1.is_some()) else { return };
        let is_missing = seen.stock == Stock::Absent;
        let shown: Vec<Seen> = Some(seen).filter(|_| !is_missing).into_iter().collect();
        let arrival = self.board.arrive(&outset, &shown, is_missing.then_some(Key(0)).into_iter());
        self.left_out += arrival.missing.iter().filter(|missing| missing.is_left_out).count();
        let told = shown.into_iter().chain(arrival.missing.iter().map(|missing| level(missing.version)));
        for told in told {
            assert!(told.version <= seen.version, "never more than what there was to see");
            self.shown = self.shown.max(told.version);
            let shown = Shown { version: told.version, is_missing, by: View::Listing };
            self.sights.show(Key(0), self.life, shown);
            self.read(told, (outset.at_ns, arrival.at_ns));
        }
    }

    /// What is not on disk is gone, and so are all requests. The driver looks first, then the owner.
    fn kill(&mut self) {
        self.has_lied |= self.shown > self.disk;
        (self.memory, self.walks, self.shown, self.life) = (self.disk, [None, None], 0, self.life + 1);
        if self.rng.random() {
            let at_ns = self.board.outset().at_ns;
            self.read(level(self.disk), (at_ns, at_ns));
            self.board.tell(&level(self.disk));
        }
        if self.rng.random() {
            // Somebody may look before the owner does.
            self.begin();
            self.look();
            self.arrive();
        }
        let at_ns = self.board.outset().at_ns;
        self.sights.find(Key(0), self.life, self.disk);
        let returned_ns = self.board.settle(Key(0), self.disk);
        self.read(level(self.disk), (at_ns, returned_ns));
        let sent_ns = self.sent_ns.take();
        if self.disk > self.owned
            && let Some(sent_ns) = sent_ns
        {
            self.owned = self.disk;
            self.made(sent_ns, returned_ns);
        }
    }

    fn made(&mut self, invoked_ns: u64, returned_ns: u64) {
        let seen = level(self.owned);
        let effect = if seen.stock == Stock::Absent { Effect::Delete } else { Effect::Create(1) };
        let request = Request::Write(vec![Line { key: Key(0), effect }]);
        let outcome = Outcome::Applied(vec![seen]);
        self.records.push(Record { client: 0, invoked_ns, returned_ns, request, outcome, once: None });
    }

    fn read(&mut self, seen: Seen, (invoked_ns, returned_ns): (u64, u64)) {
        let (request, outcome) = (Request::Read(Key(0)), Outcome::Read(seen));
        self.records.push(Record { client: 1, invoked_ns, returned_ns, request, outcome, once: None });
    }
}

#[test]
fn whoever_shows_only_what_is_on_disk_is_never_accused() {
    let mut deletions = 0;
    for seed in 0..300 {
        let Simulation { records, sights, left_out, .. } = Simulation::new(seed, false).run(400);
        let names = vec!["a".to_owned()];
        deletions += records.iter().filter(|record| record.outcome == Outcome::Read(level(2))).count();
        assert_eq!((left_out, sights.taken_back(&names)), (0, vec![]), "seed {seed}");
        let verdict = check_with(&History { keys: names, records, ..History::default() }, &Limits::lenient());
        assert!(verdict.is_consistent(), "seed {seed}: {verdict}");
    }
    assert!(deletions > 100, "deletions are seen: {deletions}");
}

#[test]
fn whoever_shows_a_deletion_that_a_kill_takes_back_is_convicted_twice() {
    let mut lies = 0;
    for seed in 0..300 {
        let Simulation { records, sights, left_out, has_lied, .. } = Simulation::new(seed, true).run(400);
        let names = vec!["a".to_owned()];
        assert_eq!(left_out, 0, "seed {seed}");
        assert_eq!(!sights.taken_back(&names).is_empty(), has_lied, "seed {seed}");
        let verdict = check_with(&History { keys: names, records, ..History::default() }, &Limits::lenient());
        assert_eq!(verdict.is_violated(), has_lied, "seed {seed}: {verdict}");
        lies += u32::from(has_lied);
    }
    assert!(lies > 30, "it lied often enough: {lies}");
}
