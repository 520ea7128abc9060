//! See `decoders::parts`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| decoders::parts::hold(bytes));
