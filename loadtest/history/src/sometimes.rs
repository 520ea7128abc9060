//! Which interesting situations a run reached: what *sometimes* has to be true of a test that is worth anything.
//!
//! A verdict says that nothing went wrong. It says little if nothing could: if no two writes met, nothing was ever short, nobody
//! read what was being deleted. So each situation in which services go wrong has a name here, and is counted over the
//! history alone, after the fact. (The name is from the "sometimes assertions" of Antithesis.) None of them is a fault.
//!
//! All are counted in O(n log n), the sorting; none is judged here, and a history that is wrong is counted like any other.
//! Operations *overlap* if neither was answered before the other was sent, and they are of different clients: the lines of
//! an independent batch overlap one another on paper only.

use std::collections::{BTreeMap, HashMap};

use crate::record::{Effect, History, Key, Outcome, Reason, Record, Request, Seen, Stock};

/// A situation that a run may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Situation {
    /// An applied write overlapped another on one of its levels.
    ContendedPair,
    /// A write was refused while others of its level were applied.
    RefusalAmidSuccess,
    /// An applied transaction overlapped a count of one of its levels.
    TransactionOverCount,
    /// A level was read while a transaction changed it.
    ReadAmidTransaction,
    /// A level was read while it was deleted.
    DeletedWhileRead,
    /// A write named one level twice, and was judged.
    LevelTwice,
    /// A transaction was refused although at least one of its levels did not refuse.
    RefusedForOneLine,
    /// A count that demanded a version was refused, since somebody was faster.
    ConditionalCountLost,
    /// An addition took the last unit.
    SoldOut,
    /// A level was created again after it was deleted.
    CreatedAgain,
    /// A write of unknown outcome was asked again by its client.
    RetryOfUnknown,
    /// A version that only a write of unknown outcome can have made was seen.
    UnknownApplied,
}

impl Situation {
    /// Every situation.
    pub const ALL: [Self; 12] = [
        Self::ContendedPair,
        Self::RefusalAmidSuccess,
        Self::TransactionOverCount,
        Self::ReadAmidTransaction,
        Self::DeletedWhileRead,
        Self::LevelTwice,
        Self::RefusedForOneLine,
        Self::ConditionalCountLost,
        Self::SoldOut,
        Self::CreatedAgain,
        Self::RetryOfUnknown,
        Self::UnknownApplied,
    ];

    /// Its name in reports and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ContendedPair => "contended-pair",
            Self::RefusalAmidSuccess => "refusal-amid-success",
            Self::TransactionOverCount => "transaction-over-count",
            Self::ReadAmidTransaction => "read-amid-transaction",
            Self::DeletedWhileRead => "deleted-while-read",
            Self::LevelTwice => "level-twice",
            Self::RefusedForOneLine => "refused-for-one-line",
            Self::ConditionalCountLost => "conditional-count-lost",
            Self::SoldOut => "sold-out",
            Self::CreatedAgain => "created-again",
            Self::RetryOfUnknown => "retry-of-unknown",
            Self::UnknownApplied => "unknown-applied",
        }
    }

    /// The situation of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|situation| situation.name() == name)
    }

    /// What was reached, in a few words.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::ContendedPair => "an applied write overlapped another on its level",
            Self::RefusalAmidSuccess => "a write was refused while others of its level were applied",
            Self::TransactionOverCount => "a transaction overlapped a count of one of its levels",
            Self::ReadAmidTransaction => "a level was read while a transaction changed it",
            Self::DeletedWhileRead => "a level was read while it was deleted",
            Self::LevelTwice => "a write named one level twice, and was judged",
            Self::RefusedForOneLine => "a transaction was refused although some of its levels did not refuse",
            Self::ConditionalCountLost => "a count that demanded a version came too late",
            Self::SoldOut => "the last unit of a level was taken",
            Self::CreatedAgain => "a level was created again after it was deleted",
            Self::RetryOfUnknown => "a write of unknown outcome was asked again by its client",
            Self::UnknownApplied => "a write of unknown outcome was seen to have been applied",
        }
    }
}

