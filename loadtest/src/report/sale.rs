//! The books of a sale: what there was, what was sold by the answers, and what is left have to be one sum.
//!
//! It needs neither versions nor an order of anything, so it is a second judge beside the checker of histories. It must
//! never judge a refusal by itself: whether the stock was short at one point between start and end is the checker's to
//! say, and is told from its verdict.

use std::collections::HashMap;
use std::time::Duration;

use history::{Answer, Asked, Conclusion, Effect, Kind, Line, Log, LogError, Op, Stock, Verdict};
use serde::Serialize;

use super::document::{Better, CaseOutcome, Document};
use crate::exit::Exit;
use crate::workload::{Spec, at_main};

/// What became of a sale.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Sale {
    /// Units at the start; `null` if the opening of a level was not acknowledged.
    pub units: Option<u64>,
    /// Units that were sold, by the answers.
    pub sold: u64,
    /// In so many purchases.
    pub purchases: u64,
    /// Units of purchases that were never answered, and may have been sold beside these.
    pub in_doubt: u64,
    /// Units left; `null` if a level was not read after its last purchase.
    pub left: Option<u64>,
    /// Purchases that were refused.
    pub refused: u64,
    /// Of these, those that the checker found false; `null` if it came to no verdict.
    pub refused_falsely: Option<u64>,
    /// From the first purchase that was asked for to the answer to the last that was made, in microseconds; `null` if units
    /// are left.
    pub sold_out_after_us: Option<u64>,
}

/// What became of a purchase. Of several attempts under one key the greatest counts: only one of them can have had an effect,
/// and an answer about the stock is the answer to all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    NotMade,
    Unknown,
    Refused,
    Made,
}

/// The books while they are kept.
#[derive(Debug)]
struct Books {
    sale: Sale,
    levels: Vec<Level>,
    /// Units and fates of what was asked for under a key, by its number.
    keyed: HashMap<u64, (u64, Fate)>,
    first_asked_ns: u64,
    last_made_ns: u64,
}

/// One level on sale.
#[derive(Debug, Clone, Default)]
struct Level {
    opened_with: Option<u64>,
    /// When the last purchase of it had ended, however.
    ended_ns: u64,
    /// When it was last asked for, and what it was.
    read: (u64, Option<u64>),
}

