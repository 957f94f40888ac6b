//! JSON that is partly looked at and partly handed on. What subscribers receive (`data`) is delivered
//! byte for byte as it was sent, so it is found in the text and not rebuilt from a parsed value: numbers
//! keep their digits, and spaces stay where they are.
//!
//! [`parse`] and [`parse_around`] do both at once: they cut one member out of an object and parse the
//! rest. [`member`], [`members`] and [`elements`] find parts of a text, [`check`] says whether a part is JSON, and
//! [`put_string`] writes a string.

#![forbid(unsafe_code)]

use std::ops::Range;

use bytes::{BufMut, Bytes};
use serde::de::DeserializeOwned;

/// Why a text is not what was to be read; its sender's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not JSON, or not of the shape that was wanted.
    #[error("{0}")]
    Malformed(String),
    /// A member that is handed on is there more than once.
    #[error("the member \"{0}\" is there twice")]
    Twice(&'static str),
    /// No `data`.
    #[error("the member \"data\" is missing: it is what subscribers receive, any JSON value")]
    NoData,
}

/// Parses an object around its member `data`, which must be there: the rest as `T`, and `data` as a
/// part of the text.
///
/// # Errors
/// [`JsonError`].
pub fn parse<T: DeserializeOwned>(text: &Bytes) -> Result<(T, Bytes), JsonError> {
    let (rest, data) = parse_around(text, "data")?;
    Ok((rest, data.ok_or(JsonError::NoData)?))
}

/// Parses an object around one of its members: the rest as `T`, to which that member looks as if it
/// were null, and the member's value as a part of the text, if it is there.
///
/// # Errors
/// [`JsonError::Malformed`] and [`JsonError::Twice`].
pub fn parse_around<T: DeserializeOwned>(
    text: &Bytes,
    name: &'static str,
) -> Result<(T, Option<Bytes>), JsonError> {
    let value = member(text, name)?;
    // simd-json writes into its input, and needs not look at what is delivered as it is.
    let mut envelope = text.to_vec();
    if let Some(value) = &value {
        envelope.splice(value.clone(), *b"null");
    }
    let rest = parse_here(&mut envelope)?;
    let Some(value) = value else {
        return Ok((rest, None));
    };
    let value = text.slice(value);
    check(&value).map_err(|error| JsonError::Malformed(format!("{name} is no JSON: {error}")))?;
    Ok((rest, Some(value)))
}

/// Parses a text of which nothing is handed on.
///
/// # Errors
/// [`JsonError::Malformed`].
pub fn parse_all<T: DeserializeOwned>(text: &[u8]) -> Result<T, JsonError> {
    parse_here(&mut text.to_vec())
}

fn parse_here<T: DeserializeOwned>(text: &mut [u8]) -> Result<T, JsonError> {
    // simd-json takes it for a space behind a number.
    if text.contains(&0) {
        return Err(JsonError::Malformed("a NUL is no part of JSON".to_owned()));
    }
    simd_json::serde::from_slice(text).map_err(|error| JsonError::Malformed(error.to_string()))
}

/// Whether the text is one JSON value, of at most 127 levels. Not by simd-json: it turns numbers into
/// machine numbers and refuses those that have none, though as text they are JSON; and it takes some that
/// are no JSON at all, such as `1.3456789116427448893+0`.
///
/// # Errors
/// [`JsonError::Malformed`].
pub fn check(text: &[u8]) -> Result<(), JsonError> {
    match serde_json::from_slice::<&serde_json::value::RawValue>(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(JsonError::Malformed(error.to_string())),
    }
}

