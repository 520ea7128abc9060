//! [`Jwks`]: the public keys of who issues tokens, from a JSON Web Key Set (RFC 7517). It is read whole or not at all.
//!
//! Issuers publish keys for other purposes beside those that sign: what is of no use here (another use, another kind or algorithm) is passed
//! over, with a word in the log. But a key that can sign is never to be on this side: it is refused, whatever it is for. No error repeats
//! more of a key than its name.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};
use thiserror::Error;

use super::{JwtConfig, Refusal};

/// Keys in a set: issuers have a few.
const KEYS_MAX: usize = 100;
/// The longest name of a key, in bytes.
const KID_BYTES_MAX: usize = 256;
/// A file that is longer is no set of keys.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// The bits of the modulus of an RSA key (RFC 7518, section 3.3; beyond, verifying takes too long).
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;
/// Somebody else may write it.
const MODE_WRITABLE: u32 = 0o022;
/// What only a private key has (RFC 7518, section 6; `priv` is of those after).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "priv"];

/// Why there are no keys of an issuer.
#[derive(Debug, Error)]
pub enum JwksError {
    /// The file cannot be read.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is not as it must be.
    #[error("{}: {what}", path.display())]
    Wrong {
        /// Which.
        path: PathBuf,
        /// What is wrong, and with which key.
        what: String,
    },
}

/// The keys of an issuer.
#[derive(Debug)]
pub(super) struct Jwks(Vec<Signer>);

/// One of them.
#[derive(Debug)]
pub(super) struct Signer {
    kid: Option<String>,
    key: DecodingKey,
    rules: Validation,
}

/// Why a key is not taken.
enum Unfit {
    /// It is of no use here.
    PassedOver(&'static str),
    /// It must not be there.
    Wrong(String),
}

impl Jwks {
    /// The keys of that file. One that others may write is taken, with a warning: whoever writes it may do anything.
    pub(super) fn read(config: &JwtConfig) -> Result<Self, JwksError> {
        let path = &config.jwks;
        let failed = |error| JwksError::Io { path: path.clone(), error };
        let wrong = |what| JwksError::Wrong { path: path.clone(), what };
        let file = File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.permissions().mode();
        let mut text = String::new();
        let bytes = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
        if bytes as u64 > FILE_BYTES_MAX {
            return Err(wrong(format!("a set of keys has at most {FILE_BYTES_MAX} bytes")));
        }
        let keys = Self::parse(&text, config).map_err(wrong)?;
        if mode & MODE_WRITABLE != 0 {
            tracing::warn!(path = %path.display(), "the keys of tokens can be written by others; chmod go-w keeps them out");
        }
        Ok(keys)
    }

    /// The keys of that text; at least one.
    pub(super) fn parse(text: &str, config: &JwtConfig) -> Result<Self, String> {
        let mut keys: Vec<Signer> = Vec::new();
        for (at, key) in (1..).zip(members(text)?) {
            let name = name_of(at, &key);
            match Signer::of(&key, config) {
                Ok(signer) if keys.iter().any(|other| other.kid == signer.kid) => {
                    return Err(format!("{name} has the kid of one before it"));
                }
                Ok(signer) => keys.push(signer),
                Err(Unfit::PassedOver(why)) => {
                    tracing::info!(path = %config.jwks.display(), "{name} of the JWKS is passed over: {why}");
                }
                Err(Unfit::Wrong(what)) => return Err(format!("{name} {what}")),
            }
        }
        if keys.is_empty() {
            return Err("it has no key that verifies RS256, ES256 or EdDSA (Ed25519)".to_owned());
        }
        if keys.len() > 1 && keys.iter().any(|key| key.kid.is_none()) {
            return Err("where there are several keys each needs a kid, by which tokens name it".to_owned());
        }
        Ok(Self(keys))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The key that a token names; the only one, if it names none.
    pub(super) fn named(&self, kid: Option<&str>) -> Result<&Signer, Refusal> {
        match (kid, &self.0[..]) {
            (None, [only]) => Ok(only),
            (None, _) => Err(Refusal::NoKid),
            (Some(kid), keys) => {
                let named = keys.iter().find(|key| key.kid.as_deref() == Some(kid));
                named.ok_or(Refusal::UnknownKid)
            }
        }
    }
}

impl Signer {
    fn of(key: &Map<String, Value>, config: &JwtConfig) -> Result<Self, Unfit> {
        let kid = match key.get("kid") {
            None => None,
            Some(Value::String(kid)) if kid.len() <= KID_BYTES_MAX => Some(kid.clone()),
            Some(_) => {
                let what = format!("has a kid that is no text of at most {KID_BYTES_MAX} bytes");
                return Err(Unfit::Wrong(what));
            }
        };
        refuse_secrets(key)?;
        let algorithm = algorithm_of(key)?;
        Ok(Self { kid, key: public_key(key, algorithm)?, rules: rules(algorithm, config) })
    }

