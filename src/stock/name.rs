//! The names a client may choose: [`Sku`] and [`Location`], checked once and carried as proof of the check.
//!
//! Both borrow the text they were parsed from, unless it is not in normal form: looking a level up allocates nothing for its name.

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::{IsNormalized, is_nfc_quick};

/// The longest sku, in bytes of UTF-8.
pub const SKU_BYTES_MAX: usize = 64;
/// The longest location, in bytes of UTF-8.
pub const LOCATION_BYTES_MAX: usize = 32;

/// The name of a thing in stock: 1 to 64 bytes of UTF-8, without control characters and without white space at either end.
///
/// It is in Unicode's normal form C, so that two spellings of one name are one name; case matters. The path segments `.` and `..`
/// cannot be skus: clients and proxies resolve them away before a server sees them, even percent-encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sku<'a>(Name<'a>);

/// Where stock lies: 1 to 32 bytes of the same; `main` when a request names none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location<'a>(Name<'a>);

/// Why a text is not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NameError {
    /// Nothing at all.
    #[error("must not be empty")]
    Empty,
    /// Longer than the limit, which is carried.
    #[error("must be at most {0} bytes of UTF-8")]
    TooLong(usize),
    /// A control character, which is carried.
    #[error("must not have control characters, found U+{:04X}", u32::from(*.0))]
    Control(char),
    /// White space, which is carried, where a name begins or ends.
    #[error("must not begin or end with white space, found U+{:04X}", u32::from(*.0))]
    WhiteSpace(char),
    /// `.` or `..`, which URLs cannot carry as a path segment.
    #[error("must not be \".\" or \"..\", which a URL path cannot carry")]
    DotSegment,
}

/// What skus and locations have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name<'a> {
    text: Cow<'a, str>,
    /// Known from the check, for whoever puts names together.
    has_space: bool,
}

impl<'a> Sku<'a> {
    /// Checks a text, and brings it into normal form.
    pub fn parse(text: &'a str) -> Result<Self, NameError> {
        Name::parse(text, SKU_BYTES_MAX).and_then(Self::of)
    }