/// Writes a string with its quotes.
pub fn put_string(out: &mut impl BufMut, text: &str) {
    out.put_u8(b'"');
    for c in text.chars() {
        match c {
            '"' => out.put_slice(b"\\\""),
            '\\' => out.put_slice(b"\\\\"),
            '\n' => out.put_slice(b"\\n"),
            c if c.is_control() => {
                // All control characters have fewer than four hexadecimal digits.
                let code = u32::from(c);
                out.put_slice(b"\\u");
                for shift in [12, 8, 4, 0] {
                    out.put_u8(b"0123456789abcdef"[(code >> shift & 0xf) as usize]);
                }
            }
            c => out.put_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.put_u8(b'"');
}

/// A string with its quotes, as [`put_string`] writes it.
pub fn quoted(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    put_string(&mut out, text);
    // What was made of a string's characters is one.
    String::from_utf8(out).unwrap_or_default()
}

/// Where the value of an object's member stands, without the spaces around it. The text need not
/// be valid: what is found in an invalid one is anything.
///
/// # Errors
/// [`JsonError::Twice`].
pub fn member(text: &[u8], name: &'static str) -> Result<Option<Range<usize>>, JsonError> {
    let mut found = None;
    for (key, value) in members(text) {
        if is_key(&text[key], name) && found.replace(value).is_some() {
            return Err(JsonError::Twice(name));
        }
    }
    Ok(found)
}

/// Where the members of an object stand: each key between its quotes, and each value. The text need not be
/// valid: what is found in an invalid one is anything, and nothing in what is no object.
pub fn members(text: &[u8]) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
    let mut at = skip_spaces(text, 0);
    // The opening brace first, then the comma before each further member.
    let mut before = b'{';
    std::iter::from_fn(move || {
        if text.get(at) != Some(&before) {
            return None;
        }
        before = b',';
        let key_start = skip_spaces(text, at + 1);
        let (key, value) = next_member(text, key_start)?;
        at = skip_spaces(text, value.end);
        Some((key, value))
    })
}

/// Where the elements of an array stand, without the spaces around them. The text need not be valid:
/// what is found in an invalid one is anything, and nothing in what is no array.
pub fn elements(text: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = skip_spaces(text, 0);
    // The opening bracket first, then the comma before each further element.
    let mut before = b'[';
    std::iter::from_fn(move || {
        if text.get(at) != Some(&before) {
            return None;
        }
        before = b',';
        let start = skip_spaces(text, at + 1);
        let end = skip_value(text, start)?;
        at = skip_spaces(text, end);
        Some(start..end)
    })
}

/// Whether a key, as it stands between its quotes, is that name. It may be written with escapes.
pub fn is_key(key: &[u8], name: &str) -> bool {
    if !key.contains(&b'\\') {
        return key == name.as_bytes();
    }
    let quoted = [b"\"", key, b"\""].concat();
    serde_json::from_slice::<String>(&quoted).is_ok_and(|key| key == name)
}

/// The key, without its quotes, and the value of the member that begins here.
fn next_member(text: &[u8], from: usize) -> Option<(Range<usize>, Range<usize>)> {
    if text.get(from) != Some(&b'"') {
        return None;
    }
    let key_end = skip_string(text, from)?;
    let colon = skip_spaces(text, key_end);
    if text.get(colon) != Some(&b':') {
        return None;
    }
    let value_start = skip_spaces(text, colon + 1);
    let value_end = skip_value(text, value_start)?;
    Some((from + 1..key_end - 1, value_start..value_end))
}

/// The end of the value that begins here: of the string, of what brackets enclose, or of the
/// number or word.
fn skip_value(text: &[u8], from: usize) -> Option<usize> {
    let mut depth = 0usize;
    let mut at = from;
    loop {
        match text.get(at)? {
            b'"' => at = skip_string(text, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                at += 1;
            }
            _ if depth > 0 => at += 1,
            _ => {
                let rest = &text[at..];
                let end = rest
                    .iter()
                    .position(|b| b",}] \t\r\n\"{[:".contains(b))
                    .unwrap_or(rest.len());
                return (end > 0).then_some(at + end);
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// The end of the string that begins here.
fn skip_string(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from + 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn skip_spaces(text: &[u8], from: usize) -> usize {
    let spaces = text[from.min(text.len())..]
        .iter()
        .take_while(|b| b" \t\r\n".contains(b))
        .count();
    from + spaces
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    struct Publish {
        channel: String,
    }

    fn publish(body: &str) -> Result<(String, String), JsonError> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let (parameters, data) = parse::<Publish>(&body)?;
        let data = String::from_utf8(data.to_vec()).unwrap();
        Ok((parameters.channel, data))
    }

    #[test]
    fn a_whole_text_is_parsed_as_it_is() {
        let parse = |text: &str| parse_all::<Publish>(text.as_bytes());
        assert_eq!(
            parse(r#"{"channel":"news","data":1}"#).unwrap().channel,
            "news"
        );
        for text in ["", "{}", "{\"channel\":\"a\"}\0"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused_as_data() {
        for data in [
            "1.3456789116427448893+0",
            "[1, 01]",
            "1e",
            "-",
            "+1",
            ".5",
            "0x1",
            "NaN",
        ] {
            let body = format!(r#"{{"channel":"a","data":{data}}}"#);
            assert!(
                matches!(publish(&body), Err(JsonError::Malformed(_))),
                "{data}"
            );
        }
    }

    #[test]
    fn a_nul_is_refused_wherever_it_stands() {
        for body in [
            "{\"channel\":\"a\",\"data\":1,\"b\":1\0\0\0}",
            "{\"channel\":\"a\",\"data\":1\0\0}",
            "{\"channel\":\"a\0\",\"data\":1}",
        ] {
            assert!(
                matches!(publish(body), Err(JsonError::Malformed(_))),
                "{body:?}"
            );
        }
    }

    #[test]
    fn a_key_may_be_written_with_escapes() {
        let escaped = r#"{"\u0063hannel":"news","\u0064at\u0061":1.0}"#;
        assert_eq!(publish(escaped).unwrap(), ("news".into(), "1.0".into()));
        let twice = r#"{"channel":"news","data":1,"\u0064ata":2}"#;
        assert_eq!(publish(twice), Err(JsonError::Twice("data")));
    }

    #[test]
    fn data_is_taken_byte_for_byte() {
        for data in [
            "1.10",
            "1e5",
            "1E400",
            "12345678901234567890123456789012",
            "-0.0",
            r#""text with \"quotes\", \\ and \u00e9""#,
            "null",
            "[ 1 ,\t2,{ \"a\" : [ ] } ]",
            r#"{"data": {"data": "}]"}, "channel": 3}"#,
        ] {
            for body in [
                format!(r#"{{"channel":"news","data":{data}}}"#),
                format!("\n{{ \"data\" :\t{data} ,\r\n\"channel\": \"news\" }} "),
            ] {
                assert_eq!(
                    publish(&body).unwrap(),
                    ("news".into(), data.into()),
                    "{body}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_call_is_refused() {
        assert_eq!(publish(r#"{"channel":"news"}"#), Err(JsonError::NoData));
        for body in [
            "",
            "null",
            "[]",
            "{",
            r#"{"data":1}"#,
            r#"{"channel":1,"data":1}"#,
            r#"{"channel":"a","data":01}"#,
            r#"{"channel":"a","data":tru}"#,
            r#"{"channel":"a","data":[1}"#,
            r#"{"channel":"a","data":}"#,
            r#"{"channel":"a","data":"x}"#,
            r#"{"channel":"a","data":1,"data":2}"#,
            r#"{"channel":"a","data":1} x"#,
        ] {
            assert!(publish(body).is_err(), "{body}");
        }
    }

    #[test]
    fn a_member_that_is_handed_on_may_be_missing() {
        let body = Bytes::from_static(br#"{"channel":"news"}"#);
        let (call, data) = parse_around::<Publish>(&body, "data").unwrap();
        assert_eq!((&*call.channel, data), ("news", None));
    }

    #[test]
    fn the_elements_of_an_array_are_found() {
        for (text, found) in [
            ("[]", vec![]),
            (" [ ] ", vec![]),
            ("[1]", vec!["1"]),
            (
                r#" [ {"a":[1,2]} , "],[" ,null]"#,
                vec![r#"{"a":[1,2]}"#, r#""],[""#, "null"],
            ),
            ("{}", vec![]),
            ("", vec![]),
            ("[1,,2]", vec!["1"]),
        ] {
            let parts: Vec<_> = elements(text.as_bytes()).map(|at| &text[at]).collect();
            assert_eq!(parts, found, "{text}");
        }
    }

    /// Any JSON value as text, with spaces where they are allowed.
    fn value() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just(" true".to_owned()),
            any::<f64>()
                .prop_filter("finite", |f| f.is_finite())
                .prop_map(|f| format!("{f:e}")),
            any::<i64>().prop_map(|i| i.to_string()),
            ".{0,12}".prop_map(|s| serde_json::to_string(&s).unwrap()),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4)
                    .prop_map(|v| format!("[{} ]", v.join(" ,"))),
                prop::collection::vec((".{0,6}", inner), 0..4).prop_map(|members| {
                    let members: Vec<_> = members
                        .iter()
                        .map(|(k, v)| format!("{} :{v}", serde_json::to_string(k).unwrap()))
                        .collect();
                    format!("{{{}}}", members.join(", "))
                }),
            ]
        })
    }

    #[derive(Deserialize)]
    struct Oracle<'a> {
        #[serde(borrow)]
        data: &'a serde_json::value::RawValue,
    }

    proptest! {
        #[test]
        fn data_is_what_a_parser_with_raw_values_finds(data in value(), other in value(), first in any::<bool>()) {
            let body = if first {
                format!(r#"{{"data":{data},"channel":"c","x":{other}}}"#)
            } else {
                format!(r#"{{"x":{other},"channel":"c","data":{data} }}"#)
            };
            let oracle: Oracle = serde_json::from_str(&body).unwrap();
            prop_assert_eq!(publish(&body).unwrap().1, oracle.data.get());
        }

        #[test]
        fn elements_are_what_a_parser_with_raw_values_finds(values in prop::collection::vec(value(), 0..6)) {
            let text = format!(" [{}] ", values.join(" , "));
            let oracle: Vec<&serde_json::value::RawValue> = serde_json::from_str(&text).unwrap();
            let oracle: Vec<_> = oracle.into_iter().map(|value| value.get()).collect();
            let found: Vec<_> = elements(text.as_bytes()).map(|at| &text[at]).collect();
            prop_assert_eq!(found, oracle);
        }

        #[test]
        fn a_parser_reads_the_string_that_was_written(text in any::<String>()) {
            let mut out = Vec::new();
            put_string(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }

        #[test]
        fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse::<Publish>(&Bytes::from(body.clone()));
            let _ = elements(&body).count();
        }
    }
}
