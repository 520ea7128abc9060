//! Records: everything goes in and comes out, the bytes are those documented, and no damage passes for a record.

use proptest::prelude::*;
use proptest::sample::Index;

use super::line::operation_to_bytes;
use super::*;

use crate::journal::stored::WrittenAnswer;
use crate::stock::level::tests::any_level;
use crate::stock::{
    Change, IfMissing, Location, Operation, QUANTITY_MAX, Quantity, Sku, StockKey, VERSION_MAX,
};

mod longest;
mod of_actors;
mod of_reservations;

/// What a record is made of.
#[derive(Debug, Clone)]
struct Sample {
    kind: RecordKind,
    once: Option<Once>,
    reason: String,
    reference: String,
    actor: String,
    lines: Vec<SampleLine>,
}

#[derive(Debug, Clone)]
struct SampleLine {
    key: StockKey,
    operation: Operation,
    before: Level,
    after: Level,
    previous: u64,
}

impl SampleLine {
    /// The documented layout.
    fn len(&self) -> usize {
        let second = if matches!(self.operation, Operation::Settle { .. }) { 8 } else { 0 };
        34 + self.key.text().len() + second
    }

    fn changed(&self) -> Changed<'_> {
        Changed { key: &self.key, operation: self.operation, before: self.before, after: self.after }
    }
}

impl Sample {
    fn note(&self) -> RecordHead<'_> {
        let Self { kind, once, reason, reference, actor, .. } = self;
        RecordHead { kind: *kind, once: *once, reason, reference, actor }
    }

    fn unsealed(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(&mut bytes, &self.note(), self.lines.iter().map(SampleLine::changed));
        bytes
    }

    fn sealed(&self, seq: u64, time_ms: u64) -> Vec<u8> {
        let mut bytes = self.unsealed();
        seal(&mut bytes, seq, time_ms, |line| self.lines[line].previous);
        bytes
    }

    /// The documented layout.
    fn len(&self) -> usize {
        let once = self.once.map_or(0, |_| 16 + 32);
        let lines: usize = self.lines.iter().map(SampleLine::len).sum();
        let actor = if self.actor.is_empty() { 0 } else { 1 + self.actor.len() };
        32 + once + actor + self.reason.len() + self.reference.len() + lines
    }
}

fn any_key() -> impl Strategy<Value = StockKey> {
    // No leading dot, as `.` and `..` are no skus.
    ("[!-,/-~][ -~]{0,62}[!-~]|[a\u{e4}][ a\u{ac00}]{0,8}[!-~]", "[!-~]{1,32}|[!-~][ -~]{0,30}[!-~]")
        .prop_map(|(sku, location)| {
            StockKey::new(&Sku::parse(&sku).unwrap(), &Location::parse(&location).unwrap())
        })
}

/// Any change that the rules allow, with the ends of every range likelier than chance.
fn any_change() -> impl Strategy<Value = (Level, Operation, Level)> {
    let choice = (0..8_u8, prop_oneof![Just(None), any::<u64>().prop_map(Some), Just(Some(0))]);
    (any_level(), choice).prop_map(|(level, (which, at))| {
        let version = level.version().min(VERSION_MAX - 1);
        let before = if level.exists() {
            Level::existing(level.on_hand(), level.reserved(), version)
        } else {
            Level::tombstone(version)
        };
        let before = before.unwrap();
        let operation = allowed(before, which, |max| at.map_or(max, |at| at % (max + 1)));
        (before, operation, Change::unconditional(operation).judge(before).unwrap())
    })
}

/// An operation that the rules allow on that level, with a number that `up_to` chooses.
fn allowed(before: Level, which: u8, up_to: impl Fn(u64) -> u64) -> Operation {
    let quantity = |units| Quantity::new(units).unwrap();
    let delta = || up_to(QUANTITY_MAX - before.reserved()).cast_signed() - before.available().cast_signed();
    match which {
        0 | 1 if !before.exists() => Operation::Create { on_hand: quantity(up_to(QUANTITY_MAX)) },
        2 | 3 if !before.exists() => {
            Operation::Count { on_hand: quantity(up_to(QUANTITY_MAX)), if_missing: IfMissing::Create }
        }
        _ if !before.exists() => Operation::Adjust { delta: delta(), if_missing: IfMissing::Create },
        0 => Operation::Adjust { delta: delta(), if_missing: IfMissing::Create },
        1 => Operation::Adjust { delta: delta(), if_missing: IfMissing::Refuse },
        2 => Operation::Reserve { quantity: quantity(up_to(before.available())) },
        3 => Operation::Release { quantity: quantity(up_to(before.reserved())) },
        4 => Operation::Ship { quantity: quantity(up_to(before.reserved())) },
        5 | 6 if before.reserved() == 0 => Operation::Delete,
        5 => {
            let ship = up_to(before.reserved());
            let release = quantity(up_to(before.reserved() - ship));
            Operation::Settle { ship: quantity(ship), release }
        }
        _ => {
            let above = up_to(QUANTITY_MAX - before.reserved());
            let if_missing = if which == 7 { IfMissing::Create } else { IfMissing::Refuse };
            Operation::Count { on_hand: quantity(before.reserved() + above), if_missing }
        }
    }
}

