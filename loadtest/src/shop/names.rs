//! The levels of a shop, and what they are called on the server.

/// Skus that begin alike, each with one level at the location where no location is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    prefix: String,
    count: usize,
}

impl Names {
    /// So many.
    pub fn new(prefix: &str, count: usize) -> Self {
        Self { prefix: prefix.to_owned(), count }
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.count
    }

    /// What a level is called.
    pub fn sku(&self, level: usize) -> String {
        format!("{}{level}", self.prefix)
    }

    /// The level of that name, if it is one of these.
    pub fn level(&self, sku: &str) -> Option<usize> {
        let level = sku.strip_prefix(&self.prefix)?.parse().ok()?;
        // A number has several spellings, a level one.
        (level < self.count && self.sku(level) == sku).then_some(level)
    }

    /// What a question is referred to by in the ledger.
    pub fn reference(&self, number: u64) -> String {
        format!("{}q{number}", self.prefix)
    }

    /// The question that is referred to so.
    pub fn number(&self, reference: &str) -> Option<u64> {
        reference.strip_prefix(&self.prefix)?.strip_prefix('q')?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_has_one_name_and_a_question_one_reference() {
        let names = Names::new("lt-x-", 12);
        assert_eq!(names.level(&names.sku(11)), Some(11));
        for other in ["lt-x-12", "lt-x-011", "lt-y-1", "lt-x-", "lt-x-+1"] {
            assert_eq!(names.level(other), None, "{other}");
        }
        assert_eq!(names.number(&names.reference(7)), Some(7));
        assert_eq!(names.number("lt-x-7"), None);
    }
}
