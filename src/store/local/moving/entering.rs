//! [`enter`]: a data directory of all that another store sends.
//!
//! It is written in a folder beside the one that is asked for, whose name ends with `.partial`, and gets its name when it is whole and on disk: what was
//! cut short is never taken for stock.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::mpsc::Receiver;

use super::recorded::{before_alone, recorded};
use crate::journal::data_dir::{DataDir, DataDirError};
use crate::journal::founding::{self, Founding, FoundingError};
use crate::journal::holds;
use crate::journal::moved::Moved as MovedOutcome;
use crate::journal::orders;
use crate::journal::record::RecordKind;
use crate::journal::stored::Stored;
use crate::stock::{
    Applied, Changed, Level, Quantity, Refusal, Reservation, ReservationState, StockKey, Term,
};
use crate::store::local::documents::file_of;
use crate::store::moving::{Aged, Beginning, Contradiction, Moved, MovedKey, Piece};
use crate::store::{LineOutcome, Movement, OrderRefused, Outcome, ReservationRefused};

/// Why there is no new data directory.
#[derive(Debug, Error)]
pub enum EnterError {
    /// There is something already.
    #[error("{} is not empty: stock is moved to a folder that is empty, or not there", .0.display())]
    NotEmpty(PathBuf),
    /// A file system is mounted there.
    #[error("{} is where a file system is mounted, and cannot be replaced: name a folder in it", .0.display())]
    Mounted(PathBuf),
    /// An earlier move was cut short, or is under way.
    #[error("{} is there, of a move that was cut short or is under way: if none is, remove it", .0.display())]
    Partial(PathBuf),
    /// The folder cannot be made.
    #[error(transparent)]
    Folder(#[from] DataDirError),
    /// It cannot be written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// What.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The journal in it cannot be.
    #[error("the new data directory: {0}")]
    Founding(#[from] FoundingError),
    /// What is sent cannot be.
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
    /// The other store ended before it had said all.
    #[error("the store that is left was not read to its end")]
    CutShort,
}

/// Takes all that is sent. Blocking. `keys_retention`: how long the service is going to keep idempotency keys. `progress` is told what came so far.
pub fn enter(
    path: &Path,
    keys_retention: Duration,
    mut from: Receiver<Piece>,
    progress: &dyn Fn(&Moved),
) -> Result<Moved, EnterError> {
    let io = |path: &Path, source| EnterError::Io { path: path.to_owned(), source };
    // A link is followed, so that its name is kept.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match fs::read_dir(&path).map(|mut entries| entries.next().is_some()) {
        Ok(true) => return Err(EnterError::NotEmpty(path)),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(&path, error)),
        _ => {}
    }
    if is_mounted(&path) {
        return Err(EnterError::Mounted(path));
    }
    let partial = partial_of(&path);
    if partial.exists() {
        return Err(EnterError::Partial(partial));
    }
    // Nothing is made for what cannot be left.
    let Some(Piece::Beginning(beginning)) = from.blocking_recv() else { return Err(EnterError::CutShort) };
    let entered = entered(&partial, beginning, keys_retention, from, progress);
    if entered.is_err() {
        // It was made here. What cannot be removed keeps its name, by which nobody takes it for stock.
        let _ = fs::remove_dir_all(&partial);
    }
    let moved = entered?;
    if let Err(error) = fs::rename(&partial, &path) {
        let _ = fs::remove_dir_all(&partial);
        return Err(io(&path, error));
    }
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(above).and_then(|above| above.sync_all()).map_err(|error| io(above, error))?;
    Ok(moved)
}

/// Whether a file system begins there: no folder beside it can take its name.
fn is_mounted(path: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|it| it.dev()).ok();
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    device(path).is_some_and(|own| device(above).is_some_and(|above| above != own))
}

fn partial_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().map_or_else(|| OsString::from("data"), ToOwned::to_owned);
    name.push(".partial");
    path.with_file_name(name)
}

fn entered(
    partial: &Path,
    beginning: Beginning,
    keys_retention: Duration,
    mut from: Receiver<Piece>,
    progress: &dyn Fn(&Moved),
) -> Result<Moved, EnterError> {
    let data = DataDir::open_or_create(partial)?;
    let begun = founding::Beginning {
        lineage: beginning.lineage.id(),
        first_seq: beginning.oldest,
        now_ms: beginning.date_ms,
    };
    let founding = Founding::begin(&data.disk(), begun).map_err(FoundingError::from)?;
    let mut entering = Entering { founding, beginning, keys_retention, next_seq: beginning.oldest };
    let mut moved = Moved::default();
    loop {
        match from.blocking_recv().ok_or(EnterError::CutShort)? {
            Piece::End => break,
            piece => {
                moved.count(&piece);
                entering.take(piece)?;
                progress(&moved);
            }
        }
    }
    entering.check_ledger()?;
    entering.founding.finish()?;
    Ok(moved)
}

/// A journal that is being written.
struct Entering {
    founding: Founding,
    beginning: Beginning,
    keys_retention: Duration,
    next_seq: u64,
}

