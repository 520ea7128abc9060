//! Records of reservations.

use proptest::prelude::*;

use super::*;

proptest! {
    /// A record of a reservation is as any other, and ends with its term.
    #[test]
    fn a_record_of_a_reservation_ends_with_its_term(sample in any_sample(), which in 9..13_u8, parts: [u64; 2], id: u128) {
        let [expires_date_ms, expires_ms] = parts;
        let term = Term { id: ReservationId::from_bits(id), expires_date_ms, expires_ms };
        let plain = sample.unsealed();
        let mut bytes = Vec::new();
        let changes = sample.lines.iter().map(SampleLine::changed);
        encode_with(&mut bytes, &sample.note(), changes, |out| put_term(out, &term));
        prop_assert_eq!(&bytes[4..plain.len()], &plain[4..]);
        bytes[KIND] = which;
        seal(&mut bytes, 7, 8, |line| sample.lines[line].previous);
        let record = Record::read(&bytes).unwrap();
        prop_assert_eq!((record.term(), record.stored()), (Some(term), None));
        prop_assert_eq!(record.lines().count(), sample.lines.len());
        for cut in 1..=TERM_BYTES {
            let mut short = bytes[..bytes.len() - cut].to_vec();
            let len = u32::try_from(short.len()).unwrap();
            short[..4].copy_from_slice(&len.to_le_bytes());
            fix_up(&mut short);
            prop_assert!(Record::read(&short).is_err(), "{} short", cut);
        }
    }
}
