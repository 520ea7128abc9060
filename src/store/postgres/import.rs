//! Imports: a file is staged in a temporary folder of this process ([`import`](crate::store::import)), and applied as work like any other.
//!
//! **Up to [`WHOLE_LEVELS`] levels are one transaction**, under the locks of their partitions, ascending: all of it or nothing. The key of the request,
//! if it has one, is kept in the same transaction.
//!
//! **More are applied in chunks**, each a transaction, so that nobody waits for more than one. All levels are looked at first, and if any is in the way
//! nothing is done. Then the key is taken, which is the moment at which the import happens: from then on a level that comes to stand in the way is left out
//! and counted. A chunk is kept under a key of its own, made from the request's and the chunk's number ([`wholes`](super::wholes)); so whoever repeats the
//! request, at whichever replica, because it was not answered or its replica has died, has those chunks applied that are missing, and none twice.
//! Nobody else goes on with it: the file is with the client, and gone with the process. Without a key a repetition is another import.
//!
//! One at a time in a process. Two at two replicas meet at the locks, as any two transactions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use smol_str::SmolStr;

use super::commands::unknown_of_earlier;
use super::wholes::Known;
use super::work::{Chunk, Done, What, Work};
use super::{Postgres, outcome};
use crate::said::Said;
use crate::stock::{KeySet, Once, StockKey};
use crate::store::chores::{ImportError, ImportInto, StockForm};
use crate::store::import::{
    Entry, Incoming, Place, Refused, Source, Stage, Staged, WHOLE_LEVELS, fresh_id, joined, next_chunk,
};
use crate::store::{Answered, Idempotency, Imported, NotDone, Outcome, StockQuery, WasApplied, Why};

/// The levels of a chunk, where there are several. A chunk is known by its number, so another size is another import: it stays what it is while a retry
/// may come.
const CHUNK_LEVELS: usize = 2_000;
/// How long a chunk is tried to be applied.
const PATIENCE: Duration = Duration::from_mins(1);
/// Before the next attempt.
const AGAIN_AFTER: Duration = Duration::from_millis(250);

/// An import whose bytes are coming in.
#[derive(Debug)]
pub(super) struct Import {
    store: Postgres,
    incoming: Incoming,
}

/// An import that is applied in chunks.
struct Applying {
    /// What the keys of its chunks are made of: the request's own, or one that nobody else has.
    once: Once,
    said: Said,
    /// Whether nothing of it can have been applied yet, by this try or another.
    is_untouched: bool,
}

impl ImportInto for Import {
    async fn push(&mut self, bytes: Bytes) -> bool {
        self.incoming.push(bytes).await
    }

    async fn finish(
        self,
        idempotency: Option<Box<Idempotency>>,
        actor: Option<SmolStr>,
    ) -> Result<Answered, ImportError> {
        let Self { store, incoming } = self;
        let once = idempotency.map(|it| it.once);
        incoming.carried(move |stage| async move { store.import(stage, once, actor).await }).await
    }
}

impl Postgres {
    /// Begins one, if none is under way.
    pub(super) fn import_begun(&self, form: StockForm) -> Result<Import, ImportError> {
        let rights = &self.0.rights;
        let right = Arc::clone(&rights.importing).try_acquire_owned();
        let right = right.map_err(|_| ImportError::AlreadyRunning)?;
        let id = fresh_id();
        let place = Place::temporary(id).map_err(ImportError::Io)?;
        let source = Source { id, form, lineage: self.0.origin.lineage };
        let incoming = Incoming::begin(place, source, Arc::clone(&rights.stop), right);
        Ok(Import { store: self.clone(), incoming })
    }

    async fn import(
        &self,
        stage: Stage,
        once: Option<Once>,
        actor: Option<SmolStr>,
    ) -> Result<Answered, ImportError> {
        if let Some(once) = once
            && let Some(answered) = self.import_before(once).await?.answered()
        {
            return Ok(answered);
        }
        let staged = joined(tokio::task::spawn_blocking(move || stage.finish(None, actor))).await?;
        if staged.levels <= WHOLE_LEVELS as u64 {
            self.import_whole(&staged, once).await
        } else {
            self.import_in_chunks(&staged, once).await
        }
    }

