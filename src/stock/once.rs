//! [`Once`]: what makes a change take effect once (promise P8).

/// The name of one effect, and what it stands for. Two requests with the same key are one request if their fingerprints are
/// the same, and a mistake if they are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Once {
    /// Who asks and under which idempotency key, hashed: as good as unique, and evenly spread over its 128 bits.
    pub key: u128,
    /// All that the request asks, hashed.
    pub fingerprint: [u8; 32],
}

/// The golden ratio in 128 bits, odd: steps of it meet no number twice, and two keys' steps as seldom as two keys do.
const STEP: u128 = 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835;

impl Once {
    /// One line of a request as an effect of its own: told apart by its number, and part of the same request.
    #[must_use]
    pub fn line(self, line: u32) -> Self {
        Self { key: self.key.wrapping_add((u128::from(line) + 1).wrapping_mul(STEP)), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_an_effect_of_its_own() {
        let once = Once { key: 7, fingerprint: [1; 32] };
        let mut keys: Vec<u128> = (0..10_000).map(|line| once.line(line).key).collect();
        keys.push(once.key);
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 10_001);
        assert_eq!(once.line(3).fingerprint, once.fingerprint);
    }
}
