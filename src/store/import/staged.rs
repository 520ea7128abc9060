//! The staged file: an import that is whole, valid and sorted, waiting to be applied or under way.
//!
//! In a data directory: under its temporary name (`<id>.import.tmp`, which recovery removes) it is nothing yet. The rename to `<id>.import` is the
//! moment at which the import happens; from then on it is applied, if need be by the next start, and removed. For a store in a database
//! it is never renamed, and goes with its temporary folder.
//!
//! ```text
//! file    header, entries (see `entries`) ascending by key, each key once; the name of who asked, actor_len bytes of UTF-8
//! header  0 magic 8 bytes, 8 version u32 (1: no entry expects a version; 2: nobody has a name), 12 flags u16 (1: the request had an idempotency key),
//!         14 actor_len u16, 16 id u128, 32 levels u64, 40 key u128, 56 fingerprint 32 bytes, 88 checksum u64 (BLAKE3 of bytes 0..88 and of the hash of all that comes after it)
//! ```

use std::io;
use std::sync::Arc;

use bytes::Buf;
use smol_str::SmolStr;

use super::entries::{Entries, Entry};
use crate::journal::disk::{Disk, DiskFile};
use crate::journal::prepare::SHORTEST_BYTES;
use crate::said::Said;
use crate::stock::{Once, Remark};

const MAGIC: [u8; 8] = *b"INVIMP\r\n";
const VERSION: u32 = 3;
const HEADER_BYTES: usize = 96;
const CHECKED: usize = 88;
const FLAG_ONCE: u16 = 1;
/// What is written and read at a time.
const PIECE_BYTES: usize = 1024 * 1024;

/// What happens when the file gets its name, or when it is removed.
const ENDING: &str = ".import";

/// A staged file. Dropped before the import has happened, it goes.
#[derive(Debug)]
pub(in crate::store) struct Staged {
    disk: Arc<dyn Disk>,
    file: Arc<dyn DiskFile>,
    name: String,
    /// Of the import: its chunks are recorded under keys made from it.
    pub(in crate::store) id: u128,
    /// How many levels it names.
    pub(in crate::store) levels: u64,
    /// The idempotency key of the request, where it had one.
    pub(in crate::store) once: Option<Once>,
    /// Who asked for it, if keys are asked for.
    pub(in crate::store) actor: Option<SmolStr>,
    /// Where the entries end.
    end: u64,
    /// Whether the import has happened.
    happened: bool,
}

/// Writes a staged file.
#[derive(Debug)]
pub(in crate::store) struct Writer {
    disk: Arc<dyn Disk>,
    file: Arc<dyn DiskFile>,
    name: String,
    id: u128,
    levels: u64,
    buffer: Vec<u8>,
    end: u64,
    hash: blake3::Hasher,
}

/// The name of the staged file of an import while it is written.
pub(in crate::store) fn temporary_name(id: u128) -> String {
    format!("{id:032x}{ENDING}.tmp")
}

