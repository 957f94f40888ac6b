#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pushring_fuzz::centrifuge::run(data));
