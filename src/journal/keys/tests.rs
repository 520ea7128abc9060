//! Tests of the module above.

use super::*;

fn key(number: u64) -> u128 {
    let hash = blake3::hash(&number.to_le_bytes());
    u128::from_le_bytes(*hash.as_bytes().first_chunk().unwrap())
}

fn once(number: u64) -> Once {
    Once { key: key(number), fingerprint: [0; 32] }
}

/// As hashbrown allocates: a power of two of buckets, seven eighths of them usable, one control byte each.
fn bytes(keys: &Keys) -> usize {
    let table = |capacity: usize| (capacity * 8 / 7).next_power_of_two() * (size_of::<Slot>() + 1) + 16;
    keys.shards.iter().map(|shard| table(shard.lock().capacity())).sum()
}

#[test]
fn a_key_takes_48_bytes_at_most() {
    let keys = Keys::new();
    let mut most = 0.0_f64;
    for number in 0..400_000 {
        keys.insert(key(number), number + 1);
        if number >= 50_000 && number % 1000 == 0 {
            most = most.max(bytes(&keys) as f64 / keys.len() as f64);
        }
    }
    assert!(most <= 48.0, "{most} bytes a key");
    keys.forget_before(399_000);
    assert_eq!(keys.len(), 1001);
    assert!(bytes(&keys) < 400_000, "memory comes back: {}", bytes(&keys));
}

#[test]
fn keys_are_found_replaced_and_walked() {
    let keys = Keys::new();
    for number in 0..1000 {
        keys.insert(key(number), number + 1);
    }
    keys.insert(key(7), 5000);
    assert_eq!(keys.get(key(7)), Some(Taken::At(5000)));
    assert_eq!(keys.get(key(8)), Some(Taken::At(9)));
    assert_eq!(keys.get(key(1000)), None);
    let mut walked = std::collections::HashMap::new();
    keys.walk(|key, position| assert_eq!(walked.insert(key, position), None));
    assert_eq!((walked.len(), keys.len()), (1000, 1000));
    assert_eq!(walked[&key(7)], 5000);
}

#[test]
fn a_key_is_forgotten_after_its_retention_and_at_most_a_minute_later() {
    let (keys, hour) = (Keys::new(), Duration::from_hours(1));
    // One key a second for two hours; marks are told every second, as a writer would.
    for second in 0..7200_u64 {
        keys.mark(second * 1000, second + 1);
        keys.insert(key(second), second + 1);
    }
    assert!(keys.marks().all().len() <= 121, "one mark a minute");
    let now = 7200_u64;
    keys.expire(now * 1000, hour);
    for second in 0..7200_u64 {
        let (age, there) = (now - second, keys.get(key(second)).is_some());
        assert!(there || age >= 3600, "{second}: forgotten at {age} s");
        assert!(!there || age <= 3600 + 60, "{second}: still there at {age} s");
    }
    assert!(keys.marks().all().len() <= 62, "old marks leave");
    assert_eq!(keys.expire(0, hour), None, "nothing is older than the clock");
}

#[test]
fn a_claim_outlives_the_forgetting_of_others() {
    let keys = Arc::new(Keys::new());
    let claim = keys.claim(once(1), 10).unwrap();
    keys.insert(key(2), 77);
    keys.forget_before(1000);
    assert_eq!(keys.get(key(1)), Some(Taken::InProgress));
    assert_eq!(keys.get(key(2)), None);
    drop(claim);
    assert!(keys.is_empty());
}

#[test]
fn more_marks_than_the_most_thin_out() {
    let marks = Marks::default();
    for minute in 0..50_000_u64 {
        marks.mark(minute * EVERY, minute);
    }
    let all = marks.all();
    assert!(all.len() <= 7 * 24 * 60);
    assert!(all.windows(2).all(|pair| pair[0].time_ms < pair[1].time_ms));
}

const EVERY: u64 = 60_000;

/// P8, P10: a batch costs one key, and its lines count by themselves while it is under way, whatever becomes of it.
#[test]
fn lines_of_a_batch_are_counted_once_and_go_with_its_outcome() {
    let keys = Arc::new(Keys::new());
    let (batch, all) = (once(1), (0..100).collect::<Vec<u32>>());
    let whole = keys.claim(batch, 1).unwrap();
    let lines = keys.claim_lines(batch, &all).unwrap();
    assert_eq!((keys.len(), keys.passing()), (1, 100), "past the cap of one key");
    for line in 0..60 {
        Claim::Line(Arc::clone(&lines), line).handed_over();
        assert_eq!(keys.get(batch.line(line).key), Some(Taken::HandedOver));
        keys.insert(batch.line(line).key, u64::from(line) + 1);
        assert_eq!(keys.get(batch.line(line).key), Some(Taken::At(u64::from(line) + 1)));
    }
    // As the writer does when it has the batch's record.
    whole.handed_over();
    keys.insert(batch.key, 500);
    keys.forget_lines(batch.key, 100);
    drop((whole, lines));
    assert_eq!((keys.len(), keys.passing()), (1, 0));
    assert_eq!(keys.get(batch.key), Some(Taken::At(500)));
    assert!(all.iter().all(|line| keys.get(batch.line(*line).key).is_none()));
}

/// P8: of a batch that was not carried through, the lines that were stay, as keys that count; the others are free.
#[test]
fn lines_of_a_batch_cut_short_stay() {
    let keys = Arc::new(Keys::new());
    let batch = once(1);
    let whole = keys.claim(batch, 10).unwrap();
    let lines = keys.claim_lines(batch, &[0, 1, 2]).unwrap();
    assert_eq!(keys.claim_lines(batch, &[5, 1, 6]).unwrap_err(), Taken::InProgress);
    assert_eq!((keys.passing(), keys.get(batch.line(5).key)), (3, None), "what was taken is given back");
    Claim::Line(Arc::clone(&lines), 1).handed_over();
    drop((whole, lines));
    assert_eq!((keys.len(), keys.passing()), (1, 0));
    keys.insert(batch.line(1).key, 9);
    assert_eq!(keys.get(batch.line(1).key), Some(Taken::At(9)));
    assert_eq!((keys.get(batch.key), keys.get(batch.line(0).key)), (None, None));
    // The rest of it, at the next try.
    drop(keys.claim_lines(batch, &[0, 2]).unwrap());
    keys.forget_lines(batch.key, 3);
    assert_eq!((keys.len(), keys.passing()), (0, 0));
}

/// P10: so many lines may be under way, and no more.
#[test]
fn lines_under_way_are_bounded() {
    let keys = Arc::new(Keys::new());
    let many: Vec<u32> = (0..u32::try_from(PASSING_MAX).unwrap()).collect();
    let held = keys.claim_lines(once(1), &many[1..]).unwrap();
    assert_eq!(keys.claim_lines(once(2), &[0, 1]).unwrap_err(), Taken::Full);
    drop(keys.claim_lines(once(2), &[0]).unwrap());
    drop(held);
    assert_eq!(keys.passing(), 0);
    drop(keys.claim_lines(once(2), &many).unwrap());
    assert!(keys.is_empty());
}
