//! The live view of a run, on a terminal: throughput, latency, contention, and what can be said of the proof so far.
//!
//! A thread of its own looks at the [`Board`] four times a second, makes a [`picture`] of it and [draws](draw) it on the
//! [`screen`]. Nobody who is measured waits for it, and nothing it shows is what the report tells: that is measured exactly.

pub mod draw;
pub mod picture;
pub mod screen;
#[cfg(test)]
mod tests;
mod words;

use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use crate::progress::board::Board;
use draw::Paint;
use picture::Trail;
pub use screen::{close, hold, is_dumb, is_fit};

/// Between two pictures.
const TICK: Duration = Duration::from_millis(250);

/// Takes the terminal and shows the board on it, until the view is closed or the board is gone; whether that could be done.
pub fn open(board: &Arc<Board>) -> bool {
    let board = Arc::downgrade(board);
    screen::open() && {
        thread::spawn(move || show(&board));
        true
    }
}

fn show(board: &Weak<Board>) {
    let paint = Paint { colours: console::colors_enabled_stderr() };
    let mut trail = Trail::default();
    while let Some(picture) = board.upgrade().map(|board| trail.follow(board.look())) {
        if !screen::draw(|frame, remarks| draw::draw(frame, &picture, remarks, paint)) {
            return;
        }
        thread::park_timeout(TICK);
    }
}
