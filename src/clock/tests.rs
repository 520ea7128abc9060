//! The clock of the system is set, an hour and ten years, forth and back, while the service runs and while it does not.

use proptest::prelude::*;

use super::manual::Manual;
use super::*;

const BEGAN_MS: u64 = 1_700_000_000_000;
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const HOUR_MS: i64 = 3_600_000;
const TEN_YEARS_MS: i64 = 10 * 365 * 24 * HOUR_MS;
/// An hour and ten years, forth and back.
const STEPS: [i64; 4] = [HOUR_MS, -HOUR_MS, TEN_YEARS_MS, -TEN_YEARS_MS];

fn began() -> (Arc<Manual>, Clock) {
    let source = Arc::new(Manual::at(BEGAN_MS));
    (Arc::clone(&source), Clock::resume(source, Left::default()))
}

fn step(source: &Manual, by_ms: i64) {
    source.set(source.wall_ms().saturating_add_signed(by_ms));
}

/// What a log has when it is left now.
fn left(clock: &Clock) -> Left {
    Left { steady_ms: clock.steady_ms(), date_ms: clock.date_ms(), away_ms: clock.away_ms() }
}

#[test]
fn a_first_start_has_the_systems_time() {
    let (source, clock) = began();
    assert_eq!((clock.steady_ms(), clock.date_ms(), clock.behind_ms()), (BEGAN_MS, BEGAN_MS, 0));
    source.pass(HOUR);
    let later = BEGAN_MS.strict_add_signed(HOUR_MS);
    assert_eq!((clock.steady_ms(), clock.date_ms(), clock.behind_ms()), (later, later, 0));
}

#[test]
fn nothing_grows_old_by_a_clock_that_is_set_while_the_service_runs() {
    for by_ms in STEPS {
        let (source, clock) = began();
        step(&source, by_ms);
        assert_eq!(clock.steady_ms(), BEGAN_MS);
        source.pass(SECOND);
        assert_eq!(clock.steady_ms(), BEGAN_MS + 1_000, "set by {by_ms} ms");
    }
}

#[test]
fn the_date_follows_a_clock_that_is_set_by_a_tenth_of_what_passes() {
    for by_ms in STEPS {
        let (source, clock) = began();
        step(&source, by_ms);
        assert_eq!((clock.date_ms(), clock.behind_ms()), (BEGAN_MS, by_ms), "never by a step");
        source.pass(100 * SECOND);
        let slewed = 10_000 * by_ms.signum();
        assert_eq!(clock.date_ms(), (BEGAN_MS + 100_000).strict_add_signed(slewed), "set by {by_ms} ms");
        assert_eq!(clock.behind_ms(), by_ms - slewed);
    }
}

#[test]
fn the_date_gets_there_and_stays() {
    for by_ms in [HOUR_MS, -HOUR_MS] {
        let (source, clock) = began();
        step(&source, by_ms);
        clock.date_ms();
        source.pass(10 * HOUR);
        assert_eq!(clock.behind_ms(), 0, "set by {by_ms} ms");
        source.pass(HOUR);
        assert_eq!(clock.date_ms(), source.wall_ms());
    }
}

#[test]
fn a_clock_that_was_wrong_for_a_minute_leaves_six_seconds_at_most() {
    for by_ms in STEPS {
        let (source, clock) = began();
        step(&source, by_ms);
        source.pass(60 * SECOND);
        clock.date_ms();
        step(&source, -by_ms);
        assert_eq!(clock.behind_ms(), -6_000 * by_ms.signum(), "set by {by_ms} ms");
    }
}

#[test]
fn a_start_counts_none_of_the_time_it_was_away_as_age() {
    for by_ms in STEPS {
        let (source, clock) = began();
        source.pass(HOUR);
        let left = left(&clock);
        step(&source, by_ms);
        let next = Clock::resume(source, left);
        assert_eq!(next.steady_ms(), left.steady_ms, "set by {by_ms} ms while it was away");
    }
}

#[test]
fn a_start_believes_the_systems_date_whatever_was_dated_before() {
    for by_ms in STEPS {
        let (source, clock) = began();
        let left = left(&clock);
        step(&source, by_ms);
        let next = Clock::resume(Arc::clone(&source) as Arc<dyn TimeSource>, left);
        assert_eq!((next.date_ms(), next.behind_ms()), (source.wall_ms(), 0), "set by {by_ms} ms");
    }
}

