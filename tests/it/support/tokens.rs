//! An issuer of tokens: a key of the elliptic curve P-256, a set of public keys in a file, and whatever it is told to sign.
//!
//! The other algorithms, and what nobody should sign, are tested where tokens are verified (`src/access/jwt/tests.rs`).

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use inventory::access::JwtConfig;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const AUDIENCE: &str = "inventory";

/// One key of an issuer.
pub(crate) struct Signer {
    pub(crate) kid: String,
    pair: EcdsaKeyPair,
}

impl Signer {
    pub(crate) fn new(kid: &str) -> Self {
        let (curve, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(curve, &random).expect("randomness");
        let pair = EcdsaKeyPair::from_pkcs8(curve, pkcs8.as_ref(), &random).expect("it was just made");
        Self { kid: kid.to_owned(), pair }
    }

    pub(crate) fn jwk(&self) -> Value {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({ "kty": "EC", "kid": self.kid, "crv": "P-256", "x": encode(x), "y": encode(y) })
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let head = json!({ "alg": "ES256", "kid": self.kid });
        let encode = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let message = format!("{}.{}", encode(&head), encode(claims));
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).expect("randomness");
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A token of that subject with that scope, good for an hour.
    pub(crate) fn token(&self, subject: &str, scope: &str) -> String {
        self.sign(&claims(subject, scope))
    }
}

/// Claims that are good for an hour.
pub(crate) fn claims(subject: &str, scope: &str) -> Value {
    json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": subject, "exp": now() + 3_600, "scope": scope })
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs()
}

/// A set of public keys in a file, in a folder of its own.
pub(crate) struct Jwks(TempDir);

impl Jwks {
    pub(crate) fn of(signers: &[&Signer]) -> Self {
        let set = Self(TempDir::new().expect("a temporary folder"));
        set.publish(signers);
        set
    }

    /// The file has these keys from here on: one or the other set, and never half of one.
    pub(crate) fn publish(&self, signers: &[&Signer]) {
        let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
        self.write(&json!({ "keys": keys }).to_string());
    }

    pub(crate) fn write(&self, text: &str) {
        let prepared = self.path().with_extension("new");
        std::fs::write(&prepared, text).expect("a file");
        std::fs::rename(prepared, self.path()).expect("the same folder");
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("jwks.json")
    }

    pub(crate) fn config(&self) -> JwtConfig {
        JwtConfig {
            jwks: self.path(),
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
            leeway: Duration::from_secs(30),
        }
    }
}
