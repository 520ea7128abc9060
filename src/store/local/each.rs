//! Many changes that stand alone: as many commands, asked for together.
//!
//! All are made one after the other, then witnessed together, so that a batch waits for the disk once and not once a line.
//!
//! **Under an idempotency key** each line is once. The batch's own key is claimed first, and keeps every other request of that
//! key out; then the keys of all lines, before the first is carried out. A line that is applied carries its key. When all are
//! judged, what came of each is recorded under the batch's key, and the keys of the lines go: a batch costs one key. Where that
//! record is missing (a crash, a line that met contention) a retry finds the lines that were judged by their keys, and carries out
//! the others. The batch is a task of its own, so a client that goes away does not cut it short.

use std::sync::Arc;

use super::books::Begun;
use super::kept::KeptRecord;
use super::{Judged, Local};
use crate::journal::keys::{Claim, LineClaims};
use crate::journal::record::RecordKind;
use crate::journal::stored::{BatchLine, Stored};
use crate::said::Said;
use crate::stock::RefusedLevel;
use crate::store::{Answered, EachLine, Idempotency, LineOutcome, NotDone, Outcome, WasApplied, Why};

/// Lines between two chances for other tasks of the thread to run: some ten microseconds.
const LINES_PER_TURN: usize = 256;

/// What came of a line, which is not witnessed yet.
type Made = Result<Judged, NotDone>;

impl Local {
    /// Carries each line out.
    pub(super) async fn each(&self, lines: &[EachLine], said: Said) -> Vec<LineOutcome> {
        let mut made = Vec::with_capacity(lines.len());
        for (index, line) in lines.iter().enumerate() {
            take_turns(index).await;
            made.push(self.change_unwitnessed(&line.key, line.change, said.clone(), None).await);
        }
        self.witnessed(lines.iter(), made).await
    }

    /// Carries out each line that was not carried out under that key before.
    pub(super) async fn each_once(
        &self,
        lines: Arc<[EachLine]>,
        idempotency: Box<Idempotency>,
        said: Said,
    ) -> Result<Answered, NotDone> {
        let store = self.clone();
        let carried = tokio::spawn(async move { store.batch(&lines, &idempotency, said).await });
        carried.await.unwrap_or_else(|panicked| Err(NotDone::unknown(Why::Damaged(panicked.to_string()))))
    }

    async fn batch(
        &self,
        lines: &[EachLine],
        idempotency: &Idempotency,
        said: Said,
    ) -> Result<Answered, NotDone> {
        let whole = match self.begin_batch(lines, idempotency).await? {
            Begun::Fresh(claim) => claim,
            Begun::Before(record) => return self.replay_batch(&record, lines).await,
        };
        let mut outcomes = self.lines_before(lines, idempotency).await?;
        let fresh: Vec<usize> = (0..lines.len()).filter(|index| outcomes[*index].is_none()).collect();
        let replayed = fresh.is_empty();
        let numbers: Vec<u32> = fresh.iter().map(|index| number(*index)).collect();
        let claims = self.0.books.claim_lines(idempotency.once, &numbers).map_err(|denied| {
            // "Nothing was applied" would not be true of the key.
            if numbers.len() < lines.len() { NotDone::unknown(denied.why) } else { denied }
        })?;
        let mut made = Vec::with_capacity(fresh.len());
        for (turn, index) in fresh.iter().enumerate() {
            take_turns(turn).await;
            let (line, said) = (&lines[*index], said.clone());
            let claim = Claim::Line(Arc::clone(&claims), number(*index));
            made.push(self.change_unwitnessed(&line.key, line.change, said, Some(claim)).await);
        }
        let witnessed = self.witnessed(fresh.iter().map(|index| &lines[*index]), made).await;
        for (index, outcome) in fresh.iter().zip(witnessed) {
            outcomes[*index] = Some(outcome);
        }
        let mut outcomes: Vec<LineOutcome> = outcomes.into_iter().flatten().collect();
        let refused = |index: &usize| matches!(outcomes[*index], LineOutcome::Judged(Err(_)));
        let refused: Vec<usize> = fresh.into_iter().filter(refused).collect();
        let recorded = match self.summary(idempotency, &outcomes) {
            Some(summary) => self.record_batch(whole, summary).await,
            None => self.record_refusals(lines, &refused, &outcomes, &claims).await,
        };
        if let Err(not_done) = recorded {
            // A refusal that is not recorded is not told: the line may be judged otherwise next time.
            for index in refused {
                outcomes[index] = LineOutcome::NotDone(NotDone::no(not_done.why.clone()));
            }
        }
        Ok(Answered { outcome: Outcome::Each(outcomes), replayed })
    }

    /// Claims the batch's key. One that was cut short has begun: it is not turned away for want of room.
    async fn begin_batch(&self, lines: &[EachLine], idempotency: &Idempotency) -> Result<Begun, NotDone> {
        match self.0.books.begin(idempotency).await {
            Err(NotDone { why: Why::KeysFull { retry_after }, .. }) => {
                let before = self.0.books.lines_before(idempotency, 0..number(lines.len())).await?;
                if before.iter().any(Option::is_some) {
                    return self.0.books.begin_unbounded(idempotency).await;
                }
                Err(NotDone::no(Why::KeysFull { retry_after }))
            }
            begun => begun,
        }
    }

