#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fourwave_sim::fuzz::pair::run(bytes));
