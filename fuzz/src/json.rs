//! The HTTP API's JSON, against serde_json: who is let in, and that `data` is what was sent.

use bytes::Bytes;
use pushring::json;
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Debug, Deserialize)]
struct Publish {
    channel: String,
}

#[derive(Deserialize)]
struct Oracle<'a> {
    channel: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// Takes the body of a call.
pub fn run(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    let ours = json::parse::<Publish>(&body);
    // Theirs passes over members that nobody wants, whatever bytes are in them.
    let Ok(text) = std::str::from_utf8(data) else {
        assert!(ours.is_err(), "not UTF-8, and let in");
        return;
    };
    let theirs = serde_json::from_str::<Oracle<'_>>(text);
    match (&ours, &theirs) {
        (Ok((call, data)), Ok(oracle)) => {
            assert_eq!(call.channel, oracle.channel);
            assert_eq!(
                &**data,
                oracle.data.get().as_bytes(),
                "data is not what was sent"
            );
        }
        (Err(_), Err(_)) => {}
        (Ok((call, data)), Err(error)) => {
            // Nothing may come through that is no JSON; of how deep it may be the two think
            // differently.
            let deep = error.to_string().contains("recursion limit");
            assert!(deep, "{call:?} with {data:?} is let in, but: {error}");
        }
        // Serde takes a list for a structure; the API wants an object.
        (Err(_), Ok(_)) if text.trim_start().starts_with('[') => {}
        (Err(error), Ok(oracle)) => {
            // Machine numbers that do not fit are refused outside of `data` by one of the two.
            let number = error.to_string();
            assert!(
                has_odd_number(data),
                "channel {:?} is refused: {number}",
                oracle.channel
            );
        }
    }
}

/// Whether there are digits beyond what a machine number holds, or an exponent.
fn has_odd_number(text: &[u8]) -> bool {
    text.split(|byte| !byte.is_ascii_digit())
        .any(|digits| digits.len() > 15)
        || text
            .windows(2)
            .any(|pair| pair[0].is_ascii_digit() && matches!(pair[1], b'e' | b'E'))
}