/// What was promised until a moment ends then, whether or not anybody serves it; a clock that is behind at the start makes it late by what the
/// service was away for at most.
#[test]
fn a_start_is_as_much_later_as_the_system_says_that_it_was_away() {
    let (source, clock) = began();
    source.pass(HOUR);
    let left = left(&clock);
    assert_eq!(clock.now_ms(), clock.steady_ms());
    source.pass(2 * HOUR);
    let next = Clock::resume(Arc::clone(&source) as Arc<dyn TimeSource>, left);
    assert_eq!(next.now_ms(), left.steady_ms + 2 * 3_600_000);
    source.pass(SECOND);
    assert_eq!(next.now_ms(), left.steady_ms + 2 * 3_600_000 + 1_000);
    for by_ms in [-HOUR_MS, -TEN_YEARS_MS] {
        step(&source, by_ms);
        let behind = Clock::resume(Arc::clone(&source) as Arc<dyn TimeSource>, super::tests::left(&next));
        assert_eq!(behind.now_ms(), next.now_ms(), "{by_ms} ms");
        step(&source, -by_ms);
    }
}

/// A run ten years ahead makes what was promised in it last no longer than it was promised for.
#[test]
fn what_was_promised_while_the_clock_was_ahead_ends_in_time() {
    let (source, clock) = began();
    step(&source, TEN_YEARS_MS);
    let ahead = Clock::resume(Arc::clone(&source) as Arc<dyn TimeSource>, left(&clock));
    let promised_until = ahead.now_ms() + 900_000;
    step(&source, -TEN_YEARS_MS);
    let right = Clock::resume(Arc::clone(&source) as Arc<dyn TimeSource>, left(&ahead));
    source.pass(900 * SECOND);
    assert_eq!(right.now_ms(), promised_until);
}

/// The wrong year is not handed on: a start ten years ahead, then a right one.
#[test]
fn one_run_ten_years_ahead_dates_only_itself() {
    let (source, clock) = began();
    source.pass(HOUR);
    let before = left(&clock);
    step(&source, TEN_YEARS_MS);
    let ahead = Clock::resume(Arc::clone(&source) as Arc<dyn TimeSource>, before);
    source.pass(SECOND);
    let wrong = left(&ahead);
    assert!(wrong.date_ms > before.date_ms.strict_add_signed(TEN_YEARS_MS));
    step(&source, -TEN_YEARS_MS);
    let right = Clock::resume(Arc::clone(&source) as Arc<dyn TimeSource>, wrong);
    assert_eq!(right.date_ms(), source.wall_ms());
    assert_eq!(right.steady_ms(), before.steady_ms + 1_000, "one second older in all, not ten years");
}

#[test]
fn a_start_that_is_a_little_behind_goes_on_from_the_newest_date() {
    let (source, clock) = began();
    let left = left(&clock);
    step(&source, -20_000);
    let next = Clock::resume(Arc::clone(&source) as Arc<dyn TimeSource>, left);
    assert_eq!((next.date_ms(), next.behind_ms()), (left.date_ms, -20_000));
    source.pass(200 * SECOND);
    assert_eq!(next.date_ms(), source.wall_ms(), "and has caught up after ten times as long");
}

proptest! {
    /// Whatever is done to the system's clock and however often it is asked: neither time goes back, age is exact, and the date is
    /// within a tenth of the time that passed.
    #[test]
    fn neither_time_goes_back(
        turns in prop::collection::vec((0..100_000_u64, prop_oneof![Just(0), -20_000_000..20_000_000_i64]), 1..40)
    ) {
        let (source, clock) = began();
        let (mut passed, mut date) = (0, clock.date_ms());
        for (ms, by_ms) in turns {
            step(&source, by_ms);
            source.pass(Duration::from_millis(ms));
            passed += ms;
            prop_assert_eq!(clock.steady_ms(), BEGAN_MS + passed);
            let (next, off) = (clock.date_ms(), clock.behind_ms());
            prop_assert!(next >= date, "{next} after {date}");
            let slewed = ms.div_ceil(SLEW);
            prop_assert!((ms - slewed..=ms + slewed).contains(&(next - date)), "{} in {ms}", next - date);
            prop_assert_eq!(difference(source.wall_ms(), next), off);
            date = next;
        }
    }

    /// Who asks every millisecond sees the same as who asks once.
    #[test]
    fn asking_often_changes_nothing(by_ms in -900_i64..900) {
        let (source, clock) = began();
        step(&source, by_ms);
        for _ in 0..9_001 {
            clock.date_ms();
            source.pass(Duration::from_millis(1));
        }
        prop_assert_eq!(clock.behind_ms(), 0);
    }
}
