//! Making an import happen, and applying what has happened.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{CHUNK_LEVELS, ImportError, Imported};
use crate::journal::disk::Disk;
use crate::journal::keys::Claim;
use crate::journal::record::{Line, RecordKind};
use crate::journal::stored::Stored;
use crate::said::Said;
use crate::stock::{Applied, Once, StockKey, Transaction};
use crate::store::import::{Entry, Refused, Staged, next_chunk, on_disk};
use crate::store::local::Local;
use crate::store::local::books::Begun;
use crate::store::local::kept::KeptRecord;
use crate::store::{Idempotency, NotDone, WasApplied, Why};

/// Before a chunk that was in others' way is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(20);

impl Local {
    /// Makes a staged import happen, and applies it. `claim` is that of the request's key, if it has one.
    ///
    /// Whatever keeps it from being applied, or drops this midway, leaves the rest to the next start: see [`Happening`].
    pub(super) async fn import(
        &self,
        mut staged: Staged,
        claim: Option<Claim>,
    ) -> Result<Imported, ImportError> {
        // While a backup is taken none happens: it would have the first chunks and not the file with the rest.
        let _applying = self.0.rights.applying().await;
        self.check(&staged).await?;
        // Nothing would come of it in this process; and the one before may wait for the next start, under the same key.
        self.0.books.is_alive()?;
        let happening = Happening::new(self);
        // In memory the room that it takes is another's.
        let is_kept = self.0.rights.home().is_some();
        let commit = move || {
            let room = if is_kept { staged.has_room_to_be_applied() } else { Ok(()) };
            let committed = room.and_then(|()| staged.commit());
            Ok((staged, committed))
        };
        let (staged, committed) = match on_disk(commit).await {
            Ok(tried) => tried,
            Err(panicked) => return Err(happening.left(ImportError::Io(panicked))),
        };
        if let Err(error) = committed {
            let error = ImportError::Io(error);
            return Err(if staged.has_happened() { happening.left(error) } else { happening.over(error) });
        }
        match self.apply_import(staged, claim).await {
            Ok((outcome, _)) => happening.over(outcome),
            Err(error) => Err(happening.left(error)),
        }
    }

    /// Applies the imports that had happened when the service stopped. For the start, before anybody else is served.
    pub(in crate::store::local) async fn finish_imports(
        &self,
        disk: &Arc<dyn Disk>,
        pending: &[String],
    ) -> Result<(), ImportError> {
        let mut kept = Vec::new();
        for name in pending {
            let (disk, file) = (Arc::clone(disk), name.clone());
            let damaged =
                |error: io::Error| ImportError::Io(io::Error::new(error.kind(), format!("{name}: {error}")));
            let staged = on_disk(move || Staged::open(disk, &file)).await.map_err(damaged)?;
            let claim = match staged.once.map(begun) {
                Some(idempotency) => match self.0.books.begin_unbounded(&idempotency).await? {
                    Begun::Fresh(claim) => Some(claim),
                    // All was done but for the removal.
                    Begun::Before(_) => None,
                },
                None => None,
            };
            let (outcome, chunks) = self.apply_import(staged, claim).await?;
            let levels = outcome.map_or(0, |imported| imported.levels - imported.left_out);
            tracing::info!(
                file = name,
                levels,
                "an import that had happened was completed, or found to be, or was called off whole"
            );
            kept.extend(chunks);
        }
        // Of all others the files are gone.
        self.0.books.shared().keys.chunks().keep_only(&kept);
        Ok(())
    }

    /// Refuses an import that could not be applied as the levels are now.
    async fn check(&self, staged: &Staged) -> Result<(), ImportError> {
        let mut entries = staged.entries();
        let mut refused = Refused::default();
        loop {
            let chunk;
            (entries, chunk) = next_chunk(entries, CHUNK_LEVELS).await?;
            if chunk.is_empty() {
                break;
            }
            for entry in chunk {
                let level = self.read_level(&entry.key).await?;
                if let Err(refusal) = entry.change().judge(level) {
                    refused.add(&entry, refusal);
                }
            }
        }
        refused.told()
    }

