//! What subscribers receive as `data`, which is JSON, of payloads, which are anything.
//!
//! | payload | `data` |
//! | --- | --- |
//! | text that is JSON | that text, byte for byte; only line ends between its tokens become blanks, because a line end ends a reply |
//! | any other text | a string |
//! | binary | a string: the bytes in base64 (RFC 4648, section 4, with padding) |

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BufMut;
use memchr::memchr2_iter;

use crate::json;
use crate::publication::Kind;

/// Appends a payload as a JSON value without a line end.
pub fn put_data(out: &mut impl BufMut, kind: Kind, payload: &[u8]) {
    match kind {
        Kind::Text if json::check(payload).is_ok() => put_json(out, payload),
        Kind::Text => match simdutf8::basic::from_utf8(payload) {
            Ok(text) => json::put_string(out, text),
            Err(_) => put_base64(out, payload),
        },
        Kind::Binary => put_base64(out, payload),
    }
}

/// Appends a text that is known to be JSON, with blanks for line ends: inside of its strings there are none.
pub fn put_json(out: &mut impl BufMut, text: &[u8]) {
    let mut from = 0;
    for at in memchr2_iter(b'\n', b'\r', text) {
        out.put_slice(&text[from..at]);
        out.put_u8(b' ');
        from = at + 1;
    }
    out.put_slice(&text[from..]);
}

fn put_base64(out: &mut impl BufMut, bytes: &[u8]) {
    /// Bytes that are encoded at a time: a multiple of three, so that only the last have padding.
    const PIECE: usize = 3 * 256;
    let mut encoded = [0; PIECE / 3 * 4];
    out.put_u8(b'"');
    for piece in bytes.chunks(PIECE) {
        // It has room for four characters for three bytes.
        if let Ok(len) = STANDARD.encode_slice(piece, &mut encoded) {
            out.put_slice(&encoded[..len]);
        }
    }
    out.put_u8(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn data(kind: Kind, payload: &[u8]) -> String {
        let mut out = Vec::new();
        put_data(&mut out, kind, payload);
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    #[test]
    fn json_is_handed_on_byte_for_byte() {
        for text in [
            "1.10",
            "12345678901234567890123456789012",
            r#"{ "a" : [ "\u00e9\n" , 1E400 ] }"#,
            " null",
            "\"\u{7f}é\"",
        ] {
            assert_eq!(data(Kind::Text, text.as_bytes()), text);
        }
    }

    #[test]
    fn line_ends_between_tokens_become_blanks() {
        let pretty = "{\r\n  \"a\": [\n    1,\n    \"b\\n\"\n  ]\n}\n";
        let line = data(Kind::Text, pretty.as_bytes());
        assert_eq!(line, "{    \"a\": [     1,     \"b\\n\"   ] } ");
        assert_eq!(line.len(), pretty.len());
    }

    #[test]
    fn other_texts_are_strings_and_bytes_are_base64() {
        for text in ["", "hello", "{", "a\nb", "\"", "01", "1 2", "\u{0}"] {
            let json = data(Kind::Text, text.as_bytes());
            assert_eq!(
                serde_json::from_str::<String>(&json).expect("a string"),
                text
            );
        }
        assert_eq!(data(Kind::Binary, b"12"), "\"MTI=\"");
        assert_eq!(data(Kind::Binary, b""), "\"\"");
    }

    #[test]
    fn json_of_any_depth_is_handed_on() {
        let deep = "[".repeat(50_000) + &"]".repeat(50_000);
        assert_eq!(data(Kind::Text, deep.as_bytes()), deep);
    }

    proptest! {
        #[test]
        fn data_is_one_line_of_json_that_says_what_the_payload_says(payload in prop_oneof![".*", "[\\[\\]{}\",:0-9 \\n\\r\\\\a]{0,12}"]) {
            let line = data(Kind::Text, payload.as_bytes());
            prop_assert!(!line.contains(['\n', '\r']), "{:?}", line);
            let value: Value = serde_json::from_str(&line).expect("JSON");
            match serde_json::from_str::<Value>(&payload) {
                Ok(expected) => prop_assert_eq!(value, expected),
                Err(_) => prop_assert_eq!(value, Value::String(payload)),
            }
        }

        #[test]
        fn bytes_come_back_from_base64(payload in prop::collection::vec(any::<u8>(), 0..2_000)) {
            let line = data(Kind::Binary, &payload);
            let text: String = serde_json::from_str(&line).expect("a string");
            prop_assert_eq!(STANDARD.decode(text).expect("base64"), payload);
        }

        #[test]
        fn texts_that_are_no_text_do_no_harm(payload in prop::collection::vec(any::<u8>(), 0..40)) {
            let line = data(Kind::Text, &payload);
            serde_json::from_str::<Value>(&line).expect("JSON");
        }
    }
}
