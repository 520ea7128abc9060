//! Idempotency keys: a write that carries one may be sent again, and takes effect once.
//!
//! A key belongs to one call for ever: the same key with another body is a mistake of the client, which the service
//! refuses. Nothing here decides when to send again.

use std::fmt;

use reqwest::header::HeaderValue;

/// The longest key the service takes, without its quotes.
pub const KEY_CHARS_MAX: usize = 255;

/// The name of the header that carries a key.
pub(super) const KEY_HEADER: &str = "idempotency-key";

/// The name of the header with which a stored answer is marked.
pub const REPLAYED_HEADER: &str = "idempotent-replayed";

/// The key of one write, as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(HeaderValue);

/// A text that is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no idempotency key: use 1 to {KEY_CHARS_MAX} visible characters of ASCII without quotes")]
pub struct KeyError(String);

impl IdempotencyKey {
    /// A key in quotes, as the draft standard has it.
    pub fn quoted(text: &str) -> Result<Self, KeyError> {
        Self::checked(text, format!("\"{text}\""))
    }

    /// A key without quotes, as most clients send it. It is the same key.
    pub fn bare(text: &str) -> Result<Self, KeyError> {
        Self::checked(text, text.to_owned())
    }

    /// The key itself, without quotes.
    pub fn text(&self) -> &str {
        self.0.to_str().unwrap_or_default().trim_matches('"')
    }

    pub(super) fn header(&self) -> &HeaderValue {
        &self.0
    }

    fn checked(text: &str, wire: String) -> Result<Self, KeyError> {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
        let is_key = (1..=KEY_CHARS_MAX).contains(&text.len()) && text.bytes().all(is_plain);
        let value = is_key.then(|| HeaderValue::try_from(wire).ok()).flatten();
        value.map(Self).ok_or_else(|| KeyError(text.to_owned()))
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_str().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_visible_and_of_bounded_length() {
        assert_eq!(IdempotencyKey::quoted("a-1").unwrap().header(), "\"a-1\"");
        assert_eq!(IdempotencyKey::bare("a-1").unwrap().header(), "a-1");
        assert_eq!(IdempotencyKey::quoted("a-1").unwrap().text(), "a-1");
        assert!(IdempotencyKey::quoted(&"x".repeat(255)).is_ok());
        for wrong in ["", "a b", "ä", "a\"b", "a\\b", &"x".repeat(256)] {
            assert!(
                IdempotencyKey::quoted(wrong).is_err() && IdempotencyKey::bare(wrong).is_err(),
                "{wrong}"
            );
        }
    }
}
