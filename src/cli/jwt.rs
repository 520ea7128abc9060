//! What is said of tokens: whose, for whom, and by which keys.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use crate::access::JwtConfig;

/// More than this a clock is never off; a token would live on for as long.
const LEEWAY_MAX: (Duration, &str) = (Duration::from_mins(10), "10m");

/// All of them, or none.
#[derive(Debug, Args)]
pub(super) struct JwtArgs {
    /// The public keys (a JSON Web Key Set) of who issues tokens: whoever shows a JSON Web Token that one of them has signed is known by its
    /// `sub`, beside those who have a key. RS256, ES256 and `EdDSA`. Read again on SIGHUP
    #[arg(long = "jwt-jwks", env = "INVENTORY_JWT_JWKS", value_name = "FILE", requires_all = ["issuer", "audience"])]
    jwks: Option<PathBuf>,
    /// Who issues those tokens: their claim `iss`
    #[arg(long = "jwt-issuer", env = "INVENTORY_JWT_ISSUER", value_name = "ISS", requires = "jwks", value_parser = NonEmptyStringValueParser::new())]
    issuer: Option<String>,
    /// Whom they are for: their claim `aud` is this, or has it among others
    #[arg(long = "jwt-audience", env = "INVENTORY_JWT_AUDIENCE", value_name = "AUD", requires = "jwks", value_parser = NonEmptyStringValueParser::new())]
    audience: Option<String>,
    /// By how much the clock of the issuer may be off, in whole seconds: for so long a token is good before it begins, and after it ends
    #[arg(long = "jwt-leeway", env = "INVENTORY_JWT_LEEWAY", value_name = "DURATION_OR_0", default_value = "30s", value_parser = leeway)]
    leeway: Duration,
}

impl JwtArgs {
    /// Which tokens are good, if any are.
    pub(super) fn config(&self) -> Option<JwtConfig> {
        Some(JwtConfig {
            jwks: self.jwks.clone()?,
            issuer: self.issuer.clone()?,
            audience: self.audience.clone()?,
            leeway: self.leeway,
        })
    }
}

fn leeway(text: &str) -> Result<Duration, String> {
    let leeway = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let (max, told) = LEEWAY_MAX;
    (leeway <= max).then_some(leeway).ok_or_else(|| format!("it must be at most {told}"))
}
