//! [`Secret`]: what signs messages, and how a message is signed (Standard Webhooks 1.0, symmetric).
//!
//! A secret is shown once, when it is made. It is in no log, and in nothing that is printed for debugging.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use standardwebhooks::Webhook as Signer;

const PREFIX: &str = "whsec_";
/// Bytes of a secret, as the standard has them.
const BYTES_MIN: usize = 24;
const BYTES_MAX: usize = 64;
/// Bytes of one that is made here: as many as the hash has.
const BYTES_MADE: usize = 32;

/// The longest there may be, in characters.
pub const CHARS_MAX: usize = PREFIX.len() + BYTES_MAX.div_ceil(3) * 4;

/// A secret: `whsec_` and base64.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// One that nobody knows. `None` if the system has no randomness to give.
    pub fn random() -> Option<Self> {
        let mut bytes = [0; BYTES_MADE];
        let random = rustls::crypto::ring::default_provider().secure_random;
        random.fill(&mut bytes).ok()?;
        Some(Self(format!("{PREFIX}{}", STANDARD.encode(bytes))))
    }

    /// The secret of that text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bytes = text.strip_prefix(PREFIX).and_then(|rest| STANDARD.decode(rest).ok());
        match bytes {
            Some(bytes) if (BYTES_MIN..=BYTES_MAX).contains(&bytes.len()) => Ok(Self(text.to_owned())),
            _ => Err(format!("must be {PREFIX} and {BYTES_MIN} to {BYTES_MAX} bytes in base64")),
        }
    }

    /// Its text, to be told once to who asked for it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The signature of a message that is sent at that time.
    pub(super) fn sign(&self, id: &str, time_s: i64, body: &[u8]) -> String {
        let signer = Signer::new(&self.0).expect("it was read before");
        signer.sign(id, time_s, body).expect("a body is JSON, which is UTF-8")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(whsec_...)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_those_of_the_standard_and_are_not_printed() {
        let made = Secret::random().unwrap();
        assert_ne!(made, Secret::random().unwrap());
        assert_eq!(Secret::parse(made.reveal()), Ok(made.clone()));
        assert!(made.reveal().len() <= CHARS_MAX);
        assert_eq!(format!("{made:?}"), "Secret(whsec_...)");
        let of = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        for (bytes, is_one) in [(23, false), (24, true), (64, true), (65, false)] {
            assert_eq!(Secret::parse(&of(bytes)).is_ok(), is_one, "{bytes}");
        }
        for wrong in ["", "whsec_", "whsec_???", &of(32)[6..], &of(32).to_uppercase()] {
            assert!(Secret::parse(wrong).is_err(), "{wrong}");
        }
    }

    /// The example of the specification.
    #[test]
    fn a_signature_is_that_of_the_specification() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b"{\"test\": 2432232314}");
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
