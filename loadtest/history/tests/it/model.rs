//! The sequential model itself, against the rules as they are promised (P2, P4, P6).

use history::Effect::{Add, AddOrCreate, Count, Create, Delete};
use history::model::{Change, Level, QUANTITY_MAX, Units, World, combine};
use history::{Effect, Key, Outcome, Reason, Refused, Request};

use crate::support::{absent, line, seen};

fn level(version: u64, on_hand: u64, reserved: u64) -> Level {
    Level { version, stock: Some(Units { on_hand, reserved }) }
}

fn after(level: Level, effect: Effect) -> Result<Level, Reason> {
    level.after(Change::from(effect))
}

#[test]
fn every_change_raises_the_version_by_one_and_a_deleted_level_keeps_it() {
    let mut now = Level::default();
    for (version, effect) in (1..).zip([
        Create(5),
        Add(-5),
        Count { on_hand: 0, if_version: None },
        Delete,
        AddOrCreate(1),
        Delete,
        Create(0),
    ]) {
        now = after(now, effect).unwrap();
        assert_eq!(now.version, version);
    }
}

#[test]
fn only_available_units_can_be_taken() {
    assert_eq!(after(level(1, 10, 4), Add(-6)), Ok(level(2, 4, 4)));
    assert_eq!(after(level(1, 10, 4), Add(-7)), Err(Reason::Insufficient));
    assert_eq!(after(level(1, 10, 4), Add(i64::MIN)), Err(Reason::Insufficient));
    assert_eq!(after(Level::default(), AddOrCreate(-1)), Err(Reason::Insufficient));
}

#[test]
fn quantities_stay_in_range() {
    assert_eq!(after(level(1, QUANTITY_MAX - 1, 0), Add(1)), Ok(level(2, QUANTITY_MAX, 0)));
    assert_eq!(after(level(1, QUANTITY_MAX, 0), Add(1)), Err(Reason::Overflow));
    assert_eq!(after(level(1, 0, 0), Add(i64::MAX)), Err(Reason::Overflow));
    assert_eq!(after(Level::default(), Create(QUANTITY_MAX + 1)), Err(Reason::Overflow));
    assert_eq!(after(level(1, 0, 0), Count { on_hand: u64::MAX, if_version: None }), Err(Reason::Overflow));
}

#[test]
fn of_several_reasons_the_precondition_comes_first() {
    let stale = Count { on_hand: 1, if_version: Some(2) };
    assert_eq!(after(level(1, 10, 4), stale), Err(Reason::VersionMismatch));
    assert!(level(1, 10, 4).refuses(Change::from(stale), Reason::Reserved), "that one is true as well");
    assert_eq!(after(Level { version: 2, stock: None }, stale), Err(Reason::VersionMismatch));
    assert_eq!(after(level(1, 10, 4), Count { on_hand: 3, if_version: None }), Err(Reason::Reserved));
}

#[test]
fn lines_of_one_level_are_combined_without_overflow() {
    let lines =
        [line(1, Add(i64::MAX)), line(0, Add(1)), line(1, Add(i64::MAX)), line(1, AddOrCreate(i64::MIN))];
    let changes = combine(&lines).unwrap();
    assert_eq!(changes[0], (Key(0), Change::Add { units: 1, creates: false }));
    let (_, Change::Add { units, creates: true }) = changes[1] else { panic!("{changes:?}") };
    assert!(units > QUANTITY_MAX.cast_signed());
    assert!(combine(&[line(0, Create(1)), line(0, Add(1))]).is_err());
    assert!(combine(&[line(0, Delete), line(0, Delete)]).is_err());
}

#[test]
fn all_lines_are_applied_or_none_and_every_refusing_level_is_named() {
    let mut world = World { levels: vec![level(3, 5, 0), level(1, 1, 0), Level::default()] };
    let before = world.clone();
    let request = Request::Write(vec![line(0, Add(-1)), line(1, Add(-2)), line(2, Add(1))]);
    let refused = vec![
        Refused { seen: seen(1, 1, 1), reason: Reason::Insufficient },
        Refused { seen: absent(2, 0), reason: Reason::Missing },
    ];
    assert_eq!(world.answer(&request), Outcome::Refused(refused));
    assert_eq!(world, before);
    let transfer = Request::Write(vec![line(0, Add(-5)), line(2, AddOrCreate(5))]);
    assert_eq!(world.answer(&transfer), Outcome::Applied(vec![seen(0, 4, 0), seen(2, 1, 5)]));
}

/// The ends of what is allowed are allowed.
#[test]
fn counts_and_creations_go_up_to_the_bounds() {
    assert_eq!(QUANTITY_MAX, 1_099_511_627_775, "the service's own bound");
    let count = |on_hand| Count { on_hand, if_version: None };
    assert_eq!(after(level(1, 10, 4), count(4)), Ok(level(2, 4, 4)));
    assert_eq!(after(level(1, 10, 4), count(3)), Err(Reason::Reserved));
    assert_eq!(after(level(1, 10, 4), count(QUANTITY_MAX)), Ok(level(2, QUANTITY_MAX, 4)));
    assert_eq!(after(Level::default(), Create(QUANTITY_MAX)), Ok(level(1, QUANTITY_MAX, 0)));
    assert_eq!(after(level(1, 10, 4), count(QUANTITY_MAX + 1)), Err(Reason::Overflow));
}