/// How often each situation was reached; every one is named, also those that never were.
pub fn count(history: &History) -> BTreeMap<Situation, u64> {
    let mut counts: BTreeMap<Situation, u64> = Situation::ALL.map(|situation| (situation, 0)).into();
    let mut add = |situation, count| *counts.entry(situation).or_default() += count;
    for record in &history.records {
        for situation in alone(record) {
            add(situation, 1);
        }
    }
    for level in levels(history) {
        add(Situation::ContendedPair, level.applied.met_by(&level.applied));
        add(Situation::RefusalAmidSuccess, level.applied.met_by(&level.refusals));
        add(Situation::TransactionOverCount, level.counts.met_by(&level.transactions));
        add(Situation::ReadAmidTransaction, level.transactions.met_by(&level.reads));
        add(Situation::DeletedWhileRead, level.deletions.met_by(&level.reads));
        add(Situation::UnknownApplied, level.made_by_nobody());
        add(Situation::CreatedAgain, level.created_again());
    }
    add(Situation::RetryOfUnknown, retries(history));
    counts
}

/// The situations that one record shows by itself.
fn alone(record: &Record) -> Vec<Situation> {
    let Request::Write(lines) = &record.request else { return Vec::new() };
    let mut found = Vec::new();
    let judged = matches!(record.outcome, Outcome::Applied(_) | Outcome::Refused(_));
    let mut keys: Vec<Key> = lines.iter().map(|line| line.key).collect();
    keys.sort_unstable();
    let named = keys.len();
    keys.dedup();
    if judged && keys.len() < named {
        found.push(Situation::LevelTwice);
    }
    match &record.outcome {
        Outcome::Refused(refused) => {
            if refused.len() < keys.len() {
                found.push(Situation::RefusedForOneLine);
            }
            let is_count =
                |line: &crate::Line| matches!(line.effect, Effect::Count { if_version: Some(_), .. });
            if lines.iter().any(is_count) && refused.iter().any(|one| one.reason == Reason::VersionMismatch) {
                found.push(Situation::ConditionalCountLost);
            }
        }
        Outcome::Applied(seen) => {
            let is_empty = |seen: &Seen| matches!(seen.stock, Stock::Level { on_hand: 0, .. });
            let takes = lines.iter().any(|line| matches!(line.effect, Effect::Add(units) if units < 0));
            if takes && seen.iter().any(is_empty) {
                found.push(Situation::SoldOut);
            }
            let creates = lines.iter().any(|line| matches!(line.effect, Effect::Create(_)));
            if creates && seen.iter().any(|seen| seen.is_version_told() && seen.version > 1) {
                found.push(Situation::CreatedAgain);
            }
        }
        _ => {}
    }
    found
}

/// How often a client asked the very write again of whose last attempt it does not know the outcome.
fn retries(history: &History) -> u64 {
    let mut order: Vec<&Record> =
        history.records.iter().filter(|record| matches!(record.request, Request::Write(_))).collect();
    order.sort_by_key(|record| (record.client, record.invoked_ns));
    let mut in_doubt: HashMap<u32, &Request> = HashMap::new();
    let mut retries = 0;
    for record in order {
        retries += u64::from(in_doubt.get(&record.client).is_some_and(|doubt| **doubt == record.request));
        if record.outcome == Outcome::Unknown {
            in_doubt.insert(record.client, &record.request);
        } else {
            in_doubt.remove(&record.client);
        }
    }
    retries
}

/// What happened to one level.
#[derive(Debug, Default)]
struct Of {
    applied: Spans,
    refusals: Spans,
    counts: Spans,
    deletions: Spans,
    transactions: Spans,
    reads: Spans,
    /// When it was created, where the version was not told, which else says whether it is the first time.
    created: Vec<u64>,
    /// Versions that acknowledged changes made.
    made: Vec<u64>,
    /// The earliest version that an answer told of which no change of the history made, and the latest.
    begins: Option<u64>,
    latest: u64,
    /// Writes of unknown outcome that name it.
    unknown: u64,
}

