//! Each protocol's words, in both directions, against servers written down from the protocols' specifications.

use super::*;
use crate::bench::payload::{PayloadKind, Stamp};

const STAMP: Stamp = Stamp {
    channel: 0,
    sequence: 5,
    due_ns: 77,
};

fn dialect(protocol: Protocol) -> Dialect {
    let form = Form::new(PayloadKind::Text, 64, 7, protocol.embedding());
    let channels = vec!["a".to_owned(), "b".to_owned()];
    let credentials = Credentials {
        login: Some("guest".to_owned()),
        passcode: Some("secret".to_owned()),
        host: Some("/".to_owned()),
    };
    Dialect::new(protocol, credentials, channels, form)
}

/// The payload as the protocol carries it, as text.
fn payload(dialect: &Dialect) -> String {
    String::from_utf8(dialect.form().clone().stamped(STAMP).to_vec()).unwrap()
}

/// What a message comes to, with deliveries as their stamps.
#[derive(Debug, PartialEq, Eq)]
enum Word {
    Delivery(Option<Stamp>),
    Open,
    Answer(String),
    Refused,
    Foreign,
}

fn read(dialect: &Dialect, link: &mut Link, subscriptions: &[u32], message: &[u8]) -> Vec<Word> {
    let mut words = Vec::new();
    dialect.read(link, subscriptions, message, &mut |said| {
        words.push(match said {
            Said::Delivery(payload) => Word::Delivery(dialect.form().read(payload)),
            Said::Open => Word::Open,
            Said::Answer(bytes) => Word::Answer(String::from_utf8_lossy(&bytes).into_owned()),
            Said::Refused(_) => Word::Refused,
            Said::Foreign => Word::Foreign,
        });
    });
    words
}

fn begin(dialect: &Dialect, link: &mut Link) -> Option<String> {
    match dialect.begin(link, &[0, 1]) {
        Some(Said::Answer(bytes)) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Some(other) => panic!("{other:?}"),
        None => None,
    }
}

fn answer(words: &[Word]) -> &str {
    match words {
        [Word::Answer(answer)] => answer,
        other => panic!("{other:?}"),
    }
}

const DELIVERED: Word = Word::Delivery(Some(STAMP));

#[test]
fn raw_is_open_at_once_and_every_message_is_a_payload() {
    let dialect = dialect(Protocol::Raw);
    let mut link = Link::default();
    assert_eq!(dialect.begin(&mut link, &[0]), Some(Said::Open));
    let payload = payload(&dialect);
    assert_eq!(
        read(&dialect, &mut link, &[0], payload.as_bytes()),
        [DELIVERED]
    );
}

#[test]
fn stomp_connects_subscribes_and_takes_several_frames_a_message() {
    let dialect = dialect(Protocol::Stomp);
    let mut link = Link::default();
    let connect = begin(&dialect, &mut link).unwrap();
    assert!(
        connect.starts_with("CONNECT\naccept-version:1.2\n"),
        "{connect}"
    );
    assert!(connect.contains("\nhost:/\nlogin:guest\npasscode:secret\n\n\0"));
    let words = read(
        &dialect,
        &mut link,
        &[0, 1],
        b"CONNECTED\nversion:1.2\n\n\0",
    );
    let subscribe = answer(&words);
    assert_eq!(subscribe.matches("SUBSCRIBE\n").count(), 2);
    assert_eq!(subscribe.matches("receipt:").count(), 1);
    let receipt = b"RECEIPT\nreceipt-id:subscribed\n\n\0";
    assert_eq!(read(&dialect, &mut link, &[0, 1], receipt), [Word::Open]);
    let payload = payload(&dialect);
    let message = format!(
        "MESSAGE\nsubscription:sub-0\nmessage-id:1\ndestination:a\ncontent-length:{}\n\n{payload}\0\n\
         MESSAGE\nsubscription:sub-0\nmessage-id:2\ndestination:a\n\n{payload}\0\n",
        payload.len()
    );
    let words = read(&dialect, &mut link, &[0, 1], message.as_bytes());
    assert_eq!(words, [DELIVERED, DELIVERED]);
    assert_eq!(read(&dialect, &mut link, &[0, 1], b"\n"), []);
    for (message, word) in [
        (&b"ERROR\nmessage:no\n\nno\0"[..], Word::Refused),
        (b"MESSAGE\n\nxyz\0", Word::Delivery(None)),
        (b"MESSAGE\ncontent-length:9\n\nxyz\0", Word::Foreign),
        (b"HELLO\n\n\0", Word::Foreign),
    ] {
        assert_eq!(read(&dialect, &mut link, &[0, 1], message), [word]);
    }
}

