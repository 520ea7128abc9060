//! [`WaitsFor`]: what the request at hand waits for, as far as who is around it has to know.
//!
//! A request is one future, and who polls it sees only that it is not done yet. Why, is said on the thread by whatever is inside, and read by
//! the middleware right after the poll ([`poll`]): that a request without its body may be told that nothing was begun, and that who
//! waits for a client, or for an event, takes no [place](super::admission) from those who work. It never outlives a poll, and nothing is
//! allocated for it.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;

/// What a request waits for that is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitsFor {
    /// The service: a lock, the disk.
    Service,
    /// Its body. Nothing of it was begun: no handler acts before it has all of it.
    Body,
    /// A place: its body is there, and its last piece is held back.
    Place,
    /// Something that happens when it happens: stock that comes, an order that is over.
    Event,
}

thread_local! {
    static WAITS_FOR: Cell<WaitsFor> = const { Cell::new(WaitsFor::Service) };
    /// Whether the request that is being polled has no place, and is to have one before its body is whole.
    static IS_OUTSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Polls a request, and says what it waits for, if it is not done.
pub fn poll<T>(poll: impl FnOnce() -> T) -> (T, WaitsFor) {
    WAITS_FOR.set(WaitsFor::Service);
    let polled = poll();
    (polled, WAITS_FOR.get())
}

/// The same, for a request that has no place: its body is not whole before it has.
pub fn poll_outside<T>(poll: impl FnOnce() -> T) -> (T, WaitsFor) {
    IS_OUTSIDE.set(true);
    let polled = self::poll(poll);
    IS_OUTSIDE.set(false);
    polled
}

/// Whether the request that is being polled has to have a place before its body is whole.
pub(super) fn is_outside() -> bool {
    IS_OUTSIDE.get()
}

/// Says what the request that is being polled waits for.
pub(super) fn say(waits_for: WaitsFor) {
    WAITS_FOR.set(waits_for);
}

/// What comes of `sleeping`, which waits for an event, and not for the service.
pub async fn event<T>(sleeping: impl Future<Output = T>) -> T {
    let mut sleeping = pin!(sleeping);
    poll_fn(|cx| {
        let polled = sleeping.as_mut().poll(cx);
        if polled.is_pending() {
            say(WaitsFor::Event);
        }
        polled
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::task::{Context, Poll};

    use super::*;

    #[test]
    fn what_is_said_is_of_one_poll() {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut sleeping = pin!(event(pending::<()>()));
        assert_eq!(poll(|| sleeping.as_mut().poll(&mut cx)), (Poll::Pending, WaitsFor::Event));
        let mut other = pin!(pending::<()>());
        assert_eq!(poll(|| other.as_mut().poll(&mut cx)), (Poll::Pending, WaitsFor::Service));
        let mut woken = pin!(event(ready(1)));
        assert_eq!(poll(|| woken.as_mut().poll(&mut cx)).0, Poll::Ready(1));
        assert!(poll_outside(is_outside).0 && !is_outside());
    }
}
