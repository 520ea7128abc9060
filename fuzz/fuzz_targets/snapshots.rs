//! See `decoders::snapshots`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| decoders::snapshots::hold(bytes));
