//! Stopping early: Ctrl-C and SIGTERM ask a run to finish what is in flight, verify what it has, and leave.
//!
//! Who asks twice does not want to wait: then whatever is under way is dropped, and a server that was started dies with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// Whether the user asked to stop. Cheap to clone and to ask.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Whether to stop.
    pub fn requested(&self) -> bool {
        // Relaxed: the flag carries no data, and being seen a moment later is fine.
        self.0.load(Ordering::Relaxed)
    }

    /// Asks to stop.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Listens for Ctrl-C and SIGTERM from now on. Must be called within the runtime. The first one requests the stop, the
/// second one completes the receiver.
pub fn listen() -> std::io::Result<(Stop, oneshot::Receiver<()>)> {
    let stop = Stop::default();
    let interrupt = signal(SignalKind::interrupt())?;
    let terminate = signal(SignalKind::terminate())?;
    let (insist, insisted) = oneshot::channel();
    tokio::spawn(wait(stop.clone(), interrupt, terminate, insist));
    Ok((stop, insisted))
}

async fn wait(stop: Stop, mut interrupt: Signal, mut terminate: Signal, insist: oneshot::Sender<()>) {
    let mut either = async || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    either().await;
    stop.request();
    either().await;
    // Nobody waits for it any more only when the command has ended by itself.
    let _ = insist.send(());
}
