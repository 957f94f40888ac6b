//! JSON of the HTTP API. The `data` member is delivered byte for byte as it was sent, so it is
//! found in the text and not rebuilt from a parsed value: numbers keep their digits, and spaces
//! stay where they are.

use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Why a body is no call; the caller's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not JSON, or not of the method's shape.
    #[error("{0}")]
    Malformed(String),
    /// More than one `data`.
    #[error("the member \"data\" is there twice")]
    TwoData,
    /// No `data`.
    #[error("the member \"data\" is missing: it is what subscribers receive, any JSON value")]
    NoData,
}

/// What `publish` is called with, apart from `data`.
#[derive(Debug, Deserialize)]
pub struct Publish {
    /// Where to.
    pub channel: String,
}

/// What `broadcast` is called with, apart from `data`.
#[derive(Debug, Deserialize)]
pub struct Broadcast {
    /// Where to.
    pub channels: Vec<String>,
}

/// Parses a call: its parameters, and `data` as a part of the body.
///
/// # Errors
/// [`JsonError`].
pub fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<(T, Bytes), JsonError> {
    // simd-json takes it for a space behind a number.
    if body.contains(&0) {
        return Err(JsonError::Malformed("a NUL is no part of JSON".to_owned()));
    }
    let data = member(body, "data")?;
    // simd-json writes into its input, and needs not look at what is delivered as it is.
    let mut envelope = body.to_vec();
    if let Some(data) = &data {
        envelope.splice(data.clone(), *b"null");
    }
    let parameters = simd_json::serde::from_slice(&mut envelope)
        .map_err(|error| JsonError::Malformed(error.to_string()))?;
    let data = body.slice(data.ok_or(JsonError::NoData)?);
    check(&data)?;
    Ok((parameters, data))
}

/// Whether the text is one JSON value. Not by simd-json: it turns numbers into machine numbers and
/// refuses those that have none, though as text they are JSON; and it takes some that are no JSON at
/// all, such as `1.3456789116427448893+0`.
fn check(text: &[u8]) -> Result<(), JsonError> {
    match serde_json::from_slice::<&serde_json::value::RawValue>(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(JsonError::Malformed(format!("data is no JSON: {error}"))),
    }
}

/// Where the value of an object's member stands, without the spaces around it. The text need not
/// be valid: what is found in an invalid one is anything.
fn member(text: &[u8], name: &str) -> Result<Option<Range<usize>>, JsonError> {
    let mut found = None;
    let mut at = skip_spaces(text, 0);
    // The opening brace first, then the comma before each further member.
    let mut before = b'{';
    while text.get(at) == Some(&before) {
        before = b',';
        let key_start = skip_spaces(text, at + 1);
        let Some((key, value)) = next_member(text, key_start) else {
            break;
        };
        at = skip_spaces(text, value.end);
        if is_key(&text[key], name) && found.replace(value).is_some() {
            return Err(JsonError::TwoData);
        }
    }
    Ok(found)
}

/// Whether a key, as it stands between its quotes, is that name. It may be written with escapes.
fn is_key(key: &[u8], name: &str) -> bool {
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

    fn publish(body: &str) -> Result<(String, String), JsonError> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let (parameters, data) = parse::<Publish>(&body)?;
        let data = String::from_utf8(data.to_vec()).unwrap();
        Ok((parameters.channel, data))
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
        assert_eq!(publish(twice), Err(JsonError::TwoData));
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
        fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse::<Publish>(&Bytes::from(body));
        }
    }
}
