//! The locks and threads of the owners. In the tests of this crate they are the model checker's (shuttle), which then
//! decides who runs when: the code that is modelled is the code that runs.
//!
//! So nothing here works outside a model in a unit test; the integration tests run the real thing.

#[cfg(test)]
pub use self::model::{Condvar, Mutex, MutexGuard, wait};
#[cfg(not(test))]
pub use self::real::{Condvar, Mutex, MutexGuard, wait};
pub use self::threads::{spawn, spawn_outside_models};

#[cfg(not(test))]
mod real {
    pub use parking_lot::{Condvar, Mutex, MutexGuard};

    /// Sleeps until it is notified, or for no reason. The lock is free meanwhile.
    pub fn wait<'a, T>(condvar: &Condvar, mut guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        condvar.wait(&mut guard);
        guard
    }
}

#[cfg(test)]
mod model {
    use std::sync::PoisonError;

    pub use shuttle::sync::{Condvar, MutexGuard};

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
    }

    /// Sleeps until it is notified. The lock is free meanwhile.
    pub fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }
}

mod threads {
    /// Starts a thread that nobody waits for.
    #[cfg(not(test))]
    pub fn spawn(name: String, run: impl FnOnce() + Send + 'static) {
        let thread = std::thread::Builder::new().name(name);
        // One that cannot even start its threads cannot serve.
        thread.spawn(run).expect("the system has a thread to spare at startup");
    }

    /// Starts a thread of the model.
    #[cfg(test)]
    pub fn spawn(_name: String, run: impl FnOnce() + Send + 'static) {
        shuttle::thread::spawn(run);
    }

    /// The same, for a thread that keeps time. A model has no time: it says itself what is late.
    #[cfg(not(test))]
    pub fn spawn_outside_models(name: String, run: impl FnOnce() + Send + 'static) {
        spawn(name, run);
    }

    /// Does nothing.
    #[cfg(test)]
    pub fn spawn_outside_models(_name: String, _run: impl FnOnce() + Send + 'static) {}
}
