//! [`Key`]: what a client shows, and [`Digest`], which is all that is kept of it.
//!
//! A key is shown once, when it is made. It is in no file, in no log, and in nothing that is printed for debugging.
//!
//! A digest is SHA-256, once: what is slow on purpose (Argon2 and the like) makes passwords that people chose dear to guess, and would be
//! paid for with every request. A key has 256 random bits, and whatever has not the shape of one is not looked up, so that nobody can put
//! the digest of a password into the file and have it work.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// By which people, and programs that look for secrets where they should not be, know one.
pub(super) const PREFIX: &str = "inv_";
/// Random bytes of a key.
const BYTES: usize = 32;
/// What a digest begins with: another hash could have its own.
const HASH: &str = "sha256:";

/// A key that was just made.
pub struct Key(String);

/// What is kept of a key.
#[derive(Clone, Copy)]
pub struct Digest([u8; 32]);

impl Key {
    /// One that nobody knows. `None` if the system has no randomness to give.
    pub fn random() -> Option<Self> {
        let mut bytes = [0; BYTES];
        let random = rustls::crypto::ring::default_provider().secure_random;
        random.fill(&mut bytes).ok()?;
        Some(Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// Its text, to be told once to who asked for it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(inv_...)")
    }
}

impl Digest {
    /// Of a text that may be a key; `None` where it cannot be one.
    pub fn of_shown(text: &str) -> Option<Self> {
        let random = text.strip_prefix(PREFIX)?;
        let is_one = URL_SAFE_NO_PAD.decode(random).is_ok_and(|bytes| bytes.len() == BYTES);
        is_one.then(|| Self::of(text))
    }

    /// The digest of that text: `sha256:` and 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(HASH)?.as_bytes();
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit =
                |at: usize| char::from(pair[at]).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            *byte = digit(0)? << 4 | digit(1)?;
        }
        Some(Self(bytes))
    }

    /// Of that text, whatever it is.
    pub(super) fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// One of its bytes, which are as good as random.
    pub(super) fn byte(&self, at: usize) -> usize {
        usize::from(self.0[at])
    }
}

/// In a time that does not depend on where they differ.
impl ConstantTimeEq for Digest {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HASH)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(sha256:...)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_printed_nowhere() {
        let key = Key::random().unwrap();
        assert_ne!(key.reveal(), Key::random().unwrap().reveal());
        assert_eq!((key.reveal().len(), &key.reveal()[..4]), (47, "inv_"));
        assert_eq!(format!("{key:?} {:?}", key.digest()), "Key(inv_...) Digest(sha256:...)");
        let shown = Digest::of_shown(key.reveal()).unwrap();
        assert!(bool::from(shown.ct_eq(&key.digest())));
    }

    #[test]
    fn a_digest_is_what_sha256sum_prints() {
        // Of inv_ and 43 times A.
        let printed = "431e2f7e60b45c06bd4d5ccfe173924bd5e016fe7feff596dad31e528345db74";
        let key = format!("inv_{}", "A".repeat(43));
        let digest = Digest::of_shown(&key).unwrap();
        assert_eq!(digest.to_string(), format!("sha256:{printed}"));
        for text in [digest.to_string(), digest.to_string().to_uppercase().replace("SHA", "sha")] {
            assert!(bool::from(Digest::parse(&text).unwrap().ct_eq(&digest)), "{text}");
        }
        let whole = digest.to_string();
        for wrong in [&whole[7..], &whole[..70], &format!("{whole}0"), "sha256:", &whole.replace('6', "é")] {
            assert!(Digest::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn what_has_not_the_shape_of_a_key_is_none() {
        let of = |bytes: usize| format!("inv_{}", URL_SAFE_NO_PAD.encode(vec![7; bytes]));
        for (bytes, is_one) in [(0, false), (16, false), (31, false), (32, true), (33, false)] {
            assert_eq!(Digest::of_shown(&of(bytes)).is_some(), is_one, "{bytes}");
        }
        for wrong in ["", "password", &of(32)[4..], &of(32).replace("inv_", "INV_"), &format!("{}=", of(32))]
        {
            assert!(Digest::of_shown(wrong).is_none(), "{wrong}");
        }
    }
}
