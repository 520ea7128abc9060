//! Across levels, the quick way: whether one order of everything exists, when each level by itself has one.
//!
//! An order that respects real time exists exactly if every operation can be given a moment between its invocation and its
//! return such that on each level moments do not go down from one version to the next, and operations do not wait for
//! each other in a circle. (From an order: each operation's moment is the latest invocation so far, which is no later
//! than its return, or real time would have put it first. From moments: order by them, and those that are equal as the
//! levels say.) Levels are tied together only by *joints*, writes that changed several of them. So of what comes
//! between two joints of a level no more matters than the latest invocation, before which the next joint cannot be,
//! and the earliest return, after which the last joint cannot have been. The earliest possible moment of each joint
//! follows from those before it, in one pass (Kahn 1962); if one is too late, or the pass ends early, there is no order.
//!
//! It answers yes or no; who is to blame is for [`super::order`] to find, on a history that is known to be wrong.

use super::index::{Index, NONE, Row};

/// What a violation that [`super::order`] cannot find again would say.
pub(super) const PROOF_MISSING: &str = "levels that have no common order have a circle";

/// What lies between two joints of a level, and the joint that ends it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    key: u32,
    /// The joint's record; [`NONE`] for what comes after a level's last joint.
    joint: u32,
    /// The latest invocation in it, the joint's included.
    invoked: u64,
    /// The earliest return in it, the joint's included.
    returned: u64,
}

impl Stretch {
    /// Appends the stretches of a level, from its first version to its last.
    pub(super) fn of_level(index: &Index<'_>, row: &Row, stretches: &mut Vec<Stretch>) {
        let empty = Stretch { key: row.key, joint: NONE, invoked: 0, returned: u64::MAX };
        let before = stretches.len();
        let mut stretch = empty;
        for event in &index.events[row.events.clone()] {
            stretch.invoked = stretch.invoked.max(event.invoked);
            stretch.returned = stretch.returned.min(event.returned);
            if event.is_joint {
                stretches.push(Stretch { joint: event.record, ..stretch });
                stretch = empty;
            }
        }
        // A level without joints is in order by itself, and ties nothing.
        if stretches.len() > before {
            stretches.push(stretch);
        }
    }
}

/// Whether there is an order of everything; stretches come by level, in the order of its versions.
pub(super) fn have_an_order(stretches: &[Stretch]) -> bool {
    let joints = Joints::new(stretches);
    // The earliest moment of each joint, as far as is known, and how many of its levels have come to it.
    let mut joint_states = vec![(0u64, 0u32); joints.count()];
    let mut ready: Vec<(u32, u64)> = first_of_levels(stretches).map(|first| (first, 0)).collect();
    let mut done = 0;
    while let Some((number, entered)) = ready.pop() {
        let stretch = &stretches[number as usize];
        if entered > stretch.returned {
            return false;
        }
        if stretch.joint == NONE {
            continue;
        }
        let joint = joints.of_stretch[number as usize];
        let parts = joints.parts(joint);
        let (moment, arrived) = &mut joint_states[joint as usize];
        *moment = (*moment).max(entered).max(stretch.invoked);
        *arrived += 1;
        if (*arrived as usize) < parts.len() {
            continue;
        }
        // It is no later than the joint's return: what was entered is not, and what was sent before is not, or the level by
        // itself would not be in order.
        done += 1;
        ready.extend(parts.iter().map(|part| (part + 1, *moment)));
    }
    done == joints.count()
}

/// Where the stretches of each level begin.
fn first_of_levels(stretches: &[Stretch]) -> impl Iterator<Item = u32> {
    let is_first = |at: &u32| *at == 0 || stretches[*at as usize].key != stretches[*at as usize - 1].key;
    (0..).take(stretches.len()).filter(is_first)
}

/// Which stretches end in one joint.
struct Joints {
    /// By stretch; [`NONE`] for one that ends in none.
    of_stretch: Vec<u32>,
    /// Where in `parts` each joint's begin, and the end of the last.
    starts: Vec<u32>,
    parts: Vec<u32>,
}

impl Joints {
    fn new(stretches: &[Stretch]) -> Self {
        let mut parts: Vec<u32> =
            (0..).take(stretches.len()).filter(|at| stretches[*at as usize].joint != NONE).collect();
        parts.sort_unstable_by_key(|at| (stretches[*at as usize].joint, *at));
        let mut of_stretch = vec![NONE; stretches.len()];
        let mut starts = Vec::new();
        let mut end = 0;
        for same in parts.chunk_by(|a, b| stretches[*a as usize].joint == stretches[*b as usize].joint) {
            for part in same {
                of_stretch[*part as usize] = u32::try_from(starts.len()).unwrap_or(NONE);
            }
            starts.push(end);
            end += u32::try_from(same.len()).unwrap_or(NONE);
        }
        starts.push(end);
        Self { of_stretch, starts, parts }
    }

    fn count(&self) -> usize {
        self.starts.len() - 1
    }

    fn parts(&self, joint: u32) -> &[u32] {
        let joint = joint as usize;
        &self.parts[self.starts[joint] as usize..self.starts[joint + 1] as usize]
    }
}