impl Sale {
    /// Closes the books of a recorded sale, off the runtime's threads. The history is handed back.
    pub async fn of(history: Log, spec: &Spec, verdict: &Verdict) -> (Log, Result<Self, LogError>) {
        let skus = spec.skus;
        let work = move || {
            let closed = Self::close(&history, skus);
            (history, closed)
        };
        let (history, closed) = match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            // It panicked: pass the panic on, since there is nothing to report.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let refused_falsely = match &verdict.conclusion {
            Conclusion::Indeterminate { .. } => None,
            _ => Some(verdict.count(Kind::FalseRefusal)),
        };
        (history, closed.map(|sale| Self { refused_falsely, ..sale }))
    }

    fn close(history: &Log, skus: u32) -> Result<Self, LogError> {
        let mut books = Books::new(skus);
        history.for_each(|_, op| books.enter(&op))?;
        Ok(books.close())
    }

    /// What it means for the exit code, in words: nothing if everything was sold, and once.
    pub fn findings(&self) -> Vec<(Exit, String)> {
        let Self { sold, in_doubt, .. } = *self;
        let finding = match (self.units, self.left) {
            (Some(units), _) if sold > units => {
                (Exit::Violation, format!("oversold: {sold} units were sold of {units}"))
            }
            (Some(units), Some(left)) if !self.adds_up(units, left) => {
                let what = format!(
                    "the sale does not add up: of {units} units {sold} were sold and {in_doubt} are in doubt, and {left} are left"
                );
                (Exit::Violation, what)
            }
            (Some(_), Some(0)) => return Vec::new(),
            (Some(units), Some(left)) => {
                let what = format!(
                    "not sold out: {left} of {units} units are left, so nobody fought for the last one; raise --requests or \
                     --duration"
                );
                (Exit::Inconclusive, what)
            }
            (None, _) | (_, None) => {
                let what =
                    "the sale was not accounted for: a level on sale was not opened, or not read at the end";
                (Exit::Inconclusive, what.to_owned())
            }
        };
        vec![finding]
    }

    fn adds_up(&self, units: u64, left: u64) -> bool {
        let least = self.sold.saturating_add(left);
        (least..=least.saturating_add(self.in_doubt)).contains(&units)
    }

    /// As a part of a document, and as a demand.
    pub fn tell(&self, document: &mut Document, verdict: &Verdict) {
        for line in self.text(verdict) {
            document.line(line);
        }
        let outcome = match self.findings().into_iter().next() {
            None => CaseOutcome::Passed,
            Some((Exit::Violation, message)) => CaseOutcome::Failed { detail: message.clone(), message },
            Some((_, message)) => CaseOutcome::Undecided { message },
        };
        document.case("invariant", "what was sold and what is left are what there was", outcome);
        if let Some(micros) = self.sold_out_after_us {
            document.figure("sold out after", "us", micros as f64, Better::Lower);
        }
    }

    fn text(&self, verdict: &Verdict) -> [String; 2] {
        let told =
            |units: Option<u64>| units.map_or("an unknown number".to_owned(), |units| units.to_string());
        let Self { sold, purchases, refused, .. } = self;
        let doubt = match self.in_doubt {
            0 => String::new(),
            units => format!(", {units} in doubt"),
        };
        let end = self.sold_out_after_us.map_or(String::new(), |micros| {
            format!("; sold out after {:.1} ms", Duration::from_micros(micros).as_secs_f64() * 1e3)
        });
        let units = format!(
            "Sale: {} units at the start, {sold} sold in {purchases} purchases{doubt}, {} left{end}",
            told(self.units),
            told(self.left)
        );
        let judged = match (self.refused_falsely, verdict.is_violated()) {
            _ if *refused == 0 => "none, so nothing is said of them".to_owned(),
            (None, _) => format!("{refused}, not judged: there is no verdict"),
            (Some(0), false) => format!(
                "{refused}, each judged to be justified: the level was short at one point between start and end"
            ),
            (Some(0), true) => format!("{refused}, none found to be false, but the history is violated"),
            (Some(falsely), _) => format!("{refused}, of which {falsely} were found to be false"),
        };
        [units, format!("Refused purchases: {judged}")]
    }
}

impl Books {
    fn new(skus: u32) -> Self {
        Self {
            sale: Sale::default(),
            levels: vec![Level::default(); skus as usize],
            keyed: HashMap::new(),
            first_asked_ns: u64::MAX,
            last_made_ns: 0,
        }
    }

    fn enter(&mut self, op: &Op<'_>) {
        let key = match op.request {
            Asked::Read(key) => key,
            Asked::Write([line]) => line.key,
            _ => return,
        };
        // Levels are numbered two by two; only those at the main location are on sale.
        let sku = key.0 / 2;
        let Some(level) = self.levels.get_mut(sku as usize).filter(|_| at_main(sku) == key) else { return };
        match (op.request, op.outcome) {
            (Asked::Read(_), Answer::Read(seen)) if op.invoked_ns >= level.read.0 => {
                level.read = (op.invoked_ns, units(seen.stock));
            }
            (Asked::Write([Line { effect: Effect::Create(units), .. }]), Answer::Applied(_)) => {
                level.opened_with = Some(*units);
            }
            (Asked::Write([Line { effect: Effect::Add(delta), .. }]), outcome) if *delta < 0 => {
                level.ended_ns = level.ended_ns.max(op.returned_ns);
                let fate = fate(outcome);
                self.first_asked_ns = self.first_asked_ns.min(op.invoked_ns);
                if fate == Fate::Made {
                    self.last_made_ns = self.last_made_ns.max(op.returned_ns);
                }
                self.purchase(op.once, delta.unsigned_abs(), fate);
            }
            _ => {}
        }
    }

