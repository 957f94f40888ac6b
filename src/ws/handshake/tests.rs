mod heads;

use super::*;

const LIMITS: HeadLimits = HeadLimits {
    head_bytes_max: 8_192,
    headers_max: 64,
};

const GOOD: &[(&str, &str)] = &[
    ("Host", "localhost:8000"),
    ("Upgrade", "websocket"),
    ("Connection", "keep-alive, Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

fn request(line: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut out = format!("{line}\r\n");
    for (name, value) in headers {
        out += &format!("{name}: {value}\r\n");
    }
    out += "\r\n";
    out.into_bytes()
}

fn any_origin() -> Origins {
    Origins::parse(&["*"], true).unwrap()
}

fn shake(request: &[u8], origins: &Origins, spoken: &[&'static str]) -> Result<Upgrade, Refusal> {
    with_head(request, &LIMITS, |head| upgrade(head, origins, spoken))
}

fn status(request: &[u8]) -> u16 {
    shake(request, &any_origin(), &[]).unwrap_err().status()
}

fn with(name: &str, value: Option<&'static str>) -> Vec<u8> {
    let headers: Vec<_> = GOOD
        .iter()
        .filter_map(|&(n, v)| {
            if n == name {
                Some((n, value?))
            } else {
                Some((n, v))
            }
        })
        .collect();
    request("GET /sub/news HTTP/1.1", &headers)
}

#[test]
fn h1_the_handshake_of_the_specification_is_answered_as_in_the_specification() {
    let accepted = shake(&request("GET / HTTP/1.1", GOOD), &any_origin(), &[]).unwrap();
    let mut out = Vec::new();
    accepted.put_response(&mut out);
    let out = String::from_utf8(out).unwrap();
    assert!(out.starts_with("HTTP/1.1 101 Switching Protocols\r\n"));
    assert!(out.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    assert!(!out.contains("Sec-WebSocket-Protocol") && out.ends_with("\r\n\r\n"));
}

#[test]
fn h1_header_names_and_tokens_are_read_in_any_case() {
    let headers: Vec<_> = GOOD
        .iter()
        .map(|&(n, v)| match n {
            "Upgrade" => ("uPGRADE", "WebSocket"),
            "Connection" => ("CONNECTION", "UPGRADE"),
            _ => (n, v),
        })
        .collect();
    assert!(shake(&request("GET / HTTP/1.1", &headers), &any_origin(), &[]).is_ok());
}

#[test]
fn h2_missing_doubled_and_malformed_headers_are_400() {
    for (name, _) in GOOD.iter().filter(|(name, _)| *name != "Upgrade") {
        assert_eq!(status(&with(name, None)), 400, "{name} missing");
    }
    for name in [
        "Host",
        "Upgrade",
        "Sec-WebSocket-Version",
        "Sec-WebSocket-Key",
    ] {
        let mut headers = GOOD.to_vec();
        headers.push(*GOOD.iter().find(|(n, _)| *n == name).unwrap());
        let doubled = request("GET / HTTP/1.1", &headers);
        assert_eq!(status(&doubled), 400, "{name} doubled");
    }
    for (name, value) in [
        ("Upgrade", "h2c"),
        ("Connection", "close"),
        ("Sec-WebSocket-Version", "thirteen"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ="),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZSE="),
        ("Sec-WebSocket-Key", "!!!!!!!!!!!!!!!!!!!!!!!!"),
    ] {
        assert_eq!(status(&with(name, Some(value))), 400, "{name}: {value}");
    }
    assert_eq!(status(&request("POST / HTTP/1.1", GOOD)), 400);
    assert_eq!(status(&request("GET / HTTP/1.0", GOOD)), 400);
    assert_eq!(status(b"GET\r\n\r\n"), 400);
}

#[test]
fn h3_another_version_is_426_and_told_the_right_one() {
    let refusal = shake(
        &with("Sec-WebSocket-Version", Some("8")),
        &any_origin(),
        &[],
    )
    .unwrap_err();
    let mut out = Vec::new();
    refusal.put_response(&mut out);
    let out = String::from_utf8(out).unwrap();
    assert!(out.starts_with("HTTP/1.1 426 Upgrade Required\r\n"));
    assert!(out.contains("\r\nSec-WebSocket-Version: 13\r\n"));
}

#[test]
fn h4_origins_are_matched_exactly_or_by_wildcard_for_a_label_or_a_port() {
    let origins = Origins::parse(
        &[
            "https://app.example.com",
            "https://*.example.org:*",
            "http://localhost:3000",
            "http://[::1]:8080",
        ],
        false,
    )
    .unwrap();
    for allowed in [
        "https://app.example.com",
        "HTTPS://APP.example.com:443",
        "https://a.example.org",
        "https://b.example.org:8443",
        "http://localhost:3000",
        "http://[::1]:8080",
    ] {
        assert!(origins.allows(Some(allowed.as_bytes())), "{allowed}");
    }
    for refused in [
        "http://app.example.com",
        "https://app.example.com:444",
        "https://app.example.com.evil.net",
        "https://evil-app.example.com",
        "https://example.org",
        "https://a.b.example.org",
        "http://localhost",
        "null",
        "",
        "https://",
        "https://a.example.org:port",
    ] {
        assert!(!origins.allows(Some(refused.as_bytes())), "{refused}");
    }
}

#[test]
fn h4_patterns_that_are_none_are_named() {
    for pattern in [
        "",
        "example.com",
        "https://",
        "https://a*.com",
        "https://a.com:x",
        "https://a.com/x",
    ] {
        let error = Origins::parse(&[pattern], true).unwrap_err();
        assert!(error.to_string().contains(pattern), "{error}");
    }
}

#[test]
fn h4_another_origin_is_403() {
    let origins = Origins::parse(&["https://app.example.com"], true).unwrap();
    let mut headers = GOOD.to_vec();
    headers.push(("Origin", "https://evil.example.net"));
    let refused = shake(&request("GET / HTTP/1.1", &headers), &origins, &[]);
    assert_eq!(refused.unwrap_err().status(), 403);
}

#[test]
fn h5_a_missing_origin_is_let_in_or_403_by_setting() {
    let good = request("GET / HTTP/1.1", GOOD);
    assert!(
        shake(
            &good,
            &Origins::parse(&["https://a.com"], true).unwrap(),
            &[]
        )
        .is_ok()
    );
    let refused = shake(&good, &Origins::parse(&["*"], false).unwrap(), &[]);
    assert_eq!(refused.unwrap_err().status(), 403);
}

#[test]
fn h6_the_first_offered_subprotocol_that_is_spoken_is_chosen() {
    let mut headers = GOOD.to_vec();
    headers.push(("Sec-WebSocket-Protocol", "x, b"));
    headers.push(("Sec-WebSocket-Protocol", "a"));
    let offered = request("GET / HTTP/1.1", &headers);
    let chosen =
        |spoken: &[&'static str]| shake(&offered, &any_origin(), spoken).unwrap().subprotocol;
    assert_eq!(chosen(&["a", "b"]), Some("b"));
    assert_eq!(chosen(&["a"]), Some("a"));
    assert_eq!(chosen(&["c"]), None);
    assert_eq!(chosen(&[]), None);
}

#[test]
fn h10_too_large_a_head_or_too_many_headers_is_431() {
    let long = "x".repeat(8_192);
    let mut headers = GOOD.to_vec();
    headers.push(("X", &long));
    assert_eq!(status(&request("GET / HTTP/1.1", &headers)), 431);
    let headers: Vec<_> = GOOD.iter().copied().chain([("X", "y"); 60]).collect();
    assert_eq!(status(&request("GET / HTTP/1.1", &headers)), 431);
    let incomplete = check_incomplete(&vec![b'G'; 8_193], &LIMITS);
    assert_eq!(incomplete.unwrap_err().status(), 431);
    assert!(check_incomplete(b"GET /", &LIMITS).is_ok());
    let tls = check_incomplete(&[0x16, 3, 1], &LIMITS);
    assert_eq!(tls.unwrap_err().status(), 400);
}

#[test]
fn h11_the_end_of_the_head_is_found_wherever_the_pieces_are_cut() {
    let head = request("GET / HTTP/1.1", GOOD);
    let stream = [&head[..], b"\x81\x80rest\r\n\r\n"].concat();
    for cut in 0..head.len() {
        assert_eq!(head_end(&stream[..cut], 0), None);
        assert_eq!(head_end(&stream, cut), Some(head.len()), "cut at {cut}");
    }
}

#[test]
fn h12_a_plain_get_is_426_with_a_line_of_help() {
    let plain = request("GET /sub/news HTTP/1.1", &[("Host", "localhost")]);
    let refusal = shake(&plain, &any_origin(), &[]).unwrap_err();
    assert_eq!(refusal.status(), 426);
    assert!(refusal.reason().contains("ws://"));
}

#[test]
fn h8_paths_are_percent_decoded_strictly() {
    assert_eq!(percent_decode("zhang%20san").unwrap(), "zhang san");
    assert_eq!(percent_decode("%E5%BC%A0").unwrap(), "张");
    for bad in ["%", "%4", "%zz", "%ff"] {
        assert_eq!(percent_decode(bad).unwrap_err().status(), 400, "{bad}");
    }
}

#[test]
fn the_path_of_every_form_of_target_is_found() {
    for (target, path, query) in [
        ("/a/b", "/a/b", None),
        ("/a?x=1&y=http://z", "/a", Some("x=1&y=http://z")),
        ("http://host:80/a?b", "/a", Some("b")),
        ("http://host", "/", None),
    ] {
        let request = request(&format!("GET {target} HTTP/1.1"), GOOD);
        with_head(&request, &LIMITS, |head| {
            assert_eq!((head.path(), head.query()), (path, query), "{target}");
            Ok(())
        })
        .unwrap();
    }
}

#[test]
fn h3_a_426_names_the_protocol_to_upgrade_to_and_the_version() {
    for request in [
        with("Sec-WebSocket-Version", Some("8")),
        request("GET / HTTP/1.1", &[("Host", "localhost")]),
    ] {
        let mut out = Vec::new();
        let refusal = shake(&request, &any_origin(), &[]).unwrap_err();
        refusal.put_response(&mut out);
        let out = String::from_utf8(out).unwrap();
        for line in [
            "Upgrade: websocket",
            "Connection: Upgrade, close",
            "Sec-WebSocket-Version: 13",
        ] {
            assert!(out.contains(&format!("\r\n{line}\r\n")), "{line}: {out}");
        }
    }
}

#[test]
fn h4_an_exact_origin_may_have_a_scheme_without_a_default_port() {
    let exact = ["capacitor://localhost", "chrome-extension://abcdefgh"];
    let origins = Origins::parse(&exact, false).unwrap();
    for allowed in exact {
        assert!(origins.allows(Some(allowed.as_bytes())), "{allowed}");
    }
    for refused in ["capacitor://localhost:1", "http://localhost"] {
        assert!(!origins.allows(Some(refused.as_bytes())), "{refused}");
    }
}

#[test]
fn h4_a_wildcard_stands_for_a_label_and_for_nothing_else() {
    let origins = Origins::parse(&["https://*.example.com", "https://*:8443"], false).unwrap();
    for allowed in [
        "https://a.example.com",
        "https://a-1.EXAMPLE.com:443",
        "https://localhost:8443",
    ] {
        assert!(origins.allows(Some(allowed.as_bytes())), "{allowed}");
    }
    for refused in [
        "https://.example.com",
        "https://me@a.example.com",
        "https://evil/.example.com",
        "https://evil?.example.com",
        "https://a b.example.com",
        "https://a,b.example.com",
        "https://a.example.com:+443",
        "https://a.example.com:",
        "https://[::1].example.com",
        "https://[::1]:8443",
        "https://a.example.com https://b.example.com",
    ] {
        assert!(!origins.allows(Some(refused.as_bytes())), "{refused}");
    }
}

#[test]
fn h6_the_servers_order_may_decide_as_for_the_highest_version() {
    let spoken = &["v12.stomp", "v11.stomp", "v10.stomp"];
    for (offer, by_client, by_server) in [
        (
            "v10.stomp, v11.stomp, v12.stomp",
            Some("v10.stomp"),
            Some("v12.stomp"),
        ),
        (
            "other, v11.stomp,v10.stomp",
            Some("v11.stomp"),
            Some("v11.stomp"),
        ),
        ("V12.STOMP", None, None),
    ] {
        let mut headers = GOOD.to_vec();
        headers.push(("Sec-WebSocket-Protocol", offer));
        let offered = request("GET / HTTP/1.1", &headers);
        for (preference, expected) in [
            (Preference::Client, by_client),
            (Preference::Server, by_server),
        ] {
            let chosen = with_head(&offered, &LIMITS, |head| {
                upgrade_preferring(preference, head, &any_origin(), spoken)
            });
            assert_eq!(
                chosen.unwrap().subprotocol,
                expected,
                "{offer} {preference:?}"
            );
        }
    }
}

#[test]
fn h6_an_offer_that_is_no_list_of_names_is_400() {
    let mut headers = GOOD.to_vec();
    headers.push(("Sec-WebSocket-Protocol", "a, b c"));
    assert_eq!(status(&request("GET / HTTP/1.1", &headers)), 400);
}

#[test]
fn h6_empty_elements_of_the_list_are_skipped() {
    let mut headers = GOOD.to_vec();
    headers.push(("Sec-WebSocket-Protocol", ", a,, b,"));
    let offered = request("GET / HTTP/1.1", &headers);
    let chosen = shake(&offered, &any_origin(), &["b", "a"]).unwrap();
    assert_eq!(chosen.subprotocol, Some("a"));
}

#[test]
fn the_path_of_an_absolute_target_is_never_empty() {
    let request = request("GET http://host?x=1 HTTP/1.1", GOOD);
    with_head(&request, &LIMITS, |head| {
        assert_eq!((head.path(), head.query()), ("/", Some("x=1")));
        Ok(())
    })
    .unwrap();
}
