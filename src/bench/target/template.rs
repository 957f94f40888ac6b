//! Placeholders: the words in braces that a target's file may contain.

use std::collections::HashMap;

/// Those with a value before a server is started.
const OF_START: [&str; 15] = [
    "port",
    "publish_port",
    "other_port_1",
    "other_port_2",
    "other_port_3",
    "other_port_4",
    "cores",
    "threads",
    "dir",
    "root",
    "peers",
    "pushring",
    "connections",
    "deflate",
    "message_bytes_max",
];

/// Those with one for each message or connection.
const OF_MESSAGE: [&str; 3] = ["channel", "channels", "payload"];

/// What placeholders stand for.
#[derive(Debug, Clone, Default)]
pub struct Values(HashMap<&'static str, String>);

impl Values {
    /// Gives a placeholder its value.
    pub fn set(&mut self, name: &'static str, value: impl ToString) {
        debug_assert!(OF_START.contains(&name));
        self.0.insert(name, value.to_string());
    }

    /// The text with all placeholders replaced that have a value; other braces stay.
    pub fn fill(&self, text: &str) -> String {
        fill(text, |name| self.0.get(name).map(String::as_str))
    }
}

/// The text with its placeholders replaced for which there is a value.
pub fn fill<'a>(text: &str, value: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let (before, from_brace) = rest.split_at(open);
        filled += before;
        let close = from_brace.find('}');
        match close.and_then(|close| Some((close, value(&from_brace[1..close])?))) {
            Some((close, value)) => {
                filled += value;
                rest = &from_brace[close + 1..];
            }
            None => {
                filled.push('{');
                rest = &from_brace[1..];
            }
        }
    }
    filled + rest
}

/// The first word in braces, if it looks like a placeholder and is none.
pub fn unknown_placeholder(text: &str) -> Option<&str> {
    let mut words = text
        .split('{')
        .skip(1)
        .filter_map(|part| part.split_once('}'));
    words.find_map(|(word, _)| {
        let is_word = !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        (is_word && !OF_START.contains(&word) && !OF_MESSAGE.contains(&word)).then_some(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_words_are_replaced_and_other_braces_stay() {
        let mut values = Values::default();
        values.set("port", 8_000);
        for (text, filled) in [
            ("listen {port};", "listen 8000;"),
            (
                "http { server { listen {port}; } }",
                "http { server { listen 8000; } }",
            ),
            ("{\"a\":{\"port\":{port}}}", "{\"a\":{\"port\":8000}}"),
            ("{threads} {", "{threads} {"),
            ("", ""),
        ] {
            assert_eq!(values.fill(text), filled);
        }
    }

    #[test]
    fn a_misspelt_placeholder_is_found() {
        assert_eq!(unknown_placeholder("x {prot} y"), Some("prot"));
        for text in ["{port}", "{ listen }", "{\"a\":1}", "{}", "/sub/{channel}"] {
            assert_eq!(unknown_placeholder(text), None, "{text}");
        }
    }
}
