//! Tests of the module above.

use super::*;
use crate::journal::heads::Head;
use crate::journal::stored::{Stored, WrittenAnswer};
use crate::journal::testing::{Memory, Told, Writer, units};
use crate::stock::{IfMissing, Once};

fn key(text: &str) -> StockKey {
    StockKey::from_text(text).unwrap()
}

fn newest(writer: &Writer, text: &str) -> Option<Head> {
    writer.heads.get(text, writer.heads.hash(text))
}

fn add(delta: i64) -> Operation {
    Operation::Adjust { delta, if_missing: IfMissing::Create }
}

/// Several segments; a level that is changed alone, in transactions, deleted and made again.
fn written(memory: &Memory) -> Writer {
    let mut writer = Writer::new(memory.disk(), 8 * 1024);
    for group in 0..30_i64 {
        writer.time_ms += 10;
        writer.add("a main", group + 1);
        writer.record(&[("a main", add(-1)), ("b main", add(2)), ("c main", add(3))], None);
        writer.change("a main", Operation::Reserve { quantity: units(1) });
        writer.change("a main", Operation::Ship { quantity: units(1) });
        if group % 4 == 3 {
            writer.answer(u128::try_from(group).unwrap(), &[0; 2000]);
        }
        if group % 10 == 9 {
            writer.change("a main", Operation::Count { on_hand: units(3), if_missing: IfMissing::Refuse });
            writer.change("a main", Operation::Delete);
        }
        writer.commit();
    }
    assert!(writer.log.segments().len() >= 3);
    writer
}

fn assert_is(movement: &Movement, told: &Told) {
    assert_eq!(movement.key.text(), told.key);
    assert_eq!((movement.seq, movement.after), (told.seq, told.after));
    assert_eq!(movement.before, (told.before.on_hand(), told.before.reserved()));
    assert_eq!(movement.reason, "test");
}

