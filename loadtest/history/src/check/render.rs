//! Findings told in full: names instead of indices, both sides of each contradiction, and what was there before.

use super::cycle::{Because, Cycle};
use super::found::{Found, Gap};
use super::index::{Event, Index, Role};
use super::level::would_refuse;
use super::violation::{Bar, Culprit, Violation};
use super::words::{self, Words};
use super::{bars, timeline, untold};
use crate::model::{Change, Level, Units};
use crate::record::{Key, Reason, Stock};

/// How many operations of a cycle are written out.
const CYCLE_SHOWN: usize = 12;

/// The level, the headline, the explanation and the culprits of a violation.
pub(super) type Parts = (Option<Key>, String, Vec<String>, Vec<Culprit>);

/// Tells findings of one history.
pub(super) struct Renderer<'a> {
    index: &'a Index<'a>,
    pub(super) words: Words<'a>,
}

impl<'a> Renderer<'a> {
    pub(super) fn new(index: &'a Index<'a>) -> Self {
        Self { index, words: Words::new(index.log, index.scan.start_ns) }
    }

    pub(super) fn violation(&self, found: &Found) -> Violation {
        let (key, headline, explanation, culprits) = match found {
            Found::Malformed { record, defect } => {
                let culprits = vec![self.culprit(*record, "The record", None)];
                (None, format!("an answer that does not fit its request: {defect}"), Vec::new(), culprits)
            }
            Found::SameVersion { first, second } => self.same_version(*first, *second),
            Found::Refusable { event, before, reason } => {
                let why = would_refuse(*reason);
                self.one(*event, &format!("a change of {{}} was applied although {why}"), Some(*before), None)
            }
            Found::WrongChange { event, before, after } => {
                let expected = format!("The change leads to {}.", words::state(*after));
                let headline = "the answer to a change of {} is not the state before it plus the change";
                self.one(*event, headline, Some(*before), Some(expected))
            }
            Found::Unsound { event } => {
                self.one(*event, "{} began with more units held than there, or out of range", None, None)
            }
            Found::WrongRead { event, truth } => {
                let truth = format!("The truth at that version: {}.", words::state(*truth));
                self.one(*event, "{} was not as this answer shows it at its version", None, Some(truth))
            }
            Found::FalseRefusal { event, truth } => self.false_refusal(*event, *truth),
            Found::Missing(gap) => self.missing(gap),
            Found::RealTime { stale, proof } => self.real_time(*stale, *proof),
            Found::Cycle(cycle) => self.cycle(cycle),
            Found::AppliedTwice { first, again, gap } => self.applied_twice(*first, *again, gap.as_ref()),
            Found::OtherAnswer { first, again, is_other_request } => {
                self.other_answer(*first, *again, *is_other_request)
            }
            Found::Torn(torn) => untold::render::torn(self, torn),
            Found::Imbalance { key, imbalance } => untold::render::imbalance(self, *key, imbalance),
            Found::Contradiction { key, contradiction } => {
                untold::render::contradiction(self, *key, contradiction)
            }
        };
        let timeline = self.timeline(&culprits);
        let bars = self.bars(&culprits, key);
        Violation { kind: found.kind(), key, headline, explanation, culprits, timeline, bars }
    }

    fn timeline(&self, culprits: &[Culprit]) -> Vec<String> {
        let number = |culprit: &Culprit| u32::try_from(culprit.record).ok();
        let record = |culprit: &Culprit| Some((culprit.record, self.index.record(number(culprit)?)?));
        timeline::timeline(&self.words, culprits.iter().filter_map(record).collect())
    }

    fn bars(&self, culprits: &[Culprit], key: Option<Key>) -> Vec<Bar> {
        let record = |culprit: &Culprit| {
            let number = u32::try_from(culprit.record).ok()?;
            Some((number, self.index.record(number)?))
        };
        let culprits: Vec<_> = culprits.iter().filter_map(record).collect();
        let row = key.and_then(|key| self.index.rows.iter().find(|row| row.key == key.0));
        let level = row.map_or(&[][..], |row| &self.index.events[row.events.clone()]);
        bars::bars(&self.words, &culprits, level, |number| self.index.record(number))
    }

