//! How long a record may get: as long as all that may be asked for, and no longer.

use super::*;

/// The largest transaction, with the longest names and texts, is a record and can be read.
#[test]
fn the_longest_transaction_fits() {
    let line = |index: usize| SampleLine {
        key: key(&format!("{index:a>64} {:b>32}", "", index = format!("x{index}"))),
        operation: Operation::Create { on_hand: Quantity::new(QUANTITY_MAX).unwrap() },
        before: Level::ABSENT,
        after: Level::existing(QUANTITY_MAX, 0, 1).unwrap(),
        previous: 0,
    };
    let once = Some(Once { key: u128::MAX, fingerprint: [0xFF; 32] });
    let lines = (0..crate::stock::ENTRIES_MAX).map(line).collect();
    let texts = ("\u{10FFFF}".repeat(64), "\u{10FFFF}".repeat(128));
    let (reason, reference, actor) = (texts.0, texts.1, "n".repeat(64));
    let sample = Sample { kind: RecordKind::Transfer, once, reason, reference, actor, lines };
    let bytes = sample.sealed(u64::MAX, u64::MAX);
    assert_eq!(bytes.len(), 32 + 48 + 65 + 4 * 192 + 20_000 * (34 + 97));
    let record = Record::read(&bytes).unwrap();
    assert_eq!(record.lines().last().unwrap().key, sample.lines.last().unwrap().key.text());
}

#[test]
fn an_answer_may_be_as_long_as_a_record() {
    let mut bytes = Vec::new();
    let once = Some(Once { key: 1, fingerprint: [2; 32] });
    let note = RecordHead { kind: RecordKind::Answer, once, reason: "", reference: "", actor: "" };
    let body = vec![b'x'; RECORD_BYTES_MAX - HEAD_BYTES - ONCE_BYTES - 2];
    encode_stored(&mut bytes, &note, &written(422, &body));
    seal(&mut bytes, 1, 2, |_| 0);
    assert_eq!(Record::read(&bytes).unwrap().stored(), Some(written(422, &body)));
}

#[test]
#[should_panic(expected = "a record of 8388609 bytes")]
fn a_longer_record_is_never_written() {
    let note = RecordHead { kind: RecordKind::Answer, once: None, reason: "", reference: "", actor: "" };
    let body = vec![0; RECORD_BYTES_MAX - HEAD_BYTES - 1];
    encode_stored(&mut Vec::new(), &note, &written(422, &body));
}
