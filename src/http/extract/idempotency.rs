//! [`IdempotencyKey`]: the header of the same name.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use sha2::{Digest as _, Sha256};

use crate::http::problem::{Kind, Problem};
use crate::journal::record::Once;

/// The longest key, in characters.
const CHARS_MAX: usize = 255;

/// Who asks: one for all, until there are credentials.
const PRINCIPAL: &str = "";

/// The key of a request, if it has one: with its principal, method and path it names one effect.
///
/// Boxed, since most requests have none and every handler's future has room for it.
#[derive(Debug)]
pub struct IdempotencyKey(Option<Box<Scope>>);

/// Principal, method, path and key, hashed, and the part of the fingerprint that is not the body.
#[derive(Debug)]
struct Scope {
    hash: [u8; 32],
    query: String,
}

/// A key together with the part of the body that has come.
#[derive(Debug)]
pub struct BodyDigest {
    scope: [u8; 32],
    fingerprint: Sha256,
}

/// A key together with the body it came with.
#[derive(Debug)]
pub struct Keyring {
    scope: [u8; 32],
    fingerprint: [u8; 32],
}

impl IdempotencyKey {
    /// The key for that body: `None` where the request has no key.
    pub fn with_body(self, body: &[u8]) -> Option<Box<Keyring>> {
        let mut digest = self.begin_body()?;
        digest.update(body);
        Some(Box::new(digest.finish()))
    }

    /// The key for a body that comes in pieces: `None` where the request has no key.
    pub fn begin_body(self) -> Option<BodyDigest> {
        let Scope { hash, query } = *self.0?;
        let mut fingerprint = Sha256::new();
        // The query says which level is meant: a request with another one is another request.
        fingerprint.update(query.as_bytes());
        fingerprint.update([0]);
        Some(BodyDigest { scope: hash, fingerprint })
    }
}

impl BodyDigest {
    /// The next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.fingerprint.update(piece);
    }

    /// The key, all of the body having come.
    pub fn finish(self) -> Keyring {
        Keyring { scope: self.scope, fingerprint: self.fingerprint.finalize().into() }
    }

    /// What the key stands for, whatever the body.
    pub fn id(&self) -> u128 {
        half(&self.scope)
    }
}

/// Half a hash, which is enough to tell keys apart.
fn half(hash: &[u8; 32]) -> u128 {
    u128::from_le_bytes(*hash.first_chunk().expect("a hash has 32 bytes"))
}

impl Keyring {
    /// The whole request as one unit.
    pub fn whole(&self) -> Once {
        self.unit(&self.scope)
    }

    /// One line of the request as a unit of its own.
    pub fn line(&self, line: usize) -> Once {
        let mut hash = blake3::Hasher::new();
        hash.update(&self.scope).update(&(line as u64).to_le_bytes());
        self.unit(hash.finalize().as_bytes())
    }

    fn unit(&self, hash: &[u8; 32]) -> Once {
        Once { key: half(hash), fingerprint: self.fingerprint }
    }
}

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all("idempotency-key").iter();
        let Some(value) = values.next() else { return Ok(Self(None)) };
        let invalid = |detail: &str| {
            Problem::new(
                Kind::InvalidRequest,
                format!("the header idempotency-key {detail}; nothing was changed"),
            )
        };
        if values.next().is_some() {
            return Err(invalid("is there twice"));
        }
        let text = value.to_str().map_err(|_| invalid("must be visible ASCII"))?;
        // The draft has it as a quoted string, most clients send it bare: both mean the same key.
        let key = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        let allowed = |&byte: &u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        if key.is_empty() || key.len() > CHARS_MAX || !key.as_bytes().iter().all(allowed) {
            return Err(invalid(
                "must be 1 to 255 visible ASCII characters, without quotes or backslashes inside",
            ));
        }
        let mut hash = blake3::Hasher::new();
        for part in [PRINCIPAL, parts.method.as_str(), parts.uri.path(), key] {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        let query = parts.uri.query().unwrap_or_default().to_owned();
        Ok(Self(Some(Box::new(Scope { hash: *hash.finalize().as_bytes(), query }))))
    }
}
