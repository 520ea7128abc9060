//! [`Query::movements`]: which movements are asked for, by parameters that several routes share; and times, as parameters say them.

use std::time::{SystemTime, UNIX_EPOCH};

use super::Query;
use crate::access::file::{NAME_IS, is_name};
use crate::access::{SUBJECT_NAME_IS, is_subject_name};
use crate::http::problem::Problem;
use crate::stock::{Location, REFERENCE_CHARS_MAX, Sku};
use crate::store::{MovementFilter, MovementKind};

impl Query<'_> {
    /// Which movements are wanted, by those of the parameters `sku`, `location`, `kind`, `reference`, `actor`, `from` and `to` that the route
    /// knows.
    pub fn movements(&self) -> Result<MovementFilter, Problem> {
        Ok(MovementFilter { kinds: self.read("kind", kinds)?, ..self.movements_of_any_kind()? })
    }

    /// The same, but for `kind`.
    pub fn movements_of_any_kind(&self) -> Result<MovementFilter, Problem> {
        Ok(MovementFilter {
            sku: self.read("sku", Sku::parse)?.map(|sku| sku.to_string()),
            location: self.read("location", Location::parse)?.map(|location| location.to_string()),
            kinds: None,
            reference: self.read("reference", reference)?,
            actor: self.read("actor", actor)?,
            from_ms: self.read("from", time_ms)?,
            to_ms: self.read("to", time_ms)?,
        })
    }
}

/// The kinds that a text names, with commas between them.
fn kinds(text: &str) -> Result<Vec<MovementKind>, String> {
    text.split(',').map(kind).collect()
}

fn kind(name: &str) -> Result<MovementKind, String> {
    MovementKind::named(name).ok_or_else(|| {
        let known = MovementKind::ALL.map(MovementKind::name).join(", ");
        format!("must be one or more of {known}, with commas between them")
    })
}

/// A reference, as movements have it. No movement has an empty one.
fn reference(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.chars().nth(REFERENCE_CHARS_MAX).is_none();
    fits.then(|| text.to_owned()).ok_or_else(|| format!("must be 1 to {REFERENCE_CHARS_MAX} characters long"))
}

/// The name of a key, or of the subject of a token, as movements have it. Those that nobody made have none.
fn actor(text: &str) -> Result<String, String> {
    let is_one = is_name(text) || is_subject_name(text);
    is_one.then(|| text.to_owned()).ok_or_else(|| format!("must be {NAME_IS}; or {SUBJECT_NAME_IS}"))
}

/// A time in milliseconds of Unix time: RFC 3339 in UTC, or a date, which is its midnight. Fractions of a millisecond are cut off.
pub(super) fn time_ms(text: &str) -> Result<u64, &'static str> {
    let expected = "must be a time in UTC (2026-11-22T15:04:05Z), or a date (2026-11-22)";
    // Which is taken for a fraction of no digits.
    if text.contains(".Z") || text.contains(".+") {
        return Err(expected);
    }
    let is_date = text.len() == "2026-11-22".len();
    let read = if is_date {
        humantime::parse_rfc3339(&format!("{text}T00:00:00Z"))
    } else {
        humantime::parse_rfc3339(text)
    };
    let since = |time: SystemTime| time.duration_since(UNIX_EPOCH).ok();
    let since = read.ok().and_then(since).ok_or(expected)?;
    u64::try_from(since.as_millis()).map_err(|_| expected)
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

    #[test]
    fn times_are_in_utc_and_dates_begin_at_midnight() {
        for (text, ms) in [
            ("1970-01-01", 0),
            ("1970-01-02", 86_400_000),
            ("1970-01-01T00:00:01Z", 1_000),
            ("1970-01-01T00:00:01.2349Z", 1_234),
        ] {
            assert_eq!(time_ms(text), Ok(ms), "{text}");
        }
        for wrong in [
            "",
            "1970",
            "1970-13-01",
            "1970-01-01T00:00:00",
            "1970-01-01T00:00:00+01:00",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00:00.+00:00",
            "1969-12-31",
            "1",
            "now",
        ] {
            assert!(time_ms(wrong).is_err(), "{wrong}");
        }
    }
}