fn any_text(chars_max: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(any::<char>(), 0..=chars_max).prop_map(|chars| chars.into_iter().collect())
}

fn any_once() -> impl Strategy<Value = Once> {
    (any::<u128>(), any::<[u8; 32]>()).prop_map(|(key, fingerprint)| Once { key, fingerprint })
}

/// The name of a key.
fn any_name() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9@._-]{1,64}"
}

fn any_sample() -> impl Strategy<Value = Sample> {
    let line =
        (any_key(), any_change(), any::<u64>()).prop_map(|(key, (before, operation, after), previous)| {
            SampleLine { key, operation, before, after, previous }
        });
    let kind = prop_oneof![Just(RecordKind::Change), Just(RecordKind::Transfer), Just(RecordKind::Import)];
    let lines = prop::collection::vec(line, 1..6);
    let texts = (any_text(64), any_text(128), prop_oneof![Just(String::new()), any_name()]);
    (kind, prop::option::of(any_once()), texts, lines).prop_map(
        |(kind, once, (reason, reference, actor), lines)| Sample {
            kind,
            once,
            reason,
            reference,
            actor,
            lines,
        },
    )
}

fn written(status: u16, body: &[u8]) -> Stored {
    Stored::Written(WrittenAnswer { status, body: body.to_vec() })
}

/// Makes length and checksum those of the bytes, so that a decoder looks further.
fn fix_up(bytes: &mut [u8]) {
    if bytes.len() >= HEAD_BYTES {
        let len = u32::try_from(bytes.len()).unwrap();
        bytes[..4].copy_from_slice(&len.to_le_bytes());
        let crc = crc32fast::hash(&bytes[CRC.end..]);
        bytes[CRC].copy_from_slice(&crc.to_le_bytes());
    }
}

/// Whatever is accepted can be walked to its end.
fn survives(bytes: &[u8]) {
    if let Ok(record) = Record::read(bytes) {
        assert!(record.len() <= bytes.len());
        assert_eq!(record.lines().count() as u64, record.line_count());
        let kind = record.note().kind;
        let changes = matches!(kind, RecordKind::Change | RecordKind::Transfer | RecordKind::Import);
        assert_eq!(record.stored().is_none(), changes || kind.is_of_reservation());
        assert_eq!(record.term().is_some(), kind.is_of_reservation());
        record.lines().for_each(|line| drop((line.units_before(), line.stock_key())));
        assert!(trusted_lines(bytes).eq(record.lines().map(|line| (line.key, line.after))));
    }
}