    /// Checks the beginning of a sku, which may be empty, and may end with a space: the same in normal form.
    pub fn parse_prefix(text: &'a str) -> Result<Cow<'a, str>, NameError> {
        match Name::parse(text, SKU_BYTES_MAX) {
            Ok(name) => Ok(name.text),
            Err(NameError::Empty) => Ok(Cow::Borrowed("")),
            // What a sku has inside, a beginning of it has at its end.
            Err(NameError::WhiteSpace(_)) => {
                let text = nfc(text);
                let starts_with = text.chars().next().filter(|c| c.is_whitespace());
                starts_with.map_or(Ok(text), |c| Err(NameError::WhiteSpace(c)))
            }
            Err(error) => Err(error),
        }
    }

    /// A sku that was checked when it was written down.
    pub(super) fn kept(text: &'a str) -> Result<Self, NameError> {
        Name::kept(text, SKU_BYTES_MAX).and_then(Self::of)
    }

    fn of(name: Name<'a>) -> Result<Self, NameError> {
        if matches!(&*name.text, "." | "..") { Err(NameError::DotSegment) } else { Ok(Self(name)) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// Whether there is a space (U+0020) in it.
    pub fn has_space(&self) -> bool {
        self.0.has_space
    }
}

impl<'a> Location<'a> {
    /// Checks a text, and brings it into normal form.
    pub fn parse(text: &'a str) -> Result<Self, NameError> {
        Name::parse(text, LOCATION_BYTES_MAX).map(Self)
    }

    /// A location that was checked when it was written down.
    pub(super) fn kept(text: &'a str) -> Result<Self, NameError> {
        Name::kept(text, LOCATION_BYTES_MAX).map(Self)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// Whether there is a space (U+0020) in it.
    pub fn has_space(&self) -> bool {
        self.0.has_space
    }
}

impl Location<'static> {
    /// The location of a request that names none.
    pub const DEFAULT: Self = Self(Name { text: Cow::Borrowed("main"), has_space: false });
}

/// The text in normal form C, in which two spellings of it are one: borrowed where it is so already.
pub fn nfc(text: &str) -> Cow<'_, str> {
    // The quick check has a third answer, and what gets it is mostly to be changed anyway.
    if text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.nfc().collect())
}

impl fmt::Display for Sku<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Location<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How many bytes of a text become one of its normal form, at most. (Three is what there is: a KELVIN SIGN becomes a K, and three parts
/// of a Korean syllable one.)
const BYTES_OF_ONE_MAX: usize = 4;

impl<'a> Name<'a> {
    #[inline]
    fn parse(text: &'a str, bytes_max: usize) -> Result<Self, NameError> {
        if is_plain(text, bytes_max) {
            return Ok(Self { text: Cow::Borrowed(text), has_space: false });
        }
        Self::normalise(text, bytes_max)
    }

    #[cold]
    fn normalise(text: &'a str, bytes_max: usize) -> Result<Self, NameError> {
        // Nothing is made of a megabyte that cannot come down to a name.
        if text.len() > bytes_max.saturating_mul(BYTES_OF_ONE_MAX) {
            return Err(NameError::TooLong(bytes_max));
        }
        let text = nfc(text);
        check(&text, bytes_max)?;
        Ok(Self { has_space: text.contains(' '), text })
    }

    /// A later Unicode may have another normal form of what is no character yet. Names that were written down stay what they were.
    fn kept(text: &'a str, bytes_max: usize) -> Result<Self, NameError> {
        if is_plain(text, bytes_max) {
            return Ok(Self { text: Cow::Borrowed(text), has_space: false });
        }
        check(text, bytes_max)?;
        Ok(Self { has_space: text.contains(' '), text: Cow::Borrowed(text) })
    }
}

/// Whether it is a name of visible ASCII, as nearly all are: the alphabet is looked at only within the limit.
#[inline]
fn is_plain(text: &str, bytes_max: usize) -> bool {
    (1..=bytes_max).contains(&text.len()) && text.bytes().all(|byte| PLAIN[usize::from(byte)])
}

fn check(text: &str, bytes_max: usize) -> Result<(), NameError> {
    let (Some(first), Some(last)) = (text.chars().next(), text.chars().next_back()) else {
        return Err(NameError::Empty);
    };
    if text.len() > bytes_max {
        return Err(NameError::TooLong(bytes_max));
    }
    if let Some(control) = text.chars().find(|c| c.is_control()) {
        return Err(NameError::Control(control));
    }
    match [first, last].into_iter().find(|c| c.is_whitespace()) {
        Some(space) => Err(NameError::WhiteSpace(space)),
        None => Ok(()),
    }
}

/// Which bytes alone make a name, wherever they stand, as a table: one load per byte on the hot path of every request.
const PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        table[byte as usize] = true;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every character there is, inside a name and at its ends: only control characters are refused inside, and white space at the
    /// ends; and a name is in normal form.
    #[test]
    fn the_alphabet_is_all_but_control_characters() {
        for c in '\0'..=char::MAX {
            let text = format!("a{c}b");
            let inside = Sku::parse(&text);
            if c.is_control() {
                assert_eq!(inside, Err(NameError::Control(c)));
                assert_eq!(Location::parse(&text), Err(NameError::Control(c)));
                continue;
            }
            assert_eq!(inside.unwrap().as_str(), text.nfc().collect::<String>(), "{c:?}");
            let at_the_ends = [format!("{c}a"), format!("a{c}")];
            for text in &at_the_ends {
                match Sku::parse(text) {
                    Err(NameError::WhiteSpace(space)) => assert!(c.is_whitespace() && space.is_whitespace()),
                    name => assert!(name.is_ok() && !c.is_whitespace(), "{c:?}"),
                }
            }
        }
    }

    /// No character is longer than what bounds the work, for how short its normal form is, nor is any spelling of one in parts.
    #[test]
    fn a_text_that_is_refused_unseen_cannot_come_down_to_a_name() {
        for c in '\0'..=char::MAX {
            let normal: usize = std::iter::once(c).nfc().map(char::len_utf8).sum();
            let longest = |c: char| c.len_utf8().max(3);
            let parts: usize = std::iter::once(c).nfd().map(longest).sum();
            assert!(c.len_utf8() <= 3 * normal, "{c:?}");
            assert!(parts <= BYTES_OF_ONE_MAX * normal.max(3), "{c:?}");
        }
        assert_eq!(Sku::parse(&"\u{212a}".repeat(64)).unwrap().as_str(), "K".repeat(64));
        assert_eq!(Sku::parse(&"\u{212a}".repeat(65)), Err(NameError::TooLong(64)));
        assert_eq!(Sku::parse(&"\u{e4}".repeat(1 << 20)), Err(NameError::TooLong(64)));
    }

    #[test]
    fn lengths_are_bounded_in_bytes_and_empty_is_refused() {
        assert_eq!(Sku::parse(""), Err(NameError::Empty));
        assert_eq!(Location::parse(""), Err(NameError::Empty));
        for (text, bytes) in [("x", 1), ("\u{e4}", 2), ("a\u{308}", 2), ("\u{ac01}", 3), ("\u{1F4E6}", 4)] {
            assert!(Sku::parse(&text.repeat(64 / bytes)).is_ok(), "{text}");
            assert_eq!(Sku::parse(&text.repeat(64 / bytes + 1)), Err(NameError::TooLong(64)), "{text}");
            assert!(Location::parse(&text.repeat(32 / bytes)).is_ok(), "{text}");
            assert_eq!(Location::parse(&text.repeat(32 / bytes + 1)), Err(NameError::TooLong(32)), "{text}");
        }
    }

    #[test]
    fn names_that_shops_use_are_names_as_they_are() {
        for text in
            ["BANK CHARGES", "1/2\"", "\u{e4}", "A+B", "C#", "a/b", "it's", "\\", "50%", "a\u{2028}b", "{x}"]
        {
            let sku = Sku::parse(text).unwrap();
            assert_eq!((sku.as_str(), sku.has_space()), (text, text.contains(' ')));
            assert!(matches!(sku.0.text, Cow::Borrowed(_)), "{text}: nothing is copied");
            assert_eq!(Location::parse(text).unwrap().as_str(), text);
        }
        assert_eq!(Sku::parse("a\u{308}"), Sku::parse("\u{e4}"));
        assert_ne!(Sku::parse("A"), Sku::parse("a"));
    }

    #[test]
    fn what_is_wrong_is_told_in_words_that_help() {
        let told = |text: &str| Sku::parse(text).unwrap_err().to_string();
        assert_eq!(told(&"x".repeat(65)), "must be at most 64 bytes of UTF-8");
        assert_eq!(told("a\u{7}"), "must not have control characters, found U+0007");
        assert_eq!(told(" a"), "must not begin or end with white space, found U+0020");
        assert_eq!(told("a\u{2003}"), "must not begin or end with white space, found U+2003");
        assert_eq!(told(".."), "must not be \".\" or \"..\", which a URL path cannot carry");
    }

    #[test]
    fn dot_segments_cannot_be_skus() {
        assert_eq!(Sku::parse("."), Err(NameError::DotSegment));
        assert_eq!(Sku::parse(".."), Err(NameError::DotSegment));
        assert!(Sku::parse("...").is_ok());
        assert!(Location::parse("..").is_ok(), "a location never stands in a path");
    }

    #[test]
    fn a_prefix_may_end_where_a_sku_goes_on() {
        for (text, prefix) in
            [("", ""), (".", "."), ("BANK ", "BANK "), ("a\u{308}", "\u{e4}"), ("a\u{308} ", "\u{e4} ")]
        {
            assert_eq!(Sku::parse_prefix(text).as_deref(), Ok(prefix));
        }
        assert_eq!(Sku::parse_prefix(" a"), Err(NameError::WhiteSpace(' ')));
        assert_eq!(Sku::parse_prefix(" "), Err(NameError::WhiteSpace(' ')));
        assert_eq!(Sku::parse_prefix("a\n"), Err(NameError::Control('\n')));
        assert_eq!(Sku::parse_prefix(&"x".repeat(65)), Err(NameError::TooLong(64)));
    }

    proptest! {
        /// A name of a name is that name, and what is kept is read as it is.
        #[test]
        fn a_name_stays_what_it_is(text in "\\PC{0,24}") {
            if let Ok(sku) = Sku::parse(&text) {
                let decomposed: String = sku.as_str().nfd().collect();
                for again in [Sku::parse(sku.as_str()), Sku::kept(sku.as_str()), Sku::parse(&decomposed)] {
                    prop_assert_eq!(again, Ok(sku.clone()));
                }
            }
        }
    }
}
