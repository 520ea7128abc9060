//! Making an import happen, and applying what has happened.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::entries::{Entries, Entry};
use super::staged::Staged;
use super::{CHUNK_LEVELS, ERRORS_MAX, ImportError, Imported, LineError};
use crate::inventory::{Begun, Inventory, Memo, Obstacle, TransactError};
use crate::journal::disk::Disk;
use crate::journal::lanes::{Keyed, Remark};
use crate::journal::record::{Answer, Kind, Once};
use crate::stock::{Change, IfMissing, Operation, Transaction};

/// Before a chunk that was in others' way is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(20);

impl Inventory {
    /// Makes a staged import happen, and applies it. `keyed` is the claim of the request's key, if it has one.
    ///
    /// A caller that may go away runs this on a task of its own: dropped midway, it leaves the rest to the next start.
    pub async fn import(&self, mut staged: Staged, keyed: Option<Keyed>) -> Result<Imported, ImportError> {
        // While a backup is taken none happens: it would have the first chunks and not the file with the rest.
        let _applying = self.chores().applying().await;
        self.check(&staged).await?;
        let staged = on_disk(move || staged.commit().map(|()| staged)).await.map_err(ImportError::Io)?;
        self.apply_import(staged, keyed).await.map_err(|error| match error {
            // It has happened: if this process does not see to it, the next one does.
            ImportError::Obstacle(Obstacle::Unavailable { failed, .. }) => {
                ImportError::Obstacle(Obstacle::Unavailable { failed, applied: true })
            }
            other => other,
        })
    }

    /// Applies the imports that had happened when the service stopped. For the start, before anybody else is served.
    pub async fn finish_imports(&self, disk: &Arc<dyn Disk>, pending: &[String]) -> Result<(), ImportError> {
        for name in pending {
            let (disk, file) = (Arc::clone(disk), name.clone());
            let damaged =
                |error: io::Error| ImportError::Io(io::Error::new(error.kind(), format!("{name}: {error}")));
            let staged = on_disk(move || Staged::open(disk, &file)).await.map_err(damaged)?;
            let keyed = match staged.once {
                Some(once) => match self.books().begin(once).await.map_err(ImportError::Obstacle)? {
                    Begun::Fresh(keyed) => Some(keyed),
                    // All was done but for the removal.
                    _ => None,
                },
                None => None,
            };
            let imported = self.apply_import(staged, keyed).await?;
            tracing::info!(
                file = name,
                levels = imported.levels,
                "an import that had happened was completed"
            );
        }
        Ok(())
    }

    /// Refuses an import that could not be applied as the levels are now.
    async fn check(&self, staged: &Staged) -> Result<(), ImportError> {
        let mut entries = staged.entries();
        let (mut errors, mut total) = (Vec::new(), 0);
        loop {
            let chunk;
            (entries, chunk) = next_chunk(entries).await?;
            if chunk.is_empty() {
                break;
            }
            for entry in chunk {
                let level = self.read(&entry.key).await.map_err(ImportError::Obstacle)?;
                if level.reserved() <= entry.on_hand {
                    continue;
                }
                total += 1;
                if errors.len() < ERRORS_MAX {
                    let detail = format!("{} units of {} are reserved", level.reserved(), entry.key);
                    errors.push(LineError { line: entry.line, field: "on_hand".to_owned(), detail });
                }
            }
        }
        if total == 0 { Ok(()) } else { Err(ImportError::Refused { errors, total }) }
    }

    async fn apply_import(&self, staged: Staged, keyed: Option<Keyed>) -> Result<Imported, ImportError> {
        let mut imported = Imported { levels: staged.levels, ..Imported::default() };
        let mut entries = staged.entries();
        for number in 0_u64.. {
            let chunk;
            (entries, chunk) = next_chunk(entries).await?;
            if chunk.is_empty() {
                break;
            }
            self.apply_chunk(chunk_key(staged.id, number, &chunk), chunk, &mut imported).await?;
        }
        if let Some(keyed) = keyed {
            self.record_answer(&keyed, imported).await.map_err(ImportError::Obstacle)?;
        }
        on_disk(move || staged.remove()).await.map_err(ImportError::Io)?;
        Ok(imported)
    }

