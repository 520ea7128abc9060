//! Sizes as people write them: `64MiB`, `1 GiB`, `4096`.
//!
//! The crates for it take `64MB` and `1.5GiB` as well, some of them an overflow as the largest size there is: an operator is to
//! be told instead.

/// The units there are, and their bytes. Only powers of two, so that nobody has to guess.
const UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// The bytes of a size.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    let (digits, unit) =
        UNITS.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit))).unwrap_or((text, 1));
    let number: Option<u64> = digits.trim_end().parse().ok();
    let bytes = number.and_then(|number| number.checked_mul(unit)).filter(|bytes| *bytes > 0);
    bytes.ok_or_else(|| "it must be a whole number of B, KiB, MiB, GiB or TiB, above 0".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_whole_numbers_of_a_unit() {
        assert_eq!(parse("4096"), Ok(4096));
        assert_eq!(parse("64MiB"), Ok(64 << 20));
        assert_eq!(parse("1 GiB"), Ok(1 << 30));
        for wrong in ["", "0", "-1", "1.5GiB", "64MB", "MiB", "99999999TiB"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
