//! See `decoders::logs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| decoders::logs::hold(bytes));