    fn event(&self, number: u32) -> &'a Event {
        &self.index.events[number as usize]
    }

    fn record(&self, number: u32) -> u32 {
        self.event(number).record
    }

    pub(super) fn culprit(&self, record: u32, role: &str, focus: Option<Key>) -> Culprit {
        let role = format!("{role} (record {record}):");
        Culprit { record: record as usize, role, account: self.words.account(record, focus) }
    }

    /// The only change that made a version, if there is exactly one.
    fn maker(&self, key: Key, version: u64) -> Option<&'a Event> {
        let events = &self.index.events[self.index.row(key).events.clone()];
        let start = events.partition_point(|event| event.version < version);
        let mut makers =
            events[start..].iter().take_while(|event| event.version == version && event.role == Role::Change);
        makers.next().filter(|_| makers.next().is_none())
    }

    /// The version before, its state and who made it, in a sentence.
    fn before(&self, key: Key, version: u64, state: Option<Level>) -> String {
        let maker = self.maker(key, version);
        let base = self.index.row(key).base;
        let told = || match maker {
            Some(event) => Level::told(&self.index.seen(event)),
            None => Some(base).filter(|base| base.version == version),
        };
        let state = state.or_else(told).map_or(String::new(), |level| format!(", {}", words::state(level)));
        let by = maker.map_or(String::new(), |event| {
            let record = event.record;
            let client = self
                .index
                .record(record)
                .map_or(String::new(), |record| format!(" (client {})", record.client));
            format!(", made by record {record}{client}")
        });
        format!("Before: version {version}{state}{by}.")
    }

    fn one(&self, event: u32, headline: &str, before: Option<Level>, more: Option<String>) -> Parts {
        let key = Key(self.event(event).key);
        let made_before = before.and_then(|level| self.maker(key, level.version));
        let before = before.map(|level| self.before(key, level.version, Some(level)));
        let mut culprits = vec![self.culprit(self.record(event), "The culprit", Some(key))];
        // What a change found is what the answer to the change before it told.
        culprits
            .extend(made_before.map(|event| self.culprit(event.record, "The change before it", Some(key))));
        if self.event(event).role != Role::Change
            && !self.refutes_itself(self.event(event))
            && let Some(maker) = self.maker(key, self.event(event).version)
        {
            culprits.push(self.culprit(maker.record, "The change that made the version", Some(key)));
        }
        let headline = headline.replace("{}", &self.words.level(key));
        (Some(key), headline, before.into_iter().chain(more).collect(), culprits)
    }

    /// Whether a refusal tells a state of which its reason is not true: then nobody else is needed to prove it wrong.
    fn refutes_itself(&self, event: &Event) -> bool {
        let seen = self.index.seen(event);
        let told = match seen.stock {
            Stock::Available(units) => {
                Some(Level { version: seen.version, stock: Some(Units { on_hand: units, reserved: 0 }) })
                    .filter(|_| event.role == Role::Refusal(Reason::Insufficient))
            }
            _ => Level::told(&seen),
        };
        told.is_some_and(|level| !self.index.is_justified(event, level))
    }

    fn same_version(&self, first: Option<u32>, second: u32) -> Parts {
        let event = self.event(second);
        let (key, version) = (Key(event.key), event.version);
        let level = self.words.level(key);
        let Some(first) = first else {
            let headline =
                format!("a change of {level} claims version {version}, which it had before the run");
            let why =
                "Every change raises the version by exactly 1, so this one is not in the level.".to_owned();
            return (
                Some(key),
                headline,
                vec![why],
                vec![self.culprit(self.record(second), "The culprit", Some(key))],
            );
        };
        let headline = format!("two acknowledged changes of {level} both became version {version}");
        let mut explanation = vec![
            "Every change raises the version by exactly 1, so at most one of the two is in the level."
                .to_owned(),
        ];
        explanation.extend(version.checked_sub(1).map(|before| self.before(key, before, None)));
        explanation.extend(self.overlap(first, second));
        explanation.extend(self.survivor(first, second));
        let culprits = vec![
            self.culprit(self.record(first), "Culprit 1", Some(key)),
            self.culprit(self.record(second), "Culprit 2", Some(key)),
        ];
        (Some(key), headline, explanation, culprits)
    }

    fn overlap(&self, first: u32, second: u32) -> Option<String> {
        let (first, second) = (self.event(first), self.event(second));
        let start = first.invoked.max(second.invoked);
        let end = first.returned.min(second.returned);
        let for_ns = end.checked_sub(start)?;
        Some(format!("They were in flight together for {}.{:03} µs.", for_ns / 1_000, for_ns % 1_000))
    }

    /// Which of two changes the next one continued from, if its answer tells them apart.
    fn survivor(&self, first: u32, second: u32) -> Option<String> {
        let event = self.event(first);
        let next = self.maker(Key(event.key), event.version.checked_add(1)?)?;
        let change: Change = self.index.change(next)?;
        let continues = |number: u32| {
            let after = Level::told(&self.index.seen(self.event(number)))?.after(change).ok()?;
            Some(after.shows(self.index.stock(next)))
        };
        let (kept, lost) = match (continues(first)?, continues(second)?) {
            (true, false) => (first, second),
            (false, true) => (second, first),
            _ => return None,
        };
        let (next, kept, lost) = (next.record, self.record(kept), self.record(lost));
        Some(format!("The next change, record {next}, continued from record {kept}: record {lost} was lost."))
    }

    fn false_refusal(&self, event: u32, truth: Level) -> Parts {
        let asked = match self.index.change(self.event(event)) {
            Some(Change::Add { units, .. }) if units < 0 => {
                format!("It asked for {}, and {} were available. ", units.unsigned_abs(), truth.available())
            }
            _ => String::new(),
        };
        let version = self.event(event).version;
        let why = format!("{asked}The truth at version {version}: {}.", words::state(truth));
        let (key, headline, explanation, mut culprits) =
            self.one(event, "a refusal for {} whose reason was not true", None, Some(why));
        if let Some(culprit) = culprits.first_mut() {
            culprit.role = format!("The refusal (record {}):", culprit.record);
        }
        (key, headline, explanation, culprits)
    }

    fn missing(&self, gap: &Gap) -> Parts {
        let level = self.words.level(gap.key);
        let versions = if gap.first == gap.last {
            format!("version {}", gap.first)
        } else {
            format!("versions {} to {}", gap.first, gap.last)
        };
        let headline = format!(
            "no recorded change made {versions} of {level}, yet a later answer shows that there was one"
        );
        let why = match gap.unknown {
            0 => "No write of unknown outcome touched this level, so none can explain it.".to_owned(),
            count => {
                format!("{count} writes of unknown outcome touched this level, but they cannot explain it.")
            }
        };
        let mut explanation = vec![why];
        explanation.extend(gap.first.checked_sub(1).map(|before| self.before(gap.key, before, None)));
        let culprits = vec![self.culprit(self.record(gap.shown_by), "What shows it", Some(gap.key))];
        (Some(gap.key), headline, explanation, culprits)
    }

    fn applied_twice(&self, first: u32, again: u32, gap: Option<&Gap>) -> Parts {
        let mut headline =
            "a request that was sent again under its idempotency key took effect again".to_owned();
        let mut explanation = vec!["Under one key there is at most one effect.".to_owned()];
        let key = gap.map(|gap| gap.key);
        if let Some(gap) = gap {
            let level = self.words.level(gap.key);
            headline = format!(
                "a request that was sent again under its idempotency key took effect on {level} again"
            );
            let version = gap.first;
            explanation.push(format!(
                "No answer carries version {version} of {level}, so something else made it. The second request was under way \
                 then, and asks for just that change."
            ));
            explanation.extend(version.checked_sub(1).map(|before| self.before(gap.key, before, None)));
        } else {
            explanation.push("Both answers tell of a change, and of other versions.".to_owned());
        }
        let mut culprits = vec![
            self.culprit(first, "The request", key),
            self.culprit(again, "The same, sent again under its key", key),
        ];
        culprits.extend(gap.map(|gap| self.culprit(self.record(gap.shown_by), "What shows it", key)));
        (key, headline, explanation, culprits)
    }

    fn other_answer(&self, first: u32, again: u32, is_other_request: bool) -> Parts {
        let (headline, why) = if is_other_request {
            (
                "a request was carried out under an idempotency key that stands for another request",
                "A key stands for the first request that was sent under it.",
            )
        } else {
            (
                "a request that was sent again under its idempotency key was answered otherwise",
                "Whatever comes of a request, its repetition is answered as it was.",
            )
        };
        let culprits = vec![
            self.culprit(first, "The request", None),
            self.culprit(again, "The other under its key", None),
        ];
        (None, headline.to_owned(), vec![why.to_owned()], culprits)
    }

    fn real_time(&self, stale: u32, proof: u32) -> Parts {
        let (late, early) = (self.event(stale), self.event(proof));
        let key = Key(late.key);
        let level = self.words.level(key);
        let (version, other) = (late.version, early.version);
        let headline = match late.role {
            Role::Change if version == other => {
                format!("version {version} of {level} was seen before the change that made it was sent")
            }
            Role::Change => format!(
                "a change of {level} became version {version} after version {other} had been answered"
            ),
            Role::Read => {
                format!("a read of {level} shows version {version} after version {other} had been answered")
            }
            Role::Refusal(_) => format!(
                "a refusal for {level} was judged at version {version} after version {other} had been answered"
            ),
        };
        let apart = late.invoked.saturating_sub(early.returned);
        let why = format!(
            "Version {other} had been answered {}.{:03} µs before the other was sent.",
            apart / 1_000,
            apart % 1_000
        );
        let culprits = vec![
            self.culprit(self.record(proof), "Answered first", Some(key)),
            self.culprit(self.record(stale), "Sent later, and yet of an earlier state", Some(key)),
        ];
        (Some(key), headline, vec![why], culprits)
    }

    fn cycle(&self, cycle: &Cycle) -> Parts {
        let count = cycle.links.len();
        let headline = if cycle.has_snapshot {
            "a consistent read shows levels as they never were together".to_owned()
        } else {
            format!(
                "{count} operations would each have to come before the next, and the last before the first"
            )
        };
        let mut culprits = Vec::new();
        for (at, link) in cycle.links.iter().enumerate().take(CYCLE_SHOWN) {
            let next = cycle.links[(at + 1) % count].record;
            let (focus, because) = match link.because {
                Because::RealTime => (None, format!("it was answered before record {next} was sent")),
                Because::Level { event, next: later } => {
                    let (event, later) = (self.event(event), self.event(later));
                    let key = Key(event.key);
                    (Some(key), self.level_order(key, event, later))
                }
            };
            let record = link.record;
            let mut culprit = self.culprit(record, &format!("{}", at + 1), focus);
            culprit.account.push(format!("comes before record {next}: {because}"));
            culprits.push(culprit);
        }
        let mut explanation = vec![
            "Each level by itself is in order; together they are not: no one order explains what was seen."
                .to_owned(),
        ];
        if cycle.has_snapshot {
            explanation.push(
                "Each of these operations would have to come before the next, and the last before the first."
                    .to_owned(),
            );
        }
        if count > CYCLE_SHOWN {
            explanation.push(format!("The first {CYCLE_SHOWN} of the {count} are shown."));
        }
        (None, headline, explanation, culprits)
    }

    fn level_order(&self, key: Key, event: &Event, later: &Event) -> String {
        let verb = |role| if role == Role::Change { "made" } else { "saw" };
        format!(
            "on {} it {} version {}, and the next {} version {}",
            self.words.level(key),
            verb(event.role),
            event.version,
            verb(later.role),
            later.version
        )
    }
}
