//! The locks, words and threads of what is modelled: the owners of the strategies that pass messages, the reservations, and the places
//! of requests. In a model
//! (`schedules::outcomes`) they are the model checker's (shuttle), which then decides who runs when: the code that is modelled is the
//! code that runs. Everywhere else they are the real ones, in unit tests too.

#[cfg(test)]
mod model;
#[cfg(test)]
pub mod schedules;

#[cfg(test)]
pub use self::model::{AtomicU64, Condvar, Mutex, MutexGuard, Notify, wait};
#[cfg(not(test))]
pub use self::real::{AtomicU64, Condvar, Mutex, MutexGuard, Notify, wait};
pub use self::threads::{spawn, spawn_outside_models};

#[cfg(not(test))]
mod real {
    pub use std::sync::atomic::AtomicU64;

    pub use parking_lot::{Condvar, Mutex, MutexGuard};
    pub use tokio::sync::Notify;

    /// Sleeps until it is notified, or for no reason. The lock is free meanwhile.
    pub fn wait<'a, T>(condvar: &Condvar, mut guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        condvar.wait(&mut guard);
        guard
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