    async fn record_answer(&self, keyed: &Keyed, imported: Imported) -> Result<(), Obstacle> {
        let body = imported.to_json();
        let answer = Answer { status: 200, body: body.as_bytes() };
        loop {
            match self.books().hand_answer(keyed.clone(), answer).await {
                Ok(told) => return self.books().settle(told).await,
                Err(Obstacle::Overloaded) => tokio::time::sleep(AGAIN_AFTER).await,
                Err(obstacle) => return Err(obstacle),
            }
        }
    }

    /// Applies one chunk, unless the log has it.
    async fn apply_chunk(
        &self,
        once: Once,
        mut chunk: Vec<Entry>,
        imported: &mut Imported,
    ) -> Result<(), ImportError> {
        let keyed = match self.books().begin_unbounded(once).await.map_err(ImportError::Obstacle)? {
            Begun::Done(stored) => {
                let (mut created, mut lines) = (0, 0);
                for line in stored.record().lines() {
                    lines += 1;
                    created += u64::from(line.imported_new());
                }
                imported.created += created;
                imported.counted += lines - created;
                imported.left_out += chunk.len() as u64 - lines;
                return Ok(());
            }
            Begun::Fresh(keyed) => keyed,
            other => {
                let detail = format!("the key of a chunk was used for something else: {other:?}");
                return Err(ImportError::Obstacle(Obstacle::Damaged(detail)));
            }
        };
        let remark = Arc::new(Remark { reason: "import".to_owned(), reference: String::new() });
        while !chunk.is_empty() {
            let transaction = Arc::new(transaction(&chunk));
            let memo = Memo { remark: Some(Arc::clone(&remark)), keyed: Some(keyed.clone()) };
            match self.transact(&transaction, Kind::Import, memo).await {
                Ok(applied) => {
                    let created = applied.iter().filter(|applied| !applied.before.exists()).count() as u64;
                    imported.created += created;
                    imported.counted += applied.len() as u64 - created;
                    return Ok(());
                }
                Err(TransactError::Refused(refused)) => {
                    imported.left_out += refused.refusals.len() as u64;
                    for refusal in refused.refusals.iter().rev() {
                        let entry = chunk.remove(refusal.entry);
                        tracing::warn!(level = %entry.key, line = entry.line, "left out of an import: {:?}", refusal.refusal.reason);
                    }
                }
                // It has happened: it is only a question of when.
                Err(TransactError::Obstacle(Obstacle::Contention(_) | Obstacle::Overloaded)) => {
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
                Err(TransactError::Obstacle(obstacle)) => return Err(ImportError::Obstacle(obstacle)),
            }
        }
        Ok(())
    }
}

/// The next levels to apply together; none at the end.
async fn next_chunk(mut entries: Entries) -> Result<(Entries, Vec<Entry>), ImportError> {
    let read = move || {
        let mut chunk = Vec::new();
        while chunk.len() < CHUNK_LEVELS {
            let Some(entry) = entries.next()? else { break };
            chunk.push(entry);
        }
        Ok((entries, chunk))
    };
    on_disk(read).await.map_err(ImportError::Io)
}

/// Runs what blocks on a thread for that.
async fn on_disk<T: Send + 'static>(act: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(act).await.map_err(io::Error::other)?
}

fn transaction(chunk: &[Entry]) -> Transaction {
    let change = |entry: &Entry| {
        let operation = Operation::Count { on_hand: entry.quantity(), if_missing: IfMissing::Create };
        (entry.key.clone(), Change::unconditional(operation))
    };
    Transaction::new(chunk.iter().map(change).collect())
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
