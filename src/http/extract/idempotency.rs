//! [`IdempotencyKey`]: the header of the same name, and all that the request with it asks.
//!
//! A key is unique by who asks and by its own text: whatever it is used for first is what it stands for. What that is, is read
//! as the service reads it, not as it is spelt: `/v1/stock/A-1/adjust` and `/v1/stock/A%2D1/adjust` are one request, and so are two
//! spellings of one `ä`.

use std::borrow::Cow;

use axum::body::Bytes;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Uri, header};
use percent_encoding::percent_decode_str;
use sha2::{Digest as _, Sha256};

use super::IDEMPOTENCY_KEY;
use super::conditions::elements;
use crate::access::Principal;
use crate::http::problem::{Problem, ProblemKind};
use crate::http::{HttpState, lookup};
use crate::stock::name::nfc;
use crate::stock::{Location, Once};
use crate::store::{Idempotency, KeyOfVersion1};

/// The longest key, in characters.
const CHARS_MAX: usize = 255;

/// Who asks where nobody has to say so: one for all, as it was before there were keys.
const NOBODY: &str = "";

/// The key of a request, if it has one.
///
/// Boxed, since most requests have none and every handler's future has room for it.
#[derive(Debug)]
pub struct IdempotencyKey(Option<Box<Named>>);

/// The key, and all that is asked under it but for the body.
#[derive(Debug)]
struct Named {
    key: u128,
    asked: blake3::Hasher,
    version_1: NamedInVersion1,
}

/// The same as the first version of the service hashed it: bound to the path and the query as they are spelt.
#[derive(Debug)]
struct NamedInVersion1 {
    scope: [u8; 32],
    query: String,
}

/// A key, and what has come of a body that comes in pieces.
#[derive(Debug)]
pub struct BodyHash {
    key: u128,
    asked: blake3::Hasher,
    scope: [u8; 32],
    version_1: Sha256,
}

impl IdempotencyKey {
    /// What makes a request with that body once: `None` where it has no key.
    pub fn with_body(self, body: &Bytes) -> Option<Box<Idempotency>> {
        let Named { key, mut asked, version_1: NamedInVersion1 { scope, query } } = *self.0?;
        asked.update(body);
        let once = Once { key, fingerprint: *asked.finalize().as_bytes() };
        let body = body.clone();
        let fingerprint = move || begin_version_1(&query).chain_update(&body).finalize().into();
        let version_1 = Some(KeyOfVersion1::new(scope, fingerprint));
        Some(Box::new(Idempotency { once, version_1 }))
    }

    /// The same for a body that comes in pieces.
    pub fn begin_body(self) -> Option<BodyHash> {
        let Named { key, asked, version_1: NamedInVersion1 { scope, query } } = *self.0?;
        Some(BodyHash { key, asked, scope, version_1: begin_version_1(&query) })
    }
}

impl BodyHash {
    /// The next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.asked.update(piece);
        self.version_1.update(piece);
    }

    /// What makes the request once, all of its body having come.
    pub fn finish(self) -> Idempotency {
        let once = Once { key: self.key, fingerprint: *self.asked.finalize().as_bytes() };
        let version_1: [u8; 32] = self.version_1.finalize().into();
        Idempotency { once, version_1: Some(KeyOfVersion1::new(self.scope, move || version_1)) }
    }
}

fn begin_version_1(query: &str) -> Sha256 {
    Sha256::new().chain_update(query.as_bytes()).chain_update([0])
}

impl FromRequestParts<&'static HttpState> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &&'static HttpState) -> Result<Self, Problem> {
        match Self::of(parts)? {
            Self(None) if state.policy.idempotency_key => Err(Problem::new(
                ProblemKind::IdempotencyKeyRequired,
                "the header idempotency-key must be there: this service takes no change by POST without one; nothing was changed",
            )),
            key => Ok(key),
        }
    }
}

