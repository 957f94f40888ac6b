//! Rules that change while clients are connected.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::stomp::assert_error;
use super::{may, wait_for_subscriptions};
use crate::support::Message;
use crate::support::centrifuge::Centrifuge;
use crate::support::server::{Options, Server};
use crate::support::sse::Stream;
use crate::support::stomp::Stomp;
use crate::support::token::{SECRET, token, token_by};
use crate::support::wire::{Said, Socket, handshake_lines, head};

/// A server whose configuration file can be written anew.
struct Changing {
    server: Server,
    file: PathBuf,
}

impl Changing {
    fn start(name: &str, config: &str) -> Self {
        let name = format!("rights-{name}-{}.toml", std::process::id());
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&file, config).unwrap();
        let server = Server::start(Options {
            shards: 1,
            arguments: vec!["--config".to_owned(), file.to_str().unwrap().to_owned()],
            ..Options::default()
        });
        Self { server, file }
    }

    /// Returns when all shards heed it.
    fn change(&self, config: &str) {
        fs::write(&self.file, config).unwrap();
        let answer = self.server.http().post("/api/reload", "{}");
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.json().get("error").is_none(), "{answer:?}");
    }

    fn status(&self, path: &str) -> u16 {
        let mut socket = Socket::connect(self.server.addresses.public);
        socket.send(&head(&handshake_lines(path)));
        socket.answer().status
    }
}

impl Drop for Changing {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

fn takes(secret: &str) -> String {
    format!("[auth]\nhmac_secret = \"{secret}\"\n")
}

#[test]
fn who_has_shown_no_token_may_do_nothing_new_when_one_is_asked_for() {
    let changing = Changing::start("on", "");
    let address = changing.server.addresses.public;
    let mut subscriber = Socket::open(address, "/sub/news");
    let mut publisher = Socket::open(address, "/pub/news");
    let connect = || Stomp::connect_with(address, "1.2", "login:ann\n").0;
    let (mut sender, mut committer, mut listener) = (connect(), connect(), connect());
    listener.subscribe("0", "/user/news", "");
    committer.send("BEGIN\ntransaction:t\n\n");
    for number in 0..2 {
        committer.send(&format!(
            "SEND\ndestination:/topic/news\ntransaction:t\nreceipt:{number}\n\n{number}"
        ));
        committer.receipt(&number.to_string());
    }
    wait_for_subscriptions(&changing.server, 2);

    changing.change(&takes(SECRET));
    publisher.send_text("from nobody");
    let Said::Close { code, reason } = publisher.next() else {
        panic!("a close frame is expected");
    };
    assert_eq!(code, Some(1008));
    assert!(reason.contains("needs a token"), "{reason}");
    sender.send("SEND\ndestination:/topic/news\nreceipt:r\n\nfrom nobody");
    assert_error(&mut sender, &["needs a token"], Some("r"), 1008);
    committer.send("COMMIT\ntransaction:t\nreceipt:r\n\n");
    assert_error(&mut committer, &["/topic/news"], Some("r"), 1008);
    // Subscriptions that have begun go on; of what was refused nothing has been published.
    changing.server.http().publish("news", "from the backend");
    assert_eq!(subscriber.message(), Message::text("from the backend"));
    // A login is nobody's any more.
    listener.send("SUBSCRIBE\nid:1\ndestination:/user/more\nreceipt:r\n\n");
    assert_error(&mut listener, &["/user/more"], Some("r"), 1008);
    assert_eq!(changing.status("/sub/news"), 401);
}

#[test]
fn tokens_of_another_key_are_taken_from_the_next_reload_on_and_those_of_the_old_no_more() {
    let new = "the next secret of the tests, long enough too";
    let changing = Changing::start("key", &takes(SECRET));
    let claims = json!({ "sub": "ann", "subscribe": ["*"] });
    let [of_old, of_new] = [token(&claims), token_by(&claims, new)];
    let statuses =
        || [&of_old, &of_new].map(|token| changing.status(&format!("/sub/news?token={token}")));
    let query = format!("/sub/news?token={}", may(&["news"], &[]));
    let mut before = Socket::open(changing.server.addresses.public, &query);
    assert_eq!(statuses(), [101, 401]);
    changing.change(&takes(new));
    assert_eq!(statuses(), [401, 101]);
    // Who has come with the old one stays until that expires.
    changing.server.http().publish("news", "heard");
    assert_eq!(before.message(), Message::text("heard"));
}

#[test]
fn subscriptions_to_a_channel_that_is_closed_to_all_clients_are_ended_in_each_protocols_words() {
    let namespaces = |who: &str| {
        format!(
            "[[namespace]]\nchannels = \"open\"\n[[namespace]]\nchannels = \"*\"\nsubscribe = \"{who}\"\n"
        )
    };
    let changing = Changing::start("nobody", &namespaces("anyone"));
    let address = changing.server.addresses.public;
    let mut raw = Socket::open(address, "/sub/news");
    let mut several = Socket::open(address, "/sub?channel=open&channel=news");
    let mut open = Socket::open(address, "/sub/open");
    let mut stream = Stream::open(address, "/sub/news");
    let mut stomp = Stomp::connect(address, "1.2");
    stomp.subscribe("0", "/topic/news", "");
    let mut centrifuge = Centrifuge::connect(address);
    for channel in ["news", "open"] {
        centrifuge.call("subscribe", json!({ "channel": channel }));
    }
    wait_for_subscriptions(&changing.server, 8);

    changing.change(&namespaces("nobody"));
    for socket in [&mut raw, &mut several] {
        let Said::Close { code, reason } = socket.next() else {
            panic!("a close frame is expected");
        };
        assert_eq!(code, Some(1008));
        assert!(reason.contains("no client may"), "{reason}");
    }
    assert!(stream.next().is_none(), "the stream has ended");
    assert_error(&mut stomp, &["/topic/news", "no client may"], None, 1008);
    let push = centrifuge.push();
    assert_eq!(push["unsubscribe"]["code"], 2000, "{push}");
    // Others go on, and the connection too.
    wait_for_subscriptions(&changing.server, 2);
    changing.server.http().publish("open", "1");
    assert_eq!(open.message(), Message::text("1"));
    assert_eq!(centrifuge.publication("open")["data"], 1);
    assert_eq!(changing.status("/sub/news"), 403);
    // A reload that changes nothing about it ends nothing.
    changing.change(&namespaces("nobody"));
    changing.server.http().publish("open", "2");
    assert_eq!(open.message(), Message::text("2"));
}
