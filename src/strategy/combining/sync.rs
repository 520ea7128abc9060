//! What the protocol of the slots locks and waits with. In the tests of this crate it is the model checker's (shuttle), which
//! then decides who runs when: the code that is modelled is the code that runs.
//!
//! So nothing here works outside a model in a unit test; the integration tests run the real thing.

#[cfg(test)]
pub use self::model::*;
#[cfg(not(test))]
pub use self::real::*;

#[cfg(not(test))]
mod real {
    use std::cell::Cell;
    pub use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
    use std::time::Instant;

    pub use parking_lot::{Mutex, MutexGuard};

    /// Sleeps until the lock is the caller's; `None` at the deadline.
    pub fn lock_until<T>(mutex: &Mutex<T>, deadline: Instant) -> Option<MutexGuard<'_, T>> {
        mutex.try_lock_until(deadline)
    }

    /// Passes the time between two looks: a pause of the processor, then giving it away.
    pub fn pause(tried: u32) {
        if tried < 5 {
            (0..1_u32 << tried).for_each(|_| std::hint::spin_loop());
        } else {
            std::thread::yield_now();
        }
    }

    /// A number of the running thread: threads that live at the same time mostly have different ones.
    pub fn thread_number() -> usize {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
        }
        let number = NUMBER.get();
        if number != usize::MAX {
            return number;
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed) & (usize::MAX >> 1);
        NUMBER.set(number);
        number
    }
}

#[cfg(test)]
mod model {
    use std::sync::{PoisonError, TryLockError};
    use std::time::Instant;

    pub use shuttle::sync::MutexGuard;
    pub use shuttle::sync::atomic::{AtomicU8, AtomicU64, Ordering};

    /// shuttle's mutex with parking_lot's face: a panic does not poison it.
    #[derive(Debug)]
    pub struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        /// A free one.
        pub fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        /// Waits for it.
        pub fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }

        /// Takes it if it is free.
        pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            match self.0.try_lock() {
                Ok(guard) => Some(guard),
                Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            }
        }
    }

    /// A model has no time: a deadline that has passed ends the wait at once, any other never comes.
    pub fn lock_until<T>(mutex: &Mutex<T>, deadline: Instant) -> Option<MutexGuard<'_, T>> {
        if deadline <= Instant::now() { mutex.try_lock() } else { Some(mutex.lock()) }
    }

    /// Lets others run.
    pub fn pause(_tried: u32) {
        shuttle::thread::yield_now();
    }

    /// All threads of a model start at the same slot, and so meet there.
    pub fn thread_number() -> usize {
        0
    }
}