impl IdempotencyKey {
    /// The key of that request, or why what it has is none.
    fn of(parts: &Parts) -> Result<Self, Problem> {
        let Some(value) = lookup::first(&parts.headers, &IDEMPOTENCY_KEY) else { return Ok(Self(None)) };
        let invalid = |detail: &str| {
            Problem::new(
                ProblemKind::InvalidRequest,
                format!("the header idempotency-key {detail}; nothing was changed"),
            )
        };
        if parts.headers.get_all(IDEMPOTENCY_KEY).iter().nth(1).is_some() {
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
        let method = parts.method.as_str();
        let principal = parts.extensions.get().map_or(NOBODY, Principal::name);
        let scope = hash_of([principal, method, parts.uri.path(), key]);
        let query = parts.uri.query().unwrap_or_default().to_owned();
        Ok(Self(Some(Box::new(Named {
            key: half(hash_of(["idempotency-key", principal, key]).finalize().as_bytes()),
            asked: asked(parts),
            version_1: NamedInVersion1 { scope: *scope.finalize().as_bytes(), query },
        }))))
    }
}

/// All that a request asks, as the service reads it, but for its body.
fn asked(parts: &Parts) -> blake3::Hasher {
    let mut hash = hash_of([parts.method.as_str()]);
    // Segment by segment, so that a slash within a name is not one between two.
    for segment in parts.uri.path().split('/') {
        match percent_decode_str(segment).decode_utf8() {
            Ok(text) => put(&mut hash, nfc(&text).as_bytes()),
            Err(_) => put(&mut hash, &Cow::from(percent_decode_str(segment))),
        }
    }
    for (name, value) in parameters(&parts.uri) {
        put(&mut hash, name.as_bytes());
        put(&mut hash, value.as_bytes());
    }
    // The condition, tag by tag, as it is one list however it is spelt. The only one that a request with a key may have: `If-None-Match` is
    // refused beside a key.
    for value in parts.headers.get_all(header::IF_MATCH) {
        match value.to_str() {
            Ok(list) => elements(list).for_each(|tag| put(&mut hash, tag.as_bytes())),
            Err(_) => put(&mut hash, value.as_bytes()),
        }
    }
    // What follows is the body, whatever it begins with.
    put(&mut hash, b"");
    hash
}

/// The parameters in the order of their names, without those that say what is meant anyway.
fn parameters(uri: &Uri) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    let query = uri.query().unwrap_or_default();
    let is_default = |(name, value): &(Cow<'_, str>, Cow<'_, str>)| {
        name == "location" && value == Location::DEFAULT.as_str()
    };
    let parameters = form_urlencoded::parse(query.as_bytes()).map(|(name, value)| match value {
        // What is borrowed is as long as the request is, and its normal form no longer.
        Cow::Borrowed(value) => (name, nfc(value)),
        Cow::Owned(value) => (name, Cow::Owned(nfc(&value).into_owned())),
    });
    let mut parameters: Vec<_> = parameters.filter(|parameter| !is_default(parameter)).collect();
    parameters.sort();
    parameters
}

fn hash_of<const N: usize>(parts: [&str; N]) -> blake3::Hasher {
    let mut hash = blake3::Hasher::new();
    for part in parts {
        put(&mut hash, part.as_bytes());
    }
    hash
}

/// Hashes a part and its length, so that no two lists of parts are alike.
fn put(hash: &mut blake3::Hasher, part: &[u8]) {
    hash.update(&(part.len() as u64).to_le_bytes()).update(part);
}

