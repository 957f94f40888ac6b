//! What a client must not send: an ERROR that says what and where, close 1002, and nobody else notices.

use crate::support::server::Server;
use crate::support::stomp::{PROTOCOLS, Stomp};
use crate::{Witness, assert_error, client, server};

/// Sends what is wrong on a connection of its own, and asserts how that is answered.
struct Offender {
    server: Server,
    witness: Witness,
}

impl Offender {
    fn new() -> Self {
        let server = server();
        let witness = Witness::subscribe(&server);
        Self { server, witness }
    }

    /// A connected client sends the bytes, and is told all of `says`.
    fn assert_refused(
        &mut self,
        version: &str,
        bytes: &[u8],
        says: &[&str],
        receipt: Option<&str>,
    ) {
        let stomp = Stomp::connect(self.server.addresses.public, version);
        self.assert_refused_on(stomp, bytes, says, receipt);
    }

    fn assert_refused_on(
        &mut self,
        mut stomp: Stomp,
        bytes: &[u8],
        says: &[&str],
        receipt: Option<&str>,
    ) {
        // Binary, for not all of them are text.
        stomp.send_binary(bytes);
        let (error, code) = stomp.error();
        assert_error(&error, says, receipt);
        assert_eq!(code, 1002, "{error:?}");
        self.witness.assert_unmoved();
    }
}

const SEND: &str = "SEND\ndestination:/topic/a\nreceipt:7\n";

#[test]
fn an_unknown_command_is_an_error() {
    let mut offender = Offender::new();
    for command in ["PUBLISH", "send", "SEND ", " SEND", "", "GET / HTTP/1.1"] {
        let frame = format!("{command}\ndestination:/topic/a\n\n\0");
        if command.is_empty() {
            // An empty line is a heart-beat, so the header is taken for a command.
            offender.assert_refused("1.2", frame.as_bytes(), &["destination:/topic/a"], None);
        } else {
            offender.assert_refused("1.2", frame.as_bytes(), &["unknown command", command], None);
        }
    }
}

#[test]
fn a_command_of_the_servers_is_an_error() {
    let mut offender = Offender::new();
    for command in ["CONNECTED", "MESSAGE", "RECEIPT", "ERROR"] {
        let frame = format!("{command}\ndestination:/topic/a\n\n\0");
        offender.assert_refused("1.2", frame.as_bytes(), &[command], None);
    }
}

#[test]
fn nack_and_stomp_are_unknown_to_1_0() {
    let mut offender = Offender::new();
    for command in ["NACK", "STOMP"] {
        let frame = format!("{command}\nmessage-id:1\n\n\0");
        offender.assert_refused("1.0", frame.as_bytes(), &[command, "1.0"], None);
    }
}

#[test]
fn a_header_without_a_colon_is_an_error_that_names_the_line() {
    let frame = format!("{SEND}nonsense\n\nhello\0");
    let says = ["SEND", "line 4", "nonsense"];
    Offender::new().assert_refused("1.2", frame.as_bytes(), &says, Some("7"));
}

#[test]
fn a_header_without_a_name_is_an_error_that_names_the_line() {
    let frame = format!("{SEND}:value\n\nhello\0");
    let says = ["SEND", "line 4", ":value"];
    Offender::new().assert_refused("1.2", frame.as_bytes(), &says, Some("7"));
}

#[test]
fn an_undefined_escape_is_an_error_that_names_the_line() {
    let mut offender = Offender::new();
    for (version, header) in [
        ("1.2", "a:b\\tc"),
        ("1.2", "a\\t:b"),
        ("1.2", "a:b\\"),
        ("1.2", "a:\\C"),
        ("1.1", "a:b\\tc"),
        ("1.1", "a:b\\rc"),
        ("1.1", "a:b\\"),
    ] {
        let frame = format!("{SEND}{header}\n\nhello\0");
        let says = ["SEND", "line 4", header, "escape"];
        offender.assert_refused(version, frame.as_bytes(), &says, Some("7"));
    }
}

#[test]
fn a_carriage_return_inside_a_line_is_an_error_that_names_it() {
    let frame = format!("{SEND}a:b\rc\n\nhello\0");
    let says = ["SEND", "line 4", "carriage return"];
    Offender::new().assert_refused("1.2", frame.as_bytes(), &says, Some("7"));
}

#[test]
fn a_head_that_is_not_utf_8_is_an_error_that_names_the_line() {
    let frame = [SEND.as_bytes(), b"a:\xff\n\nhello\0"].concat();
    let says = ["SEND", "line 4", "UTF-8"];
    Offender::new().assert_refused("1.2", &frame, &says, Some("7"));
}

#[test]
fn a_nul_inside_the_head_is_an_error_that_names_the_line() {
    let mut offender = Offender::new();
    offender.assert_refused("1.2", b"SEND\0", &["line 1", "NUL"], None);
    let frame = format!("{SEND}\0");
    offender.assert_refused("1.2", frame.as_bytes(), &["line 4", "NUL"], Some("7"));
}

#[test]
fn a_nul_between_frames_is_an_error() {
    Offender::new().assert_refused("1.2", b"\0", &["NUL"], None);
}

