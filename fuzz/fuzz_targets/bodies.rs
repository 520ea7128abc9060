//! See `decoders::bodies`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| decoders::bodies::hold(bytes));