    /// What the key stands for, as to imports.
    async fn import_before(&self, once: Once) -> Result<Before, NotDone> {
        match self.whole_known(once).await.map_err(unknown_of_earlier)? {
            Known::Nothing => Ok(Before::Nothing),
            Known::UnderWay => Ok(Before::Begun),
            Known::Over(Outcome::Import(imported)) => Ok(Before::Over(imported)),
            Known::Over(_) => Err(NotDone::no(Why::KeyReused)),
        }
    }

    /// Applies all of it in one transaction, or nothing.
    async fn import_whole(&self, staged: &Staged, once: Option<Once>) -> Result<Answered, ImportError> {
        let (_, entries) = next_chunk(staged.entries(), WHOLE_LEVELS).await?;
        let chunk = Arc::new(Chunk { entries, is_whole: true });
        let (work, reply) = Work::new(What::Import(Arc::clone(&chunk)), keys_of(&chunk.entries));
        let work = Work { once, said: staged.said(), ..work };
        match self.0.lanes.done((work, reply)).await {
            Ok(Done::Answered(answered @ Answered { outcome: Outcome::Import(_), .. })) => Ok(answered),
            Ok(Done::Refused(levels)) => {
                let mut refused = Refused::default();
                for (place, refusal) in levels {
                    refused.add(&chunk.entries[place], refusal);
                }
                Err(refused.told().expect_err("some are in the way"))
            }
            // The same as for any two requests under one key.
            Ok(_) => Err(NotDone::no(Why::KeyReused).into()),
            Err(not_done) if once.is_some() => Err(unknown_of_earlier(not_done).into()),
            Err(not_done) => Err(not_done.into()),
        }
    }

    async fn import_in_chunks(&self, staged: &Staged, once: Option<Once>) -> Result<Answered, ImportError> {
        let before = match once {
            Some(once) => self.import_to_be_gone_on_with(staged, once).await?,
            None => self.check(staged).await.map(|()| Before::Nothing)?,
        };
        if let Some(answered) = before.answered() {
            return Ok(answered);
        }
        let nobody_elses = Once { key: fresh_id(), fingerprint: [0; 32] };
        let mut applying = Applying {
            once: once.unwrap_or(nobody_elses),
            said: staged.said(),
            is_untouched: once.is_none(),
        };
        let mut imported = Imported { levels: staged.levels, ..Imported::default() };
        let (mut entries, mut chunks) = (staged.entries(), 0);
        loop {
            let chunk;
            (entries, chunk) = next_chunk(entries, CHUNK_LEVELS).await?;
            if chunk.is_empty() {
                break;
            }
            match self.apply_chunk(&mut applying, chunks, chunk).await? {
                Applied::Over(imported) => return Ok(answered(imported, true)),
                Applied::Chunk(chunk) => {
                    imported.created += chunk.created;
                    imported.counted += chunk.counted;
                    imported.left_out += chunk.left_out;
                }
            }
            chunks += 1;
        }
        let text = once.and_then(|_| outcome::text(&Outcome::Import(imported)));
        // Where it cannot be kept the chunks are, each under its own key.
        if let Err(not_done) = self.whole_kept(applying.once, chunks, text).await {
            tracing::debug!(%not_done, "an import is kept by its chunks alone");
        }
        Ok(answered(imported, false))
    }