#[test]
fn the_links_of_a_level_give_its_whole_history_in_pages() {
    let writer = written(&Memory::new());
    for (name, limit) in [("a main", 1), ("a main", 7), ("a main", 1000), ("b main", 4), ("c main", 30)] {
        let told: Vec<&Told> = writer.told.iter().rev().filter(|told| told.key == name).collect();
        let (mut found, mut from) = (Vec::new(), None);
        loop {
            let page = of_level(
                &writer.log,
                newest(&writer, name),
                &writer.watermark,
                &key(name),
                from,
                limit,
                |_| true,
            )
            .unwrap();
            assert!(!page.compacted && page.movements.len() <= limit);
            found.extend(page.movements);
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        assert_eq!(found.len(), told.len());
        found.iter().zip(told).for_each(|(movement, told)| assert_is(movement, told));
    }
    let none =
        of_level(&writer.log, newest(&writer, "z main"), &writer.watermark, &key("z main"), None, 10, |_| {
            true
        })
        .unwrap();
    assert_eq!(none, Page::default());
}

#[test]
fn movements_after_a_number_come_in_order_from_anywhere() {
    let writer = written(&Memory::new());
    let all = writer.told.len() as u64;
    for seq in 0..=all + 1 {
        let page = after(&writer.log, &writer.watermark, seq, 5, |_, _| true).unwrap();
        let told: Vec<&Told> = writer.told.iter().filter(|told| told.seq > seq).take(5).collect();
        assert_eq!(page.movements.len(), told.len(), "{seq}");
        page.movements.iter().zip(told).for_each(|(movement, told)| assert_is(movement, told));
        assert_eq!(page.next.is_some(), seq + 5 < all, "{seq}");
    }
    let (mut found, mut seq) = (0, 0);
    loop {
        let page = after(&writer.log, &writer.watermark, seq, 3, |_, line| line.key == "b main").unwrap();
        assert!(page.movements.iter().all(|movement| movement.key.text() == "b main"));
        found += page.movements.len();
        match page.next {
            Some(next) => seq = next,
            None => break,
        }
    }
    assert_eq!(found, 30);
}

/// P7: what is written and not synced is in no history, neither alone nor as the beginning of one.
#[test]
fn what_is_not_on_disk_is_not_shown() {
    let mut writer = written(&Memory::new());
    let newest = |writer: &Writer| {
        let page = of_level(
            &writer.log,
            newest(writer, "a main"),
            &writer.watermark,
            &key("a main"),
            None,
            1,
            |_| true,
        )
        .unwrap();
        let last =
            after(&writer.log, &writer.watermark, writer.told.len() as u64 - 2, 9, |_, _| true).unwrap();
        (page.movements[0].seq, last.movements.len())
    };
    let (before, told) = (newest(&writer).0, writer.told.len() as u64);
    writer.add("a main", 1);
    writer.add("a main", 1);
    writer.write_only();
    assert_eq!(newest(&writer), (before, 0));
    writer.publish();
    assert_eq!(newest(&writer), (told + 2, 2));
}

#[test]
fn links_and_numbers_into_dropped_segments_say_so() {
    let memory = Memory::new();
    let writer = written(&memory);
    let cursor = of_level(
        &writer.log,
        newest(&writer, "a main"),
        &writer.watermark,
        &key("a main"),
        None,
        1000,
        |_| true,
    )
    .unwrap();
    let second = writer.log.segments()[1].clone();
    assert_eq!(writer.log.take_before(second.header.base).len(), 1);
    let page = of_level(
        &writer.log,
        newest(&writer, "a main"),
        &writer.watermark,
        &key("a main"),
        None,
        1000,
        |_| true,
    )
    .unwrap();
    assert!(page.compacted && page.next.is_none() && !page.movements.is_empty());
    assert!(page.movements.len() < cursor.movements.len());
    assert!(page.movements.iter().all(|movement| movement.seq >= second.header.first_seq));
    let page = after(&writer.log, &writer.watermark, 0, 10, |_, _| true).unwrap();
    assert!(page.compacted && page.movements.is_empty());
    let page = after(&writer.log, &writer.watermark, second.header.first_seq - 1, 10, |_, _| true).unwrap();
    assert!(!page.compacted && page.movements[0].seq == second.header.first_seq);
    assert!(matches!(record_at(&writer.log, 600), Err(HistoryError::Compacted)));
}

#[test]
fn a_place_that_is_none_is_refused() {
    let writer = written(&Memory::new());
    let end = writer.end().position;
    for position in (0..end + 2000).step_by(7) {
        for version in [0, 1, 5, 30, u64::MAX] {
            let from = Some(Before { position, version });
            // Whatever a client sends: an error, or the history of that level and no other.
            match of_level(
                &writer.log,
                newest(&writer, "b main"),
                &writer.watermark,
                &key("b main"),
                from,
                5,
                |_| true,
            ) {
                Ok(page) => assert!(page.movements.iter().all(|movement| movement.key.text() == "b main")),
                Err(error) => assert!(matches!(error, HistoryError::Cursor), "{position}: {error}"),
            }
        }
    }
}

/// Several versions of a level in one record, next to each other and not, and others of it before and after.
fn repeating(memory: &Memory) -> Writer {
    let mut writer = Writer::new(memory.disk(), 4 * 1024);
    for group in 0..25 {
        writer.record(&[("a main", add(1)), ("a main", add(2))], None);
        writer.record(
            &[
                ("b main", add(1)),
                ("a main", add(3)),
                ("b main", add(2)),
                ("a main", add(4)),
                ("a main", add(-1)),
            ],
            None,
        );
        if group % 3 == 0 {
            writer.add("a main", 5);
            writer.add("b main", 5);
        }
        writer.commit();
    }
    assert!(writer.log.segments().len() >= 3);
    writer
}

fn walked(writer: &Writer, name: &str, limit: usize) -> Vec<Movement> {
    let (mut found, mut from) = (Vec::new(), None);
    loop {
        let page =
            of_level(&writer.log, newest(writer, name), &writer.watermark, &key(name), from, limit, |_| true)
                .unwrap();
        assert!(!page.compacted && page.movements.len() <= limit);
        found.extend(page.movements);
        from = page.next;
        if from.is_none() {
            return found;
        }
    }
}

#[test]
fn a_page_may_end_between_two_versions_of_one_record() {
    let writer = repeating(&Memory::new());
    for name in ["a main", "b main"] {
        let told: Vec<&Told> = writer.told.iter().rev().filter(|told| told.key == name).collect();
        for limit in [1, 2, 3, 7, 1000] {
            let found = walked(&writer, name, limit);
            assert_eq!(found.len(), told.len(), "{name} {limit}");
            found.iter().zip(&told).for_each(|(movement, told)| assert_is(movement, told));
        }
    }
    let (mut seq, mut found) = (0, 0);
    while let Some(next) = after(&writer.log, &writer.watermark, seq, 1, |_, _| true).unwrap().next {
        found += 1;
        assert_eq!(next, found);
        seq = next;
    }
}

#[test]
fn a_place_names_a_version_that_its_record_holds() {
    let writer = repeating(&Memory::new());
    let head = writer.heads.get("a main", writer.heads.hash("a main")).unwrap();
    let ask = |position, version| {
        let from = Some(Before { position, version });
        of_level(&writer.log, newest(&writer, "a main"), &writer.watermark, &key("a main"), from, 1, |_| true)
    };
    let newest = head.level.version();
    assert_eq!(ask(head.position, newest).unwrap().movements[0].after.version(), newest - 1);
    for version in [0, newest - 20, newest + 1] {
        assert!(matches!(ask(head.position, version), Err(HistoryError::Cursor)), "{version}");
    }
}

/// A line that links to its own record, which does not hold the version before, is damage: a walk would never end.
#[test]
fn a_link_to_its_own_record_needs_the_version_before_in_it() {
    let mut writer = Writer::new(Memory::new().disk(), 64 * 1024);
    writer.add("a main", 1);
    writer.commit();
    let hash = writer.heads.hash("a main");
    let head = writer.heads.get("a main", hash).unwrap();
    let next = writer.end().position + HEADER_BYTES as u64;
    writer.heads.set("a main", hash, Head { position: next, ..head }, &mut Vec::new());
    writer.add("a main", 1);
    writer.commit();
    let page =
        of_level(&writer.log, newest(&writer, "a main"), &writer.watermark, &key("a main"), None, 10, |_| {
            true
        });
    assert!(matches!(page, Err(HistoryError::Damaged { finding: Finding::Link { .. }, .. })), "{page:?}");
}

#[test]
fn damage_is_found_and_named() {
    let memory = Memory::new();
    let writer = written(&memory);
    let name = segment::name(0);
    memory.edit(&name, |bytes| bytes[700] ^= 1);
    let error = of_level(
        &writer.log,
        newest(&writer, "a main"),
        &writer.watermark,
        &key("a main"),
        None,
        1000,
        |_| true,
    )
    .unwrap_err();
    assert!(error.to_string().contains(&name), "{error}");
    let error = after(&writer.log, &writer.watermark, 0, 10, |_, _| true).unwrap_err();
    assert!(matches!(error, HistoryError::Damaged { offset: 512, .. }), "{error}");
}

#[test]
fn the_record_of_a_key_is_read_back() {
    let mut writer = written(&Memory::new());
    let once = Once { key: 77, fingerprint: [3; 32] };
    writer.record(&[("a main", add(1)), ("b main", add(1))], Some(once));
    writer.answer(78, b"the answer");
    writer.commit();
    let mut found = std::collections::HashMap::new();
    writer.keys.walk(|key, position| _ = found.insert(key, position));
    let bytes = record_at(&writer.log, found[&77]).unwrap();
    let record = Record::read(&bytes).unwrap();
    assert_eq!((record.note().once, record.line_count()), (Some(once), 2));
    let bytes = record_at(&writer.log, found[&78]).unwrap();
    let stored = WrittenAnswer { status: 409, body: b"the answer".to_vec() };
    assert_eq!(Record::read(&bytes).unwrap().stored(), Some(Stored::Written(stored)));
    let long = record_at(&writer.log, found[&3]).unwrap();
    assert!(long.len() > FIRST_READ);
    let end = writer.end().position;
    assert!(matches!(record_at(&writer.log, end), Err(HistoryError::NoRecord(_))));
}