impl Entering {
    fn take(&mut self, piece: Piece) -> Result<(), EnterError> {
        match piece {
            Piece::Beginning(_) | Piece::End => {}
            Piece::Movements(movements) => movements.iter().try_for_each(|it| self.movement(it))?,
            Piece::Levels(levels) => levels.iter().try_for_each(|(key, level)| self.level(key, *level))?,
            Piece::Reservations(all) => {
                for it in all {
                    self.founding.reservation(self.found(it));
                }
            }
            Piece::Orders(all) => {
                for Aged { it, ended_ago } in all {
                    let grown_ms = ended_ago.map_or(0, |ago| self.ago(ago));
                    self.founding.order(it, grown_ms);
                }
            }
            Piece::Keys(keys) => keys.into_iter().try_for_each(|key| self.key(key))?,
            Piece::Document(name, bytes) => {
                self.founding.document(file_of(name), bytes).map_err(FoundingError::from)?;
            }
        }
        Ok(())
    }

    fn movement(&mut self, movement: &Movement) -> Result<(), EnterError> {
        let Movement { seq, key, after, time_ms, reservation, order, .. } = movement;
        let wrong = || Contradiction(format!("movement {seq} does not follow what is before it"));
        if seq.number() != self.next_seq {
            return Err(wrong().into());
        }
        self.next_seq += 1;
        let before = self.founding.level(key).or_else(|| before_alone(movement)).ok_or_else(wrong)?;
        let (kind, operation) = recorded(movement, before).ok_or_else(wrong)?;
        self.founding.movement(&founding::Told {
            kind,
            changed: Changed { key, operation, before, after: *after },
            date_ms: *time_ms,
            reason: &movement.reason,
            reference: &movement.reference,
            actor: &movement.actor,
            reservation: *reservation,
            order: *order,
        })?;
        Ok(())
    }

    fn level(&mut self, key: &StockKey, level: Level) -> Result<(), EnterError> {
        if self.founding.level(key).is_some_and(|told| told != level) {
            return Err(Contradiction(format!("the level {key} is not what its last movement says")).into());
        }
        self.founding.enter(key, level);
        Ok(())
    }

    /// Deadlines are dates, which is what the new log begins with.
    fn found(&self, Aged { it, ended_ago }: Aged<Reservation>) -> holds::Found {
        let Reservation { term, state, lines, committed } = it;
        let shipped = |key: &StockKey| {
            let line = committed.iter().find(|line| line.key == *key);
            line.map_or(Quantity::ZERO, |line| line.quantity)
        };
        let is_committed = state == ReservationState::Committed;
        holds::Found {
            term: Term { expires_ms: term.expires_date_ms, ..term },
            state,
            committed: lines.iter().filter(|_| is_committed).map(|line| shipped(&line.key)).collect(),
            lines: lines.into(),
            finished_ms: ended_ago.map_or(0, |ago| self.ago(ago)),
        }
    }

    fn ago(&self, ago: Duration) -> u64 {
        let ago = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
        self.beginning.date_ms.saturating_sub(ago).max(1)
    }

    fn key(&mut self, MovedKey { once, outcome, left }: MovedKey) -> Result<(), EnterError> {
        let used_ms = self.ago(self.keys_retention.saturating_sub(left));
        let (kind, stored) = self.stored(outcome).ok_or_else(|| {
            Contradiction("what came of a request under an idempotency key is none".to_owned())
        })?;
        Ok(self.founding.key(once, kind, &stored, used_ms)?)
    }

    fn stored(&self, outcome: Outcome) -> Option<(RecordKind, Stored)> {
        let moved = match outcome {
            Outcome::Transaction(Err(levels))
            | Outcome::Reservation(Err(ReservationRefused::Levels(levels)))
            | Outcome::Order(Err(OrderRefused::Levels(levels))) => {
                return Some((RecordKind::Refused, Stored::Refused(levels)));
            }
            Outcome::Import(imported) => {
                return Some((RecordKind::Imported, Stored::Imported(imported.into())));
            }
            Outcome::Change(judged) => MovedOutcome::Change(judged),
            Outcome::Transaction(Ok(levels)) => MovedOutcome::Transaction(levels),
            Outcome::Each(lines) => MovedOutcome::Batch(judged(lines)?),
            Outcome::Reservation(Ok(reservation)) => {
                let ended_ago = (reservation.state != ReservationState::Pending).then_some(Duration::ZERO);
                MovedOutcome::Reservation(self.found(Aged { it: *reservation, ended_ago }))
            }
            Outcome::Order(Ok(order)) => {
                MovedOutcome::Order(orders::Found { order: (*order).into(), revision: 0, grown_ms: 0 })
            }
            Outcome::Reservation(Err(_)) | Outcome::Order(Err(_)) | Outcome::Written(_) => return None,
        };
        Some((RecordKind::Moved, Stored::Moved(moved)))
    }

    fn check_ledger(&self) -> Result<(), EnterError> {
        if self.next_seq == self.beginning.newest + 1 {
            return Ok(());
        }
        let (told, newest) = (self.next_seq - 1, self.beginning.newest);
        Err(Contradiction(format!("the ledger ends with movement {told}, and should with {newest}")).into())
    }
}

fn judged(lines: Vec<LineOutcome>) -> Option<Vec<Result<Applied, Refusal>>> {
    let line = |line| match line {
        LineOutcome::Judged(judged) => Some(judged),
        LineOutcome::NotDone(_) | LineOutcome::Written(_) => None,
    };
    lines.into_iter().map(line).collect()
}
