//! [`BodyRoom`]: the memory that bodies take while they come, all of them together.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::http::problem::{Problem, ProblemKind};

/// How many bytes the bodies may take that came in several pieces, and are kept until they are answered. One that came in one piece, as most
/// do, is in the buffer of its connection, and takes nothing of this.
#[derive(Debug)]
pub struct BodyRoom {
    max: usize,
    taken: AtomicUsize,
}

/// What one body takes. Dropped, it is given back.
#[derive(Debug)]
pub(super) struct Taken {
    room: &'static BodyRoom,
    bytes: usize,
}

impl BodyRoom {
    /// For so many bytes.
    pub fn new(max: usize) -> Self {
        Self { max, taken: AtomicUsize::new(0) }
    }

    /// How many bytes are taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// For a body of which nothing has come.
    pub(super) fn for_one(&'static self) -> Taken {
        Taken { room: self, bytes: 0 }
    }
}

impl Taken {
    /// Takes so many bytes in all; refused if there are not so many.
    pub(super) fn grow_to(&mut self, bytes: usize) -> Result<(), Problem> {
        let more = bytes.saturating_sub(self.bytes);
        let grown = |taken: usize| taken.checked_add(more).filter(|taken| *taken <= self.room.max);
        let is_grown = self.room.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown);
        is_grown.map_err(|_| {
            let detail =
                "the bodies of other requests take all the memory there is for them; nothing was changed";
            Problem::new(ProblemKind::Overloaded, detail)
        })?;
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.room.taken.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_bounded_and_comes_back() {
        let room: &'static BodyRoom = Box::leak(Box::new(BodyRoom::new(100)));
        let (mut first, mut second) = (room.for_one(), room.for_one());
        first.grow_to(60).unwrap();
        first.grow_to(50).unwrap();
        second.grow_to(40).unwrap();
        second.grow_to(41).unwrap_err();
        assert_eq!(room.taken(), 100);
        drop(first);
        second.grow_to(100).unwrap();
        drop(second);
        assert_eq!(room.taken(), 0);
    }
}
