//! Good histories, made by running the model one operation at a time and pretending that clients overlapped.
//!
//! Each operation takes effect at a moment of its own and is sent before and answered after it, so the order of these
//! moments explains the history, whatever the seed. For self-tests and measurements of the checker.

use crate::model::{Level, Units, World};
use crate::record::{Effect, History, Key, Line, Outcome, Record, Request};

/// What kind of history to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// The same seed makes the same history.
    pub seed: u64,
    /// How many operations, not counting opening and closing reads.
    pub operations: usize,
    /// How many clients, each doing one thing at a time.
    pub clients: u32,
    /// How many stock levels.
    pub keys: u32,
    /// How many of 100 writes have several lines.
    pub many_line_percent: u64,
    /// How many of 100 writes get no answer; half of these take effect.
    pub unknown_percent: u64,
    /// How many of 100 writes are sent twice under one key; half of the first attempts get no answer.
    pub repeated_percent: u64,
    /// How many of 100 operations are consistent reads of several levels.
    pub snapshot_percent: u64,
    /// Whether levels are also created, counted and deleted, and not only added to.
    pub is_varied: bool,
    /// Whether the levels exist before the run.
    pub is_stocked: bool,
    /// Whether the history opens and closes with a read of every level.
    pub is_framed: bool,
}

impl Default for Shape {
    /// A thousand operations of eight clients on ten levels, with a little of everything but repetitions and consistent reads.
    fn default() -> Self {
        Self {
            seed: 1,
            operations: 1_000,
            clients: 8,
            keys: 10,
            many_line_percent: 20,
            unknown_percent: 1,
            repeated_percent: 0,
            snapshot_percent: 0,
            is_varied: true,
            is_stocked: true,
            is_framed: true,
        }
    }
}

/// Makes a history.
pub fn history(shape: &Shape) -> History {
    let mut records = Vec::new();
    let keys = generate(shape, |record| records.push(record));
    History { keys, records, ..History::default() }
}

/// Makes the same history one record at a time, for those that are too long to be held; answers the names of its keys.
pub fn generate(shape: &Shape, mut sink: impl FnMut(Record)) -> Vec<String> {
    let mut maker = Maker::new(shape, &mut sink);
    if shape.is_framed || shape.is_stocked {
        maker.read_all();
    }
    for _ in 0..shape.operations {
        maker.operation();
    }
    if shape.is_framed {
        maker.read_all();
    }
    (0..shape.keys).map(|key| format!("sample-{key}")).collect()
}

struct Maker<'s> {
    shape: &'s Shape,
    random: Random,
    world: World,
    clock_ns: u64,
    /// From when on each client has time.
    free_ns: Vec<u64>,
    /// How many idempotency keys there were.
    keys: u64,
    sink: &'s mut dyn FnMut(Record),
}

impl<'s> Maker<'s> {
    fn new(shape: &'s Shape, sink: &'s mut dyn FnMut(Record)) -> Self {
        let mut random = Random(shape.seed);
        let mut world = World::empty(shape.keys as usize);
        if shape.is_stocked {
            for level in &mut world.levels {
                let units = Units { on_hand: random.below(20), reserved: 0 };
                *level = Level { version: 1 + random.below(3), stock: Some(units) };
            }
        }
        Self {
            shape,
            random,
            world,
            clock_ns: 1_000,
            free_ns: vec![0; shape.clients.max(1) as usize],
            keys: 0,
            sink,
        }
    }

    /// Reads every level, while nothing else happens.
    fn read_all(&mut self) {
        let quiet = self.free_ns.iter().copied().max().unwrap_or(0).max(self.clock_ns);
        for key in 0..self.shape.keys {
            let request = Request::Read(Key(key));
            let outcome = self.world.answer(&request);
            let invoked_ns = quiet + 10;
            let record =
                Record { client: 0, invoked_ns, returned_ns: invoked_ns + 10, request, outcome, once: None };
            (self.sink)(record);
        }
        self.clock_ns = quiet + 100;
        self.free_ns.fill(quiet + 100);
    }

