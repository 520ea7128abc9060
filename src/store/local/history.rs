//! Questions to the ledger: the movements of one level, or of all.
//!
//! They read files, so they run on the threads for that, never on one that serves requests.

use std::sync::Arc;
use std::time::Duration;

use super::Local;
use super::books::unread;
use crate::journal::Shared;
use crate::journal::heads::Head;
use crate::journal::history::{self, Before};
use crate::journal::record::{Line, Record, RecordKind};
use crate::journal::watermark::Failed;
use crate::stock::{Level, Operation, StockKey, key};
use crate::store::ledger::{From, MovementPlace};
use crate::store::query::NotACursor;
use crate::store::{
    HistoryError, Lineage, Moment, Movement, MovementCursor, MovementFilter, MovementKind, MovementPage,
    MovementQuery, NotDone, Seq, Store as _, WasApplied, Why,
};

/// In memory nobody wakes the writer for a single change: whoever follows the feed has it look up this often.
const VOLATILE_LOOK: Duration = Duration::from_millis(20);

impl Local {
    /// The place after the last movement that is on disk.
    pub(super) fn end_of_feed(&self) -> MovementCursor {
        end_of_feed(self.0.books.shared())
    }

    /// Completes when there may be movements after that place.
    pub(super) async fn more_than(&self, after: MovementCursor) -> Result<(), NotDone> {
        let books = &self.0.books;
        let Some(Seq(seq)) = after.seq() else { return Ok(()) };
        loop {
            // Read before it is waited for: what is written in between is past this position.
            let end = books.shared().watermark.end();
            if end.next_seq.saturating_sub(1) > seq {
                return Ok(());
            }
            let grows = books.shared().watermark.reach(end.position);
            if books.journal().is_volatile() {
                if let Ok(grown) = tokio::time::timeout(VOLATILE_LOOK, grows).await {
                    grown.map_err(ended)?;
                }
                books.caught_up(WasApplied::No).await?;
            } else {
                grows.await.map_err(ended)?;
            }
        }
    }

    /// A page of movements, all of them witnessed: whatever a client was answered it finds there.
    pub(super) async fn page_of_movements(&self, query: MovementQuery) -> Result<MovementPage, HistoryError> {
        // On disk whatever was answered is in the log already.
        if self.0.books.journal().is_volatile() {
            self.0.books.caught_up(WasApplied::No).await?;
        }
        let lineage = self.lineage();
        match query {
            MovementQuery::OfLevel { key, cursor, filter, limit } => {
                let from = cursor.map(|cursor| before(cursor, lineage)).transpose()?;
                let head = self.newest_of(&key).await?;
                self.ask(move |journal| of_level(journal, lineage, &key, head, from, &filter, limit)).await
            }
            MovementQuery::After { from, filter, limit } => {
                self.ask(move |journal| after(journal, lineage, &from, &filter, limit)).await
            }
        }
    }

    /// The level as it was at a moment: a walk back over its movements since.
    pub(super) async fn level_as_it_was(
        &self,
        key: &StockKey,
        moment: Moment,
    ) -> Result<Level, HistoryError> {
        if self.0.books.journal().is_volatile() {
            self.0.books.caught_up(WasApplied::No).await?;
        }
        let lineage = self.lineage();
        let (journal, mut from) = (self.0.books.shared(), None);
        if let Moment::Seq(seq) | Moment::SeqOf(seq, _) = moment {
            let of = if let Moment::SeqOf(_, of) = moment { of } else { lineage };
            reached(journal, seq, of, lineage)?;
            if seq.0.saturating_add(1) < oldest(journal).0 {
                return Err(HistoryError::Compacted { oldest: oldest(journal) });
            }
        }
        let was = move |movement: &history::Movement| match moment {
            Moment::Seq(seq) | Moment::SeqOf(seq, _) => movement.seq <= seq.0,
            Moment::Time(time_ms) => movement.time_ms <= time_ms,
        };
        let head = self.newest_of(key).await?;
        // A step at a time, so that whoever gives up is not walked for to the end.
        loop {
            let key = key.clone();
            let page = self.ask(move |journal| {
                let Shared { log, watermark, .. } = journal;
                history::of_level(log, head, watermark, &key, from, 1, was)
                    .map_err(|error| said(journal, error))
            });
            let page = page.await?;
            match (page.movements.first(), page.next) {
                (Some(movement), _) => return Ok(movement.after),
                (None, Some(next)) => from = Some(next),
                (None, None) if page.compacted => {
                    return Err(HistoryError::Compacted { oldest: oldest(journal) });
                }
                (None, None) => return Ok(Level::ABSENT),
            }
        }
    }

    /// The last movement of a level that is in the log. The writer notes it before it writes it, so what is noted may have to be waited for; what
    /// comes meanwhile nobody was told of.
    async fn newest_of(&self, key: &StockKey) -> Result<Option<Head>, NotDone> {
        let books = &self.0.books;
        let Shared { heads, watermark, .. } = &**books.shared();
        let head = heads.get(key.text(), heads.hash(key.text()));
        if let Some(head) = head.filter(|head| !watermark.covers(head.position)) {
            if books.journal().is_volatile() {
                books.caught_up(WasApplied::No).await?;
            } else {
                books.witness(key, head.level.version(), WasApplied::No).await?;
            }
        }
        Ok(head)
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Shared) -> Result<T, HistoryError> + Send + 'static,
    ) -> Result<T, HistoryError> {
        let shared = Arc::clone(self.0.books.shared());
        let answer = tokio::task::spawn_blocking(move || question(&shared)).await;
        answer.unwrap_or_else(|panicked| Err(damaged(panicked.to_string())))
    }
}

