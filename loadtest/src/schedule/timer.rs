//! Sleeping to the microsecond. The runtime's own timer counts whole milliseconds, which is as long as many a request
//! takes; a timer of the kernel wakes its client through the same `epoll` that its answers come by.

use std::time::Duration;

/// Sleeps of one client.
#[derive(Debug, Default)]
pub struct Timer(Option<precise::Precise>);

impl Timer {
    /// A timer within the runtime that its client lives on. Without one of the kernel (another system, too many open files)
    /// it wakes up to a millisecond late, which the lag shows.
    pub fn new() -> Self {
        Self(precise::Precise::new())
    }

    /// Sleeps this long.
    pub async fn sleep(&mut self, duration: Duration) {
        let slept = match &mut self.0 {
            Some(precise) => precise.sleep(duration).await.is_ok(),
            None => false,
        };
        if !slept {
            tokio::time::sleep(duration).await;
        }
    }
}

/// A timer of the kernel, `timerfd_create(2)`.
#[cfg(target_os = "linux")]
mod precise {
    use std::io;
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
    use std::time::Duration;

    use nix::sys::time::TimeSpec;
    use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    #[derive(Debug)]
    pub(super) struct Precise(AsyncFd<Kernel>);

    /// The runtime asks for its number as well.
    #[derive(Debug)]
    struct Kernel(TimerFd);

    impl AsFd for Kernel {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }

    impl AsRawFd for Kernel {
        fn as_raw_fd(&self) -> RawFd {
            self.0.as_fd().as_raw_fd()
        }
    }

    impl Precise {
        pub(super) fn new() -> Option<Self> {
            let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
            let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).ok()?;
            #[expect(
                deprecated,
                reason = "what replaces it is unsafe, for types whose descriptor changes; this one's never does"
            )]
            let registered = AsyncFd::with_interest(Kernel(timer), Interest::READABLE);
            registered.ok().map(Self)
        }

        pub(super) async fn sleep(&mut self, duration: Duration) -> io::Result<()> {
            if duration.is_zero() {
                // Zero would disarm it.
                return Ok(());
            }
            let once = Expiration::OneShot(TimeSpec::from_duration(duration));
            self.0.get_ref().0.set(once, TimerSetTimeFlags::empty())?;
            loop {
                let mut ready = self.0.readable().await?;
                // Reading it takes the expiry; what would block was a wake-up without one.
                if let Ok(expired) = ready.try_io(|timer| timer.get_ref().0.wait().map_err(io::Error::from)) {
                    return expired;
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod precise {
    use std::io;
    use std::time::Duration;

    #[derive(Debug)]
    pub(super) enum Precise {}

    impl Precise {
        pub(super) fn new() -> Option<Self> {
            None
        }

        pub(super) async fn sleep(&mut self, _: Duration) -> io::Result<()> {
            match *self {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn a_sleep_is_never_too_short_and_a_timer_can_be_used_again() {
        let mut timer = Timer::new();
        assert!(timer.0.is_some() || !cfg!(target_os = "linux"));
        for micros in [0, 1, 300, 2_000, 50] {
            let (start, wanted) = (Instant::now(), Duration::from_micros(micros));
            timer.sleep(wanted).await;
            assert!(start.elapsed() >= wanted);
        }
    }
}
