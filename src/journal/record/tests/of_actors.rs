//! Who made a change: where that stands in a record, and that one without it is as it was before there were keys.

use super::*;

/// Behind the idempotency key, and before the texts; a record that nobody made has the bytes of version 4 of the format.
#[test]
fn who_made_it_stands_where_it_is_documented() {
    let unsealed = |sample: &Sample| hex_of(&sample.unsealed());
    let nobody = golden();
    let (till, end) =
        (Sample { actor: "till".to_owned(), ..nobody.clone() }, unsealed(&nobody)[160..].to_owned());
    assert_eq!(unsealed(&till)[50..52], *"03");
    assert_eq!(unsealed(&till)[160..], format!("0474696c6c{end}"));
    let without_key = Sample { once: None, ..till };
    assert_eq!(unsealed(&without_key)[50..52], *"02");
    assert_eq!(unsealed(&without_key)[64..], format!("0474696c6c{end}"));
}

/// A name that is flagged is there: what says otherwise was not written by this program.
#[test]
fn who_made_it_is_not_empty_and_not_past_the_end() {
    let mut bytes = Sample { once: None, actor: "till".to_owned(), ..golden() }.sealed(1, 2);
    bytes[HEAD_BYTES] = 0;
    fix_up(&mut bytes);
    assert_eq!(Record::read(&bytes), Err(RecordError::Part("flags")));
    bytes[HEAD_BYTES] = u8::MAX;
    fix_up(&mut bytes);
    assert!(Record::read(&bytes).is_err());
    bytes.truncate(HEAD_BYTES);
    fix_up(&mut bytes);
    assert_eq!(Record::read(&bytes), Err(RecordError::Part("flags")));
}
