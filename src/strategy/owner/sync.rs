//! The locks and threads of the owners. In a model (`modelled`) they are the model checker's (shuttle), which then decides
//! who runs when: the code that is modelled is the code that runs. Everywhere else they are the real ones, in unit tests too.

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
pub use self::model::modelled;

#[cfg(test)]
mod model {
    use std::cell::Cell;
    use std::ops::{Deref, DerefMut};
    use std::sync::PoisonError;

    thread_local! {
        static IN_MODEL: Cell<bool> = const { Cell::new(false) };
    }

    /// Runs a model: whatever is made meanwhile is the model checker's, which runs all threads of a model on this one.
    pub fn modelled(run: impl FnOnce()) {
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
}

mod threads {
    /// Starts a thread that nobody waits for: in a model, one of the model.
    pub fn spawn(name: String, run: impl FnOnce() + Send + 'static) {
        #[cfg(test)]
        if super::model::in_model() {
            shuttle::thread::spawn(run);
            return;
        }
        let thread = std::thread::Builder::new().name(name);
        // One that cannot even start its threads cannot serve.
        thread.spawn(run).expect("the system has a thread to spare at startup");
    }

    /// The same, for a thread that keeps time. A model has no time: it says itself what is late.
    pub fn spawn_outside_models(name: String, run: impl FnOnce() + Send + 'static) {
        #[cfg(test)]
        if super::model::in_model() {
            return;
        }
        spawn(name, run);
    }
}
