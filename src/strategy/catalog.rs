//! [`StrategyKind`]: the catalogue of strategies, with what a user needs to choose one.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

#[cfg(feature = "mutants")]
use super::mutants::Mutant;

/// A way of sharing the stock between threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StrategyKind {
    /// [`super::mutex`].
    Mutex,
    /// [`super::reentrant`].
    Reentrant,
    /// [`super::rwlock`].
    RwLock,
    /// [`super::sharded`].
    Sharded,
    /// [`super::atomic`].
    Atomic,
    /// [`super::actor`].
    Actor,
    /// [`super::partitioned`].
    Partitioned,
    /// [`super::racy`].
    Racy,
    /// One of [`super::mutants`].
    #[cfg(feature = "mutants")]
    Mutant(Mutant),
}

/// What there is to know of a strategy before choosing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// What `--strategy` takes.
    pub name: &'static str,
    /// What is shared, and what guards it.
    pub shares: &'static str,
    /// What it costs.
    pub cost: &'static str,
    /// When to choose it.
    pub choose_when: &'static str,
    /// Whether it keeps the promises of the service. Only the negative controls do not.
    pub correct: bool,
}

/// A name that is no strategy's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no strategy {name:?}; there are {}", names().collect::<Vec<_>>().join(", "))]
pub struct UnknownStrategy {
    name: String,
}

impl StrategyKind {
    /// Every strategy of a release, in the order in which they are best explained; the negative control last.
    pub const ALL: [Self; 8] = [
        Self::Mutex,
        Self::Reentrant,
        Self::RwLock,
        Self::Sharded,
        Self::Atomic,
        Self::Actor,
        Self::Partitioned,
        Self::Racy,
    ];

    /// Every strategy of this build: those of a release, then the mutants, if there are any.
    pub fn known() -> impl Iterator<Item = Self> {
        #[cfg(feature = "mutants")]
        let mutants = Mutant::ALL.into_iter().map(Self::Mutant);
        #[cfg(not(feature = "mutants"))]
        let mutants = std::iter::empty();
        Self::ALL.into_iter().chain(mutants)
    }

    /// What `--strategy` takes.
    pub fn name(self) -> &'static str {
        self.description().name
    }

    /// Whether it keeps the promises of the service.
    pub fn is_correct(self) -> bool {
        self.description().correct
    }

    /// What there is to know of it.
    pub fn description(self) -> Description {
        match self {
            Self::Mutex => Description {
                name: "mutex",
                shares: "one map behind one lock",
                cost: "cheapest call while nobody waits; every call of every core meets at one lock",
                choose_when: "one or two cores, or mostly many-line transactions",
                correct: true,
            },
            Self::Reentrant => Description {
                name: "reentrant",
                shares: "one map behind one lock that its holder may take again",
                cost: "as mutex, plus a count and an owner check per lock, and a lock operation per line of a transaction",
                choose_when: "to see re-entry at work; mutex does the same for less",
                correct: true,
            },
            Self::RwLock => Description {
                name: "rwlock",
                shares: "one map behind a read-write lock: shared reads, exclusive writes",
                cost: "reads run side by side but still meet at the lock's reader count; writes wait for reads",
                choose_when: "reads outnumber changes by far, and measurements say it beats mutex",
                correct: true,
            },
            Self::Sharded => Description {
                name: "sharded",
                shares: "a map in shards (DashMap), each behind its own lock",
                cost: "changes meet only within a shard; a transaction locks every shard it touches",
                choose_when: "many cores change many different levels, and transactions are small",
                correct: true,
            },
            Self::Atomic => Description {
                name: "atomic",
                shares: "a lock-free map of 128-bit words, changed by compare-and-swap",
                cost: "no lock for a single level, and reads never wait; a transaction claims its levels one by one",
                choose_when: "single-level changes and reads dominate: the default",
                correct: true,
            },
            Self::Actor => Description {
                name: "actor",
                shares: "a bounded queue; the map belongs to one owner thread that works off messages",
                cost: "a message, and usually waking two threads, per call; one core's worth of work in all",
                choose_when: "the state cannot be shared at all, or its queue should be bounded and seen",
                correct: true,
            },
            Self::Partitioned => Description {
                name: "partitioned",
                shares: "nothing but queues; each of several owner threads has the levels whose keys fall to it",
                cost: "a message per call; a transaction over several partitions stops all of them until it is decided",
                choose_when: "many cores, many levels, and nearly every call is for one of them",
                correct: true,
            },
            Self::Racy => Description {
                name: "racy",
                shares: "one map, checked and changed in two separate critical sections",
                cost: "loses updates and oversells: a negative control for the verifier",
                choose_when: "never; refused without --allow-racy",
                correct: false,
            },
            #[cfg(feature = "mutants")]
            Self::Mutant(mutant) => mutant.description(),
        }
    }
}

impl FromStr for StrategyKind {
    type Err = UnknownStrategy;

    fn from_str(name: &str) -> Result<Self, UnknownStrategy> {
        let named = Self::known().find(|kind| kind.name() == name);
        named.ok_or_else(|| UnknownStrategy { name: name.to_owned() })
    }
}

impl fmt::Display for StrategyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    StrategyKind::known().map(StrategyKind::name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back_and_a_wrong_one_is_told_what_there_is() {
        for kind in StrategyKind::known() {
            assert_eq!(kind.name().parse(), Ok(kind));
            assert_eq!(kind.to_string(), kind.name());
        }
        let error = "mutes".parse::<StrategyKind>().unwrap_err().to_string();
        let there_are = StrategyKind::known().map(StrategyKind::name).collect::<Vec<_>>().join(", ");
        assert!(there_are.starts_with("mutex, reentrant, rwlock, sharded, atomic, actor, partitioned, racy"));
        assert_eq!(error, format!("there is no strategy \"mutes\"; there are {there_are}"));
    }
}
