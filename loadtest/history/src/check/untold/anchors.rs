//! [`Anchors`]: the moments of a search at which all was known. What came before the last one that lies before a contradiction has
//! nothing to do with it.

use std::collections::VecDeque;

/// A moment at which all was known: the units, and what was under way and had not taken place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Anchor<K> {
    /// The units: of the level, or of all.
    pub(in super::super) known: K,
    /// The operation whose return it was; none for the beginning.
    pub(in super::super) told_by: Option<usize>,
    pub(in super::super) under_way: Vec<usize>,
    /// The first operation that had not been sent.
    pub(in super::super) next: usize,
}

/// The anchors of a search, by time: the beginning, or what follows it, and as many as operations under way may need.
#[derive(Debug)]
pub(super) struct Anchors<K>(VecDeque<Anchor<K>>);

impl<K> Anchors<K> {
    /// The beginning.
    pub(super) fn new(known: K) -> Self {
        Self(VecDeque::from([Anchor { known, told_by: None, under_way: Vec::new(), next: 0 }]))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The first operation that had not been sent at the last one.
    pub(super) fn next(&self) -> usize {
        self.0.back().map_or(0, |anchor| anchor.next)
    }

    pub(super) fn push(&mut self, anchor: Anchor<K>) {
        self.0.push_back(anchor);
    }

    /// Forgets those that are followed by another from before that moment. `returned` is when an operation returned.
    pub(super) fn forget_before(&mut self, moment: u64, returned: impl Fn(usize) -> u64) {
        while self.0.get(1).is_some_and(|anchor| is_before(anchor, moment, &returned)) {
            self.0.pop_front();
        }
    }

    /// Takes the last one before that moment; the oldest there is, if none is.
    pub(super) fn take_before(mut self, moment: u64, returned: impl Fn(usize) -> u64) -> Anchor<K> {
        let place = self.0.iter().rposition(|anchor| is_before(anchor, moment, &returned));
        self.0.swap_remove_back(place.unwrap_or(0)).expect("there is always one")
    }
}

fn is_before<K>(anchor: &Anchor<K>, moment: u64, returned: impl Fn(usize) -> u64) -> bool {
    anchor.told_by.is_none_or(|act| returned(act) < moment)
}
