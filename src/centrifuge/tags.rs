//! A publication's headers as `tags`.

use std::borrow::Cow;

/// Names and values of header lines as [`Publication::headers`](crate::publication::Publication::headers) has them, without
/// their escapes. Of repeated names the first counts, as in STOMP.
pub fn tags(lines: &[u8]) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    let mut tags: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
    for line in lines.split(|&byte| byte == b'\n') {
        let Some(colon) = memchr::memchr(b':', line) else {
            continue;
        };
        let name = unescape(&line[..colon]);
        if tags.iter().all(|(known, _)| *known != name) {
            tags.push((name, unescape(&line[colon + 1..])));
        }
    }
    tags
}

/// Text without its escapes (STOMP 1.2, "Value Encoding"): those of line ends, colons and backslashes.
fn unescape(text: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(text);
    if !text.contains('\\') {
        return text;
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let mut after = after.chars();
        plain.extend(after.next().map(|code| match code {
            'n' => '\n',
            'r' => '\r',
            'c' => ':',
            other => other,
        }));
        rest = after.as_str();
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &str) -> Vec<(String, String)> {
        let tags = tags(lines.as_bytes());
        tags.into_iter()
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect()
    }

    #[test]
    fn tags_are_header_lines_without_their_escapes() {
        let lines = "a:1\nb\\cc:x\\ny\\\\n\\r:z\n:\n";
        let expected = [("a", "1"), ("b:c", "x\ny\\n\r:z"), ("", "")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(of(lines), expected);
    }

    #[test]
    fn the_first_of_repeated_tags_counts() {
        assert_eq!(of("a:1\na:2\n"), [("a".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn lines_that_are_not_in_that_form_do_no_harm() {
        for lines in ["", "\n", "a", "\\", "a:\\", "a:\\x\n"] {
            assert!(of(lines).len() < 2);
        }
    }
}
