//! Levels of an import, under the locks of their partitions: those that can have the units that the file says get them.
//!
//! One chunk is one transaction, and what came of it is kept in it, under the chunk's key: so a chunk happens once, whoever tries, at
//! whichever replica.

use super::work::{Chunk, Done, Work};
use super::working::{Because, Working};
use crate::stock::{Applied, Once};
use crate::store::{Answered, Imported, MovementKind, NotDone, Outcome};

impl Working {
    /// Gives levels their units; those of a whole import together, or none.
    pub(super) fn import(&mut self, work: &Work, chunk: &Chunk) -> Result<Done, NotDone> {
        if let Some(imported) = work.line.and_then(|(whole, _)| self.imported_before(whole)) {
            return Ok(Done::Over(imported));
        }
        if let Some(once) = work.once
            && let Some(outcome) = self.before(work, once)?
        {
            return Ok(Done::Answered(Answered { outcome, replayed: true }));
        }
        let (mut fit, mut refused) = (Vec::with_capacity(chunk.entries.len()), Vec::new());
        for (place, entry) in chunk.entries.iter().enumerate() {
            let before = self.level(&entry.key);
            match entry.change().judge(before) {
                Ok(after) => fit.push((entry, Applied { before, after })),
                Err(refusal) => refused.push((place, refusal)),
            }
        }
        if chunk.is_whole && !refused.is_empty() {
            return Ok(Done::Refused(refused));
        }
        let mut imported = Imported { levels: chunk.entries.len() as u64, ..Imported::default() };
        for (place, refusal) in refused {
            let entry = &chunk.entries[place];
            tracing::warn!(level = %entry.key, line = entry.line, "left out of an import: {:?}", refusal.reason);
            imported.left_out += 1;
        }
        let because = Because { kind: Some(MovementKind::Imported), ..Because::of(&work.said) };
        for (entry, applied) in fit.into_iter().filter(|(_, applied)| applied.is_change()) {
            if applied.before.exists() {
                imported.counted += 1;
            } else {
                imported.created += 1;
            }
            self.apply(&entry.key, entry.change().operation, applied, because);
        }
        let outcome = Outcome::Import(imported);
        if let Some(once) = work.once {
            self.keep(work, once, &outcome);
        }
        Ok(Done::Answered(Answered { outcome, replayed: false }))
    }

    /// What came of an import that was carried through: the keys of its chunks are gone then, and that of the whole says it.
    fn imported_before(&self, whole: Once) -> Option<Imported> {
        let kept = self.keys.get(&whole.key).filter(|kept| kept.fingerprint == whole.fingerprint)?;
        match kept.outcome.as_ref()? {
            Outcome::Import(imported) => Some(*imported),
            _ => None,
        }
    }
}
