//! Made histories are the same for ever, and look like what clients record.

use std::collections::HashMap;

use history::sample::{self, Random, Shape};
use history::{Effect, History, Outcome, Request};

/// The reference values of `SplitMix64` from seed 1234567: a seed in a report makes the same run on any machine.
#[test]
fn the_random_numbers_are_the_published_ones() {
    let mut random = Random(1_234_567);
    let published = [
        6_457_827_717_110_365_317,
        3_203_168_211_198_807_973,
        9_817_491_932_198_370_423,
        4_593_380_528_125_082_431,
        16_408_922_859_458_223_821,
    ];
    assert_eq!(published.map(|_| random.next_bits()), published);
    assert_eq!((Random(1).below(0), Random(1).below(1)), (0, 0));
    let mut hits = (0, 0);
    let mut random = Random(5);
    for _ in 0..10_000 {
        hits.0 += u32::from(random.chance(30));
        hits.1 += u32::from(random.chance(0)) + u32::from(!random.chance(100));
    }
    assert!((2_700..3_300).contains(&hits.0) && hits.1 == 0, "{hits:?}");
}

/// A digest of all that a history says (Fowler, Noll and Vo, 1a).
fn digest(history: &History) -> u64 {
    let text = serde_json::to_string(&history.records).expect("records are written to files");
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Whoever reports a fault by its seed means this history. If this changes, all such reports mean another one.
#[test]
fn a_seed_means_the_history_it_always_meant() {
    let shapes = [
        Shape::default(),
        Shape { seed: 2, is_varied: false, is_stocked: false, unknown_percent: 30, ..Shape::default() },
        Shape { seed: 3, is_framed: false, clients: 1, keys: 1, many_line_percent: 100, ..Shape::default() },
    ];
    let digests = shapes.map(|shape| digest(&sample::history(&shape)));
    assert_eq!(digests, [6_873_731_284_452_199_066, 5_623_725_987_852_839_144, 7_493_971_100_907_358_607]);
}

#[test]
fn clients_do_one_thing_at_a_time_and_frames_are_quiet() {
    let shape = Shape { operations: 3_000, ..Shape::default() };
    let history = sample::history(&shape);
    assert_eq!(history.records.len(), 3_020);
    assert_eq!(history.keys.len(), 10);
    let (opening, rest) = history.records.split_at(10);
    let (run, closing) = rest.split_at(3_000);
    let mut free = HashMap::new();
    for record in run {
        assert!(record.invoked_ns <= record.returned_ns, "{record:?}");
        let free = free.entry(record.client).or_insert(0);
        assert!(record.invoked_ns > *free, "{record:?}");
        *free = record.returned_ns;
    }
    assert_eq!(free.len(), 8);
    let first = run.iter().map(|record| record.invoked_ns).min();
    let last = run.iter().map(|record| record.returned_ns).max();
    assert!(opening.iter().map(|record| record.returned_ns).max() < first);
    assert!(closing.iter().map(|record| record.invoked_ns).min() > last);
    assert!(opening.iter().chain(closing).all(|record| matches!(record.request, Request::Read(_))));
}

#[test]
fn a_varied_history_has_a_little_of_everything() {
    let shape = Shape { operations: 4_000, unknown_percent: 10, ..Shape::default() };
    let history = sample::history(&shape);
    let writes = history.records.iter().filter_map(|record| match &record.request {
        Request::Write(lines) => Some((lines, &record.outcome)),
        Request::Read(_) | Request::Snapshot(_) => None,
    });
    let mut kinds = [0_u32; 6];
    let (mut many, mut unknown, mut all) = (0_u32, 0_u32, 0_u32);
    for (lines, outcome) in writes {
        all += 1;
        many += u32::from(lines.len() > 1);
        unknown += u32::from(*outcome == Outcome::Unknown);
        let [line] = lines.as_slice() else { continue };
        kinds[match line.effect {
            Effect::Add(_) => 0,
            Effect::AddOrCreate(_) => 1,
            Effect::Create(_) => 2,
            Effect::Count { if_version: None, .. } => 3,
            Effect::Count { if_version: Some(_), .. } => 4,
            Effect::Delete => 5,
        }] += 1;
    }
    assert!(kinds.iter().all(|count| *count > 100), "{kinds:?}");
    assert!(many * 10 > all && many * 3 < all, "{many} of {all}");
    assert!(unknown * 20 > all && unknown * 5 < all, "{unknown} of {all}");
}