    fn purchase(&mut self, once: Option<u64>, units: u64, fate: Fate) {
        match once {
            None => self.sale.count(units, fate),
            Some(once) => {
                let known = self.keyed.entry(once).or_insert((units, fate));
                known.1 = known.1.max(fate);
            }
        }
    }

    fn close(mut self) -> Sale {
        for (units, fate) in self.keyed.into_values() {
            self.sale.count(units, fate);
        }
        let left = |level: &Level| level.read.1.filter(|_| level.read.0 > level.ended_ns);
        let left: Option<u64> = self.levels.iter().map(left).sum();
        let after_us = self.last_made_ns.saturating_sub(self.first_asked_ns) / 1_000;
        Sale {
            units: self.levels.iter().map(|level| level.opened_with).sum(),
            left,
            sold_out_after_us: (left == Some(0) && self.sale.purchases > 0).then_some(after_us),
            ..self.sale
        }
    }
}

impl Sale {
    fn count(&mut self, units: u64, fate: Fate) {
        match fate {
            Fate::Made => {
                self.purchases += 1;
                self.sold += units;
            }
            Fate::Refused => self.refused += 1,
            Fate::Unknown => self.in_doubt += units,
            Fate::NotMade => {}
        }
    }
}

fn fate(outcome: Answer<'_>) -> Fate {
    match outcome {
        Answer::Applied(_) => Fate::Made,
        Answer::Refused(_) => Fate::Refused,
        Answer::Unknown => Fate::Unknown,
        _ => Fate::NotMade,
    }
}

/// What there is of a level; nothing if that was not told. A level that is gone has none.
fn units(stock: Stock) -> Option<u64> {
    match stock {
        Stock::Level { on_hand, .. } => Some(on_hand),
        Stock::Available(units) => Some(units),
        Stock::Absent => Some(0),
        Stock::Untold => None,
    }
}

#[cfg(test)]
mod tests {
    use history::{History, Key, Outcome, Reason, Record, Refused, Request, Seen};

    use super::*;

    const SOLD: Key = at_main(0);

    fn record(at: u64, request: Request, outcome: Outcome) -> Record {
        Record {
            client: 0,
            invoked_ns: at * 1_000,
            returned_ns: at * 1_000 + 500,
            request,
            outcome,
            once: None,
        }
    }

    fn seen(on_hand: u64) -> Seen {
        Seen { key: SOLD, version: 1, stock: Stock::Level { on_hand, reserved: 0 } }
    }

    fn write(at: u64, effect: Effect, outcome: Outcome) -> Record {
        record(at, Request::Write(vec![Line { key: SOLD, effect }]), outcome)
    }

    fn buy(at: u64, units: i64, outcome: Outcome) -> Record {
        write(at, Effect::Add(-units), outcome)
    }

    fn made() -> Outcome {
        Outcome::Applied(vec![seen(0)])
    }

    fn refused() -> Outcome {
        Outcome::Refused(vec![Refused { seen: seen(0), reason: Reason::Insufficient }])
    }

    fn read(at: u64, on_hand: u64) -> Record {
        record(at, Request::Read(SOLD), Outcome::Read(seen(on_hand)))
    }

    /// Of three units, then these, and what is left in the end.
    fn sale(purchases: Vec<Record>, left: u64) -> Sale {
        let mut records = vec![write(1, Effect::Create(3), made())];
        records.extend(purchases);
        records.push(read(90, left));
        closed(records)
    }

    fn closed(records: Vec<Record>) -> Sale {
        let history = History { keys: vec!["a@annex".into(), "a".into()], records, ..History::default() };
        Sale::close(&Log::from(&history), 1).expect("it is in memory")
    }

    fn exits(sale: &Sale) -> Vec<Exit> {
        sale.findings().into_iter().map(|(exit, _)| exit).collect()
    }

    #[test]
    fn what_is_sold_once_and_sold_out_is_well() {
        let sale = sale(vec![buy(10, 1, made()), buy(12, 2, made()), buy(14, 1, refused())], 0);
        let expected = Sale {
            units: Some(3),
            sold: 3,
            purchases: 2,
            left: Some(0),
            refused: 1,
            sold_out_after_us: Some(2),
            ..Sale::default()
        };
        assert_eq!(sale, expected);
        assert_eq!(sale.findings(), []);
    }

