//! [`Manual`]: time as a test wants it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::TimeSource;

/// Passes when it is told to, and is set when it is told to.
#[derive(Debug)]
pub(crate) struct Manual {
    passed_ms: AtomicU64,
    wall_ms: AtomicU64,
}

impl Manual {
    /// A time source whose wall clock shows that.
    pub(crate) fn at(wall_ms: u64) -> Self {
        Self { passed_ms: AtomicU64::new(0), wall_ms: AtomicU64::new(wall_ms) }
    }

    /// So much time passes.
    pub(crate) fn pass(&self, time: Duration) {
        let ms = super::milliseconds(time);
        self.passed_ms.fetch_add(ms, Ordering::Relaxed);
        self.wall_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// Somebody sets the wall clock.
    pub(crate) fn set(&self, wall_ms: u64) {
        self.wall_ms.store(wall_ms, Ordering::Relaxed);
    }
}

impl TimeSource for Manual {
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.passed_ms.load(Ordering::Relaxed))
    }

    fn wall_ms(&self) -> u64 {
        self.wall_ms.load(Ordering::Relaxed)
    }
}
