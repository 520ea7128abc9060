//! See `decoders::histories`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| decoders::histories::hold(bytes));
