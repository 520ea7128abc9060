//! Where the clients of a run live: one thread for each core, each with a runtime of its own.
//!
//! A client and its connections stay on one thread for the whole run. So a request wakes nobody on another core, what
//! the clients of a thread count together takes neither lock nor atomic, and two threads share nothing but the flag that
//! ends the run. They meet when a phase begins and when it ends.

use std::future::Future;

use tokio_util::task::LocalPoolHandle;

/// The threads of a run's clients. They end when the last home of a client is gone.
#[derive(Debug, Clone)]
pub struct Cores(LocalPoolHandle);

/// One of these threads.
#[derive(Debug, Clone)]
pub struct Home {
    pool: LocalPoolHandle,
    index: usize,
}

impl Cores {
    /// As many threads as there are cores, but no more than clients.
    pub fn for_clients(clients: u32) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self(LocalPoolHandle::new(cores.min(clients as usize).max(1)))
    }

    /// How many threads there are.
    pub fn count(&self) -> usize {
        self.0.num_threads()
    }

    /// The thread of a client: they are dealt out in turn.
    pub fn home(&self, client: u32) -> Home {
        Home { pool: self.0.clone(), index: client as usize % self.count() }
    }
}

impl Home {
    /// The number of the thread.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Makes a future on this thread, and runs it there. A panic of it is the caller's.
    pub async fn run<F>(self, make: impl FnOnce() -> F + Send + 'static) -> F::Output
    where
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        let done = self.pool.spawn_pinned_by_idx(make, self.index).await;
        super::joined(done)
    }
}
