//! [`leave`]: all there is in a data directory, piece by piece. Nothing in it is changed.
//!
//! Memory: levels, reservations, orders, and 24 bytes an idempotency key, as a start has them; movements, and what came of requests, a piece at a time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::mpsc::Sender;

use crate::clock::wall_ms;
use crate::journal::control::Control;
use crate::journal::data_dir::DataDir;
use crate::journal::documents::{Documents, Name};
use crate::journal::history::{self, HistoryError};
use crate::journal::marks::Mark;
use crate::journal::recovery::{self, Recovered};
use crate::journal::stored::{BatchLine, Stored};
use crate::journal::watermark::Watermark;
use crate::journal::{holds, orders};
use crate::stock::{Order, Reservation};
use crate::store::local::OpenError;
use crate::store::local::history::shown;
use crate::store::local::kept::KeptRecord;
use crate::store::local::{documents, import};
use crate::store::moving::{Aged, Beginning, Contradiction, MovedKey, PIECE_LONG_MAX, PIECE_MAX, Piece};
use crate::store::{Document, LineOutcome, Lineage, NotDone, Outcome};

/// The version of the log's format in which an idempotency key was bound to the path as it was spelt: nobody else can look it up.
const VERSION_OF_OLD_KEYS: u32 = 1;

/// Why a data directory cannot be left.
#[derive(Debug, Error)]
pub enum LeaveError {
    /// It cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A part of the log cannot be read.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// What is in it cannot be.
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
    /// A retry of what these were used for would not be known again.
    #[error(
        "idempotency keys are held that a service of version 0.1 was given, and nobody else knows again: serve the data directory for another \
         {} hours, until they have run out", .0.as_secs().div_ceil(3_600).max(1)
    )]
    OldKeys(Duration),
    /// Nobody takes the pieces any more.
    #[error("the store that is moved to takes no more")]
    NotTaken,
}

/// What is left, and what of it is needed to tell the rest.
struct Leaving<'l> {
    recovered: Recovered,
    watermark: Watermark,
    to: &'l Sender<Piece>,
}

/// Sends all there is. Blocking. `keys_retention`: how long the service keeps idempotency keys; those that are older are not moved.
pub fn leave(path: &Path, keys_retention: Duration, to: &Sender<Piece>) -> Result<(), LeaveError> {
    let data = DataDir::look(path).map_err(OpenError::from)?;
    let disk = data.disk();
    if !import::pending(&disk).map_err(OpenError::from)?.is_empty() {
        return Err(OpenError::ImportPending.into());
    }
    let options = recovery::Options { now_ms: wall_ms(), key_retention: Duration::MAX };
    let recovered = recovery::look(&disk, &options, &|_| ()).map_err(OpenError::from)?;
    for warning in &recovered.report.warnings {
        tracing::warn!("{warning}");
    }
    if let Some(cut) = &recovered.report.cut {
        tracing::warn!("passed over: {cut}");
    }
    let control = Arc::new(Control::unwritten(recovered.control.clone()));
    let (lineage, documents) = (control.restored(), Documents::new(&disk, control));
    let watermark = Watermark::new(recovered.end);
    let leaving = Leaving { recovered, watermark, to };
    leaving.all(Lineage::restored(lineage), keys_retention)?;
    for (document, name) in Document::ALL.map(|document| (document, documents::file_of(document))) {
        if let Some(bytes) = read(&documents, name)? {
            leaving.send(Piece::Document(document, bytes))?;
        }
    }
    leaving.send(Piece::End)
}

fn read(documents: &Documents, name: Name) -> Result<Option<Vec<u8>>, LeaveError> {
    Ok(documents.read(name).map_err(OpenError::from)?)
}

