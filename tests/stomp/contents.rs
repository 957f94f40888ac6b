//! What is sent arrives as it was sent: bodies, headers, order.

use super::client::{Kind, Options};
use super::site::Site;

const TOPIC: &str = "/topic/contents";
const KIB: usize = 1_024;

pub fn ten_thousand_messages_arrive_in_order(kind: Kind) {
    const MESSAGES: usize = 10_000;
    // A length of its own for each, so that no frame of another is taken for it.
    let body = |number: usize| format!("{number} {}", "é".repeat(number % 50));
    let mut site = Site::start(kind);
    site.connect("sender");
    site.connect("receiver");
    site.client.subscribe("receiver", "0", TOPIC, &[]);
    for number in 0..MESSAGES {
        let named = [("number", &*number.to_string())];
        site.client
            .send_with("sender", TOPIC, &body(number), &named);
    }
    for number in 0..MESSAGES {
        let message = site.client.message("receiver");
        assert_eq!(message.text(), body(number));
        assert_eq!(message.header("number"), number.to_string());
    }
    site.client.send("sender", TOPIC, "the last");
    assert_eq!(site.client.message("receiver").text(), "the last");
}

pub fn headers_of_a_send_reach_the_message(kind: Kind) {
    let headers = [
        ("content-type", "application/json;charset=utf-8"),
        ("priority", "9"),
        ("persistent", "true"),
        ("X-Trace-Id", "4bf92f3577b34da6a3ce929d0e0e4736"),
        ("größe", "42 µm, 你好"),
        ("empty", ""),
    ];
    for version in ["1.0", "1.1", "1.2"] {
        let mut site = subscribed(kind, &Options::version(version));
        let body = r#"{"price": 1.10}"#;
        site.client.send_with("client", TOPIC, body, &headers);
        let message = site.client.message("client");
        assert_eq!(message.text(), body);
        for (name, value) in headers {
            assert_eq!(message.header(name), value, "{version}: {message:?}");
        }
        let length = message.headers.get("content-length");
        assert!(
            length.is_none_or(|length| *length == body.len().to_string()),
            "{message:?}"
        );
        // What is for the server does not travel.
        for name in ["receipt", "transaction"] {
            assert!(!message.headers.contains_key(name), "{message:?}");
        }
    }
}

pub fn special_characters_in_headers_survive(kind: Kind) {
    let mut values = vec!["http://example.com:8000/a?b=c", "C:\\Users\\Ann", "a:b::c:"];
    if kind.escapes() {
        values.extend([
            "line\nbreak",
            "carriage\r\nreturn",
            "all \\ of : them \r \n ü",
        ]);
    }
    // stompjs reads a backslash in front of one of the letters r, n and c wrongly.
    if kind == Kind::StompPy {
        values.extend(["\\n is no line feed", "\\c\\r\\n\\\\", "\\", "\\\\"]);
    }
    let mut site = subscribed(kind, &Options::default());
    for value in values {
        // webstomp-client leaves escapes to its user.
        let written = if kind.escapes() {
            value.to_owned()
        } else {
            value.replace('\\', "\\\\").replace(':', "\\c")
        };
        let special = [("special", &*written)];
        site.client.send_with("client", TOPIC, value, &special);
        let message = site.client.message("client");
        assert_eq!(message.header("special"), written);
        assert_eq!(message.text(), value);
    }
}

pub fn names_may_have_special_characters(kind: Kind) {
    let name = "a:b \\ c, ü\nd";
    let (topic, queue) = ("/topic/a:b c/ü", "/queue/a:b \\ ü");
    let mut site = Site::start(kind);
    site.connect("client");
    let client = &mut site.client;
    client.subscribe("client", name, topic, &[]);
    client.subscribe("client", "queue:1", queue, &[("ack", "client")]);
    client.begin("client", name, Some(name));
    client.receipt("client", name);
    for destination in [topic, queue] {
        let named = [("transaction", name)];
        client.send_with("client", destination, "named", &named);
    }
    client.commit("client", name, None);
    let message = client.message_of("client", name);
    assert_eq!(message.header("destination"), topic);
    let message = client.message_of("client", "queue:1");
    assert_eq!(message.header("destination"), queue);
    client.ack("client", &message, &[("receipt", name)]);
    client.receipt("client", name);
    client.unsubscribe("client", name, &[("receipt", "r")]);
    client.receipt("client", "r");
}

/// Clients that know no escapes send it so.
pub fn a_colon_that_is_not_escaped_is_taken(kind: Kind) {
    for version in ["1.0", "1.1", "1.2"] {
        let mut site = subscribed(kind, &Options::version(version));
        let link = [("link", "http://example.com:80/")];
        site.client.send_with("client", TOPIC, "", &link);
        let message = site.client.message("client");
        let told = message.header("link").replace("\\c", ":");
        assert_eq!(told, link[0].1, "{version}");
    }
}

