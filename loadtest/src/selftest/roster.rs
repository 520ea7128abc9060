//! The mutants there have to be, by the names that the server gives them, and what each breaks.
//!
//! Written down here, because a server that lists fewer must not make the matrix shorter without a word.

use std::path::Path;

use super::SelftestError;
use crate::compare::server::Strategy;

/// A mutant, and the promise it breaks, in a few words.
pub const MUTANTS: [(&str, &str); 7] = [
    ("racy", "check-then-act in two critical sections"),
    ("upgraded-lock", "checked under the read lock, acted upon under the write lock"),
    ("dropped-ack", "acknowledged, and now and then not done"),
    ("double-replay", "a keyed request that is sent again happens again"),
    ("torn-lines", "a critical section for each line of a transaction"),
    ("stale-cache", "reads from a copy that lags behind"),
    ("half-cancelled", "a client that goes away leaves half a transaction"),
];

/// Whether the server has every mutant.
pub fn complete(program: &Path, known: &[Strategy]) -> Result<(), SelftestError> {
    let has = |name: &str| known.iter().any(|strategy| strategy.name == name && !strategy.correct);
    let missing: Vec<&str> = MUTANTS.iter().map(|(name, _)| *name).filter(|name| !has(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(SelftestError::NoMutants { program: program.display().to_string(), missing: missing.join(", ") })
}

/// The correct strategies first, then the mutants in the order of the list, then those that the list does not know.
pub fn in_order(known: &[Strategy]) -> Vec<&Strategy> {
    let place = |strategy: &&Strategy| {
        let listed = MUTANTS.iter().position(|(name, _)| *name == strategy.name);
        (!strategy.correct, listed.unwrap_or(MUTANTS.len()))
    };
    let mut ordered: Vec<&Strategy> = known.iter().collect();
    ordered.sort_by_key(place);
    ordered
}

/// What a mutant of that name breaks; nothing for other names.
pub fn breaks(name: &str) -> &'static str {
    MUTANTS.iter().find(|(known, _)| *known == name).map_or("", |(_, breaks)| breaks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strategy(name: &str, correct: bool) -> Strategy {
        Strategy { name: name.to_owned(), correct }
    }

    #[test]
    fn a_server_that_lacks_a_mutant_is_told_how_to_get_it() {
        let mut known: Vec<Strategy> = MUTANTS.iter().map(|(name, _)| strategy(name, false)).collect();
        known.push(strategy("mutex", true));
        assert!(complete(Path::new("inventory"), &known).is_ok());
        known.retain(|strategy| strategy.name != "torn-lines");
        let error = complete(Path::new("inventory"), &known).unwrap_err().to_string();
        assert!(
            error.contains("lacks the mutants torn-lines") && error.contains("mutant_inventory"),
            "{error}"
        );
    }

    #[test]
    fn a_mutant_that_calls_itself_correct_is_missing() {
        let known = MUTANTS.map(|(name, _)| strategy(name, true));
        assert!(complete(Path::new("inventory"), &known).is_err());
    }

    #[test]
    fn correct_strategies_come_first_and_strangers_last() {
        let known = [
            strategy("new", false),
            strategy("stale-cache", false),
            strategy("racy", false),
            strategy("mutex", true),
        ];
        let names: Vec<&str> = in_order(&known).into_iter().map(|strategy| strategy.name.as_str()).collect();
        assert_eq!(names, ["mutex", "racy", "stale-cache", "new"]);
    }
}