/// The place after the last movement that is on disk.
pub(super) fn end_of_feed(journal: &Shared) -> MovementCursor {
    let newest = journal.watermark.end().next_seq.saturating_sub(1);
    let lineage = Lineage::restored(journal.control.restored());
    MovementCursor { place: MovementPlace::After(newest), lineage }
}

fn of_level(
    journal: &Shared,
    lineage: Lineage,
    key: &StockKey,
    head: Option<Head>,
    from: Option<Before>,
    filter: &MovementFilter,
    limit: usize,
) -> Result<MovementPage, HistoryError> {
    let Shared { log, watermark, .. } = journal;
    let wanted = |movement: &history::Movement| {
        filter.has_change(movement.time_ms, &movement.reference, &movement.actor)
            && filter.has_kind(kind_of(movement.kind, movement.operation))
    };
    let page = history::of_level(log, head, watermark, key, from, limit, wanted);
    let page = page.map_err(|error| said(journal, error))?;
    let next = page.next.map(|Before { position, version }| MovementPlace::Before { position, version });
    Ok(MovementPage {
        movements: page.movements.into_iter().map(shown).collect(),
        next: next.map(|place| MovementCursor { place, lineage }),
        compacted: page.compacted,
        lineage,
    })
}

fn after(
    journal: &Shared,
    lineage: Lineage,
    from: &From,
    filter: &MovementFilter,
    limit: usize,
) -> Result<MovementPage, HistoryError> {
    let (seq, of) = match from {
        From::Oldest => (oldest(journal).0.saturating_sub(1), lineage),
        // Which history it is of, a number alone does not say.
        From::Seq(Seq(seq)) => (*seq, lineage),
        From::SeqOf(Seq(seq), of)
        | From::Cursor(MovementCursor {
            place: MovementPlace::After(seq) | MovementPlace::Within(seq),
            lineage: of,
        }) => (*seq, *of),
        From::Cursor(_) => return Err(NotACursor.into()),
    };
    reached(journal, Seq(seq), of, lineage)?;
    let wanted = |record: &Record<'_>, line: &Line<'_>| {
        let (sku, location) = key::split(line.key).unwrap_or((line.key, ""));
        filter.has_level(sku, location)
            && filter.has_change(record.time_ms(), record.note().reference, record.note().actor)
            && filter.has_kind(kind_of(record.note().kind, line.operation))
    };
    let page = history::after(&journal.log, &journal.watermark, seq, limit, wanted);
    let page = page.map_err(|error| said(journal, error))?;
    if page.compacted {
        return Err(HistoryError::Compacted { oldest: oldest(journal) });
    }
    Ok(MovementPage {
        movements: page.movements.into_iter().map(shown).collect(),
        next: page.next.map(|seq| MovementCursor { place: MovementPlace::After(seq), lineage }),
        compacted: false,
        lineage,
    })
}

/// Whether that movement of that history is there, or was.
fn reached(journal: &Shared, seq: Seq, of: Lineage, lineage: Lineage) -> Result<(), HistoryError> {
    if of != lineage {
        return Err(HistoryError::OtherLineage);
    }
    // Whoever was shown a movement was shown it when it was on disk.
    let newest = Seq(journal.watermark.end().next_seq.saturating_sub(1));
    if seq > newest { Err(HistoryError::Ahead { asked: seq, newest }) } else { Ok(()) }
}

/// The oldest movement that is kept; the first of all where nothing was dropped.
fn oldest(journal: &Shared) -> Seq {
    Seq(journal.log.first_seq())
}

fn before(cursor: MovementCursor, lineage: Lineage) -> Result<Before, HistoryError> {
    if cursor.lineage != lineage {
        return Err(HistoryError::OtherLineage);
    }
    match cursor.place {
        MovementPlace::Before { position, version } => Ok(Before { position, version }),
        MovementPlace::After(_) | MovementPlace::Within(_) => Err(NotACursor.into()),
    }
}

fn said(journal: &Shared, error: history::HistoryError) -> HistoryError {
    match error {
        history::HistoryError::Cursor => NotACursor.into(),
        history::HistoryError::Compacted => HistoryError::Compacted { oldest: oldest(journal) },
        error => NotDone::no(unread(&error)).into(),
    }
}

fn ended(failed: Failed) -> NotDone {
    NotDone::no(Why::Unavailable(failed.reason))
}

fn damaged(what: String) -> HistoryError {
    NotDone::no(Why::Damaged(what)).into()
}

/// As it is told.
pub(super) fn shown(movement: history::Movement) -> Movement {
    let kind = kind_of(movement.kind, movement.operation);
    let history::Movement { seq, time_ms, key, before, after, reason, reference, actor, .. } = movement;
    let (seq, reservation, order) = (Seq(seq), movement.reservation, movement.order);
    Movement { seq, time_ms, kind, key, before, after, reason, reference, actor, reservation, order }
}

/// What a movement was, by its record and its line.
pub(super) fn kind_of(kind: RecordKind, operation: Operation) -> MovementKind {
    match kind {
        RecordKind::Transfer => MovementKind::Transferred,
        RecordKind::Import => MovementKind::Imported,
        RecordKind::Expired => MovementKind::Expired,
        RecordKind::Fulfilled => MovementKind::Fulfilled,
        RecordKind::Returned => MovementKind::Returned,
        _ => MovementKind::of(operation),
    }
}
