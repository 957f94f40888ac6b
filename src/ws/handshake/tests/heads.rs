//! Properties of request heads against naive ways to read them.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

/// Text with more line ends, percent signs and colons in it than chance would give.
fn headlike() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just("\r\n".to_owned()),
        2 => Just("\n".to_owned()),
        1 => Just("\r".to_owned()),
        1 => Just("GET /sub/a HTTP/1.1\r\n".to_owned()),
        2 => Just("Host: x\r\n".to_owned()),
        1 => Just("Connection: upgrade, Upgrade".to_owned()),
        2 => "[ -~]{0,6}",
    ];
    let line = prop_oneof![Just("GET / HTTP/1.1\r\n"), Just("")];
    (line, prop::collection::vec(piece, 0..20))
        .prop_map(|(line, pieces)| [line.to_owned(), pieces.concat()].concat().into_bytes())
}

/// The first place that has an empty line before it.
fn naive_head_end(input: &[u8]) -> Option<usize> {
    (0..=input.len()).find(|&end| {
        let head = &input[..end];
        head.ends_with(b"\n\r\n") || head.ends_with(b"\n\n")
    })
}

proptest! {
    #[test]
    fn h11_the_end_of_any_head_is_found_whatever_has_been_scanned_before(input in headlike()) {
        let end = naive_head_end(&input);
        for scanned in 0..=end.map_or(input.len(), |end| end - 1) {
            prop_assert_eq!(head_end(&input, scanned), end, "{} scanned", scanned);
        }
    }

    #[test]
    fn h11_a_head_that_parses_ends_where_its_end_was_found(input in headlike()) {
        let Some(end) = head_end(&input, 0) else {
            return Ok(());
        };
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let parsed = httparse::Request::new(&mut headers).parse(&input);
        if let Ok(httparse::Status::Complete(len)) = parsed {
            let skipped = input.iter().take_while(|b| b"\r\n".contains(b)).count();
            if end > skipped {
                prop_assert_eq!(len, end);
            }
        }
    }

    #[test]
    fn h2_nothing_that_arrives_breaks_the_parser(
        input in prop_oneof![headlike(), prop::collection::vec(any::<u8>(), 0..200)],
    ) {
        let _ = check_incomplete(&input, &LIMITS);
        if let Err(refusal) = shake(&input, &any_origin(), &["a"]) {
            prop_assert!([400, 426, 431].contains(&refusal.status()));
            prop_assert!(!refusal.reason().contains(['\r', '\n']));
        }
    }

    #[test]
    fn h2_a_good_head_with_one_byte_changed_is_accepted_or_refused_with_a_reason(
        at in any::<Index>(),
        byte: u8,
    ) {
        let mut head = request("GET /sub/news HTTP/1.1", GOOD);
        let at = at.index(head.len());
        head[at] = byte;
        if let Err(refusal) = shake(&head, &any_origin(), &[]) {
            prop_assert!([400, 426].contains(&refusal.status()), "{:?}", refusal);
        }
    }

    #[test]
    fn h8_any_name_comes_back_from_its_percent_encoding(name in ".{0,40}") {
        let all: String = name.bytes().map(|b| format!("%{b:02X}")).collect();
        prop_assert_eq!(percent_decode(&all).unwrap(), name.as_str());
        let some = percent_encoding::utf8_percent_encode(&name, percent_encoding::NON_ALPHANUMERIC)
            .to_string();
        prop_assert_eq!(percent_decode(&some).unwrap(), name.as_str());
    }

    #[test]
    fn h4_an_origin_is_allowed_by_itself_and_by_every_wildcard_in_it(
        labels in prop::collection::vec("[a-zA-Z0-9-]{1,8}", 1..5),
        port in prop::option::of(1u16..),
        star in any::<Index>(),
    ) {
        let origin = |host: &str, port: &str| format!("https://{host}{port}");
        let written = port.map_or(String::new(), |port| format!(":{port}"));
        let plain = origin(&labels.join("."), &written);
        let mut starred = labels.clone();
        let star = star.index(labels.len());
        starred[star] = "*".to_owned();
        let longer = origin(&format!("x.{}", labels.join(".")), &written);
        for pattern in [
            plain.clone(),
            plain.to_uppercase().replace("HTTPS", "https"),
            origin(&starred.join("."), &written),
            origin(&labels.join("."), ":*"),
        ] {
            let origins = Origins::parse(&[&pattern], false).unwrap();
            prop_assert!(origins.allows(Some(plain.as_bytes())), "{} by {}", plain, pattern);
            prop_assert!(!origins.allows(Some(longer.as_bytes())), "{} by {}", longer, pattern);
            prop_assert!(!origins.allows(Some(plain.replace("https", "http").as_bytes())));
        }
    }
}
