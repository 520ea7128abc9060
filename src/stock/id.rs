//! [`Id`]: the names of what is made and kept: reservations and orders.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use uuid::Uuid;

/// The name of a `Of`: a UUID of version 7 (RFC 9562), so that names sort by the time of their making.
pub struct Id<Of>(u128, PhantomData<fn() -> Of>);

impl<Of> Id<Of> {
    /// A name for what is made at that time, told apart from others of the same millisecond by 74 of those bits.
    pub fn new(date_ms: u64, random: u128) -> Self {
        let bytes = random.to_le_bytes();
        let random = bytes.first_chunk().expect("ten of sixteen");
        Self::from_bits(uuid::Builder::from_unix_timestamp_millis(date_ms, random).into_uuid().as_u128())
    }

    /// The name of those bits.
    pub fn from_bits(bits: u128) -> Self {
        Self(bits, PhantomData)
    }

    /// Its bits.
    pub fn to_bits(self) -> u128 {
        self.0
    }

    /// The name of those halves, the high one first.
    pub fn from_halves([high, low]: [u64; 2]) -> Self {
        Self::from_bits(u128::from(high) << 64 | u128::from(low))
    }

    /// Its bits in halves, the high one first: for where there are many, as a `u128` lies at a multiple of 16 bytes.
    #[expect(clippy::cast_possible_truncation, reason = "the name is cut in two")]
    pub fn to_halves(self) -> [u64; 2] {
        [(self.0 >> 64) as u64, self.0 as u64]
    }

    /// When what it names was made, in milliseconds of Unix time: its first 48 bits.
    pub fn date_ms(self) -> u64 {
        self.to_halves()[0] >> 16
    }

    /// The name in its usual form, `0190b5a4-....`, in lower case, as it is told: `None` for any other text, so that each thing has one
    /// spelling.
    pub fn parse(text: &str) -> Option<Self> {
        let is_usual = text.len() == 36 && !text.bytes().any(|byte| byte.is_ascii_uppercase());
        is_usual.then(|| Uuid::try_parse(text).ok()).flatten().map(|uuid| Self::from_bits(uuid.as_u128()))
    }
}

impl<Of> fmt::Display for Id<Of> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_u128(self.0).hyphenated().fmt(f)
    }
}

impl<Of> fmt::Debug for Id<Of> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// By hand: what is derived would ask the same of what is named.
impl<Of> Clone for Id<Of> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Of> Copy for Id<Of> {}

impl<Of> PartialEq for Id<Of> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<Of> Eq for Id<Of> {}

impl<Of> PartialOrd for Id<Of> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<Of> Ord for Id<Of> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

impl<Of> Hash for Id<Of> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type AnId = Id<()>;

    #[test]
    fn names_sort_by_time_and_read_back() {
        let early = AnId::new(1_700_000_000_000, u128::MAX);
        let late = AnId::new(1_700_000_000_001, 0);
        assert!(early < late && early.to_string() < late.to_string());
        assert_eq!((early.date_ms(), late.date_ms()), (1_700_000_000_000, 1_700_000_000_001));
        assert_eq!(AnId::from_halves(early.to_halves()), early);
        assert_eq!(AnId::parse(&early.to_string()), Some(early));
        assert_eq!(AnId::parse(&early.to_string().to_uppercase()), None, "one spelling");
        assert_eq!(late.to_string(), "018bcfe5-6801-7000-8000-000000000000");
        for wrong in ["", "x", "018bcfe5680170008000000000000000", "{018bcfe5-6801-7000-8000-000000000000}"] {
            assert_eq!(AnId::parse(wrong), None, "{wrong}");
        }
    }
}
