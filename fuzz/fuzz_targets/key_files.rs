//! See `decoders::key_files`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| decoders::key_files::hold(bytes));