/// Everything by level.
fn levels(history: &History) -> Vec<Of> {
    let mut levels: Vec<Of> = Vec::new();
    levels.resize_with(history.keys.len(), Of::default);
    for record in &history.records {
        let span = Span { client: record.client, from_ns: record.invoked_ns, to_ns: record.returned_ns };
        // A key that the history does not name is a defect that the checker tells.
        let mut of = |key: Key, enter: &mut dyn FnMut(&mut Of)| {
            if let Some(level) = levels.get_mut(key.0 as usize) {
                enter(level);
            }
        };
        match (&record.request, &record.outcome) {
            (_, Outcome::Read(seen)) => of(seen.key, &mut |level| {
                level.reads.0.push(span);
                level.tell(seen);
            }),
            (_, Outcome::Snapshot { levels: seen, .. }) => {
                for seen in seen {
                    of(seen.key, &mut |level| {
                        level.reads.0.push(span);
                        level.tell(seen);
                    });
                }
            }
            (Request::Write(lines), Outcome::Applied(seen)) => {
                for seen in seen {
                    of(seen.key, &mut |level| {
                        level.applied.0.push(span);
                        if seen.is_version_told() {
                            level.made.push(seen.version);
                            level.latest = level.latest.max(seen.version);
                        }
                        if lines.len() > 1 {
                            level.transactions.0.push(span);
                        }
                    });
                }
                for line in lines {
                    of(line.key, &mut |level| match line.effect {
                        Effect::Count { .. } => level.counts.0.push(span),
                        Effect::Delete => level.deletions.0.push(span),
                        Effect::Create(_) if !seen.iter().all(Seen::is_version_told) => {
                            level.created.push(span.from_ns);
                        }
                        _ => {}
                    });
                }
            }
            (_, Outcome::Refused(refused)) => {
                for refused in refused {
                    of(refused.seen.key, &mut |level| {
                        level.refusals.0.push(span);
                        level.tell(&refused.seen);
                    });
                }
            }
            (Request::Write(lines), Outcome::Unknown) => {
                for line in lines {
                    of(line.key, &mut |level| level.unknown += 1);
                }
            }
            _ => {}
        }
    }
    levels.iter_mut().for_each(Of::sort);
    levels
}

impl Of {
    fn tell(&mut self, seen: &Seen) {
        if !seen.is_version_told() {
            return;
        }
        self.begins = Some(self.begins.map_or(seen.version, |begins| begins.min(seen.version)));
        self.latest = self.latest.max(seen.version);
    }

    /// Creations after a deletion, as far as no version tells.
    fn created_again(&self) -> u64 {
        let Some(deleted) = self.deletions.0.iter().map(|span| span.to_ns).min() else { return 0 };
        self.created.iter().filter(|created| **created > deleted).count() as u64
    }

    fn sort(&mut self) {
        for spans in [&mut self.applied, &mut self.counts, &mut self.deletions, &mut self.transactions] {
            spans.0.sort_unstable_by_key(|span| span.from_ns);
        }
        self.made.sort_unstable();
        self.made.dedup();
    }

    /// Versions after the first that was seen which no acknowledged change made: unknown ones did, if there are so many.
    fn made_by_nobody(&self) -> u64 {
        let Some(begins) = self.begins else { return 0 };
        let made = self.made.iter().filter(|made| **made > begins).count() as u64;
        (self.latest - begins.min(self.latest)).saturating_sub(made).min(self.unknown)
    }
}

/// When an operation was under way, and whose it was.
#[derive(Debug, Clone, Copy)]
struct Span {
    client: u32,
    from_ns: u64,
    to_ns: u64,
}

/// Operations, by the time they were sent.
#[derive(Debug, Default)]
struct Spans(Vec<Span>);

/// The latest end among some spans, and the latest among those of other clients than that one's.
#[derive(Debug, Clone, Copy, Default)]
struct Latest {
    first: Option<Span>,
    other: Option<Span>,
}

impl Spans {
    /// How many of `those` overlapped at least one of these, which are sorted.
    ///
    /// Of these, only what was sent before the end of one of those can overlap it; and of that, only what ended last, which
    /// is known for every prefix of the list.
    fn met_by(&self, those: &Self) -> u64 {
        let mut latest = Latest::default();
        let prefixes: Vec<Latest> = self
            .0
            .iter()
            .map(|span| {
                latest.take(*span);
                latest
            })
            .collect();
        let meets = |span: &&Span| {
            let sent_before = self.0.partition_point(|other| other.from_ns < span.to_ns);
            let latest = sent_before.checked_sub(1).and_then(|at| prefixes[at].of_others(span.client));
            latest.is_some_and(|other| other.to_ns > span.from_ns)
        };
        those.0.iter().filter(meets).count() as u64
    }
}

impl Latest {
    fn take(&mut self, span: Span) {
        let ends_later = |than: Option<Span>| than.is_none_or(|than| span.to_ns > than.to_ns);
        if self.first.is_none_or(|first| first.client == span.client) {
            if ends_later(self.first) {
                self.first = Some(span);
            }
        } else if ends_later(self.first) {
            self.other = self.first.replace(span);
        } else if ends_later(self.other) {
            self.other = Some(span);
        }
    }

    fn of_others(&self, client: u32) -> Option<Span> {
        self.first.filter(|first| first.client != client).or(self.other)
    }
}