    /// Applies what of it is not in the log yet, and removes the file. Returns what came of it, which may be that it was called off
    /// before anything of it was done; and the keys of its chunks, if the file is still there.
    async fn apply_import(
        &self,
        staged: Staged,
        claim: Option<Claim>,
    ) -> Result<(Result<Imported, ImportError>, Vec<u128>), ImportError> {
        let mut imported = Imported { levels: staged.levels, ..Imported::default() };
        let (mut chunks, mut outcome) = (Vec::new(), Ok(()));
        let import =
            Importing { can_be_called_off: staged.levels <= CHUNK_LEVELS as u64, said: staged.said() };
        let mut entries = staged.entries();
        for number in 0_u64.. {
            let chunk;
            (entries, chunk) = next_chunk(entries, CHUNK_LEVELS).await?;
            if chunk.is_empty() {
                break;
            }
            let once = chunk_key(staged.id, number, &chunk);
            chunks.push(once.key);
            match self.apply_chunk(once, chunk, &import, &mut imported).await {
                Err(called_off @ ImportError::Refused { .. }) => outcome = Err(called_off),
                applied => applied?,
            }
        }
        if let (Some(claim), Ok(())) = (claim, &outcome) {
            self.record_outcome(RecordKind::Imported, &claim, imported).await?;
        }
        let name = staged.name().to_owned();
        match on_disk(move || staged.remove()).await {
            // Only now, for good: a file that may come back must be known to be applied.
            Ok(()) => {
                self.0.books.shared().keys.chunks().forget(&chunks);
                chunks.clear();
            }
            Err(error) => {
                tracing::warn!(file = name, %error, "the file of an import that is applied could not be removed; the next start does it");
            }
        }
        Ok((outcome.map(|()| imported), chunks))
    }

    async fn record_outcome(
        &self,
        kind: RecordKind,
        claim: &Claim,
        imported: Imported,
    ) -> Result<(), NotDone> {
        let books = &self.0.books;
        loop {
            match books.store(kind, claim.clone(), &Stored::Imported(imported.into())).await {
                Ok(stored) => {
                    return match books.told(stored, WasApplied::Unknown).await {
                        Err(NotDone { why: Why::Unwritten { .. }, .. }) => self.wait_until_written().await,
                        told => told,
                    };
                }
                Err(not_done) => self.again(not_done).await?,
            }
        }
    }

    /// Waits a little before another try of what has happened: it is only a question of when, unless the service stops.
    async fn again(&self, not_done: NotDone) -> Result<(), NotDone> {
        if !matches!(
            not_done.why,
            Why::Contention | Why::Overloaded | Why::DiskFull { .. } | Why::Unwritten { .. }
        ) {
            return Err(not_done);
        }
        if self.0.rights.is_stopping() {
            let later = "the service stops; the next start completes the import";
            return Err(NotDone::unknown(Why::Unavailable(later.to_owned())));
        }
        tokio::time::sleep(AGAIN_AFTER).await;
        Ok(())
    }

    /// Waits until what was handed over before is on disk, however long there is no room.
    async fn wait_until_written(&self) -> Result<(), NotDone> {
        loop {
            match self.0.books.witness_all(WasApplied::Unknown).await {
                Err(not_done @ NotDone { why: Why::Unwritten { .. }, .. }) => self.again(not_done).await?,
                outcome => return outcome,
            }
        }
    }

    /// Applies one chunk, unless the log has it. While what was made waits for room on the disk nobody knows whether it is in the
    /// log: that is looked up once there is room.
    async fn apply_chunk(
        &self,
        once: Once,
        mut chunk: Vec<Entry>,
        import: &Importing,
        imported: &mut Imported,
    ) -> Result<(), ImportError> {
        loop {
            match self.try_chunk(once, &mut chunk, import, imported).await {
                Err(ImportError::NotDone(NotDone { why: Why::Unwritten { .. }, .. })) => {
                    self.wait_until_written().await?;
                }
                outcome => return outcome,
            }
        }
    }

    async fn try_chunk(
        &self,
        once: Once,
        chunk: &mut Vec<Entry>,
        import: &Importing,
        imported: &mut Imported,
    ) -> Result<(), ImportError> {
        // The log knows for as long as it matters, whatever became of the key.
        if let Some(position) = self.0.books.shared().keys.chunks().position(once.key) {
            let record =
                self.0.books.records_at(vec![position]).await.ok().and_then(|mut found| found.pop()?);
            return count_again(imported, chunk.len() as u64, record.as_ref());
        }
        let claim = match self.0.books.begin_unbounded(&begun(once)).await? {
            Begun::Fresh(claim) => claim,
            // As an earlier version recorded it, in a snapshot that knows of keys alone.
            Begun::Before(record) => return count_again(imported, chunk.len() as u64, Some(&record)),
        };
        let mut settled = Imported { levels: chunk.len() as u64, ..Imported::default() };
        while !chunk.is_empty() {
            let transaction = Arc::new(transaction(chunk));
            let (said, under) = (import.said.clone(), Some(claim.clone()));
            match self.transact(&transaction, RecordKind::Import, said, under).await {
                Ok(Ok(applied)) if applied.iter().any(|(_, applied)| applied.is_change()) => {
                    count(imported, &applied);
                    return Ok(());
                }
                // Nothing is recorded of what changes nothing.
                Ok(Ok(_)) => break,
                Ok(Err(levels)) if import.can_be_called_off => {
                    let mut refused = Refused::default();
                    for level in &levels {
                        refused.add(&chunk[level.line], level.refusal);
                    }
                    settled.left_out = settled.levels;
                    self.record_outcome(RecordKind::ImportLeftOut, &claim, settled).await?;
                    return refused.told();
                }
                Ok(Err(refused)) => {
                    imported.left_out += refused.len() as u64;
                    settled.left_out += refused.len() as u64;
                    for level in refused.iter().rev() {
                        let entry = chunk.remove(level.line);
                        tracing::warn!(level = %entry.key, line = entry.line, "left out of an import: {:?}", level.refusal.reason);
                    }
                }
                Err(not_done @ NotDone { why: Why::Unwritten { .. }, .. }) => return Err(not_done.into()),
                Err(not_done) => self.again(not_done).await?,
            }
        }
        // Nothing of it was to be done, or could be: not even that is done again.
        self.record_outcome(RecordKind::ImportLeftOut, &claim, settled).await?;
        Ok(())
    }
}

