//! Places under the model checker (shuttle), on the code that is shipped: who leaves against who lines up, and against who gives up.
//!
//! Whoever is in line and is not let in is a deadlock, which shuttle reports.

use std::future::poll_fn;
use std::sync::Arc;

use shuttle::future::block_on;
use shuttle::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use shuttle::thread;

use super::{LinedUp, Permit, Room};
use crate::sync::schedules::outcomes;

const PLACES: usize = 1;

/// A room, and how many are in it by what they see themselves.
struct House {
    room: &'static Room,
    inside: AtomicUsize,
}

impl House {
    fn new(line_max: usize) -> Arc<Self> {
        // Leaked, as that of the service is: a model has a few bytes of it.
        let room = Box::leak(Box::new(Room::new(PLACES, line_max)));
        Arc::new(Self { room, inside: AtomicUsize::new(0) })
    }

    fn works(&self, permit: Permit) {
        let inside = self.inside.fetch_add(1, SeqCst) + 1;
        assert!(inside <= PLACES, "{inside} are inside");
        self.inside.fetch_sub(1, SeqCst);
        drop(permit);
    }

    /// Comes in, at once or in its turn; `false` if it is turned away.
    fn comes_in(&self) -> bool {
        if let Some(permit) = self.room.try_enter() {
            self.works(permit);
            return true;
        }
        match self.room.line_up() {
            LinedUp::Inside(permit) => self.works(permit),
            LinedUp::Waiting(mut ticket) => {
                let permit = block_on(poll_fn(|cx| ticket.poll(cx)));
                self.works(permit);
            }
            LinedUp::Full => return false,
        }
        true
    }

    /// Lines up, and leaves without a look.
    fn gives_up(&self) {
        if let Some(permit) = self.room.try_enter() {
            return self.works(permit);
        }
        if let LinedUp::Waiting(mut ticket) = self.room.line_up()
            && let Some(permit) = ticket.give_up()
        {
            self.works(permit);
        }
    }

    fn is_empty(&self) {
        assert_eq!(self.room.counts(), (0, 0), "all places are free again");
    }
}

/// P10: everybody who is in line comes in, whoever leaves when; never more than may are inside.
#[test]
fn who_is_in_line_is_let_in() {
    let occurred = outcomes(|| {
        let house = House::new(2);
        let others = [(); 2].map(|()| {
            let house = Arc::clone(&house);
            thread::spawn(move || house.comes_in())
        });
        let mine = house.comes_in();
        let all = others.into_iter().fold(mine, |all, other| other.join().unwrap() && all);
        house.is_empty();
        all.to_string()
    });
    assert_eq!(occurred, ["true".to_owned()].into(), "there is room for all in line");
}

/// A line of one: one is turned away, or none; and a place is never lost.
#[test]
fn who_finds_the_line_full_is_turned_away() {
    let occurred = outcomes(|| {
        let house = House::new(1);
        let others = [(); 2].map(|()| {
            let house = Arc::clone(&house);
            thread::spawn(move || house.comes_in())
        });
        let mut let_in = usize::from(house.comes_in());
        for other in others {
            let_in += usize::from(other.join().unwrap());
        }
        house.is_empty();
        let_in.to_string()
    });
    assert_eq!(occurred, ["2".to_owned(), "3".to_owned()].into());
}

/// P11: who gives up while it is let in leaves its place to the next.
#[test]
fn who_gives_up_keeps_no_place() {
    let occurred = outcomes(|| {
        let house = House::new(2);
        let others = [true, false].map(|stays| {
            let house = Arc::clone(&house);
            thread::spawn(move || {
                if stays {
                    assert!(house.comes_in());
                } else {
                    house.gives_up();
                }
            })
        });
        assert!(house.comes_in());
        for other in others {
            other.join().unwrap();
        }
        house.is_empty();
        String::new()
    });
    assert_eq!(occurred.len(), 1);
}