    /// What came of each line, from the record of the whole batch.
    async fn replay_batch(&self, record: &KeptRecord, lines: &[EachLine]) -> Result<Answered, NotDone> {
        if let Some(outcomes) = record.moved_batch().filter(|outcomes| outcomes.len() == lines.len()) {
            return Ok(Answered { outcome: Outcome::Each(outcomes), replayed: true });
        }
        let stored = match record.stored() {
            Some(Stored::Batch(stored)) if stored.len() == lines.len() => stored,
            // All lines together, under this key: that was another request, whatever its body.
            _ => return Err(NotDone::no(Why::KeyReused)),
        };
        let at = |line: &BatchLine| if let BatchLine::At(position) = line { Some(*position) } else { None };
        let mut made = self.0.books.records_at(stored.iter().filter_map(at).collect()).await?.into_iter();
        let outcomes = stored.into_iter().map(|line| match line {
            BatchLine::At(_) => match made.next().expect("one for each position") {
                Some(record) => record.outcome_of_line(),
                // Written long before the batch was carried through, after a crash. It is not carried out again.
                None => Ok(LineOutcome::NotDone(NotDone::unknown(Why::OutcomeDropped))),
            },
            BatchLine::Refused(refusal) => Ok(LineOutcome::Judged(Err(refusal))),
        });
        Ok(Answered { outcome: Outcome::Each(outcomes.collect::<Result<_, _>>()?), replayed: true })
    }

    /// What came of each line at an earlier try, where anything did.
    async fn lines_before(
        &self,
        lines: &[EachLine],
        idempotency: &Idempotency,
    ) -> Result<Vec<Option<LineOutcome>>, NotDone> {
        let records = self.0.books.lines_before(idempotency, 0..number(lines.len())).await?;
        records.into_iter().map(|record| record.map(|record| record.outcome_of_line()).transpose()).collect()
    }

    /// Waits until what came of the lines may be shown: once for all that was made, and once for all that was refused, since what
    /// a refusal saw somebody else may have made.
    async fn witnessed<'l>(
        &self,
        lines: impl Iterator<Item = &'l EachLine> + Send,
        made: Vec<Made>,
    ) -> Vec<LineOutcome> {
        let saw = |(line, made): (&'l EachLine, &Made)| match made {
            Ok(Err(refusal)) => Some((&line.key, refusal.found.version())),
            _ => None,
        };
        let seen: Vec<_> = lines.zip(&made).filter_map(saw).collect();
        let mut applied = Ok(());
        if made.iter().any(|made| matches!(made, Ok(Ok(_)))) {
            applied = self.0.books.witness_all(WasApplied::Unknown).await;
        }
        let refused = self.0.books.witness_levels(seen.into_iter(), WasApplied::No).await;
        let outcome = |made: Made| {
            let judged = made?;
            let witnessed = if judged.is_ok() { &applied } else { &refused };
            witnessed.clone().map(|()| judged)
        };
        let outcomes = made.into_iter().map(outcome);
        outcomes.map(|made| made.map_or_else(LineOutcome::NotDone, LineOutcome::Judged)).collect()
    }

    /// What is recorded of a batch under its own key: nothing while a line is not judged, or was by another version.
    fn summary(&self, idempotency: &Idempotency, outcomes: &[LineOutcome]) -> Option<Vec<BatchLine>> {
        let judged = |(index, outcome): (usize, &LineOutcome)| match outcome {
            LineOutcome::Judged(Ok(_)) => {
                self.0.books.position_of(idempotency.once.line(number(index))).map(BatchLine::At)
            }
            LineOutcome::Judged(Err(refusal)) => Some(BatchLine::Refused(*refusal)),
            LineOutcome::NotDone(_) | LineOutcome::Written(_) => None,
        };
        outcomes.iter().enumerate().map(judged).collect()
    }

    async fn record_batch(&self, whole: Claim, summary: Vec<BatchLine>) -> Result<(), NotDone> {
        let stored = self.0.books.store(RecordKind::Batch, whole, &Stored::Batch(summary)).await?;
        self.0.books.told(stored, WasApplied::No).await
    }

    /// Records each refusal under the key of its line, all of them together.
    async fn record_refusals(
        &self,
        lines: &[EachLine],
        refused: &[usize],
        outcomes: &[LineOutcome],
        claims: &Arc<LineClaims>,
    ) -> Result<(), NotDone> {
        let mut handed_over = Vec::with_capacity(refused.len());
        for index in refused {
            let LineOutcome::Judged(Err(refusal)) = &outcomes[*index] else { continue };
            let level = RefusedLevel { key: lines[*index].key.clone(), line: *index, refusal: *refusal };
            let claim = Claim::Line(Arc::clone(claims), number(*index));
            let stored = Stored::Refused(vec![level]);
            handed_over.push(self.0.books.store(RecordKind::Refused, claim, &stored).await?);
        }
        for stored in handed_over {
            self.0.books.told(stored, WasApplied::No).await?;
        }
        Ok(())
    }
}

/// The number under which a line has its key: its place among the lines of the deed. Those of a whole batch go with it because
/// they are all there are, from 0 on.
fn number(index: usize) -> u32 {
    u32::try_from(index).expect("a batch has few lines")
}

async fn take_turns(turn: usize) {
    if turn % LINES_PER_TURN == LINES_PER_TURN - 1 {
        tokio::task::yield_now().await;
    }
}
