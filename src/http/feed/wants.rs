//! [`Wants`]: which events a reader asked for.

use crate::alerts::{Crossing, Event, Side};
use crate::store::{Movement, MovementFilter};

/// Which events a reader asked for.
#[derive(Debug, Clone)]
pub struct Wants {
    /// Which movements.
    filter: MovementFilter,
    /// Which alerts, of the levels of these movements.
    sides: Vec<Side>,
}

impl Wants {
    /// These movements, and the alerts of their levels, all or those that are named: by `kind`, a list with commas between the names.
    pub fn new(filter: MovementFilter, kind: Option<&str>) -> Result<Self, String> {
        let Some(kind) = kind else { return Ok(Self { filter, sides: Side::ALL.into() }) };
        let (mut kinds, mut sides) = (Vec::new(), Vec::new());
        for name in kind.split(',') {
            match Event::named(name).map_err(|_| no_kind())? {
                Event::Alert(side) => sides.push(side),
                Event::Movement(kind) => kinds.push(kind),
            }
        }
        Ok(Self { filter: MovementFilter { kinds: Some(kinds), ..filter }, sides })
    }

    /// Whether it is all of them.
    pub(super) fn is_all(&self) -> bool {
        self.filter.is_all() && self.sides.len() == Side::ALL.len()
    }

    /// Whether it is this movement, too.
    pub(super) fn has(&self, movement: &Movement) -> bool {
        self.filter.has(movement)
    }

    /// Whether it is what this movement has crossed, too.
    pub(super) fn has_crossing(&self, movement: &Movement, crossing: Crossing) -> bool {
        self.sides.contains(&crossing.side) && self.filter.has_of_any_kind(movement)
    }

    /// The movements from which all that is wanted follows.
    pub(super) fn sources(&self) -> MovementFilter {
        let kinds = if self.sides.is_empty() { self.filter.kinds.clone() } else { None };
        MovementFilter { kinds, ..self.filter.clone() }
    }
}

impl Default for Wants {
    fn default() -> Self {
        Self { filter: MovementFilter::default(), sides: Side::ALL.into() }
    }
}

fn no_kind() -> String {
    format!("must be one or more of {}, with commas between them", Event::names())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MovementKind;

    fn wants(kind: &str) -> Result<(Option<Vec<MovementKind>>, Vec<Side>), String> {
        Wants::new(MovementFilter::default(), Some(kind)).map(|wants| (wants.filter.kinds, wants.sides))
    }

    #[test]
    fn events_are_named_as_they_are_told() {
        let kinds = vec![MovementKind::Adjusted, MovementKind::Expired];
        assert_eq!(wants("adjusted,expired"), Ok((Some(kinds), vec![])));
        assert_eq!(wants("stock.low"), Ok((Some(vec![]), vec![Side::Low])));
        for wrong in ["", "Adjusted", "adjusted,", "adjusted expired", "adjust", "stock"] {
            assert!(wants(wrong).unwrap_err().contains("stock.replenished"), "{wrong}");
        }
        for name in Event::all().map(Event::name) {
            assert!(wants(name).is_ok(), "{name}");
        }
        assert!(Wants::default().is_all() && Wants::new(MovementFilter::default(), None).unwrap().is_all());
    }
}