    fn operation(&mut self) {
        let client = self.random.below(self.free_ns.len() as u64);
        let free_ns = self.free_ns[usize::try_from(client).unwrap_or(0)];
        self.clock_ns = free_ns.max(self.clock_ns) + 1 + self.random.below(20);
        let spread_ns = 20 * self.free_ns.len() as u64;
        let invoked_ns = free_ns.max(self.clock_ns.saturating_sub(self.random.below(spread_ns)));
        let returned_ns = self.clock_ns + self.random.below(spread_ns);
        let request = self.request();
        let is_write = matches!(request, Request::Write(_));
        if is_write && self.shape.repeated_percent > 0 && self.random.chance(self.shape.repeated_percent) {
            self.twice(client, (invoked_ns, returned_ns), request);
            return;
        }
        let record = if is_write && self.random.chance(self.shape.unknown_percent) {
            if self.random.chance(50) {
                self.world.answer(&request);
            }
            // The client may give up before the effect.
            let returned_ns = invoked_ns + self.random.below(spread_ns);
            Record { client: 0, invoked_ns, returned_ns, request, outcome: Outcome::Unknown, once: None }
        } else {
            let outcome = self.world.answer(&request);
            Record { client: 0, invoked_ns, returned_ns, request, outcome, once: None }
        };
        self.free_ns[usize::try_from(client).unwrap_or(0)] = record.returned_ns + 1;
        (self.sink)(Record { client: u32::try_from(client).unwrap_or(0), ..record });
    }

    /// A write that is sent again under its key, and takes effect once.
    fn twice(&mut self, client: u64, (invoked_ns, returned_ns): (u64, u64), request: Request) {
        let spread_ns = 20 * self.free_ns.len() as u64;
        let answer = self.world.answer(&request);
        self.keys += 1;
        let once = Some(self.keys);
        let invoked_again_ns = returned_ns + 1 + self.random.below(spread_ns);
        let returned_again_ns = invoked_again_ns + self.random.below(spread_ns);
        let outcome = if self.random.chance(50) { Outcome::Unknown } else { answer.clone() };
        let number = u32::try_from(client).unwrap_or(0);
        let first = Record { client: number, invoked_ns, returned_ns, request, outcome, once };
        let (invoked_ns, returned_ns) = (invoked_again_ns, returned_again_ns);
        let again = Record { invoked_ns, returned_ns, outcome: answer, ..first.clone() };
        self.free_ns[number as usize] = again.returned_ns + 1;
        (self.sink)(first);
        (self.sink)(again);
    }

    fn request(&mut self) -> Request {
        let key = self.key();
        if self.shape.snapshot_percent > 0
            && self.shape.keys > 1
            && self.random.chance(self.shape.snapshot_percent)
        {
            let mut keys = vec![key];
            let count = 1 + self.random.below(3);
            keys.extend((0..count).map(|_| self.key()));
            return Request::Snapshot(keys);
        }
        if self.random.chance(30) {
            return Request::Read(key);
        }
        if self.random.chance(self.shape.many_line_percent) {
            let count = 2 + self.random.below(3);
            return Request::Write((0..count).map(|_| self.addition()).collect());
        }
        if self.shape.is_varied && self.random.chance(40) {
            return Request::Write(vec![Line { key, effect: self.rare_effect(key) }]);
        }
        Request::Write(vec![self.addition()])
    }

    fn addition(&mut self) -> Line {
        let key = self.key();
        let units = self.random.below(9).cast_signed() - 4;
        let units = if units == 0 { 5 } else { units };
        let effect = if self.random.chance(20) { Effect::AddOrCreate(units) } else { Effect::Add(units) };
        Line { key, effect }
    }

    fn rare_effect(&mut self, key: Key) -> Effect {
        let on_hand = self.random.below(10);
        match self.random.below(4) {
            0 => Effect::Delete,
            1 => Effect::Count { on_hand, if_version: None },
            2 => {
                let version = self.world.levels[key.0 as usize].version;
                Effect::Count { on_hand, if_version: Some(version.saturating_sub(self.random.below(2))) }
            }
            _ => Effect::Create(on_hand),
        }
    }

    fn key(&mut self) -> Key {
        let key = self.random.below(u64::from(self.shape.keys.max(1)));
        Key(u32::try_from(key).unwrap_or(0))
    }
}

/// `SplitMix64` (Steele, Lea and Flood 2014): small, and the same everywhere.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn next_bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end` (0 if `end` is 0); the bias is of no matter here.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next_bits().checked_rem(end).unwrap_or(0)
    }

    /// True in `percent` of 100 cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
