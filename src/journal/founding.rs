//! [`Founding`]: a journal of stock that comes from another store: a log with its ledger, a snapshot of all that is not a movement, and the file `control`.
//!
//! It is written by who writes the log otherwise: the same records in the same groups ([`Appender`]), the same snapshot. What differs: nobody waits for it,
//! so a group need not be on disk before the next is begun; all is synced at the end, and only then does anything say that the log is whole.
//!
//! The log begins at position 512, after a sector that never was: so it is one whose beginning was dropped, and a start believes the snapshot that stands at
//! its end. Movements are a record each, as nobody knows any more which were made together; so what records of reservations and orders say of the
//! whole says nothing, and is read by nobody but who reads the ledger.
//!
//! Times. The log's own (by which things grow old) and the date are the same at the end, so a deadline that is a date is one by which it is judged.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use thiserror::Error;

use super::append::Appender;
use super::control::{Content, Control, Lineage};
use super::disk::Disk;
use super::documents::{Documents, Name};
use super::group::{self, SECTOR};
use super::heads::{Head, Heads};
use super::holds::{self, Holds};
use super::keys::Keys;
use super::log::Log;
use super::orders::{self, Orders};
use super::record::{self, RecordHead, RecordKind};
use super::segment;
use super::snapshot::{self, SnapshotError, Walked};
use super::stored::Stored;
use super::watermark::{GroupEnd, Watermark};
use crate::stock::{
    Changed, Level, Once, Order, OrderId, OrderLine, OrderState, OrderTimes, Quantity, ReservationId,
    StockKey, Term,
};

/// The body of a group is no longer than this.
const BODY_BYTES: usize = 1024 * 1024;

/// The position that is said of a level of which no movement is in the log: it is before all that is.
const DROPPED: u64 = 1;

/// What is known before anything is written.
#[derive(Debug, Clone, Copy)]
pub struct Beginning {
    /// The lineage, where it is not the first.
    pub lineage: Option<u64>,
    /// The number of the first movement.
    pub first_seq: u64,
    /// What time it is, in milliseconds of Unix time; not before anything that comes.
    pub now_ms: u64,
}

/// A movement.
#[derive(Debug, Clone, Copy)]
pub struct Told<'m> {
    /// What its record is of.
    pub kind: RecordKind,
    /// The level, what happened to it, and what it was before and after.
    pub changed: Changed<'m>,
    /// When it was recorded, in milliseconds of Unix time.
    pub date_ms: u64,
    /// What was said about it.
    pub reason: &'m str,
    /// What it refers to.
    pub reference: &'m str,
    /// Who made it.
    pub actor: &'m str,
    /// Which reservation made it.
    pub reservation: Option<ReservationId>,
    /// Which order made it.
    pub order: Option<OrderId>,
}

/// Why nothing was founded.
#[derive(Debug, Error)]
pub enum FoundingError {
    /// The disk said so.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// There is no snapshot.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A movement does not follow the one of its level before it.
    #[error("{0} is told twice, or out of turn")]
    Twice(String),
}

/// A journal that is being written.
#[derive(Debug)]
pub struct Founding {
    disk: Arc<dyn Disk>,
    control: Arc<Control>,
    documents: Documents,
    appender: Appender,
    heads: Heads,
    keys: Keys,
    holds: Holds,
    orders: Orders,
    group: Group,
    now_ms: u64,
    /// When the last key was used.
    used_ms: u64,
}

/// The group that is being gathered.
#[derive(Debug, Default)]
struct Group {
    bytes: Vec<u8>,
    /// Where its first byte will be.
    position: u64,
    date_ms: u64,
    records: u32,
    movements: u32,
    body_max: usize,
}

