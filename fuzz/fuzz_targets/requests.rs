//! See `decoders::requests`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| decoders::requests::hold(bytes));