/// The names of imports that have happened and are not known to be applied, in no order.
///
/// While there are any, recovery keeps every idempotency key, however old: snapshots of earlier versions know of chunks by their
/// keys alone.
pub(in crate::store) fn pending(disk: &Arc<dyn Disk>) -> io::Result<Vec<String>> {
    let is_pending = |name: &String| {
        let id = name.strip_suffix(ENDING);
        id.is_some_and(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    Ok(disk.list()?.into_iter().filter(is_pending).collect())
}

impl Writer {
    /// Begins the file; what an import of the same id left under the temporary name is removed.
    pub(in crate::store) fn create(disk: Arc<dyn Disk>, id: u128) -> io::Result<Self> {
        let name = temporary_name(id);
        match disk.remove(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = disk.create(&name)?;
        let (buffer, hash) = (Vec::new(), blake3::Hasher::new());
        Ok(Self { disk, file, name, id, levels: 0, buffer, end: HEADER_BYTES as u64, hash })
    }

    /// Appends the next level.
    pub(in crate::store) fn push(&mut self, entry: &Entry) -> io::Result<()> {
        entry.write(&mut self.buffer);
        self.levels += 1;
        if self.buffer.len() >= PIECE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hash.update(&self.buffer);
        self.file.write_at(&self.buffer, self.end)?;
        self.end += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// How many levels there are so far.
    pub(in crate::store) fn levels(&self) -> u64 {
        self.levels
    }

    /// Completes and syncs the file, still under its temporary name.
    pub(in crate::store) fn finish(
        mut self,
        once: Option<Once>,
        actor: Option<SmolStr>,
    ) -> io::Result<Staged> {
        self.flush()?;
        let end = self.end;
        let name_of_actor = actor.as_deref().unwrap_or_default();
        let actor_len = u16::try_from(name_of_actor.len()).expect("a name has at most 64 bytes");
        self.buffer.extend_from_slice(name_of_actor.as_bytes());
        self.flush()?;
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        header[14..16].copy_from_slice(&actor_len.to_le_bytes());
        header[16..32].copy_from_slice(&self.id.to_le_bytes());
        header[32..40].copy_from_slice(&self.levels.to_le_bytes());
        if let Some(once) = once {
            header[12..14].copy_from_slice(&FLAG_ONCE.to_le_bytes());
            header[40..56].copy_from_slice(&once.key.to_le_bytes());
            header[56..88].copy_from_slice(&once.fingerprint);
        }
        let sum = checksum(&header, &self.hash);
        header[CHECKED..].copy_from_slice(&sum);
        self.file.write_at(&header, 0)?;
        self.file.sync()?;
        let Self { disk, file, name, id, levels, .. } = self;
        Ok(Staged { disk, file, name, id, levels, once, actor, end, happened: false })
    }

    /// Removes the file.
    pub(in crate::store) fn abandon(self) {
        // If it stays, the next start removes it.
        let _ = self.disk.remove(&self.name);
    }
}

impl Staged {
    /// Opens an import that has happened, and reads it from end to end.
    pub(in crate::store) fn open(disk: Arc<dyn Disk>, name: &str) -> io::Result<Self> {
        let damaged = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let file = disk.open(name)?;
        let end = file.len()?;
        let mut header = [0; HEADER_BYTES];
        file.read_exact_at(&mut header, 0)?;
        let u16_at = |at: usize| (&header[at..]).get_u16_le();
        let u128_at = |at: usize| (&header[at..]).get_u128_le();
        if header[..8] != MAGIC {
            return Err(damaged("it is no staged import"));
        }
        if !(1..=VERSION).contains(&(&header[8..]).get_u32_le()) {
            return Err(damaged("another version of the program staged it: start that one"));
        }
        let (mut hash, mut at, mut piece) =
            (blake3::Hasher::new(), HEADER_BYTES as u64, vec![0; PIECE_BYTES]);
        while at < end {
            let read = file.read_at(&mut piece, at)?;
            hash.update(&piece[..read]);
            at += read as u64;
        }
        if checksum(&header, &hash) != header[CHECKED..] {
            return Err(damaged("it does not match its checksum"));
        }
        let fingerprint = header[56..88].try_into().expect("32 bytes");
        let once = (u16_at(12) == FLAG_ONCE).then(|| Once { key: u128_at(40), fingerprint });
        let levels = (&header[32..]).get_u64_le();
        let (name, id) = (name.to_owned(), u128_at(16));
        let mut actor = vec![0; usize::from(u16_at(14))];
        let end = end.checked_sub(actor.len() as u64).ok_or_else(|| damaged("it is too short"))?;
        file.read_exact_at(&mut actor, end)?;
        let actor = std::str::from_utf8(&actor).map_err(|_| damaged("it names nobody who can be"))?;
        let actor = (!actor.is_empty()).then(|| SmolStr::new(actor));
        Ok(Self { disk, file, name, id, levels, once, actor, end, happened: true })
    }

    /// What the ledger keeps of it beside its levels.
    pub(in crate::store) fn said(&self) -> Said {
        let remark = Arc::new(Remark { reason: "import".to_owned(), reference: String::new() });
        Said { remark: Some(remark), actor: self.actor.clone() }
    }

    /// The levels, ascending by key.
    pub(in crate::store) fn entries(&self) -> Entries {
        Entries::new(Arc::clone(&self.file), HEADER_BYTES as u64, self.end, PIECE_BYTES)
    }

    /// Fails where the disk has not as much room as the log may take for it: an import that has happened has to be applied, and while it
    /// waits for room nothing else is written. The file is in nobody's way yet.
    ///
    /// A level of 10 bytes of name takes 1.3 times as many bytes in the log as in the file (as it was measured with 140 000), less with
    /// longer names; and a segment may be begun for it.
    pub(in crate::store) fn has_room_to_be_applied(&self) -> io::Result<()> {
        let needed = self.end.saturating_add(self.end / 2).saturating_add(SHORTEST_BYTES);
        match self.disk.room() {
            Ok(Some(room)) if room < needed => Err(io::ErrorKind::StorageFull.into()),
            // Where the file system does not say, it is found out by writing.
            _ => Ok(()),
        }
    }

    /// Gives the file its name, for good: the import has happened. After an error it has not, or nobody knows whether it has:
    /// [`Staged::has_happened`] says which.
    pub(in crate::store) fn commit(&mut self) -> io::Result<()> {
        let name = format!("{:032x}{ENDING}", self.id);
        self.disk.rename(&self.name, &name)?;
        self.name = name;
        self.happened = true;
        self.disk.sync_names()
    }

    /// Whether it has its name, which a crash may take back only where [`Staged::commit`] failed.
    pub(in crate::store) fn has_happened(&self) -> bool {
        self.happened
    }

    /// The name of the file.
    pub(in crate::store) fn name(&self) -> &str {
        &self.name
    }

    /// Removes the file: the import is applied.
    pub(in crate::store) fn remove(&self) -> io::Result<()> {
        self.disk.remove(&self.name)?;
        self.disk.sync_names()
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.happened {
            // If it stays under its temporary name, the next start removes it.
            let _ = self.remove();
        }
    }
}

fn checksum(header: &[u8; HEADER_BYTES], entries: &blake3::Hasher) -> [u8; 8] {
    let mut hash = blake3::Hasher::new();
    hash.update(&header[..CHECKED]);
    hash.update(entries.finalize().as_bytes());
    *hash.finalize().as_bytes().first_chunk().expect("a hash has 32 bytes")
}