impl Founding {
    /// On a disk on which there is nothing.
    pub fn begin(disk: &Arc<dyn Disk>, beginning: Beginning) -> io::Result<Self> {
        let fresh = Content::fresh();
        let content = match beginning.lineage {
            None => fresh,
            Some(id) => Content { lineages: vec![Lineage { id, from: 0 }], restores: 1, ..fresh },
        };
        // Not that of a log of which nothing is missing, which has none before it.
        let hash = *blake3::hash(&content.directory.to_le_bytes()).as_bytes();
        let (position, next_seq) = (SECTOR as u64, beginning.first_seq);
        let end = GroupEnd { position, next_seq, hash, time_ms: 0, date_ms: 0 };
        // The first segment is missed until it is there, and a snapshot until that is: what is cut short is no log that anybody goes on with.
        let bases = Some((position, position));
        let control = Arc::new(Control::open(Arc::clone(disk), content, GroupEnd::GENESIS, bases)?);
        let log = Arc::new(Log::default());
        let (own, bytes) = (Arc::clone(&control), segment::BYTES_DEFAULT);
        let appender = Appender::new(Arc::clone(disk), log, own, None, end, bytes)?;
        Ok(Self {
            disk: Arc::clone(disk),
            documents: Documents::new(disk, Arc::clone(&control)),
            control,
            appender,
            heads: Heads::new(),
            keys: Keys::new(),
            holds: Holds::new(usize::MAX),
            orders: Orders::new(usize::MAX),
            group: Group::default(),
            now_ms: beginning.now_ms,
            used_ms: 0,
        })
    }

    /// The level, as the movements so far have left it; `None` if there was none.
    pub fn level(&self, key: &StockKey) -> Option<Level> {
        self.heads.get(key.text(), self.heads.hash(key.text())).map(|head| head.level)
    }

    /// Appends the next movement.
    pub fn movement(&mut self, told: &Told<'_>) -> Result<(), FoundingError> {
        let Told { kind, changed, date_ms, reason, reference, actor, .. } = *told;
        let head = RecordHead { kind, once: None, reason, reference, actor };
        let mut bytes = Vec::new();
        record::encode_with(&mut bytes, &head, std::iter::once(changed), |out| match told {
            Told { reservation: Some(id), .. } if kind.is_of_reservation() => {
                // How long it held nobody knows any more; and nobody reads it.
                record::put_term(out, &Term { id: *id, expires_date_ms: 0, expires_ms: 0 });
            }
            Told { order: Some(id), .. } if kind.moves_an_order() => named_alone(*id, changed.key).write(out),
            _ => {}
        });
        let (key, level) = (changed.key.text(), changed.after);
        let hash = self.heads.hash(key);
        let before = self.heads.get(key, hash);
        let is_first = level.version() == 1;
        let is_next = before.is_none_or(|head| head.level.version() + 1 == level.version());
        if !is_next {
            return Err(FoundingError::Twice(format!("version {} of {}", level.version(), changed.key)));
        }
        let previous = match before {
            Some(head) => head.position,
            None if is_first => 0,
            None => DROPPED,
        };
        let position = self.append(&mut bytes, date_ms, 1, previous)?;
        self.heads.set(key, hash, Head { level, position }, &mut Vec::new());
        Ok(())
    }

    /// Enters a level, as it is. One of which there were movements has to be as they left it: whether it is, [`Founding::level`] says before.
    pub fn enter(&mut self, key: &StockKey, level: Level) {
        let hash = self.heads.hash(key.text());
        let position = self.heads.get(key.text(), hash).map_or(DROPPED, |head| head.position);
        self.heads.set(key.text(), hash, Head { level, position }, &mut Vec::new());
    }

    /// Enters a reservation.
    pub fn reservation(&mut self, found: holds::Found) {
        self.holds.restore(found);
    }

    /// Enters an order.
    pub fn order(&mut self, order: Order, grown_ms: u64) {
        self.orders.restore(orders::Found { order: Arc::new(order), revision: 0, grown_ms });
    }

    /// Enters an idempotency key that was used at `used_ms`, and what came of it. Those first that are oldest.
    pub fn key(
        &mut self,
        once: Once,
        kind: RecordKind,
        stored: &Stored,
        used_ms: u64,
    ) -> Result<(), FoundingError> {
        let head = RecordHead { kind, once: Some(once), reason: "", reference: "", actor: "" };
        let mut bytes = Vec::new();
        record::encode_stored(&mut bytes, &head, stored);
        let position = self.append(&mut bytes, self.now_ms, 0, 0)?;
        self.keys.insert(once.key, position);
        // Every record before this one is of then, or older.
        self.keys.mark(used_ms, position);
        self.used_ms = used_ms;
        Ok(())
    }

