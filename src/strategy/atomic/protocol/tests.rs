//! The real strategy while a transaction that has claimed a cell is undecided, held there from inside (P3, P4, P10). What may
//! happen between any two steps is the business of the models ([`super::super::model`]).

use super::*;
use crate::stock::Reason;
use crate::strategy::Immediate as _;
use crate::strategy::atomic::Atomic;
use crate::strategy::kept_out::{
    adjust, assert_changes_are_kept_out, five, impatient, key, read, stocked, take,
};

/// Runs `meanwhile` while a transaction that takes 2 units of `busy` is undecided; then lets it abort.
fn while_claimed(strategy: &Atomic, busy: &crate::stock::StockKey, meanwhile: impl FnOnce()) {
    let map = strategy.cells.pin();
    let cells = [map.get(busy).unwrap()];
    let descriptor = strategy.protocol.register.enter(cells.len());
    let mut claims = Claims { protocol: &strategy.protocol, cells: &cells, descriptor, claimed: 0 };
    claims.claim_next(|level| adjust(-2).judge(level), &mut strategy.patience()).unwrap();
    meanwhile();
}

#[test]
fn whoever_cannot_get_in_changes_nothing() {
    let [free, busy] = [key("a"), key("b")];
    let strategy = stocked(impatient(Atomic::new), &[free.clone(), busy.clone()]);
    while_claimed(&strategy, &busy, || {
        assert_changes_are_kept_out(&strategy, &free, &busy);
        assert_eq!(
            take(&strategy, &free).map(|applied| applied.before),
            Ok(five()),
            "its claim was given back"
        );
    });
    assert_eq!(take(&strategy, &busy).map(|applied| applied.before), Ok(five()), "so was the other one");
}

#[test]
fn reads_and_refusals_do_not_wait() {
    let busy = key("b");
    let strategy = stocked(impatient(Atomic::new), std::slice::from_ref(&busy));
    while_claimed(&strategy, &busy, || {
        assert_eq!(read(&strategy, &busy), Ok(five()), "nothing is decided yet");
        let refused = strategy.change_level(&busy, adjust(-6)).unwrap_err();
        let refusal = Refusal { reason: Reason::Insufficient { requested: 6 }, found: five() };
        assert_eq!(refused, Rejected::Refused(refusal));
    });
}

/// What is refused where there is nothing leaves no cell behind: asking for skus that do not exist costs no memory.
#[test]
fn asking_for_what_is_not_there_creates_no_cell() {
    let strategy = stocked(impatient(Atomic::new), &[]);
    take(&strategy, &key("a")).unwrap_err();
    let lines = vec![(key("a"), adjust(1)), (key("b"), adjust(1))];
    strategy.change_levels(&Transaction::new(lines).unwrap()).unwrap_err();
    let cells = strategy.cells.pin();
    assert!([key("a"), key("b")].iter().all(|key| cells.get(key).is_none()));
}

/// Who waited, or was overtaken, is counted once, with how often it was; nobody else is.
#[test]
fn what_a_call_cost_is_counted_when_it_ends() {
    let meter = Meter::default();
    let counted = || {
        let report = meter.report();
        (report.contended, report.retries)
    };
    drop(Patience::new(Duration::ZERO, &meter));
    assert_eq!(counted(), (0, 0));
    let mut overtaken = Patience::new(Duration::ZERO, &meter);
    assert_eq!((overtaken.after_retry(), overtaken.after_retry()), (Ok(()), Ok(())));
    drop(overtaken);
    assert_eq!(counted(), (1, 2));
    let mut waiting = Patience::new(Duration::ZERO, &meter);
    waiting.deadline();
    drop(waiting);
    assert_eq!(counted(), (2, 2));
}

/// The clock starts once, and is looked at only now and then.
#[test]
fn whoever_is_overtaken_for_too_long_gives_up() {
    let meter = Meter::default();
    let mut hurried = Patience::new(Duration::ZERO, &meter);
    let first = hurried.deadline();
    assert_eq!(hurried.deadline(), first);
    let outcomes: Vec<_> = (0..RETRIES_PER_CLOCK).map(|_| hurried.after_retry()).collect();
    let last = outcomes.len() - 1;
    assert!(outcomes[..last].iter().all(Result::is_ok) && outcomes[last].is_err());
    assert_eq!(meter.report().timeouts, 1);
    let mut patient = Patience::new(Duration::from_hours(1), &meter);
    assert!((0..3 * RETRIES_PER_CLOCK).all(|_| patient.after_retry().is_ok()));
    let left = patient.deadline() - Instant::now();
    assert!(left > Duration::from_mins(59) && left <= Duration::from_hours(1), "{left:?}");
}

/// Whoever looks at a hang in a debugger sees which transaction it is, and whether it is decided.
#[test]
fn a_transaction_shows_its_number_and_its_verdict() {
    let strategy = stocked(impatient(Atomic::new), &[]);
    assert_eq!(format!("{:?}", strategy.protocol), "Protocol { .. }");
    let descriptor = strategy.protocol.register.enter(1);
    assert_eq!(format!("{descriptor:?}"), "Descriptor { id: 0, verdict: Undecided, .. }");
    strategy.protocol.register.leave(descriptor.id);
}
