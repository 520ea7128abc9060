//! How skus are drawn: evenly, by Zipf's law, or always the same one.

use std::fmt;
use std::str::FromStr;

use rand::{Rng, RngExt};
use rand_distr::{Distribution, Zipf};

/// The distribution of a workload over its skus.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Keys {
    /// Every sku equally often.
    Uniform,
    /// Sku number r (from 1) with a weight of r^-S: the first ones are fought over.
    Zipf(f64),
    /// Only the first sku.
    Single,
}

/// A distribution that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no distribution: use uniform, single, or zipf:S with S from 0 to 10, such as zipf:1.0")]
pub struct KeysError(String);

impl FromStr for Keys {
    type Err = KeysError;

    fn from_str(text: &str) -> Result<Self, KeysError> {
        let exponent = |text: &str| text.parse().ok().filter(|exponent| (0.0..=10.0).contains(exponent));
        match text.split_once(':') {
            None if text == "uniform" => Some(Self::Uniform),
            None if text == "single" => Some(Self::Single),
            Some(("zipf", text)) => exponent(text).map(Self::Zipf),
            _ => None,
        }
        .ok_or_else(|| KeysError(text.to_owned()))
    }
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uniform => f.write_str("uniform"),
            Self::Zipf(exponent) => write!(f, "zipf:{exponent}"),
            Self::Single => f.write_str("single"),
        }
    }
}

/// Draws sku numbers.
#[derive(Debug, Clone)]
pub enum KeyPicker {
    /// Evenly, below this bound.
    Uniform(u32),
    /// By Zipf's law.
    Zipf(Zipf<f64>),
    /// Always 0.
    Single,
}

impl KeyPicker {
    /// A picker below `skus`, which is at least 1.
    pub fn new(keys: Keys, skus: u32) -> Self {
        match keys {
            Keys::Uniform => Self::Uniform(skus.max(1)),
            Keys::Single => Self::Single,
            // `Keys` holds only exponents that the distribution accepts.
            Keys::Zipf(exponent) => {
                Zipf::new(f64::from(skus.max(1)), exponent).map_or(Self::Uniform(skus.max(1)), Self::Zipf)
            }
        }
    }

    /// The number of one sku.
    pub fn pick(&self, rng: &mut impl Rng) -> u32 {
        match self {
            Self::Uniform(skus) => rng.random_range(0..*skus),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the sample is a whole number from 1 to the number of skus"
            )]
            Self::Zipf(zipf) => zipf.sample(rng) as u32 - 1,
            Self::Single => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::Xoshiro256PlusPlus;

    use super::*;

    fn counts(keys: Keys) -> Vec<u32> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let picker = KeyPicker::new(keys, 10);
        let mut counts = vec![0; 10];
        for _ in 0..20_000 {
            counts[picker.pick(&mut rng) as usize] += 1;
        }
        counts
    }

    #[test]
    fn uniform_is_even() {
        assert!(counts(Keys::Uniform).iter().all(|count| (1_800..2_200).contains(count)));
    }

    #[test]
    fn zipf_falls_with_the_rank() {
        let counts = counts(Keys::Zipf(1.0));
        // Of 20 000 draws over 10 ranks the first has 1/H(10) = 34.1%, the second half of that.
        assert!((6_500..7_150).contains(&counts[0]), "{counts:?}");
        assert!((3_200..3_600).contains(&counts[1]), "{counts:?}");
    }

    #[test]
    fn single_is_one_sku() {
        assert_eq!(counts(Keys::Single)[0], 20_000);
    }

    #[test]
    fn distributions_read_as_they_are_written() {
        for text in ["uniform", "single", "zipf:0.99"] {
            assert_eq!(text.parse::<Keys>().unwrap().to_string(), text);
        }
        for wrong in ["zipf", "zipf:-1", "zipf:x", "", "even"] {
            assert!(wrong.parse::<Keys>().is_err(), "{wrong}");
        }
    }
}
