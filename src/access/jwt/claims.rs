//! What a token says of itself, once its signature is verified: whose it is, and how much it grants.

use jsonwebtoken::dangerous::insecure_decode_claims;
use serde::Deserialize;
use serde_json::Value;
use smol_str::SmolStr;

use super::Refusal;
use crate::access::Scope;

/// What the name of a subject begins with: no name of a key has a colon, so no token is ever taken for one who has a key.
const PREFIX: &str = "jwt:";
/// The longest name of who asks, in bytes, as the ledger keeps it.
const NAME_BYTES_MAX: usize = 64;
/// What the scopes of this service begin with in a token: it may have those of others beside them.
pub const SCOPE_PREFIX: &str = "inventory:";

/// The claims that this service reads beside those that the library has judged. Each may be of any form, so that its absence and its form can
/// be told apart from others; one that is there twice is refused.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    #[serde(default)]
    pub(super) iss: Value,
    #[serde(default)]
    pub(super) exp: Value,
    #[serde(default)]
    nbf: Value,
    #[serde(default)]
    sub: Value,
    #[serde(default)]
    scope: Value,
    #[serde(default)]
    scp: Value,
}

impl Claims {
    /// The name of the subject.
    pub(super) fn name(&self) -> Result<SmolStr, Refusal> {
        let subject = self.sub.as_str().ok_or_else(|| Refusal::Claim("sub".to_owned()))?;
        let name = SmolStr::from_iter([PREFIX, subject]);
        is_subject_name(&name).then_some(name).ok_or(Refusal::Subject)
    }

    /// How much it grants: the highest scope it names (RFC 8693, section 4.2; or `scp`, a list or a text). `None` for nothing.
    pub(super) fn scope(&self) -> Option<Scope> {
        let texts = [&self.scope, &self.scp].into_iter().filter_map(Value::as_str);
        let listed = self.scp.as_array().into_iter().flatten().filter_map(Value::as_str);
        let named = texts.flat_map(|text| text.split(' ')).chain(listed);
        named.filter_map(|name| Scope::named(name.strip_prefix(SCOPE_PREFIX)?)).max()
    }
}

/// What the name of a subject must be.
pub const SUBJECT_NAME_IS: &str = "jwt: and 1 to 60 bytes without control characters";

/// Whether that may be the name of a subject.
pub fn is_subject_name(name: &str) -> bool {
    let subject = name.strip_prefix(PREFIX).unwrap_or_default();
    !subject.is_empty() && name.len() <= NAME_BYTES_MAX && !subject.chars().any(char::is_control)
}

/// The end and the beginning of a token, to be told. Only of one whose signature is verified.
pub(super) fn times(token: &str) -> [Option<u64>; 2] {
    let claims = insecure_decode_claims::<Claims>(token).ok();
    claims.map_or([None; 2], |claims| [claims.exp.as_u64(), claims.nbf.as_u64()])
}
