//! [`Tokens`]: JSON Web Tokens (RFC 7519) as a way to show who one is, by the public keys of who issues them.
//!
//! The keys are in a file, a JSON Web Key Set: the service fetches nothing, and no token can make it. What a token says of how it is to be
//! verified is believed as far as it agrees with the key that it names (RFC 8725). Nothing of a token is kept, printed or told, but for the
//! name of its subject and its times.

mod claims;
mod jwks;
mod known;
mod signature;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Header, decode, decode_header};
use thiserror::Error;

use super::{Digest, Principal, Stranger};
use claims::Claims;
use jwks::Jwks;
use known::Known;

pub use claims::{SCOPE_PREFIX, SUBJECT_NAME_IS, is_subject_name};
pub use jwks::JwksError;

/// The longest token that is looked at, in bytes: what its signature is of has to be hashed.
const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// What kind of token it may be, if it says so: an access token (RFC 9068), or just a token. Others are for something else.
const KINDS: [&str; 2] = ["JWT", "at+jwt"];
/// The last second that has a date of four digits for its year.
const SECONDS_TOLD_MAX: u64 = 253_402_300_799;

/// Which tokens are good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtConfig {
    /// The file of the public keys.
    pub jwks: PathBuf,
    /// Who issues them, as their claim `iss` says it.
    pub issuer: String,
    /// Whom they are for: one of their claim `aud`.
    pub audience: String,
    /// By how much the clock of the issuer may be off.
    pub leeway: Duration,
}

/// The tokens that are good.
///
/// A subject is named `jwt:` and its claim `sub`, so it is never the same as the name of a key.
#[derive(Debug)]
pub struct Tokens {
    config: JwtConfig,
    // As the keys of a file are, and for the same reason, see `ApiKeys`.
    in_force: ArcSwap<InForce>,
}

/// The keys, and which tokens were verified by them: together, so that none outlives its key, not even one that is verified just now.
#[derive(Debug)]
struct InForce {
    keys: Jwks,
    known: Known,
}

/// Why a token is not good. It repeats nothing of the token but its times.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It is too long.
    #[error("the token has more than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    /// It is none.
    #[error("what was shown is neither a key in force nor a JSON Web Token")]
    Malformed,
    /// Its head is none, or names an algorithm that nothing is known of.
    #[error("the head of the token is not that of one signed with RS256, ES256 or EdDSA")]
    Head,
    /// It asks for extensions.
    #[error("the token has a header crit, and nothing that it may ask for is known")]
    Critical,
    /// It is of another kind.
    #[error("the header typ of the token must be JWT or at+jwt, or left out")]
    Kind,
    /// It names no key.
    #[error("the token names no key (kid), and there is not just one")]
    NoKid,
    /// It names a key that is not there.
    #[error("the token names a key (kid) that is none of those of the issuer")]
    UnknownKid,
    /// It says another algorithm than its key has.
    #[error("the token says another algorithm (alg) than the key that it names has")]
    Algorithm,
    /// It is not of the key.
    #[error("the signature of the token is not of the key that it names")]
    Signature,
    /// A claim is not there, or not as it must be.
    #[error("the token has no claim {0}, or not as it must be")]
    Claim(String),
    /// It is over.
    #[error("the token expired at {0}")]
    Expired(Moment),
    /// It has not begun.
    #[error("the token is not good before {0}")]
    Early(Moment),
    /// It is of another issuer.
    #[error("the token is not of the issuer {0}")]
    Issuer(String),
    /// It is for somebody else.
    #[error("the token is not for the audience {0}")]
    Audience(String),
    /// Its subject cannot be a name.
    #[error("the claim sub of the token must be 1 to 60 bytes long, without control characters")]
    Subject,
}

/// A second of Unix time that a token says; `None` if it says it in another way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(Option<u64>);

impl Tokens {
    /// Those that these keys have signed, for this service.
    pub fn open(config: JwtConfig) -> Result<Self, JwksError> {
        signature::by_ring();
        let in_force = ArcSwap::from_pointee(InForce::read(&config)?);
        Ok(Self { config, in_force })
    }

