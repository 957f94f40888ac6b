//! The HTTP API, `POST /api/{method}`, on the real server: every method and every error, over plain HTTP.
//!
//! `tests/api_clients.rs` has the same done by `cent`.

#![forbid(unsafe_code)]

mod support;

mod api {
    mod batches;
    mod bodies;
    mod centrifuge;
    mod channels;
    mod keys;
    mod nodes;
    mod orders;
    mod publishing;
    mod users;

    use serde_json::Value;

    use crate::support::http::{Answer, Http};
    use crate::support::server::{Options, Server};
    use crate::support::stomp::Stomp;

    fn server() -> Server {
        Server::start(Options::default())
    }

    fn server_with(config: &str) -> Server {
        Server::start(Options::with_config(config))
    }

    /// A connected client of STOMP 1.2, of that user.
    fn client_of(server: &Server, login: &str) -> Stomp {
        let lines = format!("login:{login}\npasscode:any\n");
        Stomp::connect_with(server.addresses.public, "1.2", &lines).0
    }

    /// One that has subscribed to a channel.
    fn subscriber(server: &Server, channel: &str) -> Stomp {
        let mut stomp = Stomp::connect(server.addresses.public, "1.2");
        stomp.subscribe("0", &format!("/topic/{channel}"), "");
        stomp
    }

    /// The result of a call that works.
    fn result(http: &mut Http, method: &str, body: &str) -> Value {
        let mut answer = http.api(method, body);
        assert!(answer["error"].is_null(), "{method} {body}: {answer}");
        answer["result"].take()
    }

    /// Asserts that a call is answered with an error of that code, whose message says this.
    fn assert_error(http: &mut Http, method: &str, body: &str, code: u64, says: &str) {
        assert_is_error(&http.api(method, body), code, says);
    }

    fn assert_is_error(answer: &Value, code: u64, says: &str) {
        assert!(answer["result"].is_null(), "{answer}");
        assert_eq!(answer["error"]["code"], code, "{answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(says), "{says:?} is not in {message:?}");
    }

    /// The same where the request itself is wrong, so that its status says so, too.
    fn assert_refused(answer: &Answer, status: u16, code: u64, says: &str) {
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_is_error(&answer.json(), code, says);
    }
}
