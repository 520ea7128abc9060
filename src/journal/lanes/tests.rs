//! Tests of the module above: every slot that is taken is given back once, whatever becomes of who took it (P10, P11).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Waker};

use super::*;

/// All slots of the lane of this thread.
fn all_slots(lanes: &Lanes) -> Vec<Slot<'_>> {
    let all: Vec<_> = std::iter::from_fn(|| lanes.slot()).collect();
    assert_eq!(all.len(), SLOTS);
    all
}

#[test]
fn a_slot_that_is_dropped_is_given_back() {
    let lanes = Lanes::new(true);
    let slot = lanes.slot().unwrap();
    assert!(!lanes.all_slots_free());
    drop(slot);
    assert!(lanes.all_slots_free());
}

#[test]
fn a_slot_is_given_back_once_by_the_permit_that_it_has_become() {
    let lanes = Lanes::new(true);
    let permit = lanes.slot().unwrap().permit(RecordKind::Change, Said::default(), None);
    assert!(!lanes.all_slots_free());
    drop(permit);
    assert!(lanes.all_slots_free());
}

/// Nothing was handed over by it, so nothing can be missing: the process goes on, which it does not where a permit is lost.
#[test]
fn a_slot_that_is_dropped_while_its_thread_unwinds_is_given_back() {
    let lanes = Lanes::new(true);
    let panics = AssertUnwindSafe(|| {
        let _slot = lanes.slot().unwrap();
        panic!("between a slot and its permit");
    });
    assert!(catch_unwind(panics).is_err());
    assert!(lanes.all_slots_free());
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_slot_waits_for_one_a_bounded_time() {
    let lanes = Lanes::new(true);
    let mut taken = all_slots(&lanes);
    assert_eq!(lanes.slot_in_time().await.err(), Some(NoSlot::TimedOut));
    let mut waits = pin!(lanes.slot_in_time());
    assert!(waits.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(taken.pop());
    assert!(lanes.slot().is_none(), "it belongs to who waits for it");
    let slot = waits.await.unwrap();
    drop(taken);
    assert!(!lanes.all_slots_free());
    drop(slot);
    assert!(lanes.all_slots_free());
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_while_it_waits_takes_no_slot_along() {
    let lanes = Lanes::new(true);
    let mut taken = all_slots(&lanes);
    {
        let mut waits = pin!(lanes.slot_in_time());
        assert!(waits.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        // It is given to who waits, and never fetched.
        drop(taken.pop());
    }
    drop(taken);
    assert!(lanes.all_slots_free());
}

#[tokio::test(start_paused = true)]
async fn no_slot_is_given_out_on_a_full_disk_nor_kept_by_who_waited_for_one() {
    let lanes = Lanes::new(false);
    let mut taken = all_slots(&lanes);
    let mut waits = pin!(lanes.slot_in_time());
    assert!(waits.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    lanes.set_full(true);
    drop(taken.pop());
    assert_eq!(waits.await.err(), Some(NoSlot::DiskFull));
    drop(taken);
    assert!(lanes.all_slots_free() && lanes.slot().is_none());
    assert_eq!(lanes.slot_in_time().await.err(), Some(NoSlot::DiskFull));
    lanes.set_full(false);
    assert!(lanes.slot().is_some());
}

#[tokio::test(start_paused = true)]
async fn closed_lanes_give_out_no_slot_and_a_full_disk_does_not_hide_it() {
    let lanes = Lanes::new(false);
    lanes.close();
    assert!(lanes.slot().is_none());
    assert_eq!(lanes.slot_in_time().await.err(), Some(NoSlot::Closed));
    lanes.set_full(true);
    assert_eq!(lanes.slot_in_time().await.err(), Some(NoSlot::Closed));
}
