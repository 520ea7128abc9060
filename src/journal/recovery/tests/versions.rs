//! Several versions of a level in one record; and keys of lines that go with the record of their batch.

use super::*;
use crate::journal::record::{self, RecordHead, RecordKind};
use crate::journal::stored::{BatchLine, Stored};

/// A record may hold several versions of a level, each but the first linked to the record itself.
#[test]
fn many_versions_of_a_level_in_a_record_come_back() {
    let memory = Memory::new();
    let mut written = writer(&memory);
    for group in 0..40 {
        written
            .record(&[("a main", add(1)), ("b main", add(2)), ("a main", add(3)), ("a main", add(-1))], None);
        written.record(
            &[("b main", add(1)), ("b main", Operation::Delete), ("b main", add(4))],
            Some(once(group)),
        );
        written.commit();
        assert_same(&start(&memory.copy()).unwrap(), &written);
    }
    assert!(written.log.segments().len() >= 3, "several segments");
    // A snapshot that saw only some versions of a record, as one that is taken while the writer enters them may.
    let watermark = crate::journal::watermark::Watermark::new(written.end());
    written.record(&[("a main", add(1)), ("a main", add(2))], None);
    let newest = written.heads.get("a main", written.heads.hash("a main")).unwrap();
    forge_head(&written, "a main", |head| {
        let (on_hand, version) = (head.level.on_hand() - 2, head.level.version() - 1);
        head.level = crate::stock::Level::existing(on_hand, 0, version).unwrap();
    });
    let end = written.commit();
    let never = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (disk, parts) = (memory.disk(), (&written.heads, &written.keys));
        let (watermark, never) = (&watermark, &never);
        let write =
            move || crate::journal::testing::snapshot(disk.as_ref(), parts.0, parts.1, watermark, never);
        let writing = scope.spawn(write);
        // Once it has begun, its start is known, and it waits for what it saw.
        while !memory.names().iter().any(|name| name == "snapshot.tmp") {
            std::thread::yield_now();
        }
        watermark.advance(end);
        writing.join().unwrap().unwrap();
    });
    forge_head(&written, "a main", |head| *head = newest);
    let recovered = start(&memory).unwrap();
    assert!(recovered.report.snapshot.is_some());
    assert_same(&recovered, &written);
}

/// P8: the record of a batch takes the keys of its lines with it, whether it is replayed or in a snapshot.
#[test]
fn the_record_of_a_batch_stands_for_the_keys_of_its_lines() {
    let memory = Memory::new();
    let mut written = writer(&memory);
    let batch = Once { key: 77, fingerprint: [3; 32] };
    for line in 0..3 {
        written.record(&[("a main", add(1))], Some(batch.line(line)));
    }
    written.commit();
    let cut_short = start(&memory.copy()).unwrap();
    assert_eq!(cut_short.keys.len(), 3, "what a batch that was cut short leaves");
    let at = |line: u32| match cut_short.keys.get(batch.line(line).key) {
        Some(crate::journal::keys::Taken::At(position)) => BatchLine::At(position),
        other => panic!("{other:?}"),
    };
    written.store(batch, &Stored::Batch(vec![at(0), at(1), at(2)]));
    written.commit();
    let whole = start(&memory.copy()).unwrap();
    assert_eq!(whole.keys.len(), 1);
    assert!(whole.keys.get(batch.key).is_some() && whole.keys.get(batch.line(1).key).is_none());
    // As an encoder of another record would have it: a batch needs its key.
    let head = RecordHead { kind: RecordKind::Batch, once: None, reason: "", reference: "", actor: "" };
    let mut bytes = Vec::new();
    record::encode_stored(&mut bytes, &head, &Stored::Batch(vec![]));
    record::seal(&mut bytes, 1, 1, |_| 0);
    assert!(record::Record::read(&bytes).is_err());
}
