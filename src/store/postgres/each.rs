//! Many changes that stand alone: each is work of its own, in the order of the lines.
//!
//! **Under an idempotency key** each line is once, and so is the whole ([`wholes`](super::wholes)): its lines are its parts. It is a task of its own, so
//! a client that goes away does not cut it short.

use std::sync::Arc;

use super::Postgres;
use super::commands::unknown_of_earlier;
use super::lanes::replied;
use super::outcome;
use super::work::{Done, Work};
use crate::said::Said;
use crate::stock::Once;
use crate::store::{Answered, Deed, EachLine, Idempotency, LineOutcome, NotDone, Outcome, Why};

/// Lines that are under way at once.
const AT_ONCE: usize = 256;

impl Postgres {
    pub(super) async fn each_carried_out(
        &self,
        lines: Arc<[EachLine]>,
        idempotency: Option<Box<Idempotency>>,
        said: Said,
    ) -> Result<Answered, NotDone> {
        let Some(idempotency) = idempotency else {
            let (outcomes, _) = self.each(&lines, None, &said).await;
            return Ok(Answered { outcome: Outcome::Each(outcomes), replayed: false });
        };
        let (store, once) = (self.clone(), idempotency.once);
        let carried = tokio::spawn(async move { store.each_once(&lines, once, &said).await });
        carried.await.unwrap_or_else(|panicked| Err(NotDone::unknown(Why::Damaged(panicked.to_string()))))
    }

    async fn each_once(&self, lines: &[EachLine], once: Once, said: &Said) -> Result<Answered, NotDone> {
        // An earlier try may have got further.
        match self.whole_taken(once).await.map_err(unknown_of_earlier)? {
            None => {}
            Some(outcome @ Outcome::Each(_)) => return Ok(Answered { outcome, replayed: true }),
            // Not all lines together, under this key: it was another request, whatever its body.
            Some(_) => return Err(NotDone::no(Why::KeyReused)),
        }
        let (outcomes, replayed) = self.each(lines, Some(once), said).await;
        let outcome = Outcome::Each(outcomes);
        if let Some(text) = outcome::text(&outcome) {
            // Where it cannot be kept the lines are, each under its own key.
            let parts = u32::try_from(lines.len()).unwrap_or(u32::MAX);
            if let Err(not_done) = self.whole_kept(once, parts, Some(text)).await {
                tracing::debug!(%not_done, "a batch is kept by its lines alone");
            }
        }
        Ok(Answered { outcome, replayed })
    }

    /// What came of each line; and whether nothing was done, as all had been before.
    async fn each(&self, lines: &[EachLine], once: Option<Once>, said: &Said) -> (Vec<LineOutcome>, bool) {
        let mut outcomes = Vec::with_capacity(lines.len());
        let mut replayed = true;
        let numbered: Vec<(u32, &EachLine)> = (0..).zip(lines).collect();
        for some in numbered.chunks(AT_ONCE) {
            let submit = |(number, line): &(u32, &EachLine)| {
                let deed = Deed::Change { key: line.key.clone(), change: line.change };
                let (work, reply) = Work::deed(deed, vec![line.key.clone()], None, said.clone());
                let own = once.map(|once| once.line(*number));
                let line = once.map(|once| (once, *number as usize));
                self.0.lanes.submit(Work { once: own, line, ..work }).map(|()| reply)
            };
            let submitted: Vec<_> = some.iter().map(submit).collect();
            for reply in submitted {
                let done = match reply {
                    Ok(reply) => replied(reply).await,
                    Err(not_done) => Err(not_done),
                };
                outcomes.push(match done {
                    Ok(Done::Answered(Answered { outcome: Outcome::Change(judged), replayed: before })) => {
                        replayed &= before;
                        LineOutcome::Judged(judged)
                    }
                    Ok(other) => {
                        let what = format!("a line came to something else: {other:?}");
                        LineOutcome::NotDone(NotDone::unknown(Why::Damaged(what)))
                    }
                    Err(not_done) => {
                        replayed = false;
                        let is_once = once.is_some();
                        LineOutcome::NotDone(if is_once { unknown_of_earlier(not_done) } else { not_done })
                    }
                });
            }
        }
        (outcomes, replayed)
    }
}
