//! See `decoders::imports`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| decoders::imports::hold(bytes));