/// Half a hash, which is enough to tell keys apart.
fn half(hash: &[u8; 32]) -> u128 {
    u128::from_le_bytes(*hash.first_chunk().expect("a hash has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;
    use crate::access::Scope;

    fn once(uri: &str, headers: &[(&str, &str)], body: &'static [u8]) -> Once {
        let mut request = Request::post(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let key = IdempotencyKey::of(&parts).unwrap();
        key.with_body(&Bytes::from_static(body)).unwrap().once
    }

    /// P8: two spellings of one request are one request; anything that asks for something else is not.
    #[test]
    fn a_key_stands_for_what_is_asked_and_not_for_how_it_is_spelt() {
        let key = ("idempotency-key", "k");
        let one = once("/v1/stock/A-1/adjust", &[key], b"{}");
        for uri in [
            "/v1/stock/A%2D1/adjust",
            "/v1/stock/%41-1/adjust?location=main",
            "/v1/stock/A-1/adjust?location=m%61in",
        ] {
            assert_eq!(once(uri, &[key], b"{}"), one, "{uri}");
        }
        let spelt = once("/v1/stock/%C3%A4%20%2F/adjust?location=%C3%BC+b", &[key], b"{}");
        let other = once("/v1/stock/a%CC%88%20%2F/adjust?location=u%CC%88%20b", &[key], b"{}");
        assert_eq!(other, spelt);
        assert_eq!(once("/v1/stock/A-1/adjust", &[("idempotency-key", "\"k\"")], b"{}"), one);
        let others = [
            ("/v1/stock/A-2/adjust", vec![key], &b"{}"[..]),
            ("/v1/stock/A%2F1/adjust", vec![key], b"{}"),
            ("/v1/stock/A/1/adjust", vec![key], b"{}"),
            ("/v1/stock/A-1/adjust?location=shop", vec![key], b"{}"),
            ("/v1/stock/A-1/adjust", vec![key], b"{ }"),
            ("/v1/stock/A-1/adjust", vec![key, ("if-match", "\"3\"")], b"{}"),
        ];
        let mut seen = vec![one.fingerprint];
        for (uri, headers, body) in others {
            let other = once(uri, &headers, body);
            assert_eq!(other.key, one.key, "{uri}: the key is the same");
            assert!(!seen.contains(&other.fingerprint), "{uri}: another request");
            seen.push(other.fingerprint);
        }
        assert_ne!(once("/v1/stock/A-1/adjust", &[("idempotency-key", "K")], b"{}").key, one.key);
        let under = |tags: &str| once("/v1/stock/A-1/adjust", &[key, ("if-match", tags)], b"{}");
        let three = under("\"3\"");
        assert_eq!(under(" \"3\" ,, "), three);
        for other in ["\"4\"", "*", "W/\"3\"", "\"3\", \"4\""] {
            assert_ne!(under(other).fingerprint, three.fingerprint, "{other}");
        }
    }

    /// What a key stood for before conditions were a list: directories have these.
    #[test]
    fn what_a_key_stands_for_stays_the_same() {
        let key = ("idempotency-key", "k");
        let told = |headers: &[(&str, &str)]| {
            let once = once("/v1/stock/A-1/adjust?location=shop", headers, b"{}");
            blake3::Hash::from_bytes(once.fingerprint).to_hex().to_string()
        };
        assert_eq!(told(&[key]), "e79ae3a67f8f2e6296fb19f7a9c59587609b9999d51db19aab37dd39adcfe72a");
        assert_eq!(
            told(&[key, ("if-match", "\"3\"")]),
            "a39591c650b5de4e63ea38174c310906dd35dfe12e57ef39f6253ac3427aa759"
        );
    }

    /// P8: a key is of who asks; where nobody has to say who that is, it is what it was before there were principals.
    #[test]
    fn a_key_is_of_who_asks() {
        let of = |name: Option<&str>| {
            let request = Request::post("/v1/stock/A-1/adjust").header("idempotency-key", "k");
            let (mut parts, ()) = request.body(()).unwrap().into_parts();
            if let Some(name) = name {
                parts.extensions.insert(Principal::new(name.into(), Scope::Write));
            }
            let key = IdempotencyKey::of(&parts).unwrap();
            key.with_body(&Bytes::new()).unwrap().once
        };
        let (nobody, till, shop) = (of(None), of(Some("till")), of(Some("shop")));
        assert!(nobody.key != till.key && till.key != shop.key && shop.key != nobody.key);
        assert_eq!(till.key, of(Some("till")).key);
        assert_eq!(till.fingerprint, nobody.fingerprint, "what is asked is the same");
        // As data directories have it: the length of each part, and the part.
        let mut text = Vec::new();
        for part in ["idempotency-key", "", "k"] {
            text.extend((part.len() as u64).to_le_bytes());
            text.extend(part.as_bytes());
        }
        assert_eq!(nobody.key, half(blake3::hash(&text).as_bytes()));
    }
}
