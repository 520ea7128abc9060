//! [`Shared`]: what all connections of a server know: its bounds, and whether it is full, or about to go.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::coop::unconstrained;

use super::ServerConfig;
use super::counts::Connections;
use super::known::Known;

/// What all connections of a server know.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: ServerConfig,
    pub(super) connections: &'static Connections,
    /// Whether clients are to go elsewhere: each answer says that it is the last of its connection.
    is_leaving: AtomicBool,
    state: watch::Sender<State>,
    /// How many connections that idle are to make room.
    room: AtomicUsize,
}

/// How long a connection has done nothing that makes room for another.
pub(super) const IDLE_LONG: Duration = Duration::from_millis(200);

/// How many connections make room each time it is found that there is none: not all that idle, for the sake of one that waits.
const ROOM: usize = 64;

#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// How often it was seen that all places are taken.
    crowded: u64,
    is_closing: bool,
}

/// What has changed for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    /// Somebody waits for a place, and there is none.
    Crowded,
    /// The service goes: what is being answered is answered, and nothing else.
    Closing,
}

/// What happens to the connections, as one of them sees it. The server waits until none does any more.
#[derive(Debug)]
pub(super) struct Watching {
    /// Which version was seen.
    seen: watch::Receiver<State>,
    /// What wakes whoever waits for the next.
    heard: watch::Receiver<State>,
}

impl Shared {
    pub(super) fn new(config: ServerConfig, connections: &'static Connections) -> Self {
        Self {
            config,
            connections,
            is_leaving: AtomicBool::new(false),
            state: watch::Sender::default(),
            room: AtomicUsize::new(0),
        }
    }

    /// Sees what happens from here on.
    pub(super) fn course(&self) -> Watching {
        Watching::new(&self.state)
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Relaxed)
    }

    /// Clients are to go elsewhere.
    pub(super) fn leave(&self) {
        self.is_leaving.store(true, Ordering::Relaxed);
    }

    /// All places are taken.
    pub(super) fn crowded(&self) {
        self.room.store(ROOM, Ordering::Relaxed);
        self.state.send_modify(|state| state.crowded += 1);
    }

    /// Whether one that idles is to make room: so many do, and no more.
    pub(super) fn makes_room(&self) -> bool {
        let one_less = |room: usize| room.checked_sub(1);
        self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    }

    /// Completes when every connection has ended; what is being answered is answered before.
    pub(super) async fn close(&self) {
        self.state.send_modify(|state| state.is_closing = true);
        self.state.closed().await;
    }
}

impl Watching {
    fn new(state: &watch::Sender<State>) -> Self {
        let seen = state.subscribe();
        Self { heard: seen.clone(), seen }
    }

    /// The next that happens.
    ///
    /// A connection is polled with each piece that comes or goes, and this with it. Once its task is to be woken, a look at the version is enough:
    /// that is another before anybody is woken.
    pub(super) async fn changed(&mut self) -> Course {
        let Self { seen, heard } = self;
        {
            // Out of budget, it would not be told whom to wake, and not be asked again.
            let (mut told, mut known) = (pin!(unconstrained(heard.changed())), Known::default());
            poll_fn(|cx| {
                if known.is(cx) && matches!(seen.has_changed(), Ok(false)) {
                    return Poll::Pending;
                }
                known.keep(cx);
                told.as_mut().poll(cx).map(|_or_the_server_is_gone| ())
            })
            .await;
        }
        if seen.borrow_and_update().is_closing { Course::Closing } else { Course::Crowded }
    }

    /// Completes when the service goes.
    pub(super) async fn closing(&mut self) {
        let _or_the_server_is_gone = self.seen.wait_for(|state| state.is_closing).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::coop::{consume_budget, has_budget_remaining};
    use tokio::task::yield_now;

    use super::*;

    /// Each is told of everything once, however often it looked before, and whatever its task had done.
    #[tokio::test(start_paused = true)]
    async fn everybody_is_told_of_each_change() {
        for is_spent in [false, true] {
            let state = watch::Sender::<State>::default();
            let mut course = Watching::new(&state);
            let watching = tokio::spawn(async move {
                let mut told = Vec::new();
                while told.last() != Some(&Course::Closing) {
                    while is_spent && has_budget_remaining() {
                        consume_budget().await;
                    }
                    told.push(course.changed().await);
                }
                told
            });
            for is_closing in [false, false, true] {
                // As often as it likes to be polled.
                for _ in 0..5 {
                    yield_now().await;
                }
                state.send_modify(|state| {
                    state.crowded += 1;
                    state.is_closing = is_closing;
                });
            }
            let told = tokio::time::timeout(Duration::from_mins(1), watching).await.expect("it is told");
            assert_eq!(told.unwrap(), [Course::Crowded, Course::Crowded, Course::Closing], "{is_spent}");
        }
    }
}
