//! The forms of the log, one at a time: the first byte says which, and whether its checksum is made right; the rest is its bytes.
//!
//! - A record that is read, written again from what was read of it, is the same to the byte; of one that stores an outcome, it says the same.
//! - So is the header of a segment; a group and a footer say the same again.
//! - Nothing that is read is larger than the bytes it is read from.

use inventory::journal::group::{self, Group};
use inventory::journal::record::{self, LINE_HEAD_BYTES, Record};
use inventory::journal::segment::{self, Header};
use inventory::stock::{Changed, Level, StockKey};

use crate::seal;

/// Every form, in the order of the first byte.
const FORMS: [fn(&mut Vec<u8>); 7] = [
    |bytes| one(bytes),
    |bytes| {
        seal::record(bytes);
        one(bytes);
    },
    |bytes| whole(bytes),
    |bytes| {
        seal::group(bytes, 0, None);
        whole(bytes);
    },
    |bytes| {
        seal::header(bytes);
        header(bytes);
    },
    |bytes| {
        seal::footer(bytes);
        footer(bytes);
    },
    |bytes| {
        header(bytes);
        footer(bytes);
    },
];

/// See the module.
pub fn hold(bytes: &[u8]) {
    let Some((form, rest)) = bytes.split_first() else { return };
    FORMS[usize::from(*form) % FORMS.len()](&mut rest.to_vec());
}

/// The record at the beginning.
fn one(bytes: &[u8]) {
    let Ok(record) = Record::read(bytes) else { return };
    assert!(record.len() <= bytes.len());
    let lines: Vec<_> = record.lines().collect();
    assert_eq!(lines.len() as u64, record.line_count());
    assert!(lines.len() * LINE_HEAD_BYTES <= record.len());
    for line in &lines {
        if let Some((on_hand, reserved)) = line.units_before() {
            assert!(reserved <= on_hand, "what is reserved is there");
        }
    }
    let keys: Option<Vec<StockKey>> = lines.iter().map(record::Line::stock_key).collect();
    let Some(keys) = keys else { return };
    let changed = keys.iter().zip(&lines).map(|(key, line)| {
        // Of the level before, a line says at most how many units there were.
        let before = line.on_hand_before.and_then(|on_hand| Level::existing(on_hand, 0, 1));
        Changed { key, operation: line.operation, before: before.unwrap_or(Level::ABSENT), after: line.after }
    });
    let changed: Vec<Changed<'_>> = changed.collect();
    let whole = &bytes[..record.len()];
    let mut written = Vec::new();
    match record.stored() {
        Some(stored) if lines.is_empty() => record::encode_stored(&mut written, &record.note(), &stored),
        _ => {
            let mut lines = Vec::new();
            record::encode(&mut lines, &record.note(), changed.iter().copied());
            // Behind the lines stands of what they are; that is read by others.
            let tail = &whole[lines.len()..];
            record::encode_with(&mut written, &record.note(), changed.into_iter(), |out| out.extend(tail));
        }
    }
    let previous: Vec<u64> = record.lines().map(|line| line.previous).collect();
    record::seal(&mut written, record.seq(), record.time_ms(), |line| previous[line]);
    if record.stored().is_some_and(|_| lines.is_empty()) {
        // What is stored has bytes that mean nothing (an operand where a reason has none; when a term was made, which its name says), so it is
        // held to what it says.
        let again = Record::read(&written).expect("what is written is read");
        assert_eq!((again.note(), again.stored()), (record.note(), record.stored()));
        assert_eq!(
            (again.seq(), again.time_ms(), again.len()),
            (record.seq(), record.time_ms(), whole.len())
        );
        return;
    }
    assert_eq!(written, whole, "what was read says all that is there");
}

/// The group at the beginning, and its records.
fn whole(bytes: &[u8]) {
    let Ok(Group { header, body, hash }) = group::read(bytes) else { return };
    assert_eq!(header.body_len, body.len());
    let mut written = Vec::new();
    group::begin(&mut written);
    written.extend_from_slice(body);
    assert_eq!(group::finish(&mut written, &header), hash);
    assert_eq!(written.len(), group::size(body.len()));
    assert_eq!(written[..72 + body.len()], bytes[..72 + body.len()], "a group says all that is there");
    let mut rest = body;
    while let Ok(record) = Record::read(rest) {
        one(rest);
        rest = &rest[record.len()..];
    }
}

/// The header of a segment.
fn header(bytes: &[u8]) {
    let Ok(header) = Header::read(bytes) else { return };
    let written = header.to_bytes();
    assert_eq!(Header::read(&written), Ok(header), "what is written is read");
    // Four bytes of it mean nothing, and are not looked at.
    if bytes[12..16] == [0; 4] {
        assert_eq!(written, bytes[..written.len()]);
    }
}

/// A footer.
fn footer(bytes: &[u8]) {
    let Some(index) = segment::read_footer(bytes) else { return };
    assert!(16 * index.len() <= bytes.len());
    assert_eq!(segment::footer_len(bytes), Some(bytes.len() as u64));
    let written = segment::footer_to_bytes(&index);
    assert_eq!(segment::read_footer(&written), Some(index), "what is written is read");
}
