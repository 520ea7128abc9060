//! [`Register`]: what is found by its name, shown in pages, and forgotten some time after it is over: reservations and orders.
//!
//! It knows nothing of what it keeps but the name; whether something is over, who keeps it says.

use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use super::sorted::{Keyed, Sorted};
use crate::stock::Id;
use crate::sync::Mutex;

pub(super) const SHARDS: usize = 16;

/// How many of a shard a page looks at, whether or not they are what is asked for.
const EXAMINED_MAX: usize = 4 * 1024;

/// What may be kept.
pub trait Kept {
    /// What its name is a name of.
    type Of: fmt::Debug;

    /// Its name.
    fn id(&self) -> Id<Self::Of>;
}

/// All that is kept.
#[derive(Debug)]
pub struct Register<T: Kept> {
    shards: Box<[Mutex<Shard<T>>]>,
    finished_max: usize,
}

/// What has a name that falls here, and of what is over when that was, oldest first.
#[derive(Debug)]
struct Shard<T: Kept> {
    all: Sorted<Named<T>>,
    finished: VecDeque<(u64, Id<T::Of>)>,
}

/// One of it. The half of its name in which the time is lies beside it, so that nearly none is looked at to find one.
#[derive(Debug)]
struct Named<T: Kept> {
    half: u64,
    kept: Arc<T>,
}

impl<T: Kept> Keyed for Named<T> {
    type Key = Id<T::Of>;

    fn key(&self) -> Id<T::Of> {
        self.kept.id()
    }

    fn compare(&self, key: &Id<T::Of>) -> Ordering {
        self.half.cmp(&key.to_halves()[0]).then_with(|| self.key().cmp(key))
    }
}

/// A page of it.
#[derive(Debug)]
pub struct Page<T: Kept> {
    /// Ascending by name, and so by when it was made.
    pub kept: Vec<Arc<T>>,
    /// After which name the next page begins, if there may be one.
    pub next: Option<Id<T::Of>>,
}

impl<T: Kept> Register<T> {
    /// Nothing. Of what is over `finished_max` stay, at most.
    pub fn new(finished_max: usize) -> Self {
        let shard = || Mutex::new(Shard { all: Sorted::default(), finished: VecDeque::new() });
        Self { shards: (0..SHARDS).map(|_| shard()).collect(), finished_max }
    }

    /// Puts something in.
    pub fn insert(&self, kept: Arc<T>) {
        let id = kept.id();
        self.shard(id).lock().all.insert(Named { half: id.to_halves()[0], kept });
    }

    /// Takes something out.
    pub fn remove(&self, id: Id<T::Of>) {
        self.shard(id).lock().all.remove(&id);
    }

    /// What has that name, while it is there.
    pub fn get(&self, id: Id<T::Of>) -> Option<Arc<T>> {
        self.shard(id).lock().all.get(&id).map(|named| Arc::clone(&named.kept))
    }

    /// Something is over, at that time as it grows old: the oldest that are go.
    pub fn finished(&self, id: Id<T::Of>, finished_ms: u64) {
        let mut shard = self.shard(id).lock();
        shard.finished.push_back((finished_ms, id));
        while shard.finished.len() > self.finished_max.div_ceil(SHARDS) {
            shard.forget_oldest();
        }
    }