proptest! {
    #[test]
    fn all_that_goes_in_comes_out(sample in any_sample(), seq: u64, time_ms: u64, after in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut bytes = sample.sealed(seq, time_ms);
        let len = bytes.len();
        prop_assert_eq!(len, sample.len());
        bytes.extend(after);
        prop_assert_eq!(len_of(&bytes), Ok(len));
        let record = Record::read(&bytes).unwrap();
        prop_assert_eq!((record.len(), record.seq(), record.time_ms()), (len, seq, time_ms));
        prop_assert_eq!(record.note(), sample.note());
        prop_assert_eq!(record.line_count(), sample.lines.len() as u64);
        prop_assert_eq!(record.stored(), None);
        prop_assert_eq!(record.lines().count(), sample.lines.len());
        for (line, sample) in record.lines().zip(&sample.lines) {
            prop_assert_eq!((line.key, line.operation), (sample.key.text(), sample.operation));
            prop_assert_eq!((line.after, line.previous), (sample.after, sample.previous));
            prop_assert_eq!(line.stock_key(), Some(sample.key.clone()));
            prop_assert_eq!(line.units_before(), Some((sample.before.on_hand(), sample.before.reserved())));
        }
    }

    /// What the hand-off reads of its own record, before and after it is sealed, is what everybody reads.
    #[test]
    fn trusted_reading_is_checked_reading(sample in any_sample()) {
        let (unsealed, sealed) = (sample.unsealed(), sample.sealed(1, 2));
        let record = Record::read(&sealed).unwrap();
        for bytes in [&unsealed, &sealed] {
            prop_assert_eq!(trusted_lines(bytes).len(), sample.lines.len());
            prop_assert!(trusted_lines(bytes).eq(record.lines().map(|line| (line.key, line.after))));
            prop_assert_eq!(trusted_once(bytes), sample.once.map(|once| once.key));
        }
    }

    /// Sealing fills in number, time, links and checksum; every other byte stays.
    #[test]
    fn sealing_touches_what_the_writer_knows_and_nothing_else(sample in any_sample(), seq: u64, time_ms: u64) {
        let (unsealed, mut sealed) = (sample.unsealed(), sample.sealed(seq, time_ms));
        let mut blanked = vec![CRC, SEQ, TIME];
        let mut at = lines_at(&unsealed);
        for line in &sample.lines {
            blanked.push(at + LINE_PREVIOUS.start..at + LINE_PREVIOUS.end);
            at += line.len();
        }
        for range in blanked {
            prop_assert!(unsealed[range.clone()].iter().all(|&byte| byte == 0));
            sealed[range].fill(0);
        }
        prop_assert_eq!(sealed, unsealed);
    }

    #[test]
    fn answers_come_out_as_they_went_in(
        once in any_once(), status: u16, body in prop::collection::vec(any::<u8>(), 0..600), before in 0..50_usize,
    ) {
        let note = RecordHead { kind: RecordKind::Answer, once: Some(once), reason: "", reference: "", actor: "" };
        let mut bytes = vec![7; before];
        encode_stored(&mut bytes, &note, &written(status, &body));
        let bytes = &mut bytes[before..];
        seal(bytes, 5, 6, |_| unreachable!("an answer has no lines"));
        prop_assert_eq!(bytes.len(), 32 + 48 + 2 + body.len());
        let record = Record::read(bytes).unwrap();
        prop_assert_eq!((record.note(), record.seq(), record.line_count()), (note, 5, 0));
        prop_assert_eq!(record.stored(), Some(written(status, &body)));
        prop_assert_eq!((trusted_once(bytes), trusted_lines(bytes).len()), (Some(once.key), 0));
    }

    /// Cut anywhere it is no record, not even with a length and a checksum that fit what is left.
    #[test]
    fn a_record_cut_short_is_none(sample in any_sample()) {
        let bytes = sample.sealed(1, 2);
        for len in 0..bytes.len() {
            prop_assert_eq!(Record::read(&bytes[..len]), Err(RecordError::Length), "cut to {}", len);
            let mut cut = bytes[..len].to_vec();
            fix_up(&mut cut);
            prop_assert!(Record::read(&cut).is_err(), "cut to {} and fixed up", len);
        }
    }

    #[test]
    fn hostile_bytes_are_refused_or_can_be_walked(mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        survives(&bytes);
        fix_up(&mut bytes);
        survives(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_048))]

    /// A valid record, then bits flipped, a piece of another one spliced in, and length and checksum made to fit.
    #[test]
    fn decoders_survive_hostile_bytes(
        sample in any_sample(), other in any_sample(),
        flips in prop::collection::vec((any::<Index>(), 0..8_u32), 0..6),
        splice in prop::option::of((any::<Index>(), any::<Index>(), any::<Index>())),
        head in prop::option::of((KIND..HEAD_BYTES, any::<u8>())),
    ) {
        let (mut bytes, other) = (sample.sealed(1, 2), other.sealed(3, 4));
        if let Some((to, from, until)) = splice {
            let (from, until) = (from.index(other.len()), until.index(other.len()));
            bytes.splice(to.index(bytes.len()).., other[from.min(until)..from.max(until)].iter().copied());
        }
        for (at, bit) in flips {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
        }
        if let (Some((at, byte)), true) = (head, bytes.len() >= HEAD_BYTES) {
            bytes[at] = byte;
        }
        survives(&bytes);
        fix_up(&mut bytes);
        survives(&bytes);
    }
}

fn key(text: &str) -> StockKey {
    StockKey::from_text(text).unwrap()
}

