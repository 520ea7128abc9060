//! Short ways to write a history down, and to ask what the checker says of it.

use history::{
    Effect, History, Key, Kind, Limits, Line, Outcome, Reason, Record, Refused, Request, Seen, Stock, Verdict,
};

/// A level as an answer shows it, with nothing reserved.
pub(crate) fn seen(key: u32, version: u64, on_hand: u64) -> Seen {
    Seen { key: Key(key), version, stock: Stock::Level { on_hand, reserved: 0 } }
}

/// A level as an answer shows it that is not there.
pub(crate) fn absent(key: u32, version: u64) -> Seen {
    Seen { key: Key(key), version, stock: Stock::Absent }
}

pub(crate) fn line(key: u32, effect: Effect) -> Line {
    Line { key: Key(key), effect }
}

/// A history under construction: every operation is given the time it was sent and the time it was answered.
#[derive(Clone, Default)]
pub(crate) struct Story {
    history: History,
}

impl Story {
    /// A history of levels `a`, `b`, `c`, `d`.
    pub(crate) fn new() -> Self {
        let keys = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        Self { history: History { keys, ..History::default() } }
    }

    pub(crate) fn record(mut self, times: (u64, u64), request: Request, outcome: Outcome) -> Self {
        let client = u32::try_from(self.history.records.len()).unwrap_or(0);
        let (invoked_ns, returned_ns) = times;
        self.history.records.push(Record { client, invoked_ns, returned_ns, request, outcome, once: None });
        self
    }

    pub(crate) fn read(self, times: (u64, u64), seen: Seen) -> Self {
        self.record(times, Request::Read(seen.key), Outcome::Read(seen))
    }

    /// An applied write of one line.
    pub(crate) fn write(self, times: (u64, u64), effect: Effect, after: Seen) -> Self {
        self.record(
            times,
            Request::Write(vec![Line { key: after.key, effect }]),
            Outcome::Applied(vec![after]),
        )
    }

    /// An applied write of several lines.
    pub(crate) fn writes(self, times: (u64, u64), lines: &[Line], after: &[Seen]) -> Self {
        self.record(times, Request::Write(lines.to_vec()), Outcome::Applied(after.to_vec()))
    }

    /// A refused write of one line.
    pub(crate) fn refused(self, times: (u64, u64), effect: Effect, reason: Reason, seen: Seen) -> Self {
        let request = Request::Write(vec![Line { key: seen.key, effect }]);
        self.record(times, request, Outcome::Refused(vec![Refused { seen, reason }]))
    }

    /// A write of unknown outcome; only when it was sent matters.
    pub(crate) fn unknown(self, sent: u64, lines: &[Line]) -> Self {
        self.record((sent, sent), Request::Write(lines.to_vec()), Outcome::Unknown)
    }

    /// A consistent read, with its sums.
    pub(crate) fn snapshot(self, times: (u64, u64), levels: &[Seen]) -> Self {
        let keys = levels.iter().map(|seen| seen.key).collect();
        let outcome = Outcome::Snapshot { levels: levels.to_vec(), totals: history::model::totals(levels) };
        self.record(times, Request::Snapshot(keys), outcome)
    }

    /// Says under which key the last operation was sent.
    pub(crate) fn once(mut self, key: u64) -> Self {
        if let Some(record) = self.history.records.last_mut() {
            record.once = Some(key);
        }
        self
    }

    pub(crate) fn history(self) -> History {
        self.history
    }

    /// What the checker says of it, with nothing required of the run.
    pub(crate) fn verdict(&self) -> Verdict {
        history::check_with(&self.history, &Limits::lenient())
    }

    pub(crate) fn assert_consistent(&self) {
        let verdict = self.verdict();
        assert!(verdict.is_consistent(), "{verdict}");
        assert_eq!(history::brute::is_linearizable(&self.history), Some(true));
    }

    /// Asserts that exactly one violation is found, and answers its culprits.
    pub(crate) fn assert_violated(&self, kind: Kind) -> Vec<usize> {
        let verdict = self.verdict();
        let kinds: Vec<Kind> = verdict.violations().iter().map(|violation| violation.kind).collect();
        assert_eq!(kinds, [kind], "{verdict}");
        assert_eq!(history::brute::is_linearizable(&self.history), Some(false));
        verdict.violations()[0].culprits.iter().map(|culprit| culprit.record).collect()
    }
}