impl Leaving<'_> {
    fn all(&self, lineage: Lineage, keys_retention: Duration) -> Result<(), LeaveError> {
        let Recovered { log, end, control, .. } = &self.recovered;
        let reservations = self.recovered.holds.clone().into_sorted();
        let orders = self.recovered.orders.clone().into_sorted();
        let named_ms = reservations.iter().map(|found| found.term.id.date_ms());
        let named_ms = named_ms.chain(orders.iter().map(|found| found.order.id.date_ms())).max();
        let newest = end.next_seq - 1;
        let oldest = if log.segments().is_empty() { end.next_seq } else { log.first_seq() };
        let date_ms = control.date_at(*end).max(named_ms.unwrap_or(0));
        self.send(Piece::Beginning(Beginning { lineage, oldest, newest, date_ms }))?;
        self.movements(oldest)?;
        self.levels()?;
        let ago = |ended_ms: u64| Duration::from_millis(end.time_ms.saturating_sub(ended_ms));
        for some in reservations.chunks(PIECE_LONG_MAX) {
            let aged = |found: &holds::Found| aged_reservation(found, ago);
            self.send(Piece::Reservations(some.iter().map(aged).collect()))?;
        }
        for some in orders.chunks(PIECE_LONG_MAX) {
            let aged = |found: &orders::Found| aged_order(found, ago);
            self.send(Piece::Orders(some.iter().map(aged).collect()))?;
        }
        self.keys(keys_retention)
    }

    fn send(&self, piece: Piece) -> Result<(), LeaveError> {
        self.to.blocking_send(piece).map_err(|_| LeaveError::NotTaken)
    }

    fn movements(&self, oldest: u64) -> Result<(), LeaveError> {
        let mut after = Some(oldest - 1);
        while let Some(seq) = after {
            let page = history::after(&self.recovered.log, &self.watermark, seq, PIECE_MAX, |_, _| true)?;
            if page.compacted {
                return Err(Contradiction(format!("movement {} is missing from the log", seq + 1)).into());
            }
            after = page.next;
            if !page.movements.is_empty() {
                self.send(Piece::Movements(page.movements.into_iter().map(shown).collect()))?;
            }
        }
        Ok(())
    }

    fn levels(&self) -> Result<(), LeaveError> {
        let (mut levels, mut sent) = (Vec::with_capacity(PIECE_MAX), Ok(()));
        // A walk cannot be left: once nobody takes more, the rest is passed over.
        self.recovered.heads.walk(|key, head| {
            levels.push((key.clone(), head.level));
            if levels.len() == PIECE_MAX && sent.is_ok() {
                sent = self.send(Piece::Levels(std::mem::take(&mut levels)));
            }
        });
        sent?;
        self.send(Piece::Levels(levels))
    }

    fn keys(&self, retention: Duration) -> Result<(), LeaveError> {
        let Recovered { keys, log, end, .. } = &self.recovered;
        let mut places = Vec::with_capacity(keys.len());
        keys.walk(|key, position| places.push((position, key)));
        places.sort_unstable();
        let marks = keys.marks().all();
        let mut some = Vec::new();
        for (position, key) in places {
            let age =
                Duration::from_millis(end.time_ms.saturating_sub(used_by(&marks, position, end.time_ms)));
            let left = retention.saturating_sub(age);
            // One that has run out, and whose record may have left with the oldest part of the log.
            if left.is_zero() {
                continue;
            }
            if log.at_position(position).is_some_and(|segment| segment.header.version == VERSION_OF_OLD_KEYS)
            {
                return Err(LeaveError::OldKeys(retention));
            }
            some.extend(self.key(key, position, left)?);
            if some.len() == PIECE_LONG_MAX {
                self.send(Piece::Keys(std::mem::take(&mut some)))?;
            }
        }
        self.send(Piece::Keys(some))
    }

    /// A key, and what its record says; `None` of a chunk of an import, whose key is nobody's but the import's.
    fn key(&self, key: u128, position: u64, left: Duration) -> Result<Option<MovedKey>, LeaveError> {
        let record = self.record(position)?;
        if record.record().note().kind.is_chunk() {
            return Ok(None);
        }
        let of = |what: &str| Contradiction(format!("the record at position {position} {what}"));
        let once = record.once().filter(|once| once.key == key);
        let once = once.ok_or_else(|| of("is not that of its idempotency key"))?;
        let outcome = match record.stored() {
            Some(Stored::Batch(lines)) => Outcome::Each(
                lines.iter().map(|line| self.line(line, &of)).collect::<Result<_, LeaveError>>()?,
            ),
            _ => record.outcome().map_err(|error: NotDone| of(&error.to_string()))?,
        };
        Ok(Some(MovedKey { once, outcome, left }))
    }

    fn line(&self, line: &BatchLine, of: &dyn Fn(&str) -> Contradiction) -> Result<LineOutcome, LeaveError> {
        Ok(match line {
            BatchLine::Refused(refusal) => LineOutcome::Judged(Err(*refusal)),
            BatchLine::At(position) => {
                let outcome = self.record(*position)?.outcome_of_line();
                outcome.map_err(|error| of(&error.to_string()))?
            }
        })
    }

    fn record(&self, position: u64) -> Result<KeptRecord, LeaveError> {
        let bytes = history::record_at(&self.recovered.log, position)?;
        let whole = KeptRecord::new(bytes);
        Ok(whole.ok_or_else(|| Contradiction(format!("the record at position {position} is none")))?)
    }
}

/// The latest time at which the record at that position was written, as things grow old.
fn used_by(marks: &[Mark], position: u64, end_ms: u64) -> u64 {
    let after = marks.partition_point(|mark| mark.position <= position);
    marks.get(after).map_or(end_ms, |mark| mark.time_ms)
}

fn aged_reservation(found: &holds::Found, ago: impl Fn(u64) -> Duration) -> Aged<Reservation> {
    let it = found.reservation();
    let is_over = it.state != crate::stock::ReservationState::Pending;
    Aged { it, ended_ago: is_over.then(|| ago(found.finished_ms)) }
}

fn aged_order(found: &orders::Found, ago: impl Fn(u64) -> Duration) -> Aged<Order> {
    let it = (*found.order).clone();
    let is_over = it.state.is_final();
    Aged { it, ended_ago: is_over.then(|| ago(found.grown_ms)) }
}