    /// Forgets what was over at `before_ms` or earlier.
    pub fn forget_before(&self, before_ms: u64) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            while shard.finished.front().is_some_and(|(finished_ms, _)| *finished_ms <= before_ms) {
                shard.forget_oldest();
            }
        }
    }

    /// Calls `each` with everything, a shard at a time; without a lock meanwhile.
    pub fn walk(&self, mut each: impl FnMut(&Arc<T>)) {
        for shard in &self.shards {
            let kept: Vec<_> = shard.lock().all.iter().map(|named| Arc::clone(&named.kept)).collect();
            kept.iter().for_each(&mut each);
        }
    }

    /// A page of what comes after `after`, in the order of names, and is wanted.
    pub fn page(
        &self,
        after: Option<Id<T::Of>>,
        limit: usize,
        mut is_wanted: impl FnMut(&T) -> bool,
    ) -> Page<T> {
        let (mut found, mut bound) = (Vec::new(), None::<Id<T::Of>>);
        for shard in &self.shards {
            let shard = shard.lock();
            let (mut examined, mut taken, mut last) = (0, 0, None);
            let from = after.unwrap_or(Id::from_bits(0));
            for Named { kept, .. } in shard.all.at_or_above(&from).filter(|named| after != Some(named.key()))
            {
                let id = kept.id();
                if examined == EXAMINED_MAX || taken > limit {
                    // Beyond this one of the shard nothing is known.
                    let known = last.unwrap_or(id);
                    bound = Some(bound.map_or(known, |bound| bound.min(known)));
                    break;
                }
                examined += 1;
                last = Some(id);
                if is_wanted(kept) {
                    taken += 1;
                    found.push(Arc::clone(kept));
                }
            }
        }
        found.retain(|kept| bound.is_none_or(|bound| kept.id() <= bound));
        found.sort_unstable_by_key(|kept| kept.id());
        let next = if found.len() > limit { found.get(limit - 1).map(|last| last.id()) } else { bound };
        found.truncate(limit);
        Page { kept: found, next }
    }

    fn shard(&self, id: Id<T::Of>) -> &Mutex<Shard<T>> {
        // The low bits are random, or count up.
        &self.shards[usize::try_from(id.to_bits() % SHARDS as u128).expect("below the number of shards")]
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().all.len()).sum()
    }
}

impl<T: Kept> Shard<T> {
    fn forget_oldest(&mut self) {
        if let Some((_, id)) = self.finished.pop_front() {
            self.all.remove(&id);
        }
    }
}

/// Of what a start found, forgets what was over at `before_ms` or earlier, and of the rest that is over all but the newest `finished_max`.
/// `finished_ms` says when something was over, as it grows old: `None` if it is not.
pub(super) fn forget<Of, F>(
    found: &mut HashMap<Id<Of>, F>,
    before_ms: u64,
    finished_max: usize,
    finished_ms: impl Fn(&F) -> Option<u64>,
) {
    found.retain(|_, it| finished_ms(it).is_none_or(|finished_ms| finished_ms > before_ms));
    let over = found.iter().filter_map(|(id, it)| Some((finished_ms(it)?, *id)));
    let mut over: Vec<(u64, Id<Of>)> = over.collect();
    let surplus = over.len().saturating_sub(finished_max);
    if surplus > 0 {
        over.sort_unstable();
        for (_, id) in over.drain(..surplus) {
            found.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Numbered(u64);

    impl Kept for Numbered {
        type Of = Self;

        fn id(&self) -> Id<Self> {
            Id::from_bits(self.0.into())
        }
    }

    /// P10: a page looks at so many and no more; page by page whatever is wanted is there once, in order, however much stands before it.
    #[test]
    fn pages_that_stop_early_leave_nothing_out_and_show_nothing_twice() {
        let register = Register::new(9);
        // All of one shard, of which two are wanted, far into it; beside it a few of others.
        let (in_the_way, shards) = (3 * EXAMINED_MAX as u64, SHARDS as u64);
        let wanted: Vec<u64> =
            (0..40).map(|number| 1 + number * in_the_way * shards / 40 + number % 7).collect();
        let far = [in_the_way / 2 * shards, in_the_way * shards];
        for number in (0..=in_the_way).map(|number| number * shards).chain(wanted.iter().copied()) {
            register.insert(Arc::new(Numbered(number)));
        }
        let mut expected: Vec<u64> = wanted.iter().copied().filter(|number| number % shards != 0).collect();
        expected.extend(far);
        expected.sort_unstable();
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let mut examined = 0;
            let page = register.page(after, 30, |kept| {
                examined += 1;
                !kept.0.is_multiple_of(shards) || far.contains(&kept.0)
            });
            assert!(page.kept.len() <= 30 && examined <= EXAMINED_MAX * SHARDS);
            seen.extend(page.kept.iter().map(|kept| kept.0));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, expected);
    }
}
