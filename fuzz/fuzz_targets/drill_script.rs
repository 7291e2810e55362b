#![no_main]

use fourwave_drill::lang::{parse, parse_bytes};

// What reads at all reads back as itself; tests/lang_properties.rs asks the same of scripts that
// are made up.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    match parse_bytes(bytes, &|name| name == "A") {
        Ok(script) => {
            let text = script.to_string();
            let again = parse(&text).unwrap_or_else(|e| panic!("{}", e.in_file("again")));
            assert_eq!(again.to_string(), text);
        }
        Err(error) => assert_eq!(error.in_file("script").to_string().lines().count(), 3),
    }
});
