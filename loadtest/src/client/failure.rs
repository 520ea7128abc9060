//! What went wrong with a request that got no usable answer, and whether it may have taken effect.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::Write;

use super::BODY_MAX;

/// A request without a usable answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The line of the error table it counts in.
    pub kind: Cow<'static, str>,
    /// What happened this time, in full.
    pub example: String,
    /// Whether it may have taken effect.
    pub doubt: Doubt,
}

/// Whether a failed write may have taken effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// It certainly did not.
    NotApplied,
    /// Nobody knows.
    Unknown,
}

/// The kind of every answer that does not fit the contract.
pub const CONTRACT_BREACH: &str = "contract breach";

/// The kind of every request that got no answer in time.
pub const TIMEOUT: &str = "timeout";

/// The kind of every request for which there was no connection.
pub const NO_CONNECTION: &str = "no connection";

/// The kind of every request whose client went away on purpose.
pub const ABANDONED: &str = "disconnected on purpose";

/// The kind of every request whose connection was lost before a status came.
pub const CONNECTION_LOST: &str = "connection lost";

/// The kind of every request whose connection was lost within the answer.
pub const BROKEN_OFF: &str = "answer broken off";

impl Failure {
    /// Whether the connection was refused, or ended before the answer did: then the server may be gone.
    pub fn is_cut_off(&self) -> bool {
        [NO_CONNECTION, CONNECTION_LOST, BROKEN_OFF].contains(&&*self.kind)
    }

    /// Whether there was no connection: then nothing was sent.
    pub fn is_unsent(&self) -> bool {
        self.kind == NO_CONNECTION
    }

    /// Whether there was an answer, which does not fit the contract.
    pub fn is_breach(&self) -> bool {
        self.kind == CONTRACT_BREACH
    }

    /// No answer at all. Without a connection nothing was sent; after that, nobody knows.
    pub fn transport(error: &reqwest::Error) -> Self {
        let example = chain(error);
        if error.is_connect() {
            return Self { kind: Cow::Borrowed(NO_CONNECTION), example, doubt: Doubt::NotApplied };
        }
        let kind = if error.is_timeout() { TIMEOUT } else { CONNECTION_LOST };
        Self { kind: Cow::Borrowed(kind), example, doubt: Doubt::Unknown }
    }

    /// A status came, but the body broke off.
    pub fn broken_off(error: &reqwest::Error) -> Self {
        let kind = if error.is_timeout() { TIMEOUT } else { BROKEN_OFF };
        Self { kind: Cow::Borrowed(kind), example: chain(error), doubt: Doubt::Unknown }
    }

    /// An answer that is longer than any can be.
    pub fn endless() -> Self {
        Self::breach(Doubt::Unknown, format!("an answer of more than {} MiB, cut off there", BODY_MAX >> 20))
    }

    /// An answer that does not fit the contract.
    pub fn breach(doubt: Doubt, example: String) -> Self {
        Self { kind: Cow::Borrowed(CONTRACT_BREACH), example, doubt }
    }
}

/// An error with all its causes: the library's own message alone says only "error sending request".
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        // Writing to a String cannot fail.
        let _ = write!(text, ": {inner}");
        cause = inner.source();
    }
    text
}