    /// Reads the keys again: how many are in force from here on, and no token is known any more. If they cannot be read, or are not as they
    /// must be, those that were in force still are.
    pub fn reload(&self) -> Result<usize, JwksError> {
        let in_force = InForce::read(&self.config)?;
        let count = in_force.keys.len();
        self.in_force.store(in_force.into());
        Ok(count)
    }

    /// Whose token that is.
    pub fn principal(&self, token: &str) -> Result<Principal, Stranger> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Stranger::BadToken(Refusal::TooLong));
        }
        let (in_force, digest, now) = (self.in_force.load(), Digest::of(token), now());
        if let Some(known) = in_force.known.find(&digest, now) {
            return Ok(known);
        }
        let claims = self.verified(&in_force.keys, token).map_err(Stranger::BadToken)?;
        let name = claims.name().map_err(Stranger::BadToken)?;
        let Some(scope) = claims.scope() else { return Err(Stranger::NoScope(name)) };
        let principal = Principal::new(name, scope);
        // An end that is no whole number is rare enough to be looked at each time.
        if let Some(until) = claims.exp.as_u64() {
            in_force.known.keep(digest, principal.clone(), until, now);
        }
        Ok(principal)
    }

    /// What a token claims, if it is good.
    fn verified(&self, keys: &Jwks, token: &str) -> Result<Claims, Refusal> {
        if token.split('.').count() != 3 {
            return Err(Refusal::Malformed);
        }
        let header = decode_header(token).map_err(|_| Refusal::Head)?;
        check(&header)?;
        let key = keys.named(header.kid.as_deref())?;
        // First the algorithm, then the signature, then what it claims.
        let claims = decode::<Claims>(token, key.key(), key.rules());
        let claims = claims.map_err(|error| self.why(&error, token))?.claims;
        // The library takes a list of issuers as well; RFC 7519 knows none.
        if !claims.iss.is_string() {
            return Err(Refusal::Claim("iss".to_owned()));
        }
        Ok(claims)
    }

    fn why(&self, error: &Error, token: &str) -> Refusal {
        match error.kind() {
            ErrorKind::InvalidAlgorithm => Refusal::Algorithm,
            ErrorKind::InvalidSignature => Refusal::Signature,
            ErrorKind::ExpiredSignature => Refusal::Expired(Moment(claims::times(token)[0])),
            ErrorKind::ImmatureSignature => Refusal::Early(Moment(claims::times(token)[1])),
            ErrorKind::InvalidIssuer => Refusal::Issuer(self.config.issuer.clone()),
            ErrorKind::InvalidAudience => Refusal::Audience(self.config.audience.clone()),
            ErrorKind::MissingRequiredClaim(claim) | ErrorKind::InvalidClaimFormat(claim) => {
                Refusal::Claim(claim.clone())
            }
            _ => Refusal::Malformed,
        }
    }

    /// Where the keys are.
    pub fn path(&self) -> &Path {
        &self.config.jwks
    }
}

impl InForce {
    fn read(config: &JwtConfig) -> Result<Self, JwksError> {
        Ok(Self { keys: Jwks::read(config)?, known: Known::new() })
    }
}

/// What is said of the token before anybody asks whose it is. Keys, and where there are some (`jwk`, `jku`, `x5c`, `x5u`), are not looked at.
fn check(header: &Header) -> Result<(), Refusal> {
    if header.crit.is_some() {
        return Err(Refusal::Critical);
    }
    let is_known = |kind: &str| {
        let kind = kind.strip_prefix("application/").unwrap_or(kind);
        KINDS.iter().any(|known| known.eq_ignore_ascii_case(kind))
    };
    header.typ.as_deref().is_none_or(is_known).then_some(()).ok_or(Refusal::Kind)
}

/// In seconds of Unix time.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(seconds) if seconds <= SECONDS_TOLD_MAX => {
                humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).fmt(f)
            }
            _ => f.write_str("the time that it says"),
        }
    }
}
