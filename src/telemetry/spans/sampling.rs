//! [`Sampling`]: which requests are recorded: those of whose trace others have a part, and of the others a share.

use std::cell::Cell;
use std::hash::{BuildHasher as _, RandomState};

use super::Parent;

/// All of the lower half of the id of a trace, but for a bit: a ratio is one of this, as OpenTelemetry's own sampler has it
/// (`TraceIdRatioBased`), so that services that sample by the same ratio choose the same traces.
const WHOLE: u64 = 1 << 63;

/// Which requests are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// Of those that are a part of a trace, the ones that the client recorded; else they are chosen as all others.
    by_parent: bool,
    /// Below it, the lower half of the id is chosen.
    below: u64,
}

impl Sampling {
    /// This share of all, from 0 to 1; or of those that have no parent, if that decides for its own.
    pub fn from_ratio(ratio: f64, by_parent: bool) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to 2^63")]
        let below = (ratio.clamp(0.0, 1.0) * WHOLE as f64) as u64;
        Self { by_parent, below }
    }

    /// The trace that a span of such a parent is recorded in, if it is.
    #[inline]
    pub(super) fn trace(self, parent: Option<Parent>) -> Option<u128> {
        match parent {
            Some(parent) if self.by_parent => parent.is_sampled.then_some(parent.trace),
            Some(parent) => self.chooses(lower_half(parent.trace)).then_some(parent.trace),
            None if self.below == 0 => None,
            None => {
                // The half that decides is drawn first, by what is cheap: nearly all end here.
                let lower = next_random();
                self.chooses(lower).then(|| u128::from(random_id()) << 64 | u128::from(lower))
            }
        }
    }

    fn chooses(self, lower_half: u64) -> bool {
        lower_half >> 1 < self.below
    }
}

#[expect(clippy::cast_possible_truncation, reason = "half of it is what is wanted")]
fn lower_half(trace: u128) -> u64 {
    trace as u64
}

/// An id, not 0. It hides nothing, so the hasher's own randomness will do.
pub fn random_id() -> u64 {
    RandomState::new().hash_one(0_u8).max(1)
}

thread_local! {
    // 0 before the first: a seed that is drawn is none.
    static STATE: Cell<u64> = const { Cell::new(0) };
}

/// The next of this thread's pseudo-random numbers: `SplitMix64` (Steele, Lea, Flood, OOPSLA 2014), a handful of instructions.
fn next_random() -> u64 {
    let before = STATE.get();
    let state = if before == 0 { random_id() } else { before }.wrapping_add(0x9E37_79B9_7F4A_7C15);
    STATE.set(state);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parent(trace: u128, is_sampled: bool) -> Parent {
        Parent { trace, span: 1, is_sampled }
    }

    #[test]
    fn a_parent_decides_for_its_own() {
        for ratio in [0.0, 1.0] {
            let sampling = Sampling::from_ratio(ratio, true);
            assert_eq!(sampling.trace(Some(parent(7, true))), Some(7));
            assert_eq!(sampling.trace(Some(parent(7, false))), None);
            assert_eq!(sampling.trace(None).is_some(), ratio > 0.5);
        }
    }

    #[test]
    fn without_that_its_trace_decides() {
        let (most, none) = (u128::from(u64::MAX), Sampling::from_ratio(0.0, false));
        assert_eq!((none.trace(Some(parent(7, true))), none.trace(None)), (None, None));
        let all = Sampling::from_ratio(1.0, false);
        assert_eq!(all.trace(Some(parent(most, false))), Some(most));
        let half = Sampling::from_ratio(0.5, false);
        let lowest = most << 64 | u128::from(WHOLE - 1);
        assert_eq!(half.trace(Some(parent(lowest, false))), Some(lowest));
        assert_eq!(half.trace(Some(parent(u128::from(WHOLE), true))), None);
    }

    /// 10 000 draws of one in ten have a standard deviation of 30; none is drawn twice.
    #[test]
    fn a_share_is_about_as_large_as_asked_for() {
        let sampling = Sampling::from_ratio(0.1, true);
        let mut traces: Vec<u128> = (0..10_000).filter_map(|_| sampling.trace(None)).collect();
        let count = traces.len();
        assert!((700..1_300).contains(&count), "{count}");
        traces.sort_unstable();
        traces.dedup();
        assert_eq!(traces.len(), count);
        assert!(traces.iter().all(|trace| trace >> 64 != 0), "the upper half is drawn as well");
    }
}