#[test]
fn a_content_length_that_is_no_number_is_an_error_that_names_the_line() {
    let mut offender = Offender::new();
    for length in ["five", "", "-1", "+5", "0x5", "5.0"] {
        let frame = format!("{SEND}content-length:{length}\n\nhello\0");
        let says = ["SEND", "line 4", "content-length", length];
        offender.assert_refused("1.2", frame.as_bytes(), &says, Some("7"));
    }
}

#[test]
fn a_content_length_with_no_nul_behind_the_body_is_an_error() {
    let mut offender = Offender::new();
    for length in [0, 4] {
        let frame = format!("{SEND}content-length:{length}\n\nhello\0");
        let says = ["SEND", &length.to_string(), "content-length"];
        offender.assert_refused("1.2", frame.as_bytes(), &says, Some("7"));
    }
}

#[test]
fn a_body_where_there_may_be_none_is_an_error() {
    let mut offender = Offender::new();
    for (command, headers) in [
        ("SUBSCRIBE", "id:0\ndestination:/topic/a\n"),
        ("UNSUBSCRIBE", "id:0\n"),
        ("ACK", "id:0-1-1\n"),
        ("NACK", "id:0-1-1\n"),
        ("BEGIN", "transaction:t\n"),
        ("COMMIT", "transaction:t\n"),
        ("ABORT", "transaction:t\n"),
        ("DISCONNECT", ""),
    ] {
        for length in ["", "content-length:4\n"] {
            let frame = format!("{command}\n{headers}receipt:7\n{length}\nbody\0");
            offender.assert_refused("1.2", frame.as_bytes(), &[command, "body"], Some("7"));
        }
    }
    for command in ["CONNECT", "STOMP"] {
        let stomp = Stomp::open(offender.server.addresses.public, "/stomp", PROTOCOLS).0;
        let frame = format!("{command}\naccept-version:1.2\nhost:/\n\nbody\0");
        offender.assert_refused_on(stomp, frame.as_bytes(), &[command, "body"], None);
    }
}

#[test]
fn a_missing_header_is_an_error_that_names_it() {
    let mut offender = Offender::new();
    for (version, command, there, missing) in [
        ("1.2", "SEND", "", "destination"),
        ("1.2", "SUBSCRIBE", "id:0\n", "destination"),
        ("1.2", "SUBSCRIBE", "destination:/topic/a\n", "id"),
        ("1.1", "SUBSCRIBE", "destination:/topic/a\n", "id"),
        ("1.0", "SUBSCRIBE", "", "destination"),
        ("1.2", "UNSUBSCRIBE", "destination:/topic/a\n", "id"),
        ("1.2", "ACK", "message-id:1\nsubscription:0\n", "id"),
        ("1.2", "NACK", "", "id"),
        ("1.1", "ACK", "subscription:0\n", "message-id"),
        ("1.1", "ACK", "message-id:1\n", "subscription"),
        ("1.1", "NACK", "message-id:1\n", "subscription"),
        ("1.0", "ACK", "", "message-id"),
        ("1.2", "BEGIN", "", "transaction"),
        ("1.2", "COMMIT", "", "transaction"),
        ("1.2", "ABORT", "", "transaction"),
    ] {
        let frame = format!("{command}\n{there}receipt:7\n\n\0");
        let missing = format!("\"{missing}\"");
        offender.assert_refused(version, frame.as_bytes(), &[command, &missing], Some("7"));
    }
}

#[test]
fn a_destination_that_leads_nowhere_is_an_error_that_quotes_it() {
    let mut offender = Offender::new();
    for destination in [
        "",
        "/",
        "prices",
        "/topic",
        "/topic/",
        "/queue/",
        "/exchange/a",
        "/TOPIC/a",
        "/user/",
        "/user/ann",
        "/user/ann/",
    ] {
        let says = [format!("\"{destination}\"")];
        let says = [says[0].as_str(), "destination"];
        let frame = format!("SEND\ndestination:{destination}\nreceipt:7\n\nhello\0");
        offender.assert_refused("1.2", frame.as_bytes(), &says, Some("7"));
        let frame = format!("SUBSCRIBE\nid:0\ndestination:{destination}\nreceipt:7\n\n\0");
        if !destination.starts_with("/user/") {
            offender.assert_refused("1.2", frame.as_bytes(), &says, Some("7"));
        }
    }
    let name = "n".repeat(256);
    let frame = format!("SEND\ndestination:/topic/{name}\nreceipt:7\n\nhello\0");
    offender.assert_refused("1.2", frame.as_bytes(), &["256", "255"], Some("7"));
    let frame = "SEND\ndestination:/topic/a\\nb\nreceipt:7\n\nhello\0";
    offender.assert_refused("1.2", frame.as_bytes(), &["control"], Some("7"));
}

#[test]
fn an_unknown_ack_mode_is_an_error_that_quotes_it() {
    let frame = "SUBSCRIBE\nid:0\ndestination:/topic/a\nack:sometimes\nreceipt:7\n\n\0";
    Offender::new().assert_refused(
        "1.2",
        frame.as_bytes(),
        &["ack", "\"sometimes\""],
        Some("7"),
    );
}