pub fn what_the_server_says_cannot_be_forged(kind: Kind) {
    let forged = [
        ("subscription", "forged"),
        ("message-id", "forged"),
        ("ack", "forged"),
        ("redelivered", "forged"),
    ];
    for version in ["1.0", "1.1", "1.2"] {
        let mut site = subscribed(kind, &Options::version(version));
        let client = &mut site.client;
        let window = [("ack", "client")];
        client.subscribe("client", "1", TOPIC, &window);
        client.subscribe("client", "2", "/queue/contents", &window);
        client.send_with("client", TOPIC, "to all", &forged);
        client.send_with("client", "/queue/contents", "to one", &forged);
        for subscription in ["0", "1", "2"] {
            let message = client.message_of("client", subscription);
            for (name, value) in forged {
                let found = message.headers.get(name).map(String::as_str);
                assert_ne!(found, Some(value), "{version}: {message:?}");
            }
            if subscription != "0" {
                client.ack("client", &message, &[]);
            }
        }
        client.settle("client");
    }
}

/// stomp.py alone leaves them.
pub fn spaces_around_header_values_survive(kind: Kind) {
    for version in ["1.1", "1.2"] {
        let mut site = subscribed(kind, &Options::version(version));
        let spaced = [("spaced", "  two before, one after ")];
        site.client.send_with("client", TOPIC, "", &spaced);
        let message = site.client.message("client");
        assert_eq!(message.header("spaced"), spaced[0].1, "{version}");
    }
}

/// STOMP 1.0 has no escapes, 1.1 none for a carriage return.
pub fn a_header_of_one_version_breaks_no_frame_of_another(kind: Kind) {
    let mut site = Site::start(kind);
    for version in ["1.0", "1.1", "1.2"] {
        site.connect_with(version, &Options::version(version));
        site.client.subscribe(version, "0", TOPIC, &[]);
    }
    for value in [
        "a\nforged:yes\n\nbody",
        "a\r\nforged:yes",
        "a\rb",
        "a:b",
        "a\\b",
    ] {
        site.client
            .send_with("1.2", TOPIC, value, &[("special", value)]);
        for version in ["1.0", "1.1", "1.2"] {
            let message = site.client.message(version);
            assert_eq!(message.text(), value, "{version}: {message:?}");
            assert!(
                !message.headers.contains_key("forged"),
                "{version}: {message:?}"
            );
        }
    }
}

pub fn bodies_survive(kind: Kind) {
    let bodies = [
        "",
        "\n",
        "\n\n two lines in front",
        "headers:like\nthese:\n\nand a body",
        "čeština, 你好, 🚀",
        "ends in line feeds\n\n\n",
        "\r\n",
        "\\n \\c",
    ];
    for version in ["1.0", "1.1", "1.2"] {
        let mut site = subscribed(kind, &Options::version(version));
        for body in bodies {
            site.client.send("client", TOPIC, body);
            assert_eq!(site.client.message("client").text(), body, "{version}");
        }
    }
}

pub fn bodies_that_are_no_text_survive(kind: Kind) {
    let every_byte: Vec<u8> = (0..=255).cycle().take(4 * KIB).collect();
    let bodies: [&[u8]; 5] = [
        b"\0",
        b"a NUL \0 inside",
        b"\0\n\0\n\0",
        b"\xff\xfe\0\x80",
        &every_byte,
    ];
    let options = Options {
        binary: true,
        ..Options::default()
    };
    let mut site = subscribed(kind, &options);
    for body in bodies {
        let octets = [("content-type", "application/octet-stream")];
        site.client.send_with("client", TOPIC, body, &octets);
        let message = site.client.message("client");
        assert_eq!(message.body, body);
        assert_eq!(message.header("content-length"), body.len().to_string());
        assert_eq!(message.header("content-type"), octets[0].1);
    }
}

pub fn a_long_body_is_split_and_put_together(kind: Kind) {
    // stompjs splits every 8 KiB when it is told to, webstomp-client every 16 KiB; stomp.py never.
    let options = Options {
        split: true,
        ..Options::default()
    };
    let mut site = subscribed(kind, &options);
    let body: String = (0..6 * KIB).map(|n| format!("{n:04} é\n")).collect();
    site.client.send("client", TOPIC, &body);
    site.client.send("client", TOPIC, "and a short one");
    let message = site.client.message("client");
    assert!(message.text() == body, "{message:?}");
    assert_eq!(site.client.message("client").text(), "and a short one");
}

pub fn frames_go_in_binary_messages_too(kind: Kind) {
    let options = Options {
        binary: true,
        ..Options::default()
    };
    let mut site = subscribed(kind, &options);
    site.connect("of texts");
    site.client.subscribe("of texts", "0", TOPIC, &[]);
    for id in ["client", "of texts"] {
        site.client.send(id, TOPIC, "čeština, 🚀");
        for id in ["client", "of texts"] {
            assert_eq!(site.client.message(id).text(), "čeština, 🚀");
        }
    }
}

/// A site where `client` is subscribed to the topic.
fn subscribed(kind: Kind, options: &Options) -> Site {
    let mut site = Site::start(kind);
    site.connect_with("client", options);
    site.client.subscribe("client", "0", TOPIC, &[]);
    site
}