#[test]
fn centrifuge_connects_subscribes_answers_pings_and_takes_lines() {
    let dialect = dialect(Protocol::Centrifuge);
    let mut link = Link::default();
    let connect = begin(&dialect, &mut link).unwrap();
    assert_eq!(connect, "{\"id\":1,\"connect\":{}}");
    let words = read(
        &dialect,
        &mut link,
        &[0, 1],
        b"{\"id\":1,\"connect\":{\"client\":\"x\"}}",
    );
    assert_eq!(
        answer(&words),
        "{\"id\":2,\"subscribe\":{\"channel\":\"a\"}}\n{\"id\":3,\"subscribe\":{\"channel\":\"b\"}}"
    );
    let words = read(
        &dialect,
        &mut link,
        &[0, 1],
        b"{\"id\":2,\"subscribe\":{}}\n{\"id\":3,\"subscribe\":{}}\n",
    );
    assert_eq!(words, [Word::Open]);
    let payload = payload(&dialect);
    let push =
        format!("{{\"push\":{{\"channel\":\"a\",\"pub\":{{\"data\":{payload},\"offset\":9}}}}}}");
    let message = format!("{push}\n{{}}\n{push}");
    let words = read(&dialect, &mut link, &[0, 1], message.as_bytes());
    assert_eq!(words, [DELIVERED, Word::Answer("{}".to_owned()), DELIVERED]);
    let error = b"{\"id\":3,\"error\":{\"code\":103}}";
    assert_eq!(read(&dialect, &mut link, &[0, 1], error), [Word::Refused]);
    assert_eq!(
        read(&dialect, &mut link, &[0, 1], b"hello"),
        [Word::Foreign]
    );
}

#[test]
fn centrifuge_v1_does_the_same_in_its_older_words() {
    let dialect = dialect(Protocol::CentrifugeV1);
    let mut link = Link::default();
    begin(&dialect, &mut link).unwrap();
    let words = read(
        &dialect,
        &mut link,
        &[0, 1],
        b"{\"id\":1,\"result\":{\"client\":\"x\"}}",
    );
    assert!(answer(&words).starts_with("{\"id\":2,\"method\":1,\"params\":{\"channel\":\"a\"}}\n"));
    let replies = b"{\"id\":2,\"result\":{}}\n{\"id\":3,\"result\":{}}";
    assert_eq!(read(&dialect, &mut link, &[0, 1], replies), [Word::Open]);
    let payload = payload(&dialect);
    let push = format!("{{\"result\":{{\"channel\":\"a\",\"data\":{{\"data\":{payload}}}}}}}\n");
    assert_eq!(
        read(&dialect, &mut link, &[0, 1], push.as_bytes()),
        [DELIVERED]
    );
}

#[test]
fn nats_takes_its_stream_however_messages_cut_it() {
    let dialect = dialect(Protocol::Nats);
    let mut link = Link::default();
    assert_eq!(begin(&dialect, &mut link), None);
    let words = read(
        &dialect,
        &mut link,
        &[0, 1],
        b"INFO {\"max_payload\":1}\r\n",
    );
    let subscribe = answer(&words);
    assert!(subscribe.starts_with("CONNECT {"), "{subscribe}");
    assert!(subscribe.contains("\"user\":\"guest\""), "{subscribe}");
    assert!(
        subscribe.ends_with("SUB a 1\r\nSUB b 2\r\nPING\r\n"),
        "{subscribe}"
    );
    let payload = payload(&dialect);
    let stream = format!(
        "PONG\r\nPING\r\nMSG a 1 {0}\r\n{payload}\r\nMSG a 1 {0}\r\n{payload}\r\n-ERR 'x'\r\nMSG a 1 3\r\nx\r\n\r\n",
        payload.len()
    );
    let expected = [
        Word::Open,
        Word::Answer("PONG\r\n".to_owned()),
        DELIVERED,
        DELIVERED,
        Word::Refused,
        Word::Delivery(None),
    ];
    for cut in 0..stream.len() {
        let mut link = Link {
            step: Step::Subscribing,
            ..Link::default()
        };
        let (before, after) = stream.as_bytes().split_at(cut);
        let mut words = read(&dialect, &mut link, &[0, 1], before);
        words.extend(read(&dialect, &mut link, &[0, 1], after));
        assert_eq!(words, expected, "cut at {cut}");
    }
}

