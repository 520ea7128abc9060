//! Tokens that were verified, so that each is once and not with every request. They are known by their digests; no token is kept.
//!
//! It is a table of fixed size, in sets of a few places, as a processor's cache is: the digest says which set. So it is bounded without
//! anybody counting, and who looks a token up writes to no word that others write.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use subtle::ConstantTimeEq as _;

use super::super::{Digest, Principal};

/// Together 1 024 tokens that are known at once.
const SETS: usize = 256;
/// Those of one set. With a few hundred tokens it is rare that five are of one set; then they take turns.
const PLACES: usize = 4;

/// Tokens that were verified.
pub(super) struct Known(Box<[[ArcSwapOption<Entry>; PLACES]]>);

struct Entry {
    digest: Digest,
    principal: Principal,
    /// In seconds of Unix time: what the token says of its end.
    until: u64,
}

impl Known {
    /// None.
    pub(super) fn new() -> Self {
        Self((0..SETS).map(|_| Default::default()).collect())
    }

    /// Whose token that is, if it is known and has not expired.
    pub(super) fn find(&self, digest: &Digest, now: u64) -> Option<Principal> {
        self.set(digest).iter().find_map(|place| {
            let entry = place.load();
            let entry = entry.as_ref().filter(|entry| entry.until > now)?;
            bool::from(entry.digest.ct_eq(digest)).then(|| entry.principal.clone())
        })
    }

    /// Has it known until then. Another one may have to go.
    pub(super) fn keep(&self, digest: Digest, principal: Principal, until: u64, now: u64) {
        if until <= now {
            return;
        }
        let set = self.set(&digest);
        let is_free = |place: &&ArcSwapOption<Entry>| {
            place.load().as_ref().is_none_or(|entry| entry.until <= now || entry.digest.ct_eq(&digest).into())
        };
        let place = set.iter().find(is_free).unwrap_or(&set[digest.byte(1) % PLACES]);
        place.store(Some(Arc::new(Entry { digest, principal, until })));
    }

    fn set(&self, digest: &Digest) -> &[ArcSwapOption<Entry>; PLACES] {
        &self.0[digest.byte(0) % SETS]
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.iter().flatten().filter(|place| place.load().is_some()).count()
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Known(...)")
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Scope;
    use super::*;

    fn principal(name: &str) -> Principal {
        Principal::new(name.into(), Scope::Read)
    }

    #[test]
    fn a_token_is_known_until_it_expires_and_no_longer() {
        let known = Known::new();
        let (token, other) = (Digest::of("token"), Digest::of("other"));
        known.keep(token, principal("jwt:a"), 100, 50);
        assert_eq!(known.find(&token, 99), Some(principal("jwt:a")));
        assert_eq!((known.find(&token, 100), known.find(&other, 50)), (None, None));
        known.keep(other, principal("jwt:b"), 50, 50);
        assert_eq!((known.find(&other, 0), known.len()), (None, 1), "it has expired already");
        known.keep(token, principal("jwt:a"), 200, 100);
        assert_eq!((known.find(&token, 150), known.len()), (Some(principal("jwt:a")), 1), "in its old place");
    }

    /// However many there are; the newest is always among them, and nobody is taken for one of the same set.
    #[test]
    fn no_more_are_known_than_there_is_room_for() {
        let known = Known::new();
        for number in 0..10 * SETS * PLACES {
            let (digest, name) = (Digest::of(&number.to_string()), format!("jwt:{number}"));
            assert_eq!(known.find(&digest, 50), None, "{number}");
            known.keep(digest, principal(&name), 100, 50);
            assert_eq!(known.find(&digest, 50), Some(principal(&name)), "{number}");
        }
        assert_eq!(known.len(), 1_024);
    }
}