/// An import that may have happened and is not applied yet. If that is how it is left, the journal fails, and with it the process:
/// what is left of it belongs before everything that comes later, and the next start sees to that before it serves. A service that
/// went on would acknowledge changes that the next start takes back.
struct Happening<'l> {
    store: &'l Local,
    is_over: bool,
    reason: Option<String>,
}

/// What all chunks of an import share.
struct Importing {
    /// It is one chunk: of one that cannot be applied nothing was done.
    can_be_called_off: bool,
    said: Said,
}

impl<'l> Happening<'l> {
    fn new(store: &'l Local) -> Self {
        Self { store, is_over: false, reason: None }
    }

    /// It is applied, or has not happened.
    fn over<T>(mut self, outcome: T) -> T {
        self.is_over = true;
        outcome
    }

    /// It is left as it is: what its client is told.
    fn left(mut self, error: ImportError) -> ImportError {
        let reason = format!("an import that has happened could not be completed: {error}");
        let why = match error {
            ImportError::NotDone(NotDone { why, .. }) => why,
            _ => Why::Unavailable(reason.clone()),
        };
        self.reason = Some(reason);
        NotDone::unknown(why).into()
    }
}

impl Drop for Happening<'_> {
    fn drop(&mut self) {
        let Local(parts) = self.store;
        // A service that stops leaves it to the next start in any case; one in memory has no other.
        let is_left_on = parts.rights.home().is_some() && !parts.rights.is_stopping();
        if is_left_on && !self.is_over {
            let reason = self.reason.as_deref().unwrap_or("an import that has happened was given up");
            tracing::error!("{reason}; the next start completes it");
            parts.books.journal().fail(reason);
        }
    }
}

/// Counts a chunk that was just applied. Those of which it changed nothing are what is left.
fn count(imported: &mut Imported, applied: &[(StockKey, Applied)]) {
    for (_, applied) in applied.iter().filter(|(_, applied)| applied.is_change()) {
        if applied.before.exists() {
            imported.counted += 1;
        } else {
            imported.created += 1;
        }
    }
}

/// Counts a chunk that is in the log already, by its record: one that retention has dropped does not say what was new. Those it has no
/// line of had what the file says; or were left out, which only the chunk's first answer told.
fn count_again(imported: &mut Imported, levels: u64, record: Option<&KeptRecord>) -> Result<(), ImportError> {
    let Some(kept) = record else {
        imported.counted += levels;
        return Ok(());
    };
    if let Some(Stored::Imported(settled)) = kept.stored() {
        imported.left_out += settled.left_out;
        // Of one that was called off nothing was done, and its client was told so.
        let called_off = settled.left_out == imported.levels;
        let told = ImportError::Refused { moved_on: false, errors: Vec::new(), total: settled.left_out };
        return if called_off { Err(told) } else { Ok(()) };
    }
    let record = kept.record();
    let created = record.lines().filter(Line::imported_new).count() as u64;
    imported.created += created;
    imported.counted += record.line_count() - created;
    Ok(())
}

/// What the store itself makes once.
fn begun(once: Once) -> Idempotency {
    Idempotency { once, version_1: None }
}

fn transaction(chunk: &[Entry]) -> Transaction {
    Transaction::new(chunk.iter().map(|entry| (entry.key.clone(), entry.change())).collect())
        .expect("a chunk has fewer levels than the bound, each once")
}

/// The key under which a chunk is recorded: of the import's id and the chunk's number. Its fingerprint is that of the levels.
fn chunk_key(id: u128, number: u64, chunk: &[Entry]) -> Once {
    let mut hash = blake3::Hasher::new();
    hash.update(b"a chunk of an import").update(&id.to_le_bytes()).update(&number.to_le_bytes());
    let key = u128::from_le_bytes(*hash.finalize().as_bytes().first_chunk().expect("a hash has 32 bytes"));
    let mut bytes = Vec::new();
    for entry in chunk {
        entry.write(&mut bytes);
    }
    Once { key, fingerprint: *blake3::hash(&bytes).as_bytes() }
}
