//! The names a client may choose: [`Sku`] and [`Location`], checked once and carried as proof of the check.
//!
//! Both borrow the text they were parsed from: looking a level up allocates nothing for its name.

use std::fmt;

use thiserror::Error;

/// The longest sku, in characters (every allowed character is one byte).
pub const SKU_CHARS_MAX: usize = 64;
/// The longest location, in characters.
pub const LOCATION_CHARS_MAX: usize = 32;

/// The name of a thing in stock: 1 to 64 of `A-Z a-z 0-9 . _ ~ -`.
///
/// The alphabet is RFC 3986's "unreserved" set, so a sku stands in a URL as it is. The path segments `.` and
/// `..` cannot be skus: clients and proxies resolve them away before a server sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sku<'a>(&'a str);

/// Where stock lies: 1 to 32 of the same alphabet as a [`Sku`]; `main` when a request names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location<'a>(&'a str);

/// Why a text is not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NameError {
    /// Nothing at all.
    #[error("must not be empty")]
    Empty,
    /// Longer than the limit, which is carried.
    #[error("must be at most {0} characters long")]
    TooLong(usize),
    /// A character outside the alphabet, which is carried.
    #[error("must consist of A-Z a-z 0-9 . _ ~ - only, found {0:?}")]
    Character(char),
    /// `.` or `..`, which URLs cannot carry as a path segment.
    #[error("must not be \".\" or \"..\", which a URL path cannot carry")]
    DotSegment,
}

impl<'a> Sku<'a> {
    /// Checks a text.
    pub fn parse(text: &'a str) -> Result<Self, NameError> {
        if matches!(text, "." | "..") {
            return Err(NameError::DotSegment);
        }
        check(text, SKU_CHARS_MAX).map(|()| Self(text))
    }

    /// Checks the beginning of a sku, which may be empty.
    pub fn parse_prefix(text: &'a str) -> Result<&'a str, NameError> {
        match check(text, SKU_CHARS_MAX) {
            Ok(()) | Err(NameError::Empty) => Ok(text),
            Err(error) => Err(error),
        }
    }

    /// The text.
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

impl<'a> Location<'a> {
    /// Checks a text.
    pub fn parse(text: &'a str) -> Result<Self, NameError> {
        check(text, LOCATION_CHARS_MAX).map(|()| Self(text))
    }

    /// The text.
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

impl Location<'static> {
    /// The location of a request that names none.
    pub const DEFAULT: Self = Self("main");
}

impl fmt::Display for Sku<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Display for Location<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

fn check(text: &str, chars_max: usize) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    // The alphabet is looked at first only within the limit, so that a megabyte of text costs no scan.
    if text.len() > chars_max {
        return Err(NameError::TooLong(chars_max));
    }
    if text.bytes().all(|byte| ALLOWED[usize::from(byte)]) {
        return Ok(());
    }
    let found = text.chars().find(|&c| !c.is_ascii() || !ALLOWED[c as usize & 0x7f]);
    Err(NameError::Character(found.unwrap_or(char::REPLACEMENT_CHARACTER)))
}

/// Which bytes a name may hold, as a table: one load per byte on the hot path of every request.
const ALLOWED: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'~' | b'-');
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_is_exactly_the_unreserved_characters() {
        for code in 0..=0x2ff_u32 {
            let c = char::from_u32(code).unwrap();
            let allowed = c.is_ascii_alphanumeric() || "._~-".contains(c);
            let text = format!("a{c}");
            assert_eq!(Sku::parse(&text).is_ok(), allowed, "{c:?}");
            if !allowed && text.len() <= 3 {
                assert_eq!(Location::parse(&text), Err(NameError::Character(c)));
            }
        }
    }

    #[test]
    fn lengths_are_bounded_and_empty_is_refused() {
        assert_eq!(Sku::parse(""), Err(NameError::Empty));
        assert!(Sku::parse(&"x".repeat(64)).is_ok());
        assert_eq!(Sku::parse(&"x".repeat(65)), Err(NameError::TooLong(64)));
        assert!(Location::parse(&"x".repeat(32)).is_ok());
        assert_eq!(Location::parse(&"x".repeat(33)), Err(NameError::TooLong(32)));
    }

    #[test]
    fn dot_segments_cannot_be_skus() {
        assert_eq!(Sku::parse("."), Err(NameError::DotSegment));
        assert_eq!(Sku::parse(".."), Err(NameError::DotSegment));
        assert!(Sku::parse("...").is_ok());
        assert!(Location::parse("..").is_ok(), "a location never stands in a path");
    }
}