/// One line, a key, both texts, a link: every part of the layout.
fn golden() -> Sample {
    let line = SampleLine {
        key: key("SKU-1 main"),
        operation: Operation::Adjust { delta: -8, if_missing: IfMissing::Refuse },
        before: Level::existing(20, 5, 2).unwrap(),
        after: Level::existing(12, 5, 3).unwrap(),
        previous: 0x0102_0304_0506_0708,
    };
    let key = u128::from_le_bytes(std::array::from_fn(|index| u8::try_from(index).unwrap()));
    Sample {
        kind: RecordKind::Change,
        once: Some(Once { key, fingerprint: [0xAB; 32] }),
        reason: "für".to_owned(),
        reference: "ref7".to_owned(),
        actor: String::new(),
        lines: vec![line],
    }
}

fn hex_of(bytes: &[u8]) -> String {
    format!("{bytes:02x?}").replace(['[', ',', ' ', ']'], "")
}

/// Bytes that were put together by hand from the documentation: they change with the format version, or not at all.
#[test]
fn the_bytes_are_those_documented() {
    let documented = [
        "84000000 d47ff8e9 4d00000000000000 0068e5cf8b010000", // len, crc, seq, time
        "01 01 0100 0400 0400",                                // kind, flags, lines, lengths of the texts
        "000102030405060708090a0b0c0d0e0f",                    // key
        "abababababababababababababababababababababababababababababababab",
        "66c3bc72 72656637",                                       // texts
        "03 0a f8ffffffffffffff 0c000000000500000000030000000000", // operation, key_len, operand, level
        "0807060504030201 534b552d31206d61696e",                   // previous, key
    ];
    let hex = hex_of(&golden().sealed(77, 1_700_000_000_000));
    assert_eq!(hex, documented.concat().replace(' ', ""));
}

/// Each operation has a tag of its own, and its operand is what the level after does not tell.
#[test]
fn the_tags_of_operations_are_those_documented() {
    let quantity = |units| Quantity::new(units).unwrap();
    let before = Level::existing(9, 0, 1).unwrap();
    let count = |if_missing| Operation::Count { on_hand: quantity(5), if_missing };
    let missing = operation_to_bytes(count(IfMissing::Create), Level::tombstone(3).unwrap());
    assert_eq!(missing, (9, -1), "there was no level");
    let table = [
        (Operation::Create { on_hand: quantity(5) }, (1, 0)),
        (count(IfMissing::Refuse), (2, 9)),
        (count(IfMissing::Create), (9, 9)),
        (Operation::Adjust { delta: -3, if_missing: IfMissing::Refuse }, (3, -3)),
        (Operation::Adjust { delta: 3, if_missing: IfMissing::Create }, (4, 3)),
        (Operation::Reserve { quantity: quantity(5) }, (5, 5)),
        (Operation::Release { quantity: quantity(5) }, (6, 5)),
        (Operation::Ship { quantity: quantity(QUANTITY_MAX) }, (7, QUANTITY_MAX.cast_signed())),
        (Operation::Delete, (8, 9)),
    ];
    for (operation, bytes) in table {
        assert_eq!(operation_to_bytes(operation, before), bytes, "{operation:?}");
    }
}

#[test]
fn no_flipped_bit_passes() {
    // Something to read after it, for a length that was made longer.
    let bytes = [golden().sealed(77, 88), vec![0; 70_000]].concat();
    for bit in 0..golden().len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(Record::read(&flipped).is_err(), "bit {bit}");
    }
}

