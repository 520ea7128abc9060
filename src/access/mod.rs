//! Who may do what: named keys, each with a scope, in a file that has no more than their digests; and tokens that somebody else has signed.
//!
//! [`Access`] is what a service asks: who shows this? [`ApiKeys`] are the keys in force, [`Keys`] is their file ([`mod@file`] has its form),
//! [`Key`] a key that was just made. [`Tokens`] are JSON Web Tokens, by the public keys of their issuer. [`Scope`] is how much one may do.
//! What needs which scope is not said here: that is a matter of routes.

mod api_keys;
pub mod file;
mod jwt;
mod key;
mod scope;

use smol_str::SmolStr;

pub use api_keys::ApiKeys;
pub use file::{AuthFileError, Keys};
pub use jwt::{JwksError, JwtConfig, Refusal, SCOPE_PREFIX, SUBJECT_NAME_IS, Tokens, is_subject_name};
pub use key::{Digest, Key};
pub use scope::Scope;

/// Who asks: the name of a key, or the subject of a token. Whoever has either of the two keys of a name is the same; a key and a token never
/// are, see [`Tokens`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    // A name of up to 23 bytes stands in here: who asks is handed on with each request, and a reference count would be one more
    // word that all threads write. Of a longer one that word is shared by who has that name, and by nobody else.
    name: SmolStr,
    scope: Scope,
}

/// Whoever is let in: by its key, by its token, or by either.
#[derive(Debug)]
pub struct Access {
    keys: Option<ApiKeys>,
    tokens: Option<Tokens>,
}

/// Why somebody is not known.
#[derive(Debug, PartialEq, Eq)]
pub enum Stranger {
    /// What was shown is no key in force.
    UnknownKey,
    /// It is a token that is not good, or nothing at all.
    BadToken(Refusal),
    /// It is a good token of that subject, which grants nothing here.
    NoScope(SmolStr),
}

impl Principal {
    /// Of that name, with that scope.
    pub fn new(name: SmolStr, scope: Scope) -> Self {
        Self { name, scope }
    }

    /// Its name, which is no secret.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its name, to be kept: no allocation, see the field.
    pub fn actor(&self) -> SmolStr {
        self.name.clone()
    }

    /// How much its key, or its token, may do.
    pub fn scope(&self) -> Scope {
        self.scope
    }
}

impl Access {
    /// By those keys and those tokens; `None` if there is neither, and nobody is asked who it is.
    pub fn of(keys: Option<ApiKeys>, tokens: Option<Tokens>) -> Option<Self> {
        (keys.is_some() || tokens.is_some()).then_some(Self { keys, tokens })
    }

    /// Who shows that. What begins as a key does is never looked at as a token, and what does not never as a key.
    pub fn principal(&self, shown: &str) -> Result<Principal, Stranger> {
        match &self.tokens {
            Some(tokens) if !shown.starts_with(key::PREFIX) => tokens.principal(shown),
            _ => self.keys.as_ref().and_then(|keys| keys.principal(shown)).ok_or(Stranger::UnknownKey),
        }
    }

    /// The keys, to be read again.
    pub fn keys(&self) -> Option<&ApiKeys> {
        self.keys.as_ref()
    }

    /// The tokens, whose keys are to be read again.
    pub fn tokens(&self) -> Option<&Tokens> {
        self.tokens.as_ref()
    }
}
