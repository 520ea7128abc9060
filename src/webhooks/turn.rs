//! [`keep`]: how a lease is kept by who has it, and when he stops.
//!
//! A lease is over for him before it is over for the database: he counts from before he asked, by a clock that nobody sets, and a part of its time less.
//! So a process that is cut off from the database has stopped when another takes over. With every renewal it is written down how far the hook has come.

use std::future::Future;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::store::NotDone;

/// Of the time of a lease, the part that is not used: two clocks may not run alike, and who is told to stop takes a moment.
const MARGIN: u32 = 6;
/// It is renewed after this part of its time, at the latest.
const RENEWED: u32 = 3;
/// After a renewal that failed, before the next: this part of its time.
const AGAIN: u32 = 30;

/// Keeps a lease that was asked for at `asked`, until it is lost. `renew` does that and writes down how far the hook has come: at least so often that
/// the lease goes on, and soon after the hook has `moved`, but not more often than `every`. It returns whether the lease is still had.
pub(super) async fn keep<F: Future<Output = Result<bool, NotDone>>>(
    asked: Instant,
    time: Duration,
    moved: &Notify,
    every: Duration,
    mut renew: impl FnMut() -> F,
) {
    let used = time / MARGIN * (MARGIN - 1);
    let (mut ends, mut last) = (asked + used, asked);
    loop {
        let has_moved = async {
            moved.notified().await;
            sleep_until(last + every).await;
        };
        // Whichever is first; and if it is too late for either, that.
        tokio::select! {
            biased;
            () = sleep_until(ends) => return,
            () = sleep_until(last + time / RENEWED) => {}
            () = has_moved => {}
        }
        last = Instant::now();
        match timeout_at(ends, renew()).await {
            Ok(Ok(true)) => ends = last + used,
            Ok(Ok(false)) | Err(_) => return,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a lease could not be renewed; it is tried again");
                // What has moved is not written yet.
                moved.notify_one();
                let again = tokio::time::sleep(time / AGAIN);
                if timeout_at(ends, again).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;
    use crate::store::Why;

    const TIME: Duration = Duration::from_secs(6);
    const EVERY: Duration = Duration::from_secs(1);

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    /// Whoever cannot renew stops before anybody else can have the lease, whether he is told nothing or an error, and however long that takes.
    #[tokio::test(start_paused = true)]
    async fn who_is_cut_off_stops_in_time() {
        for silence in [None, Some(seconds(0.0)), Some(seconds(0.7)), Some(seconds(30.0))] {
            let (began, moved, renewed) = (Instant::now(), Notify::new(), Cell::new(None));
            keep(began, TIME, &moved, EVERY, || async {
                // Cut off after ten seconds: until then every renewal takes a while.
                if began.elapsed() < seconds(10.0) {
                    let asked = Instant::now();
                    tokio::time::sleep(seconds(0.4)).await;
                    renewed.set(Some(asked));
                    return Ok(true);
                }
                match silence {
                    None => std::future::pending().await,
                    Some(silence) => {
                        tokio::time::sleep(silence).await;
                        Err(NotDone::no(Why::Contention))
                    }
                }
            })
            .await;
            let last = renewed.get().expect("it was renewed");
            let stopped = last.elapsed();
            assert!(
                stopped < TIME && stopped >= seconds(4.9),
                "{silence:?}: {stopped:?} after it asked last"
            );
            assert!(began.elapsed() > seconds(10.0), "it was kept until then");
        }
    }

    /// A renewal that is asked for in time, and answered too late, is none: another may have it by then.
    #[tokio::test(start_paused = true)]
    async fn what_is_answered_too_late_counts_for_nothing() {
        let (began, moved) = (Instant::now(), Notify::new());
        keep(began, TIME, &moved, EVERY, || async {
            tokio::time::sleep(seconds(3.5)).await;
            Ok(true)
        })
        .await;
        assert_eq!(began.elapsed(), seconds(5.0));
    }

    /// Who is told that another has it stops at once.
    #[tokio::test(start_paused = true)]
    async fn who_has_lost_it_stops_at_once() {
        let (began, moved) = (Instant::now(), Notify::new());
        keep(began, TIME, &moved, EVERY, || std::future::ready(Ok(false))).await;
        assert_eq!(began.elapsed(), seconds(2.0));
    }

    /// How far a hook has come is written down soon, and not for each message.
    #[tokio::test(start_paused = true)]
    async fn what_moves_is_written_down_now_and_then() {
        let (began, moved, written) = (Instant::now(), Notify::new(), RefCell::new(Vec::new()));
        let kept = keep(began, TIME, &moved, EVERY, || {
            written.borrow_mut().push(began.elapsed().as_millis());
            std::future::ready(Ok(true))
        });
        let work = async {
            for _ in 0..250 {
                tokio::time::sleep(Duration::from_millis(10)).await;
                moved.notify_one();
            }
            tokio::time::sleep(seconds(5.0)).await;
        };
        tokio::select! {
            () = kept => panic!("it is kept"),
            () = work => {}
        }
        // While it moves, and once more as it may have moved while that was written; and then for the lease alone.
        assert_eq!(written.into_inner(), [1_000, 2_000, 3_000, 4_000, 6_000]);
    }
}