#[test]
fn a_prefetch_count_that_is_no_window_is_an_error_that_quotes_it() {
    let mut offender = Offender::new();
    for count in ["many", "", "0", "-1", "65537", "1.5"] {
        let frame = format!(
            "SUBSCRIBE\nid:0\ndestination:/topic/a\nack:client\nprefetch-count:{count}\nreceipt:7\n\n\0"
        );
        let says = ["prefetch-count", &format!("\"{count}\"")];
        offender.assert_refused("1.2", frame.as_bytes(), &says, Some("7"));
    }
}

#[test]
fn an_unknown_subscription_is_an_error_that_quotes_it() {
    let mut offender = Offender::new();
    let frame = b"UNSUBSCRIBE\nid:9\nreceipt:7\n\n\0";
    offender.assert_refused("1.2", frame, &["subscription", "\"9\""], Some("7"));
    let frame = b"UNSUBSCRIBE\ndestination:/topic/a\nreceipt:7\n\n\0";
    offender.assert_refused("1.0", frame, &["subscription", "\"/topic/a\""], Some("7"));
}

#[test]
fn an_unknown_transaction_is_an_error_that_quotes_it() {
    let mut offender = Offender::new();
    for frame in [
        "COMMIT\ntransaction:t\nreceipt:7\n\n\0",
        "ABORT\ntransaction:t\nreceipt:7\n\n\0",
        "SEND\ndestination:/topic/a\ntransaction:t\nreceipt:7\n\nhello\0",
    ] {
        offender.assert_refused(
            "1.2",
            frame.as_bytes(),
            &["transaction", "\"t\""],
            Some("7"),
        );
    }
}

#[test]
fn an_ack_or_nack_of_what_was_never_sent_is_an_error_that_quotes_it() {
    let mut offender = Offender::new();
    for command in ["ACK", "NACK"] {
        for id in ["never", "", "1:2", "1:2:3", "0:0:0"] {
            let frame = format!("{command}\nid:{id}\nreceipt:7\n\n\0");
            offender.assert_refused("1.2", frame.as_bytes(), &[command], Some("7"));
        }
        let frame = format!("{command}\nmessage-id:never\nsubscription:0\nreceipt:7\n\n\0");
        offender.assert_refused("1.1", frame.as_bytes(), &[command, "never"], Some("7"));
    }
}

#[test]
fn a_command_before_connect_is_an_error() {
    let mut offender = Offender::new();
    for command in [
        "SEND",
        "SUBSCRIBE",
        "UNSUBSCRIBE",
        "ACK",
        "NACK",
        "BEGIN",
        "COMMIT",
        "ABORT",
        "DISCONNECT",
    ] {
        let stomp = Stomp::open(offender.server.addresses.public, "/stomp", PROTOCOLS).0;
        let frame = format!("{command}\nid:0\ndestination:/topic/a\nreceipt:7\n\n\0");
        let says = [command, "CONNECT"];
        offender.assert_refused_on(stomp, frame.as_bytes(), &says, Some("7"));
    }
}

#[test]
fn a_second_connect_is_an_error() {
    let mut offender = Offender::new();
    for command in ["CONNECT", "STOMP"] {
        let frame = format!("{command}\naccept-version:1.2\nhost:/\nreceipt:7\n\n\0");
        offender.assert_refused("1.2", frame.as_bytes(), &[command], Some("7"));
    }
}

#[test]
fn a_heart_beat_header_that_is_not_two_numbers_is_an_error_that_quotes_it() {
    let mut offender = Offender::new();
    for header in ["often", "", "1", "1,2,3", "-1,0", ",", "1,", "0.5,1"] {
        let stomp = Stomp::open(offender.server.addresses.public, "/stomp", PROTOCOLS).0;
        let frame = format!("CONNECT\naccept-version:1.2\nhost:/\nheart-beat:{header}\n\n\0");
        let says = ["heart-beat", &format!("\"{header}\"")];
        offender.assert_refused_on(stomp, frame.as_bytes(), &says, None);
    }
}

#[test]
fn nothing_behind_a_malformed_frame_counts() {
    let server = server();
    let mut subscriber = client(&server);
    subscriber.subscribe("0", "/topic/a", "");
    let mut offender = client(&server);
    offender.send_text(b"HELLO\n\n\0SEND\ndestination:/topic/a\n\nbehind\0");
    let (_, code) = offender.error();
    assert_eq!(code, 1002);
    subscriber.send("SEND\ndestination:/topic/a\n\nafter");
    assert_eq!(subscriber.message().text(), "after");
}

#[test]
fn what_was_received_before_a_malformed_frame_counts() {
    let server = server();
    let mut subscriber = client(&server);
    subscriber.subscribe("0", "/topic/a", "");
    let mut offender = client(&server);
    offender.send_text(b"SEND\ndestination:/topic/a\n\nbefore\0HELLO\n\n\0");
    let (_, code) = offender.error();
    assert_eq!(code, 1002);
    assert_eq!(subscriber.message().text(), "before");
}
