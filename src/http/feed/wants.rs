//! [`Wants`]: which events a reader asked for.

use crate::store::{Movement, MovementKind};

/// Which events a reader asked for: all, unless something is named.
#[derive(Debug, Clone, Default)]
pub struct Wants {
    /// Only those of this sku.
    pub sku: Option<String>,
    /// Only those at this location.
    pub location: Option<String>,
    /// Only those of these kinds.
    pub kinds: Option<Vec<MovementKind>>,
}

impl Wants {
    /// Whether it is all of them.
    pub fn is_all(&self) -> bool {
        self.sku.is_none() && self.location.is_none() && self.kinds.is_none()
    }

    /// Whether it is this one, too.
    pub fn has(&self, movement: &Movement) -> bool {
        self.has_parts(movement.key.sku(), movement.key.location(), movement.kind)
    }

    /// Whether it is one of that level and kind.
    pub fn has_parts(&self, sku: &str, location: &str, kind: MovementKind) -> bool {
        let is = |wanted: &Option<String>, part: &str| wanted.as_deref().is_none_or(|wanted| wanted == part);
        let is_of_kind = self.kinds.as_deref().is_none_or(|kinds| kinds.contains(&kind));
        is_of_kind && is(&self.sku, sku) && is(&self.location, location)
    }
}

/// The kinds that a text names, with commas between them.
pub fn kinds(text: &str) -> Result<Vec<MovementKind>, String> {
    text.split(',').map(kind).collect()
}

fn kind(name: &str) -> Result<MovementKind, String> {
    MovementKind::named(name).ok_or_else(|| {
        let known = MovementKind::ALL.map(MovementKind::name).join(", ");
        format!("must be one or more of {known}, with commas between them")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_named_as_the_ledger_shows_them() {
        assert_eq!(kinds("adjusted,expired"), Ok(vec![MovementKind::Adjusted, MovementKind::Expired]));
        for wrong in ["", "Adjusted", "adjusted,", "adjusted expired", "adjust"] {
            assert!(kinds(wrong).unwrap_err().contains("transferred"), "{wrong}");
        }
        for kind in MovementKind::ALL {
            assert_eq!(kinds(kind.name()), Ok(vec![kind]));
        }
    }
}