#[test]
fn mqtt_takes_its_stream_however_messages_cut_it() {
    let dialect = dialect(Protocol::Mqtt);
    let mut link = Link::default();
    let Some(Said::Answer(connect)) = dialect.begin(&mut link, &[0, 1]) else {
        panic!("no CONNECT");
    };
    assert_eq!(connect[0], 0x10);
    assert_eq!(usize::from(connect[1]), connect.len() - 2);
    assert_eq!(&connect[2..9], b"\x00\x04MQTT\x04");
    assert_eq!(connect[9], 0xc2, "user name, password, clean session");
    let words = read(&dialect, &mut link, &[0, 1], &[0x20, 2, 0, 0]);
    assert!(matches!(&words[..], [Word::Answer(subscribe)] if subscribe.contains("a\0\0\u{1}b")));
    let mut stream = vec![0x90, 4, 0, 1, 0, 0];
    let payload = payload(&dialect);
    for _ in 0..2 {
        // What a client publishes is what a server delivers.
        dialect
            .put_publication(0, payload.as_bytes(), &mut stream)
            .unwrap();
    }
    stream.extend([0xd0, 0]);
    for cut in 0..stream.len() {
        let mut link = Link {
            step: Step::Subscribing,
            ..Link::default()
        };
        let (before, after) = stream.split_at(cut);
        let mut words = read(&dialect, &mut link, &[0, 1], before);
        words.extend(read(&dialect, &mut link, &[0, 1], after));
        assert_eq!(words, [Word::Open, DELIVERED, DELIVERED], "cut at {cut}");
    }
    let mut link = Link::default();
    assert_eq!(
        read(&dialect, &mut link, &[0], &[0x20, 2, 0, 5]),
        [Word::Refused]
    );
    assert_eq!(
        read(&dialect, &mut link, &[0], &[0x30, 0xff, 0xff, 0xff, 0xff]),
        [Word::Foreign]
    );
}

#[test]
fn pusher_subscribes_when_greeted_and_answers_pings() {
    let dialect = dialect(Protocol::Pusher);
    let mut link = Link::default();
    assert_eq!(begin(&dialect, &mut link), None);
    let greeting = b"{\"event\":\"pusher:connection_established\",\"data\":\"{}\"}";
    let words = read(&dialect, &mut link, &[0, 1], greeting);
    assert_eq!(words.len(), 2);
    let done =
        b"{\"event\":\"pusher_internal:subscription_succeeded\",\"channel\":\"a\",\"data\":\"{}\"}";
    assert_eq!(read(&dialect, &mut link, &[0, 1], done), []);
    assert_eq!(read(&dialect, &mut link, &[0, 1], done), [Word::Open]);
    let payload = payload(&dialect);
    let push = format!("{{\"event\":\"m\",\"channel\":\"a\",\"data\":{payload}}}");
    assert_eq!(
        read(&dialect, &mut link, &[0, 1], push.as_bytes()),
        [DELIVERED]
    );
    let ping = read(
        &dialect,
        &mut link,
        &[0, 1],
        b"{\"event\":\"pusher:ping\",\"data\":{}}",
    );
    assert!(answer(&ping).contains("pusher:pong"));
    let error = b"{\"event\":\"pusher:error\",\"data\":{\"code\":4001}}";
    assert_eq!(read(&dialect, &mut link, &[0, 1], error), [Word::Refused]);
}

#[test]
fn every_protocol_with_publishing_writes_what_its_server_would_take() {
    for (protocol, beginning) in [
        (Protocol::Stomp, "SEND\ndestination:b\n"),
        (
            Protocol::Centrifuge,
            "{\"id\":4000000000,\"publish\":{\"channel\":\"b\",\"data\":\"",
        ),
        (
            Protocol::CentrifugeV1,
            "{\"id\":4000000000,\"method\":3,\"params\":{\"channel\":\"b\",\"data\":\"",
        ),
        (Protocol::Nats, "PUB b 64\r\n"),
    ] {
        let dialect = dialect(protocol);
        let payload = payload(&dialect);
        let mut out = Vec::new();
        dialect
            .put_publication(1, payload.as_bytes(), &mut out)
            .unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with(beginning), "{text}");
        assert!(text.contains(&payload));
    }
    for protocol in [Protocol::Raw, Protocol::Pusher] {
        assert_eq!(
            dialect(protocol).put_publication(0, b"", &mut Vec::new()),
            None
        );
    }
}