    /// Keeps a document.
    pub fn document(&self, name: Name, bytes: Vec<u8>) -> io::Result<()> {
        self.documents.write(name, bytes).map_err(|not| not.source)
    }

    /// The last of it: from here on it is a journal, which ends here.
    pub fn finish(mut self) -> Result<(), FoundingError> {
        self.commit()?;
        // Also where there is nothing: a log has a beginning.
        self.appender.make_room(1, self.now_ms, |_| false)?;
        self.appender.sync()?;
        let (time_ms, date_ms) = (self.now_ms, self.now_ms);
        let end = GroupEnd { time_ms, date_ms, ..self.appender.end() };
        let Self { heads, keys, holds, orders, used_ms, .. } = &self;
        // No key is younger than the last.
        keys.marks().mark_end(*used_ms, end.position);
        let walked = Walked { heads, keys, holds, orders, caught_up: &|| true };
        let (whose, stop) = (Some(self.control.identity()), AtomicBool::new(false));
        snapshot::write(self.disk.as_ref(), whose, &walked, &Watermark::new(end), &stop)?;
        self.disk.sync_names()?;
        self.control.close(end)?;
        Ok(())
    }

    /// Appends a record of so many movements to the group of its date. Returns its position.
    fn append(&mut self, record: &mut [u8], date_ms: u64, movements: u32, previous: u64) -> io::Result<u64> {
        let body = self.group.bytes.len().saturating_sub(group::HEADER_BYTES) + record.len();
        let is_other = self.group.date_ms != date_ms || body > self.group.body_max;
        if self.group.records > 0 && is_other {
            self.commit()?;
        }
        if self.group.records == 0 {
            self.group.position =
                self.appender.make_room(record.len(), self.steady_ms(date_ms), |_| false)?;
            self.group.body_max = self.appender.body_max().min(BODY_BYTES);
            self.group.date_ms = date_ms;
            group::begin(&mut self.group.bytes);
        }
        let seq = self.appender.end().next_seq + u64::from(self.group.movements);
        record::seal(record, seq, date_ms, |_| previous);
        let position = self.group.position + self.group.bytes.len() as u64;
        self.group.bytes.extend_from_slice(record);
        self.group.records += 1;
        self.group.movements += movements;
        Ok(position)
    }

    /// The time of what is written now, as it grows old: what was recorded then, but for clocks that went back, and none that are ahead.
    fn steady_ms(&self, date_ms: u64) -> u64 {
        date_ms.min(self.now_ms).max(self.appender.end().time_ms)
    }

    fn commit(&mut self) -> io::Result<()> {
        let before = self.appender.end();
        let (time_ms, date_ms) = (self.steady_ms(self.group.date_ms), self.group.date_ms);
        let group = &mut self.group;
        if group.records == 0 {
            return Ok(());
        }
        let header = group::Header {
            body_len: group.bytes.len() - group::HEADER_BYTES,
            records: group.records,
            movements: group.movements,
            first_seq: before.next_seq,
            time_ms,
            previous: before.hash,
        };
        let hash = group::finish(&mut group.bytes, &header);
        let position = group.position + group.bytes.len() as u64;
        let next_seq = before.next_seq + u64::from(group.movements);
        self.appender
            .append_unsynced(&group.bytes, GroupEnd { position, next_seq, hash, time_ms, date_ms })?;
        (group.records, group.movements) = (0, 0);
        Ok(())
    }
}

/// An order of which only the name is known, and one of its levels: for the record of a movement, of which nobody asks more.
fn named_alone(id: OrderId, key: &StockKey) -> orders::Found {
    let line = OrderLine { key: key.clone(), quantity: Quantity::new(1).expect("one unit") };
    let order = Order {
        id,
        state: OrderState::Fulfilled,
        lines: vec![line],
        priority: 0,
        backorder: false,
        remark: None,
        actor: None,
        times: OrderTimes { created_ms: id.date_ms(), ..OrderTimes::default() },
        returned: Vec::new(),
        problem: None,
    };
    orders::Found { order: Arc::new(order), revision: 0, grown_ms: 0 }
}

#[cfg(test)]
mod tests;