    /// What verifies.
    pub(super) fn key(&self) -> &DecodingKey {
        &self.key
    }

    /// What a token of this key has to be like.
    pub(super) fn rules(&self) -> &Validation {
        &self.rules
    }
}

/// The keys of a set, as they stand there.
fn members(text: &str) -> Result<Vec<Map<String, Value>>, String> {
    // Its error would say where, and not what: but it may also repeat.
    let set: Value = serde_json::from_str(text)
        .map_err(|error| format!("it is no JSON: see line {}, column {}", error.line(), error.column()))?;
    let Some(Value::Array(keys)) = set.get("keys") else {
        return Err("it is no JSON Web Key Set, which is an object with a list of keys".to_owned());
    };
    if keys.len() > KEYS_MAX {
        return Err(format!("a set has at most {KEYS_MAX} keys"));
    }
    let member =
        |(at, key): (usize, &Value)| key.as_object().cloned().ok_or_else(|| format!("key {at} is no object"));
    (1..).zip(keys).map(member).collect()
}

/// How a key is called in an error: by its place, and its kid if it has one.
fn name_of(at: usize, key: &Map<String, Value>) -> String {
    match text_of(key, "kid").filter(|kid| kid.len() <= KID_BYTES_MAX) {
        Some(kid) => format!("key {at} ({kid:?})"),
        None => format!("key {at}"),
    }
}

/// With a private key, or a symmetric one, one could make tokens.
fn refuse_secrets(key: &Map<String, Value>) -> Result<(), Unfit> {
    if text_of(key, "kty") == Some("oct") || key.contains_key("k") {
        let what = "is symmetric: whoever could verify tokens by it could make some";
        return Err(Unfit::Wrong(what.to_owned()));
    }
    match PRIVATE.iter().find(|member| key.contains_key(**member)) {
        Some(member) => {
            let what =
                format!("is private, as it has {member}; leave its public part here, and take it for known");
            Err(Unfit::Wrong(what))
        }
        None => Ok(()),
    }
}

/// What a key is for, as it says itself.
fn algorithm_of(key: &Map<String, Value>) -> Result<Algorithm, Unfit> {
    if key.get("use").is_some_and(|usage| usage != "sig") {
        return Err(Unfit::PassedOver("its use is another"));
    }
    let verifies = |operations: &Value| {
        operations
            .as_array()
            .is_some_and(|operations| operations.iter().any(|operation| operation == "verify"))
    };
    if key.get("key_ops").is_some_and(|operations| !verifies(operations)) {
        return Err(Unfit::PassedOver("its operations (key_ops) are others"));
    }
    let kty = text_of(key, "kty").ok_or_else(|| Unfit::Wrong("has no kty".to_owned()))?;
    let (algorithm, names): (_, &[&str]) = match (kty, text_of(key, "crv")) {
        ("RSA", _) => (Algorithm::RS256, &["RS256"]),
        ("EC", Some("P-256")) => (Algorithm::ES256, &["ES256"]),
        // RFC 9864 names the same one after its curve.
        ("OKP", Some("Ed25519")) => (Algorithm::EdDSA, &["EdDSA", "Ed25519"]),
        _ => return Err(Unfit::PassedOver("its kind (kty, crv) is another")),
    };
    let is_other = |alg: &Value| !names.iter().any(|name| alg == name);
    if key.get("alg").is_some_and(is_other) {
        return Err(Unfit::PassedOver("its algorithm (alg) is another"));
    }
    Ok(algorithm)
}

fn public_key(key: &Map<String, Value>, algorithm: Algorithm) -> Result<DecodingKey, Unfit> {
    let bytes = |member: &str| {
        let decoded = text_of(key, member).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        decoded.ok_or_else(|| Unfit::Wrong(format!("has no {member} in base64url")))
    };
    let coordinate = |member: &str| {
        let bytes = bytes(member)?;
        let is_whole = bytes.len() == 32;
        is_whole
            .then_some(bytes)
            .ok_or_else(|| Unfit::Wrong(format!("has a {member} that is not of 32 bytes")))
    };
    match algorithm {
        Algorithm::RS256 => {
            let (n, e) = (number(bytes("n")?), number(bytes("e")?));
            let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
            if !RSA_BITS.contains(&bits) {
                let (least, most) = (RSA_BITS.start(), RSA_BITS.end());
                return Err(Unfit::Wrong(format!("is of {bits} bits; RSA needs {least} to {most}")));
            }
            Ok(DecodingKey::from_rsa_raw_components(&n, &e))
        }
        Algorithm::ES256 => {
            // Both coordinates, after a mark that says so (SEC 1, section 2.3.3). That the point is on the curve is seen when it is used.
            let point = [vec![4], coordinate("x")?, coordinate("y")?].concat();
            Ok(DecodingKey::from_ec_der(&point))
        }
        _ => Ok(DecodingKey::from_ed_der(&coordinate("x")?)),
    }
}

/// Without zeros before it, which some write and ring does not read.
fn number(mut bytes: Vec<u8>) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.drain(..zeros);
    bytes
}

/// What a token of a key for that algorithm has to be like.
fn rules(algorithm: Algorithm, config: &JwtConfig) -> Validation {
    let mut rules = Validation::new(algorithm);
    rules.set_required_spec_claims(&["exp", "iss", "aud"]);
    rules.set_issuer(&[&config.issuer]);
    rules.set_audience(&[&config.audience]);
    rules.validate_nbf = true;
    rules.leeway = config.leeway.as_secs();
    // In the second that it names a token has ended (RFC 7519, section 4.1.4); the library would let it have that one as well.
    rules.reject_tokens_expiring_in_less_than = 1;
    rules
}

fn text_of<'a>(key: &'a Map<String, Value>, member: &str) -> Option<&'a str> {
    key.get(member).and_then(Value::as_str)
}

