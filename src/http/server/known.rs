//! [`Known`]: whom a timer or a channel will wake, so that it need not be told again.

use std::task::{Context, Waker};

/// The waker that was left somewhere, if one was. A task has the same all its life, so that this is a comparison of two pointers.
#[derive(Debug, Default)]
pub(super) struct Known(Option<Waker>);

impl Known {
    /// Whether it is that of who asks.
    #[inline]
    pub(super) fn is(&self, cx: &Context<'_>) -> bool {
        self.0.as_ref().is_some_and(|known| known.will_wake(cx.waker()))
    }

    /// It is that of who asks, from here on.
    pub(super) fn keep(&mut self, cx: &Context<'_>) {
        if !self.is(cx) {
            self.0 = Some(cx.waker().clone());
        }
    }
}
