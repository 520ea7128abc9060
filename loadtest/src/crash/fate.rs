//! What becomes of each life of the server: how long it is driven, how it ends, and how the next one begins.
//!
//! Drawn from the seed alone. The moment of a kill is a time, or what somebody sees first after it, and not a place in the
//! server's code, so it differs from run to run; what is asked and how each life ends do not.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use crate::cli::duration;

/// One life of so many ends by SIGTERM instead of SIGKILL.
const TERMINATED_EVERY: u32 = 8;

/// After one life of so many, a start is killed before it is ready.
const STILLBORN_EVERY: u32 = 5;

/// After one life of so many, clients already ask while the next one recovers.
const IMPATIENT_EVERY: u32 = 3;

/// Of so many kills in a row one comes at a random moment; the others wait for something to see, one of them in a hush.
const MOMENTS: u32 = 4;

/// The stream of random numbers of the fates, apart from those of the clients.
const STREAM: u64 = 0xC0A5_7B1E_F00D_5EED;

/// How long a life is driven, from being ready to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// At least.
    pub least: Duration,
    /// At most.
    pub most: Duration,
}

/// A span that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no span: use MIN..MAX with MIN not above MAX, up to an hour, such as 50ms..400ms")]
pub struct SpanError(String);

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let parts = text.split_once("..");
        let both = parts.and_then(|(least, most)| duration(least).ok().zip(duration(most).ok()));
        both.filter(|(least, most)| least <= most && *most <= Duration::from_hours(1))
            .map(|(least, most)| Self { least, most })
            .ok_or_else(|| SpanError(text.to_owned()))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}..{:?}", self.least, self.most)
    }
}

/// How a life ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By SIGKILL, at a random moment.
    Kill,
    /// By SIGKILL, at the first sight after a random moment of what a crash may take back: a level is missing whose
    /// deletion was not answered.
    KillOnSight,
    /// Likewise, after all has become quiet but the levels that come and go. An export waits for every level that is on its
    /// way to the disk, so amid traffic it hardly ever shows anything too early.
    KillInHush,
    /// By SIGTERM: what is in flight is to be answered, and the exit code is to be 0.
    Terminate,
}

/// What becomes of one life, and of the start after it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fate {
    /// How long it is driven.
    pub traffic: Duration,
    /// How it ends.
    pub ending: Ending,
    /// The next start is killed after this part of the time that the recovery before took; the one after it may live.
    pub stillborn: Option<f64>,
    /// Whether clients ask while the next life recovers, instead of finding it ready.
    pub impatient: bool,
}

/// Draws the fate of each life.
#[derive(Debug)]
pub struct Fates {
    rng: Xoshiro256PlusPlus,
    span: Span,
    drawn: u32,
    /// Where in their rounds the rarer fates come first, so that neither depends on the other.
    offsets: [u32; 4],
}

impl Fates {
    /// The fates of a seed.
    pub fn new(seed: u64, span: Span) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed ^ STREAM);
        let offsets = [TERMINATED_EVERY, STILLBORN_EVERY, IMPATIENT_EVERY, MOMENTS]
            .map(|every| rng.random_range(0..every));
        Self { rng, span, drawn: 0, offsets }
    }

    /// The next fate. The rarer ones come in turns, so that a run of some length has them all.
    pub fn draw(&mut self) -> Fate {
        let comes = |every: u32, offset: u32| self.drawn % every == offset;
        let moment = (self.drawn + self.offsets[3]) % MOMENTS;
        let ending = match moment {
            _ if comes(TERMINATED_EVERY, self.offsets[0]) => Ending::Terminate,
            0 => Ending::Kill,
            1 => Ending::KillInHush,
            _ => Ending::KillOnSight,
        };
        let is_stillborn = comes(STILLBORN_EVERY, self.offsets[1]);
        let impatient = comes(IMPATIENT_EVERY, self.offsets[2]);
        self.drawn += 1;
        let part = self.rng.random_range(0.0..=1.0);
        Fate {
            traffic: self.rng.random_range(self.span.least..=self.span.most),
            ending,
            stillborn: is_stillborn.then_some(part),
            impatient,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(seed: u64) -> Vec<Fate> {
        let mut fates = Fates::new(seed, "50ms..400ms".parse().unwrap());
        (0..40).map(|_| fates.draw()).collect()
    }

    #[test]
    fn the_seed_decides() {
        assert_eq!(fates(1), fates(1));
        assert_ne!(fates(1), fates(2));
    }

    #[test]
    fn a_run_of_eight_has_every_fate() {
        for seed in 0..50 {
            let fates = &fates(seed)[..8];
            assert!(fates.iter().any(|fate| fate.ending == Ending::Terminate));
            assert!(fates.iter().any(|fate| fate.ending == Ending::Kill));
            assert!(fates.iter().any(|fate| fate.ending == Ending::KillOnSight));
            assert!(fates.iter().any(|fate| fate.ending == Ending::KillInHush));
            assert!(fates.iter().any(|fate| fate.stillborn.is_some()));
            assert!(fates.iter().any(|fate| fate.impatient));
        }
    }

    #[test]
    fn lives_are_as_long_as_asked() {
        let span: Span = "50ms..400ms".parse().unwrap();
        assert!(fates(3).iter().all(|fate| (span.least..=span.most).contains(&fate.traffic)));
        assert_eq!(span.to_string(), "50ms..400ms");
        for wrong in ["", "50ms", "400ms..50ms", "1s..2h", "x..y"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
    }
}
