//! The switch itself: locks and words that are the model checker's in a model, and the real ones outside.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

thread_local! {
    static IN_MODEL: Cell<bool> = const { Cell::new(false) };
}

/// Runs a model: whatever is made meanwhile is the model checker's, which runs all threads of a model on this one.
pub(super) fn modelled(run: impl FnOnce()) {
    IN_MODEL.set(true);
    run();
    IN_MODEL.set(false);
}

pub(super) fn in_model() -> bool {
    IN_MODEL.get()
}

/// A mutex with parking_lot's face, of whichever kind: a panic does not poison it.
#[derive(Debug)]
pub enum Mutex<T> {
    /// Of a model.
    Model(shuttle::sync::Mutex<T>),
    /// Outside.
    Real(parking_lot::Mutex<T>),
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

/// What [`Mutex::lock`] gives.
#[derive(Debug)]
pub enum MutexGuard<'a, T> {
    /// Of a model.
    Model(shuttle::sync::MutexGuard<'a, T>),
    /// Outside.
    Real(parking_lot::MutexGuard<'a, T>),
}

/// A condition, of whichever kind.
#[derive(Debug)]
pub enum Condvar {
    /// Of a model.
    Model(shuttle::sync::Condvar),
    /// Outside.
    Real(parking_lot::Condvar),
}

impl<T> Mutex<T> {
    /// A free one.
    pub fn new(value: T) -> Self {
        if in_model() {
            Self::Model(shuttle::sync::Mutex::new(value))
        } else {
            Self::Real(parking_lot::Mutex::new(value))
        }
    }

    /// Waits for it.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        match self {
            Self::Model(mutex) => MutexGuard::Model(mutex.lock().unwrap_or_else(PoisonError::into_inner)),
            Self::Real(mutex) => MutexGuard::Real(mutex.lock()),
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Model(guard) => guard,
            Self::Real(guard) => guard,
        }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        match self {
            Self::Model(guard) => guard,
            Self::Real(guard) => guard,
        }
    }
}

impl Condvar {
    /// One that nobody waits for.
    pub fn new() -> Self {
        if in_model() {
            Self::Model(shuttle::sync::Condvar::new())
        } else {
            Self::Real(parking_lot::Condvar::new())
        }
    }

    /// Wakes one.
    pub fn notify_one(&self) {
        match self {
            Self::Model(condvar) => condvar.notify_one(),
            Self::Real(condvar) => _ = condvar.notify_one(),
        }
    }

    /// Wakes all.
    pub fn notify_all(&self) {
        match self {
            Self::Model(condvar) => condvar.notify_all(),
            Self::Real(condvar) => _ = condvar.notify_all(),
        }
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

/// Sleeps until it is notified. The lock is free meanwhile.
pub fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    match (condvar, guard) {
        (Condvar::Model(condvar), MutexGuard::Model(guard)) => {
            MutexGuard::Model(condvar.wait(guard).unwrap_or_else(PoisonError::into_inner))
        }
        (Condvar::Real(condvar), MutexGuard::Real(mut guard)) => {
            condvar.wait(&mut guard);
            MutexGuard::Real(guard)
        }
        _ => unreachable!("a condition and its lock are made together"),
    }
}

/// A word that threads share, of whichever kind.
#[derive(Debug)]
pub enum AtomicU64 {
    /// Of a model.
    Model(shuttle::sync::atomic::AtomicU64),
    /// Outside.
    Real(std::sync::atomic::AtomicU64),
}

impl AtomicU64 {
    /// One with that value.
    pub fn new(value: u64) -> Self {
        if in_model() {
            Self::Model(shuttle::sync::atomic::AtomicU64::new(value))
        } else {
            Self::Real(std::sync::atomic::AtomicU64::new(value))
        }
    }

    /// Reads it.
    pub fn load(&self, order: Ordering) -> u64 {
        match self {
            Self::Model(word) => word.load(order),
            Self::Real(word) => word.load(order),
        }
    }

    /// Writes what `next` makes of it, if it makes anything; what it was, either way.
    pub fn fetch_update(
        &self,
        set: Ordering,
        fetch: Ordering,
        next: impl FnMut(u64) -> Option<u64>,
    ) -> Result<u64, u64> {
        match self {
            Self::Model(word) => word.fetch_update(set, fetch, next),
            Self::Real(word) => word.fetch_update(set, fetch, next),
        }
    }

    /// Takes so much away, and returns what it was.
    pub fn fetch_sub(&self, less: u64, order: Ordering) -> u64 {
        match self {
            Self::Model(word) => word.fetch_sub(less, order),
            Self::Real(word) => word.fetch_sub(less, order),
        }
    }

    /// Writes it, and returns what it was.
    pub fn swap(&self, value: u64, order: Ordering) -> u64 {
        match self {
            Self::Model(word) => word.swap(value, order),
            Self::Real(word) => word.swap(value, order),
        }
    }
}

/// Tokio's wake-up, which has no model: each call is one step, before which others may run.
#[derive(Debug)]
pub struct Notify {
    wakes: tokio::sync::Notify,
    /// Taken for a moment: in a model, that is where others may run.
    step: Mutex<()>,
}

impl Notify {
    /// One that nobody waits for.
    pub fn new() -> Self {
        Self { wakes: tokio::sync::Notify::new(), step: Mutex::default() }
    }

    /// Completes once somebody notifies from here on.
    pub fn notified(&self) -> tokio::sync::futures::Notified<'_> {
        drop(self.step.lock());
        self.wakes.notified()
    }

    /// Wakes one, or whoever is next to wait.
    pub fn notify_one(&self) {
        drop(self.step.lock());
        self.wakes.notify_one();
    }

    /// Wakes all.
    pub fn notify_waiters(&self) {
        drop(self.step.lock());
        self.wakes.notify_waiters();
    }
}

impl Default for Notify {
    fn default() -> Self {
        Self::new()
    }
}
