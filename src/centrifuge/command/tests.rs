use super::*;

fn parse(line: &str) -> Command<'_> {
    Command::parse(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error}"))
}

#[test]
fn data_is_taken_byte_for_byte() {
    for data in [
        "1.10",
        "1E400",
        "12345678901234567890123456789012",
        "null",
        r#""\u00e9 \ud800""#,
        "[ 1 ,\t2,{ \"a\" : [ ] } ]",
        r#"{"data": {"data": "}]"}, "channel": 3}"#,
    ] {
        for line in [
            format!(r#"{{"id":1,"publish":{{"channel":"news","data":{data}}}}}"#),
            format!(
                "{{ \"publish\" : {{\"data\" :\t{data} ,\r\"channel\": \"news\" }} , \"id\" : 1}}"
            ),
        ] {
            let Request::Publish(publish) = parse(&line).request else {
                panic!("{line}");
            };
            assert_eq!(&*publish.channel, "news");
            assert_eq!(publish.data.map(RawValue::get), Some(data), "{line}");
        }
    }
    let Request::Publish(publish) = parse(r#"{"id":1,"publish":{"channel":"a"}}"#).request else {
        panic!("a publish");
    };
    assert!(publish.data.is_none());
}

#[test]
fn null_is_as_if_it_were_not_there() {
    let line = r#"{"id":7,"connect":null,"subscribe":{"channel":null,"token":null,"recover":null,
        "epoch":null,"offset":null,"flag":null,"tf":null,"type":null}}"#
        .replace('\n', " ");
    let command = parse(&line);
    let Request::Subscribe(subscribe) = command.request else {
        panic!("{command:?}");
    };
    assert_eq!((command.id, &*subscribe.channel), (7, ""));
    assert!(!subscribe.recover.0 && subscribe.offset.0 == 0 && subscribe.filter.is_none());
    assert!(matches!(parse(r#"{"id":null}"#).request, Request::Pong));
    let subs = parse(r#"{"id":1,"connect":{"subs":null}}"#);
    assert!(matches!(subs.request, Request::Connect(connect) if connect.subs.is_empty()));
}

#[test]
fn every_request_is_known_by_its_name() {
    for (name, order) in [
        ("connect", 1),
        ("subscribe", 2),
        ("unsubscribe", 3),
        ("publish", 4),
        ("presence", 5),
        ("presence_stats", 6),
        ("history", 7),
        ("ping", 8),
        ("send", 9),
        ("rpc", 10),
        ("refresh", 11),
        ("sub_refresh", 12),
    ] {
        let line = format!(r#"{{"id":3,"{name}":{{"unknown":[1,{{}}]}}}}"#);
        let command = parse(&line);
        assert_eq!((command.id, command.request.order()), (3, order), "{line}");
    }
}

#[test]
fn the_first_of_several_requests_counts_wherever_it_stands() {
    for line in [
        r#"{"id":1,"publish":{},"subscribe":{"channel":"a"},"rpc":{}}"#,
        r#"{"id":1,"subscribe":{"channel":"a"},"publish":{}}"#,
    ] {
        assert!(
            matches!(parse(line).request, Request::Subscribe(subscribe) if &*subscribe.channel == "a")
        );
    }
}

#[test]
fn offsets_may_be_strings_and_limits_negative() {
    let line = r#"{"id":1,"history":{"channel":"a","limit":-1,"reverse":true,
        "since":{"offset":"18446744073709551615","epoch":"x"}}}"#;
    let line = line.replace('\n', " ");
    let Request::History(history) = parse(&line).request else {
        panic!("{line}");
    };
    let since = history.since.expect("a position");
    assert_eq!((since.offset.0, &*since.epoch), (u64::MAX, "x"));
    assert_eq!((history.limit, history.reverse.0), (-1, true));
}

#[test]
fn only_a_pong_and_a_message_need_no_id() {
    assert!(matches!(parse("{}").request, Request::Pong));
    assert!(matches!(
        parse(r#"{"send":{"data":1}}"#).request,
        Request::Send
    ));
    assert_eq!(
        Command::parse(br#"{"connect":{}}"#).unwrap_err(),
        CommandError::NoId
    );
    assert_eq!(
        Command::parse(br#"{"id":4,"fly":{}}"#).unwrap_err(),
        CommandError::Nothing(4)
    );
}

#[test]
fn what_is_no_command_is_refused() {
    for line in [
        "",
        "null",
        "[]",
        "1",
        "{",
        "{} {}",
        "{}x",
        r#"{"id":-1,"connect":{}}"#,
        r#"{"id":4294967296,"connect":{}}"#,
        r#"{"id":1.5,"connect":{}}"#,
        r#"{"id":1,"connect":[]}"#,
        r#"{"id":1,"subscribe":{"channel":1}}"#,
        r#"{"id":1,"subscribe":{"offset":-1}}"#,
        r#"{"id":1,"publish":{"data":01}}"#,
        r#"{"id":1,"publish":{"data":}}"#,
        r#"{"id":1,"publish":{"data":[1}}"#,
        r#"{"id":1,"publish":{"data":1,"data":2}}"#,
        "{\"id\":1,\"publish\":{\"data\":\"\u{1}\"}}",
        "{\"id\":1,\"publish\":{\"data\":1\0}}",
    ] {
        let error = Command::parse(line.as_bytes()).map(|command| command.id);
        assert!(matches!(error, Err(CommandError::Malformed(_))), "{line}");
    }
    for line in [
        &b"{\"id\":1,\"publish\":{\"data\":\"\xff\"}}"[..],
        b"{\"id\":1,\"rpc\":{\"unknown\":\"\xff\"}}",
        b"{\"id\":1,\"rpc\":{},\"unknown\":{\"\xff\":1}}",
    ] {
        let error = Command::parse(line).map(|command| command.id);
        assert!(matches!(error, Err(CommandError::Malformed(_))), "{line:?}");
    }
}

#[test]
fn a_message_has_a_command_a_line() {
    let message = b"{\"id\":1,\"connect\":{}}\n\n{}\r\n  \n{\"id\":2,\"rpc\":{}}\n";
    let ids: Vec<u32> = commands(message)
        .map(|c| c.expect("a command").id)
        .collect();
    assert_eq!(ids, [1, 0, 2]);
    assert_eq!(commands(b"").count(), 0);
}