#[cfg(test)]
impl JwtConfig {
    pub(super) fn at(path: &std::path::Path) -> Self {
        Self {
            jwks: path.to_owned(),
            issuer: "https://issuer.example".to_owned(),
            audience: "inventory".to_owned(),
            leeway: std::time::Duration::from_secs(30),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::super::testing::{Pair, RSA_N, bytes, text};
    use super::*;

    fn parse(set: &Value) -> Result<Jwks, String> {
        Jwks::parse(&set.to_string(), &JwtConfig::at(Path::new("jwks")))
    }

    fn with(key: &Value, member: &str, value: Value) -> Value {
        let mut key = key.clone();
        key[member] = value;
        key
    }

    #[test]
    fn what_must_not_be_in_a_set_is_told_by_name_and_never_repeated() {
        let (r, e, d) = (Pair::rs256().jwk("r"), Pair::es256().jwk("e"), Pair::ed_dsa().jwk("d"));
        let secret = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0";
        let short = text(&bytes(RSA_N)[..255]);
        let long = text(&[&[1][..], &[7; 1_024]].concat());
        for (key, told) in [
            (json!({ "kty": "oct", "kid": "x", "k": secret }), "key 2 (\"x\") is symmetric"),
            (json!({ "kty": "oct", "kid": "x" }), "key 2 (\"x\") is symmetric"),
            (with(&r, "k", json!(secret)), "key 2 (\"r\") is symmetric"),
            (with(&r, "d", json!(secret)), "key 2 (\"r\") is private, as it has d"),
            (with(&r, "p", json!(secret)), "key 2 (\"r\") is private, as it has p"),
            (with(&d, "d", json!(secret)), "key 2 (\"d\") is private, as it has d"),
            (with(&with(&d, "use", json!("enc")), "d", json!(secret)), "key 2 (\"d\") is private"),
            (json!({ "kty": "AKP", "alg": "ML-DSA-44", "priv": secret }), "key 2 is private, as it has priv"),
            (with(&r, "n", json!(short)), "key 2 (\"r\") is of 2040 bits; RSA needs 2048 to 8192"),
            (with(&r, "n", json!(long)), "key 2 (\"r\") is of 8193 bits; RSA needs 2048 to 8192"),
            (with(&r, "n", json!("")), "key 2 (\"r\") is of 0 bits"),
            (with(&r, "n", json!("a b")), "key 2 (\"r\") has no n in base64url"),
            (with(&r, "e", Value::Null), "key 2 (\"r\") has no e in base64url"),
            (with(&d, "x", json!("AAAA")), "key 2 (\"d\") has a x that is not of 32 bytes"),
            (with(&e, "y", json!(7)), "key 2 (\"e\") has no y in base64url"),
            (with(&r, "kid", json!(7)), "key 2 has a kid that is no text"),
            (with(&r, "kid", json!("k".repeat(257))), "key 2 has a kid that is no text of at most 256 bytes"),
            (with(&r, "kid", json!("first")), "key 2 (\"first\") has the kid of one before it"),
            (json!({ "kid": "x" }), "key 2 (\"x\") has no kty"),
            (json!("key"), "key 2 is no object"),
        ] {
            let wrong = parse(&json!({ "keys": [with(&e, "kid", json!("first")), key] })).unwrap_err();
            assert!(wrong.starts_with(told), "{key}: {wrong}");
            assert!(!wrong.contains(secret) && wrong.len() < 200, "{wrong}");
        }
        let nameless = json!({ "kty": "OKP", "crv": "Ed25519", "x": d["x"] });
        assert!(parse(&json!({ "keys": [e, nameless] })).unwrap_err().contains("each needs a kid"));
        assert!(parse(&json!({ "keys": [nameless, nameless] })).is_err());
        let many: Vec<Value> =
            (0..=KEYS_MAX).map(|number| with(&d, "kid", json!(number.to_string()))).collect();
        assert_eq!(parse(&json!({ "keys": many[1..] })).unwrap().len(), KEYS_MAX);
        assert_eq!(parse(&json!({ "keys": many })).unwrap_err(), "a set has at most 100 keys");
        for wrong in [json!([]), json!({ "keys": {} }), e] {
            assert!(parse(&wrong).unwrap_err().contains("no JSON Web Key Set"), "{wrong}");
        }
        let config = JwtConfig::at(Path::new("jwks"));
        assert_eq!(
            Jwks::parse("{\"keys\": [secret", &config).unwrap_err(),
            "it is no JSON: see line 1, column 11"
        );
    }

    /// Issuers publish keys of other uses as well; alone they are nothing.
    #[test]
    fn what_is_of_no_use_is_passed_over() {
        let (r, e) = (Pair::rs256().jwk("r"), Pair::es256().jwk("e"));
        for other in [
            with(&r, "use", json!("enc")),
            with(&r, "alg", json!("RSA-OAEP")),
            with(&r, "alg", json!("PS256")),
            with(&r, "alg", json!(7)),
            with(&r, "key_ops", json!(["encrypt"])),
            with(&e, "crv", json!("P-384")),
            with(&e, "kty", json!("AKP")),
            with(&Pair::ed_dsa().jwk("d"), "crv", json!("X25519")),
        ] {
            // Not even its name counts.
            let used = with(&e, "kid", other["kid"].clone());
            let both = parse(&json!({ "keys": [other, used] })).unwrap();
            assert_eq!(both.len(), 1, "{other}");
            let alone = parse(&json!({ "keys": [other] })).unwrap_err();
            assert!(alone.contains("no key that verifies"), "{other}: {alone}");
        }
        let zeros = text(&[&[0, 0][..], &bytes(RSA_N)].concat());
        for taken in [
            with(&r, "n", json!(zeros)),
            with(&r, "alg", json!("RS256")),
            with(&with(&r, "use", json!("sig")), "key_ops", json!(["verify"])),
            with(&Pair::ed_dsa().jwk("d"), "alg", json!("Ed25519")),
        ] {
            assert_eq!(parse(&json!({ "keys": [taken] })).unwrap().len(), 1, "{taken}");
        }
    }
}
