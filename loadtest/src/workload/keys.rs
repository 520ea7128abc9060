//! How skus are drawn: evenly, by Zipf's law, mostly from a few, or always the same one.

use std::fmt;
use std::str::FromStr;

use rand::{Rng, RngExt};
use rand_distr::{Distribution, Zipf};

/// The distribution of a workload over its skus.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Keys {
    /// Every sku equally often.
    Uniform,
    /// The sku of rank r (from 1) with a weight of r^-S: those of the first ranks are fought over. Ranks are scattered over the
    /// numbers, so that it is not neighbours that are fought over.
    Zipf(f64),
    /// This part of the skus, the first ones, has this share of all requests.
    Hotspot {
        /// The part of the skus, above 0.
        skus: f64,
        /// Their share of the requests.
        share: f64,
    },
    /// Only the first sku.
    Single,
}

/// A distribution that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no distribution: use uniform, single, zipf:S with S from 0 to 10, such as zipf:1.0, or hotspot:F:S, the \
     part F of the skus with the share S of the requests, both from 0 to 1, such as hotspot:0.1:0.9"
)]
pub struct KeysError(String);

impl FromStr for Keys {
    type Err = KeysError;

    fn from_str(text: &str) -> Result<Self, KeysError> {
        let exponent = |text: &str| text.parse().ok().filter(|exponent| (0.0..=10.0).contains(exponent));
        match text.split_once(':') {
            None if text == "uniform" => Some(Self::Uniform),
            None if text == "single" => Some(Self::Single),
            Some(("hotspot", both)) => hotspot(both),
            Some(("zipf", text)) => exponent(text).map(Self::Zipf),
            _ => None,
        }
        .ok_or_else(|| KeysError(text.to_owned()))
    }
}

fn hotspot(both: &str) -> Option<Keys> {
    let (skus, share) = both.split_once(':')?;
    let part = |text: &str| text.parse::<f64>().ok().filter(|part| (0.0..=1.0).contains(part));
    let (skus, share) = (part(skus)?, part(share)?);
    (skus > 0.0).then_some(Keys::Hotspot { skus, share })
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uniform => f.write_str("uniform"),
            Self::Zipf(exponent) => write!(f, "zipf:{exponent}"),
            Self::Hotspot { skus, share } => write!(f, "hotspot:{skus}:{share}"),
            Self::Single => f.write_str("single"),
        }
    }
}

/// Draws sku numbers.
#[derive(Debug, Clone)]
pub enum KeyPicker {
    /// Evenly, below this bound.
    Uniform(u32),
    /// By Zipf's law, rank r at number r times the step, modulo their count, which is coprime to it.
    Zipf {
        /// Draws ranks.
        ranks: Zipf<f64>,
        /// How far apart neighbours in rank are.
        step: u32,
        /// How many there are.
        skus: u32,
    },
    /// Below the first bound with this probability, from there to the second otherwise.
    Hotspot {
        /// How many are hot.
        hot: u32,
        /// How many there are.
        skus: u32,
        /// How often a hot one is drawn.
        share: f64,
    },
    /// Always 0.
    Single,
}

impl KeyPicker {
    /// A picker below `skus`, which is at least 1.
    pub fn new(keys: Keys, skus: u32) -> Self {
        let skus = skus.max(1);
        match keys {
            Keys::Uniform => Self::Uniform(skus),
            Keys::Single => Self::Single,
            // `Keys` holds only exponents that the distribution accepts.
            Keys::Zipf(exponent) => Zipf::new(f64::from(skus), exponent)
                .map_or(Self::Uniform(skus), |ranks| Self::Zipf { ranks, step: step(skus), skus }),
            Keys::Hotspot { skus: part, share } => {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of them")]
                let hot = ((part * f64::from(skus)).ceil() as u32).clamp(1, skus);
                Self::Hotspot { hot, skus, share }
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
            Self::Zipf { ranks, step, skus } => {
                let rank = ranks.sample(rng) as u64 - 1;
                (rank * u64::from(*step) % u64::from(*skus)) as u32
            }
            Self::Hotspot { hot, skus, share } => {
                if hot == skus || rng.random_bool(*share) {
                    rng.random_range(0..*hot)
                } else {
                    rng.random_range(*hot..*skus)
                }
            }
            Self::Single => 0,
        }
    }
}

/// How far apart neighbours in rank are put: about the golden section of all, which scatters them well (Knuth, *The Art of
/// Computer Programming*, volume 3, section 6.4), and coprime to their count, so that each rank has a number of its own.
fn step(skus: u32) -> u32 {
    let golden = u64::from(skus) * 618 / 1_000;
    #[expect(clippy::cast_possible_truncation, reason = "not above the count")]
    let from = golden.max(1) as u32;
    (from..=skus).find(|step| coprime(*step, skus)).unwrap_or(1)
}

const fn coprime(mut a: u32, mut b: u32) -> bool {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a == 1
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
        // The step of ten is 7: rank 1 is number 0, rank 2 number 7.
        assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
        // Of 20 000 draws over 10 ranks the first has 1/H(10) = 34.1%, the second half of that.
        assert!((6_500..7_150).contains(&counts[0]), "{counts:?}");
        assert!((3_200..3_600).contains(&counts[7]), "{counts:?}");
    }

    #[test]
    fn every_rank_has_a_number_of_its_own() {
        for skus in [1, 2, 3, 10, 99, 100, 1_000, 99_991] {
            let step = u64::from(step(skus));
            let mut numbers: Vec<u64> =
                (0..u64::from(skus)).map(|rank| rank * step % u64::from(skus)).collect();
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), skus as usize);
        }
    }

    #[test]
    fn a_hotspot_has_its_share() {
        let counts = counts(Keys::Hotspot { skus: 0.2, share: 0.9 });
        let hot: u32 = counts[..2].iter().sum();
        assert!((17_800..18_200).contains(&hot), "{counts:?}");
        assert!(counts[2..].iter().all(|count| (180..320).contains(count)), "{counts:?}");
        let picker = KeyPicker::new(Keys::Hotspot { skus: 0.01, share: 0.5 }, 1);
        assert_eq!(picker.pick(&mut Xoshiro256PlusPlus::seed_from_u64(1)), 0);
    }

    #[test]
    fn single_is_one_sku() {
        assert_eq!(counts(Keys::Single)[0], 20_000);
    }

    #[test]
    fn distributions_read_as_they_are_written() {
        for text in ["uniform", "single", "zipf:0.99", "hotspot:0.1:0.9"] {
            assert_eq!(text.parse::<Keys>().unwrap().to_string(), text);
        }
        for wrong in ["hotspot:0:1", "hotspot:0.1", "hotspot:2:1", "zipf", "zipf:-1", "zipf:x", "", "even"] {
            assert!(wrong.parse::<Keys>().is_err(), "{wrong}");
        }
    }
}
