//! What systemd, or whoever started the service in its way, is told: that it is ready, that it goes, and that it is alive.
//!
//! By the protocol of `sd_notify(3)`, to the socket that `NOTIFY_SOCKET` names; without that variable nothing is said to anybody. That it is
//! alive is said by the threads that answer requests, at twice the rate asked for (`WATCHDOG_USEC`): where none of them has a turn any more,
//! nothing is said, and it is started anew. It never waits for who listens, and no failure to tell ends the service.

use std::io;

use sd_notify::{NotifyState, notify, watchdog_enabled};

/// Says that the service takes requests once `opened` completes, and from then on that it is alive, as often as is asked.
pub(super) fn tell_when_ready(opened: impl Future<Output = ()> + Send + 'static) {
    let watchdog = watchdog_enabled();
    tokio::spawn(async move {
        opened.await;
        said(notify(&[NotifyState::Ready]));
        let Some(patience) = watchdog else { return };
        let mut turns = tokio::time::interval((patience / 2).max(std::time::Duration::from_millis(1)));
        loop {
            turns.tick().await;
            said(notify(&[NotifyState::Watchdog]));
        }
    });
}

/// Says that the service ends because it was asked to.
pub(super) fn tell_that_it_stops() {
    said(notify(&[NotifyState::Stopping]));
}

fn said(told: io::Result<()>) {
    if let Err(error) = told {
        tracing::debug!(%error, "the supervisor was not told");
    }
}