    /// Looks at all levels, unless it has begun under its key, and takes the key: from there on it has.
    async fn import_to_be_gone_on_with(&self, staged: &Staged, once: Once) -> Result<Before, ImportError> {
        if matches!(self.import_before(once).await?, Before::Nothing)
            && let Err(error) = self.check(staged).await
        {
            // Somebody else may have begun it meanwhile: then what is in the way is what that try did, or came later.
            return match (error, self.import_before(once).await?) {
                (refused @ ImportError::Refused { .. }, Before::Nothing) => Err(refused),
                (ImportError::Refused { .. }, begun) => Ok(begun),
                (ImportError::NotDone(not_done), _) => Err(unknown_of_earlier(not_done).into()),
                (error, _) => Err(error),
            };
        }
        match self.whole_taken(once).await.map_err(unknown_of_earlier)? {
            None => Ok(Before::Begun),
            Some(Outcome::Import(imported)) => Ok(Before::Over(imported)),
            Some(_) => Err(NotDone::no(Why::KeyReused).into()),
        }
    }

    /// Refuses an import that could not be applied as the levels are now.
    async fn check(&self, staged: &Staged) -> Result<(), ImportError> {
        let (mut entries, mut refused) = (staged.entries(), Refused::default());
        loop {
            let chunk;
            (entries, chunk) = next_chunk(entries, CHUNK_LEVELS).await?;
            if chunk.is_empty() {
                return refused.told();
            }
            let keys = Arc::new(KeySet::new(keys_of(&chunk)));
            let levels = self.levels_of(&StockQuery { keys, consistent: false }).await?;
            for (entry, level) in chunk.iter().zip(levels) {
                if let Err(refusal) = entry.change().judge(level) {
                    refused.add(entry, refusal);
                }
            }
        }
    }

    /// Applies one chunk, unless it was: again and again while others, or the database, are in the way.
    async fn apply_chunk(
        &self,
        applying: &mut Applying,
        number: u32,
        entries: Vec<Entry>,
    ) -> Result<Applied, ImportError> {
        let began = Instant::now();
        let chunk = Arc::new(Chunk { entries, is_whole: false });
        loop {
            let (work, reply) = Work::new(What::Import(Arc::clone(&chunk)), keys_of(&chunk.entries));
            let (own, line) = (Some(applying.once.line(number)), Some((applying.once, number as usize)));
            let work = Work { once: own, line, said: applying.said.clone(), ..work };
            let not_done = match self.0.lanes.done((work, reply)).await {
                Ok(Done::Answered(Answered { outcome: Outcome::Import(chunk), .. })) => {
                    applying.is_untouched = false;
                    return Ok(Applied::Chunk(chunk));
                }
                Ok(Done::Over(imported)) => return Ok(Applied::Over(imported)),
                Ok(other) => {
                    let what = format!("a chunk of an import came to something else: {other:?}");
                    return Err(NotDone::unknown(Why::Damaged(what)).into());
                }
                Err(not_done) => not_done,
            };
            applying.is_untouched &= not_done.applied == WasApplied::No;
            let passes = matches!(
                not_done.why,
                Why::Contention | Why::Overloaded | Why::DiskFull { .. } | Why::Away(_)
            );
            if !passes || began.elapsed() > PATIENCE || !self.pause(AGAIN_AFTER).await {
                let applied = if applying.is_untouched { WasApplied::No } else { WasApplied::Unknown };
                return Err(NotDone { applied, ..not_done }.into());
            }
            tracing::debug!(%not_done, number, "a chunk of an import is tried again");
        }
    }
}

/// What came of a chunk.
enum Applied {
    /// It is applied, now or before: this is what it did.
    Chunk(Imported),
    /// All of it was, and this is what the whole did.
    Over(Imported),
}

/// What was done under a key.
#[derive(Debug, Clone, Copy)]
enum Before {
    /// Nothing.
    Nothing,
    /// An import has begun.
    Begun,
    /// One is over.
    Over(Imported),
}

impl Before {
    /// The answer that it had.
    fn answered(self) -> Option<Answered> {
        match self {
            Self::Over(imported) => Some(answered(imported, true)),
            Self::Nothing | Self::Begun => None,
        }
    }
}

fn answered(imported: Imported, replayed: bool) -> Answered {
    Answered { outcome: Outcome::Import(imported), replayed }
}

fn keys_of(entries: &[Entry]) -> Vec<StockKey> {
    entries.iter().map(|entry| entry.key.clone()).collect()
}