    #[test]
    fn more_than_there_was_is_oversold_whatever_is_left() {
        let four = || vec![buy(10, 2, made()), buy(11, 2, made())];
        assert_eq!(
            sale(four(), 0).findings(),
            [(Exit::Violation, "oversold: 4 units were sold of 3".to_owned())]
        );
        let mut unread = vec![write(1, Effect::Create(3), made())];
        unread.extend(four());
        assert_eq!(exits(&closed(unread)), [Exit::Violation]);
    }

    #[test]
    fn units_that_were_neither_sold_nor_left_are_a_violation_and_so_are_those_that_are_both() {
        assert_eq!(exits(&sale(vec![buy(10, 1, made())], 1)), [Exit::Violation]);
        assert_eq!(exits(&sale(vec![buy(10, 1, made())], 3)), [Exit::Violation]);
        assert_eq!(exits(&sale(vec![], 4)), [Exit::Violation]);
    }

    #[test]
    fn what_was_never_answered_may_have_been_sold_or_not() {
        let doubtful = |left| sale(vec![buy(10, 2, made()), buy(11, 1, Outcome::Unknown)], left);
        assert_eq!((doubtful(0).in_doubt, exits(&doubtful(0))), (1, vec![]));
        assert_eq!(exits(&doubtful(1)), [Exit::Inconclusive]);
        assert_eq!(exits(&doubtful(2)), [Exit::Violation]);
    }

    #[test]
    fn attempts_under_one_key_are_one_purchase() {
        let under = |once: u64, record: Record| Record { once: Some(once), ..record };
        let purchases = vec![
            under(7, buy(10, 3, Outcome::Unknown)),
            under(7, buy(20, 3, made())),
            under(7, buy(30, 3, made())),
            under(8, buy(30, 1, Outcome::Unknown)),
            under(8, buy(40, 1, refused())),
        ];
        let sale = sale(purchases, 0);
        assert_eq!((sale.sold, sale.purchases, sale.in_doubt, sale.refused), (3, 1, 0, 1));
        assert_eq!(exits(&sale), []);
    }

    #[test]
    fn books_that_cannot_be_closed_prove_nothing_and_accuse_nobody() {
        // The last read was under way while somebody bought; the opening was not answered.
        let early = vec![write(1, Effect::Create(3), made()), buy(10, 3, made()), read(10, 3)];
        let unopened = vec![write(1, Effect::Create(3), Outcome::Unknown), buy(10, 3, made()), read(90, 0)];
        for records in [early, unopened] {
            assert_eq!(exits(&closed(records)), [Exit::Inconclusive]);
        }
        // And a sale that was not sold out shows nothing of its end.
        assert_eq!(exits(&sale(vec![buy(10, 1, made())], 2)), [Exit::Inconclusive]);
    }

    #[tokio::test]
    async fn refusals_are_called_justified_only_by_a_verdict() {
        let sale = sale(vec![buy(10, 3, made()), buy(12, 1, refused())], 0);
        let verdict = |conclusion| Verdict { conclusion, summary: history::Summary::default() };
        let told = |falsely, conclusion| {
            let sale = Sale { refused_falsely: falsely, ..sale.clone() };
            sale.text(&verdict(conclusion))[1].clone()
        };
        assert!(told(Some(0), Conclusion::Consistent).contains("1, each judged to be justified"));
        let violated =
            |kind| Conclusion::Violations { total: 1, by_kind: vec![(kind, 1)], listed: Vec::new() };
        assert!(told(Some(1), violated(Kind::FalseRefusal)).contains("1, of which 1 were found to be false"));
        assert!(told(Some(0), violated(Kind::LostUpdate)).contains("but the history is violated"));
        let given_up =
            Conclusion::Indeterminate { why: String::new(), residual: history::Residual::default() };
        assert!(told(None, given_up).contains("not judged"));
    }
}
