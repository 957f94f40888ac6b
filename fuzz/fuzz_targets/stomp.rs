#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pushring_fuzz::stomp::run(data));