#[test]
fn parts_that_cannot_be_are_named() {
    let lines_at = HEAD_BYTES + ONCE_BYTES + 8;
    let with = |at: usize, byte: u8| {
        let mut bytes = golden().sealed(1, 2);
        bytes[at] = byte;
        fix_up(&mut bytes);
        Record::read(&bytes).err()
    };
    let part = |name| Some(RecordError::Part(name));
    assert_eq!(with(KIND, 0), part("kind"));
    assert_eq!(with(KIND, 21), part("kind"));
    assert_eq!(with(KIND, RecordKind::Reserved as u8), part("lines"), "a reservation has a term");
    assert_eq!(with(KIND, RecordKind::Extended as u8), part("lines"), "an extension has no lines");
    assert_eq!(with(KIND, RecordKind::Fulfilled as u8), part("lines"), "it says of which order");
    assert_eq!(with(KIND, RecordKind::Ordered as u8), part("lines"), "an order that is placed moves nothing");
    assert_eq!(with(KIND, RecordKind::Refused as u8), part("lines"), "a refusal has no lines");
    assert_eq!(with(FLAGS, 4), part("flags"));
    assert_eq!(with(FLAGS, 5), part("flags"));
    assert_eq!(with(LINES.start, 0), part("lines"));
    assert_eq!(with(LINES.start, 2), Some(RecordError::Length));
    assert_eq!(with(HEAD_BYTES + ONCE_BYTES, 0xFF), part("text"));
    assert_eq!(with(lines_at, 0), part("operation"));
    assert_eq!(with(lines_at, 9), part("operation"), "a quantity less than none");
    assert_eq!(with(lines_at, 10), Some(RecordError::Length), "a second quantity");
    assert_eq!(with(lines_at, 11), part("operation"));
    assert_eq!(with(lines_at, 1), part("operation"), "a create has no operand");
    assert_eq!(with(lines_at, 5), part("operation"), "a negative quantity");
    assert_eq!(with(lines_at + 25, 0x20), part("level"), "the mark of a claim");
    assert_eq!(with(lines_at + LINE_HEAD_BYTES, 0xFF), part("key"));
    assert_eq!(with(KIND, RecordKind::Answer as u8), part("lines"), "an answer has no lines");
    assert_eq!(with(KIND, RecordKind::Moved as u8), part("lines"), "what a key stands for has none, either");
    assert_eq!(with(KIND, RecordKind::Transfer as u8), None);
    let mut longer = golden().sealed(1, 2);
    longer.push(0);
    fix_up(&mut longer);
    assert_eq!(Record::read(&longer).err(), part("lines"), "something after the last line");
}

#[test]
fn a_stored_answer_has_a_key_and_a_status() {
    let encoded = |once| {
        let note = RecordHead { kind: RecordKind::Answer, once, reason: "", reference: "", actor: "" };
        let mut bytes = Vec::new();
        encode_stored(&mut bytes, &note, &written(409, b""));
        seal(&mut bytes, 1, 2, |_| 0);
        bytes
    };
    assert_eq!(Record::read(&encoded(None)), Err(RecordError::Part("lines")));
    let mut bytes = encoded(Some(Once { key: 1, fingerprint: [2; 32] }));
    assert!(Record::read(&bytes).is_ok());
    bytes.pop();
    fix_up(&mut bytes);
    assert_eq!(Record::read(&bytes), Err(RecordError::Part("lines")));
}

#[test]
fn a_line_that_contradicts_itself_has_no_units_before() {
    let quantity = |units| Quantity::new(units).unwrap();
    let level = |on_hand, reserved| Level::existing(on_hand, reserved, 4).unwrap();
    let adjust = |delta| Operation::Adjust { delta, if_missing: IfMissing::Refuse };
    let gone = Level::tombstone(4).unwrap();
    let (on_hand, full) = (quantity(5), level(QUANTITY_MAX, 0));
    let table = [
        (Operation::Create { on_hand }, None, level(5, 1)),
        (Operation::Create { on_hand }, None, gone),
        (Operation::Count { on_hand, if_missing: IfMissing::Refuse }, Some(1), level(5, 2)),
        (Operation::Count { on_hand, if_missing: IfMissing::Create }, None, level(5, 2)),
        (Operation::Delete, Some(1), level(0, 0)),
        (Operation::Delete, None, gone),
        (adjust(6), None, level(5, 0)),
        (adjust(2), None, level(5, 4)),
        (adjust(-1), None, full),
        (adjust(i64::MIN), None, level(5, 0)),
        (adjust(0), None, Level::existing(5, 0, 0).unwrap()),
        (Operation::Reserve { quantity: quantity(3) }, None, level(5, 2)),
        (Operation::Release { quantity: quantity(4) }, None, level(5, 2)),
        (Operation::Ship { quantity: quantity(1) }, None, full),
        (Operation::Ship { quantity: quantity(1) }, None, gone),
    ];
    for (operation, on_hand_before, after) in table {
        let line = Line { key: "a main", operation, on_hand_before, after, previous: 0 };
        assert_eq!(line.units_before(), None, "{line:?}");
    }
}

#[test]
fn lengths_have_bounds() {
    let len_of = |len: usize| len_of(&u32::try_from(len).unwrap().to_le_bytes());
    assert_eq!(len_of(HEAD_BYTES - 1), Err(RecordError::Length));
    assert_eq!(len_of(HEAD_BYTES), Ok(HEAD_BYTES));
    assert_eq!(len_of(RECORD_BYTES_MAX), Ok(RECORD_BYTES_MAX));
    assert_eq!(len_of(RECORD_BYTES_MAX + 1), Err(RecordError::Length));
    assert_eq!(super::len_of(&[0; 3]), Err(RecordError::Length));
}
