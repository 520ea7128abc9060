//! Records with several versions of one level come back, also where a snapshot saw only some of them.

use std::sync::atomic::AtomicBool;

use super::*;
use crate::journal::watermark::Watermark;
use crate::stock::Level;

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
    let watermark = Watermark::new(written.end());
    written.record(&[("a main", add(1)), ("a main", add(2))], None);
    let newest = written.heads.get("a main", written.heads.hash("a main")).unwrap();
    forge_head(&written, "a main", |head| {
        let (on_hand, version) = (head.level.on_hand() - 2, head.level.version() - 1);
        head.level = Level::existing(on_hand, 0, version).unwrap();
    });
    let end = written.commit();
    let never = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (disk, parts) = (memory.disk(), (&written.heads, &written.keys));
        let (watermark, never) = (&watermark, &never);
        let write = move || snapshot::write(disk.as_ref(), parts.0, parts.1, watermark, never);
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
