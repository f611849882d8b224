//! `tests_decoders` says what is checked.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (tests_decoders::find("signer").run)(bytes));
