//! See `decoders::records`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| decoders::records::hold(bytes));
