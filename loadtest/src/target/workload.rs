//! What a described target can be asked for: the part of a workload that its operations make possible.

use super::operation::{Meaning, Operation};
use super::template::Slot;
use super::{Operations, Target};
use crate::catalogue::{Catalogue, DEFAULT_LOCATION};
use crate::workload::mix::Shape;
use crate::workload::{Operation as Wanted, Spec};

/// Why a target cannot be driven as was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unable {
    /// Operations that it does not have.
    #[error("{target} has no {missing}: it can be asked for {possible}")]
    Operations {
        /// The target.
        target: String,
        /// What was asked for, and cannot be.
        missing: String,
        /// What can be.
        possible: String,
    },
    /// A level may not be there, and who is refused cannot tell that from a shortage.
    #[error(
        "{target} cannot be asked for create-delete: [{operation}] has no rule for `missing`, so it is not known what it \
         answers when the level is not there"
    )]
    Missing {
        /// The target.
        target: String,
        /// The operation.
        operation: &'static str,
    },
    /// Nothing to send twice.
    #[error(
        "--fault replay sends a request with its idempotency key again: [{operation}] of {target} names no {{key}}"
    )]
    Keyless {
        /// The target.
        target: String,
        /// The operation.
        operation: &'static str,
    },
}

impl Target {
    /// The workload that was asked for, as far as this target is concerned. `is_mixed` if operations were asked for by name;
    /// else those that there are keep their shares of the default.
    pub fn workload(&self, spec: Spec, is_mixed: bool) -> Result<Spec, Unable> {
        let target = || self.name.clone();
        let names = |wanted: &[Wanted]| wanted.iter().map(|one| one.name()).collect::<Vec<_>>().join(", ");
        let possible = self.possible();
        let asked: Vec<Wanted> =
            Wanted::ALL.into_iter().filter(|wanted| spec.mix.weight(*wanted) > 0).collect();
        let missing: Vec<Wanted> =
            asked.iter().copied().filter(|wanted| !possible.contains(wanted)).collect();
        let mix = if is_mixed && missing.is_empty() {
            if asked.contains(&Wanted::CreateDelete) {
                self.can_be_missing()?;
            }
            spec.mix
        } else {
            let mix = if is_mixed { None } else { spec.mix.only(&self.by_default()) };
            mix.ok_or_else(|| Unable::Operations {
                target: target(),
                missing: names(&missing),
                possible: names(&possible),
            })?
        };
        let usual = *mix.shape();
        let Operations { count, count_if_version, .. } = &self.operations;
        let read_first_percent = match (count, count_if_version) {
            (Some(_), Some(_)) => usual.read_first_percent,
            (None, Some(_)) => 100,
            (_, None) => 0,
        };
        Ok(Spec { mix: mix.shaped(Shape { moves: (1, 1), read_first_percent, ..usual }), ..spec })
    }

    /// Whether a request can be sent twice and take effect once.
    pub fn can_replay(&self) -> Result<(), Unable> {
        let adjust = self.operations.adjust.iter().flat_map(super::Adjust::all);
        let mut writes = adjust.chain(&self.operations.transfer);
        match writes.find(|operation| !operation.names(Slot::Key)) {
            Some(keyless) => {
                Err(Unable::Keyless { target: self.name.clone(), operation: keyless.role.name() })
            }
            None => Ok(()),
        }
    }

    /// The levels of a workload. Where there are no locations, both levels of a sku are skus of their own.
    pub fn catalogue(&self, spec: &Spec, prefix: &str) -> Catalogue {
        let catalogue = spec.catalogue(prefix);
        if self.has_locations {
            return catalogue;
        }
        let name = |key| {
            let entry = catalogue.entry(key);
            let end = if entry.location == DEFAULT_LOCATION { "b" } else { "a" };
            (format!("{}-{end}", entry.sku), DEFAULT_LOCATION.to_owned())
        };
        Catalogue::new(catalogue.keys().map(name).collect())
    }

    /// Whether its levels can be deleted.
    pub fn removes(&self) -> bool {
        self.operations.remove.is_some()
    }

    fn possible(&self) -> Vec<Wanted> {
        let Operations { adjust, transfer, count, count_if_version, remove, .. } = &self.operations;
        let is_possible = |wanted: &Wanted| match wanted {
            Wanted::Adjust => adjust.is_some(),
            Wanted::Read => true,
            Wanted::Batch | Wanted::Independent | Wanted::Query => false,
            Wanted::Transfer => transfer.is_some(),
            Wanted::Put => count.is_some() || count_if_version.is_some(),
            Wanted::CreateDelete => remove.is_some(),
        };
        Wanted::ALL.into_iter().filter(is_possible).collect()
    }

    /// What is asked for if nothing is said. A count or a deletion makes what was there before of no matter, so that the units
    /// add up to nothing: that is affordable only where every change tells them, or a version.
    fn by_default(&self) -> Vec<Wanted> {
        let tells_units = self.changes().iter().all(|operation| operation.quantity.from.is_some());
        let tells_versions = self.changes().iter().all(|operation| operation.version.from.is_some());
        let is_usual = |wanted: &Wanted| match wanted {
            Wanted::Put => tells_units || tells_versions,
            Wanted::CreateDelete => self.can_be_missing().is_ok() && self.removal_is_judged(),
            _ => true,
        };
        self.possible().into_iter().filter(is_usual).collect()
    }

    /// Whether a deletion leaves its level to be judged as well as before: by versions, if there are any, or by units.
    fn removal_is_judged(&self) -> bool {
        let tells_version = |operation: &Operation| operation.version.from.is_some();
        if self.changes().into_iter().all(tells_version) {
            return self.operations.remove.as_ref().is_some_and(tells_version);
        }
        self.changes().iter().all(|operation| operation.quantity.from.is_some())
    }

    fn can_be_missing(&self) -> Result<(), Unable> {
        let asked = self.changes().into_iter().chain([&self.operations.read]).chain(&self.operations.remove);
        match asked.into_iter().find(|operation| !operation.tells(Meaning::Missing)) {
            Some(operation) => {
                Err(Unable::Missing { target: self.name.clone(), operation: operation.role.name() })
            }
            None => Ok(()),
        }
    }

    /// The operations that change a level that is there.
    fn changes(&self) -> Vec<&Operation> {
        let Operations { adjust, transfer, count, count_if_version, .. } = &self.operations;
        let adjust = adjust.iter().flat_map(super::Adjust::all);
        adjust.chain(transfer).chain(count).chain(count_if_version).collect()
    }
}
