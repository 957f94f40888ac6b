//! What is written is what the other side reads.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::encode::{self, Connected, Subscribed};
use super::{Command, ErrorReply, Request, commands, disconnect};
use crate::publication::{ClientInfo, Event, Kind, Position, Publication};

/// What was written, which is one line of JSON.
fn written(put: impl FnOnce(&mut Vec<u8>)) -> Value {
    let mut out = Vec::new();
    put(&mut out);
    let text = String::from_utf8(out).expect("UTF-8");
    assert!(!text.contains(['\n', '\r']), "{text:?}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn info(user: &str, conn_info: &'static str) -> ClientInfo {
    ClientInfo {
        client: "0-1-2".into(),
        user: user.into(),
        conn_info: Bytes::from_static(conn_info.as_bytes()),
        chan_info: Bytes::new(),
    }
}

fn publication(payload: &'static str, headers: &'static str) -> Publication {
    Publication {
        position: Position {
            epoch: 0xabc,
            offset: 7,
        },
        kind: Kind::Text,
        headers: Bytes::from_static(headers.as_bytes()),
        payload: Bytes::from_static(payload.as_bytes()),
        publisher: None,
        channel: None,
    }
}

const POSITION: Position = Position {
    epoch: 0xabc,
    offset: 7,
};

#[test]
fn connect_is_replied_to_with_who_the_client_is_and_when_it_hears_of_the_server() {
    let connected = Connected {
        client: "0-1-2",
        version: "pushring 1",
        ttl_s: None,
        ping_s: 25,
    };
    let reply = written(|out| encode::put_connected(out, 1, &connected, []));
    assert_eq!(
        reply,
        json!({"id": 1, "connect": {"client": "0-1-2", "version": "pushring 1", "ping": 25, "pong": true}})
    );
    let subs = [
        ("a\"b", Subscribed::default()),
        (
            "news",
            Subscribed {
                position: Some(POSITION),
                recovered: Some(true),
                ..Subscribed::default()
            },
        ),
    ];
    let connected = Connected {
        ttl_s: Some(60),
        ..connected
    };
    let reply = written(|out| encode::put_connected(out, 1, &connected, subs));
    assert_eq!(reply["connect"]["expires"], true);
    assert_eq!(reply["connect"]["ttl"], 60);
    assert_eq!(
        reply["connect"]["subs"],
        json!({"a\"b": {}, "news": {
            "recoverable": true, "positioned": true, "epoch": "abc", "offset": 7,
            "was_recovering": true, "recovered": true,
        }})
    );
}

#[test]
fn subscribe_is_replied_to_with_where_the_subscription_stands() {
    for (subscribed, expected) in [
        (Subscribed::default(), json!({})),
        (
            Subscribed {
                position: Some(POSITION),
                ..Subscribed::default()
            },
            json!({"recoverable": true, "positioned": true, "epoch": "abc", "offset": 7}),
        ),
        (
            Subscribed {
                position: Some(POSITION),
                recovered: Some(false),
                ttl_s: Some(3),
                ..Subscribed::default()
            },
            json!({"recoverable": true, "positioned": true, "epoch": "abc", "offset": 7,
                "was_recovering": true, "recovered": false, "expires": true, "ttl": 3}),
        ),
        (
            Subscribed {
                ttl_s: Some(3),
                ..Subscribed::default()
            },
            json!({"expires": true, "ttl": 3}),
        ),
    ] {
        let reply = written(|out| encode::put_subscribed(out, 2, &subscribed));
        assert_eq!(reply, json!({"id": 2, "subscribe": expected}));
        for data in ["", "{\n}"] {
            let subscribed = Subscribed {
                data: data.as_bytes(),
                ..subscribed
            };
            let push = written(|out| encode::put_subscribe_push(out, "news", &subscribed));
            let mut with_data = expected.clone();
            if !data.is_empty() {
                with_data["data"] = json!({});
            }
            assert_eq!(
                push,
                json!({"push": {"channel": "news", "subscribe": with_data}})
            );
        }
    }
}

#[test]
fn errors_say_code_message_and_whether_they_pass() {
    let error = ErrorReply::BAD_REQUEST.because("a \"quoted\" word");
    assert_eq!(
        written(|out| encode::put_error(out, 3, &error)),
        json!({"id": 3, "error": {"code": 107, "message": "bad request: a \"quoted\" word"}})
    );
    assert_eq!(
        written(|out| encode::put_error(out, 3, &ErrorReply::INTERNAL)),
        json!({"id": 3, "error": {"code": 100, "message": "internal server error", "temporary": true}})
    );
}

#[test]
fn presence_is_by_client() {
    let present = [info("ann", "{\"n\":\n1.0}"), ClientInfo::default()];
    let reply = written(|out| encode::put_presence(out, 4, &present));
    assert_eq!(
        reply,
        json!({"id": 4, "presence": {"presence": {
            "0-1-2": {"client": "0-1-2", "user": "ann", "conn_info": {"n": 1.0}},
            "": {"client": "", "user": ""},
        }}})
    );
    assert_eq!(
        written(|out| encode::put_presence(out, 4, [])),
        json!({"id": 4, "presence": {"presence": {}}})
    );
    assert_eq!(
        written(|out| encode::put_presence_stats(out, 5, 3, 2)),
        json!({"id": 5, "presence_stats": {"num_clients": 3, "num_users": 2}})
    );
}

#[test]
fn history_says_where_the_stream_stands_and_what_is_kept() {
    let kept = [publication("1.10", ""), publication("{", "a:b\n")];
    let mut out = Vec::new();
    encode::put_history(&mut out, 6, POSITION, &kept);
    assert_eq!(
        String::from_utf8(out).expect("UTF-8"),
        r#"{"id":6,"history":{"publications":[{"data":1.10,"offset":7},{"data":"{","offset":7,"tags":{"a":"b"}}],"epoch":"abc","offset":7}}"#
    );
}

#[test]
fn the_other_replies_are_what_they_should_be() {
    assert_eq!(
        written(|out| encode::put_done(out, 9, "publish")),
        json!({"id": 9, "publish": {}})
    );
    assert_eq!(
        written(|out| encode::put_refreshed(out, 9, "c", "v", Some(5))),
        json!({"id": 9, "refresh": {"client": "c", "version": "v", "expires": true, "ttl": 5}})
    );
    assert_eq!(
        written(|out| encode::put_sub_refreshed(out, 9, None)),
        json!({"id": 9, "sub_refresh": {}})
    );
    assert_eq!(
        written(|out| encode::put_sub_refreshed(out, 9, Some(0))),
        json!({"id": 9, "sub_refresh": {"expires": true, "ttl": 0}})
    );
}

#[test]
fn pushes_name_their_channel() {
    let mut publication = publication("[1]", "a:1\nb\\cc:\\n\n");
    publication.publisher = Some(Arc::new(info("ann", "")));
    let push = |put: &dyn Fn(&mut Vec<u8>)| {
        written(|out| {
            encode::put_push_head(out, "a \"channel\"");
            put(out);
        })["push"]
            .take()
    };
    let who = json!({"client": "0-1-2", "user": "ann"});
    assert_eq!(
        push(&|out| encode::put_publication_push(out, &publication)),
        json!({"channel": "a \"channel\"", "pub": {
            "data": [1], "offset": 7, "tags": {"a": "1", "b:c": "\n"}, "info": who,
        }})
    );
    let ann = Arc::new(info("ann", ""));
    assert_eq!(
        push(&|out| encode::put_event_push(out, &Event::Join(ann.clone()))),
        json!({"channel": "a \"channel\"", "join": {"info": who}})
    );
    assert_eq!(
        push(&|out| encode::put_event_push(out, &Event::Leave(ann.clone()))),
        json!({"channel": "a \"channel\"", "leave": {"info": who}})
    );
    let why = disconnect::Unsubscribed::EXPIRED;
    assert_eq!(
        written(|out| encode::put_unsubscribe_push(out, "news", why)),
        json!({"push": {"channel": "news", "unsubscribe": {"code": 2501, "reason": "subscription expired"}}})
    );
    assert_eq!(
        written(|out| encode::put_message_push(out, Kind::Text, b"hello")),
        json!({"push": {"message": {"data": "hello"}}})
    );
}

/// A command as a client writes it, and what is to be read of it.
#[derive(Clone, Debug)]
struct Said {
    id: u32,
    channel: String,
    data: Value,
}

impl Said {
    fn line(&self) -> String {
        json!({"id": self.id, "publish": {"channel": self.channel, "data": self.data}}).to_string()
    }

    fn is(&self, command: &Command<'_>) -> bool {
        let Request::Publish(publish) = &command.request else {
            return false;
        };
        let data = publish.data.map(|data| data.get());
        command.id == self.id
            && *publish.channel == *self.channel
            && data == Some(&self.data.to_string())
    }
}

fn said() -> impl Strategy<Value = Said> {
    let data = prop_oneof![
        any::<i64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        prop::collection::vec(any::<bool>(), 0..4).prop_map(Value::from),
    ];
    (1u32.., ".{0,20}", data).prop_map(|(id, channel, data)| Said { id, channel, data })
}

proptest! {
    #[test]
    fn commands_say_the_same_however_they_are_put_into_messages(all in prop::collection::vec((said(), any::<bool>()), 0..12)) {
        // Each stands in the message of the one before it, or begins a new one.
        let mut messages = vec![String::new()];
        for (one, begins) in &all {
            if *begins {
                messages.push(String::new());
            }
            let message = messages.last_mut().expect("there is one");
            message.push_str(&one.line());
            message.push('\n');
        }
        let read: Vec<_> = messages.iter().flat_map(|message| commands(message.as_bytes())).collect();
        prop_assert_eq!(read.len(), all.len());
        for (command, (one, _)) in read.iter().zip(&all) {
            prop_assert!(one.is(command.as_ref().expect("a command")), "{:?} {:?}", command, one);
        }
    }

    #[test]
    fn a_command_that_is_cut_off_anywhere_is_none(one in said(), at in any::<prop::sample::Index>()) {
        let line = one.line();
        let cut = &line.as_bytes()[..at.index(line.len())];
        prop_assert!(Command::parse(cut).is_err());
    }

    #[test]
    fn no_bytes_make_it_panic(message in prop::collection::vec(any::<u8>(), 0..200)) {
        for command in commands(&message) {
            if let Err(error) = command {
                prop_assert!(!error.to_string().contains('\n'));
            }
        }
    }

    #[test]
    fn nearly_commands_make_it_not_panic(line in "[{}\\[\\]\":,0-9 a-z_]{0,60}|\\{\"id\":[0-9-]{0,12},\"[a-z_]{3,12}\":\\{[\":,{}a-z0-9]{0,30}\\}\\}") {
        let _ = Command::parse(line.as_bytes());
    }

    #[test]
    fn whatever_is_published_arrives_as_one_line(
        channel in "\\PC{1,20}",
        payload in ".{0,40}",
        headers in prop::collection::vec(("[a-z]{1,4}", "[a-z ]{0,6}"), 0..4),
        user in ".{0,10}",
    ) {
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let publication = Publication {
            headers: Bytes::from(lines),
            payload: Bytes::from(payload.clone()),
            publisher: Some(Arc::new(ClientInfo { user: user.clone().into(), ..ClientInfo::default() })),
            ..publication("", "")
        };
        let push = written(|out| {
            encode::put_push_head(out, &channel);
            encode::put_publication_push(out, &publication);
        });
        let push = &push["push"];
        prop_assert_eq!(push["channel"].as_str(), Some(&*channel));
        prop_assert_eq!(push["pub"]["info"]["user"].as_str(), Some(&*user));
        let expected = serde_json::from_str(&payload).unwrap_or(Value::String(payload));
        prop_assert_eq!(&push["pub"]["data"], &expected);
        for (name, _) in &headers {
            let (_, first) = headers.iter().find(|(other, _)| other == name).expect("itself");
            prop_assert_eq!(push["pub"]["tags"][name].as_str(), Some(&**first));
        }
    }
}
