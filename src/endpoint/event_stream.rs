//! Requests for an event stream: plain HTTP, beside the WebSockets of the same path.
//!
//! A page of another origin may read a stream if the origins' setting lets it in: the answer says so by the headers of the
//! Fetch Standard, section 3.2 "CORS protocol", and so does the answer to the question that some clients ask before
//! (`OPTIONS`).

use std::borrow::Cow;

use bytes::BufMut;

use crate::sse;
use crate::ws::handshake::{Head, Origins, Refusal, check_origin, is_token_byte};

/// What may be done at the path of a stream, as `Allow` lists it.
const METHODS: &str = "GET, HEAD, OPTIONS";

/// Headers that a page may send if it does not ask for others.
const HEADERS: &str = "Authorization, Last-Event-ID";

/// For how many seconds a browser need not ask again.
const MAX_AGE_S: u32 = 7_200;

/// What a request that opens no WebSocket is answered with.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// The stream.
    Stream(StreamHead),
    /// The stream's head alone: `HEAD`.
    Head(StreamHead),
    /// What the stream may be asked for: `OPTIONS`.
    Options(Options),
}

/// The head of a stream.
#[derive(Debug, PartialEq, Eq)]
pub struct StreamHead {
    cors: Cors,
}

/// The answer to `OPTIONS`.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    cors: Cors,
    /// The headers that the page wants to send.
    headers: String,
}

/// Which page may read the answer: the value of `Access-Control-Allow-Origin`, if there is to be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors(Option<String>);

/// Looks at a request at a path that has event streams. `None` if it is for the WebSocket's side, to be served or refused
/// there.
///
/// # Errors
/// 406 where no event stream is accepted, 405 for a method that streams do not have, 403 for the origin, 400 for a
/// malformed request. A page whose origin is allowed can read them.
pub fn negotiate(head: &Head<'_>, origins: &Origins) -> Option<Result<Answer, Refusal>> {
    if head.lists("Upgrade", "websocket") {
        return None;
    }
    let cors = Cors::of(head, origins);
    let answer = match (head.method(), accepts_stream(head)) {
        ("OPTIONS", _) => Answer::Options(Options {
            cors: cors.clone(),
            headers: requested_headers(head),
        }),
        ("GET", true) => Answer::Stream(StreamHead { cors: cors.clone() }),
        ("HEAD", true) => Answer::Head(StreamHead { cors: cors.clone() }),
        (_, true) => {
            let help =
                "a stream is asked for with GET; to publish over HTTP use the internal listener";
            let refusal = Refusal::new(405, help).with_header("Allow", METHODS);
            return Some(Err(cors.allow(refusal)));
        }
        ("GET" | "HEAD", false) if head.count("Accept") > 0 && head.count("Upgrade") == 0 => {
            let help = "what is here comes as an event stream, for which a request says \
                        `Accept: text/event-stream` (curl -N -H 'Accept: text/event-stream'), or over a WebSocket";
            return Some(Err(cors.allow(Refusal::new(406, help))));
        }
        _ => return None,
    };
    let checked = check_host(head).and_then(|()| check_stream_origin(head, origins));
    Some(
        checked
            .map(|()| answer)
            .map_err(|refusal| cors.allow(refusal)),
    )
}

impl StreamHead {
    /// Appends the answer's head. The stream behind it ends with the connection, which all versions of HTTP understand.
    pub fn put(&self, out: &mut impl BufMut) {
        out.put_slice(b"HTTP/1.1 200 OK\r\nContent-Type: ");
        out.put_slice(sse::MEDIA_TYPE.as_bytes());
        // nginx passes on at once what has this header.
        out.put_slice(
            b"\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\nConnection: close\r\n",
        );
        self.cors.put(out);
        out.put_slice(b"\r\n");
    }

    /// Lets the page read a refusal that comes in the stream's place.
    pub fn allow(&self, refusal: Refusal) -> Refusal {
        self.cors.allow(refusal)
    }
}

impl Options {
    /// Appends the answer.
    pub fn put(&self, out: &mut impl BufMut) {
        out.put_slice(b"HTTP/1.1 204 No Content\r\nAllow: ");
        out.put_slice(METHODS.as_bytes());
        out.put_slice(b"\r\nConnection: close\r\n");
        self.cors.put(out);
        if self.cors.0.is_some() {
            let Self { headers, .. } = self;
            let lines = format!(
                "Access-Control-Allow-Methods: GET, HEAD\r\nAccess-Control-Allow-Headers: {headers}\r\n\
                 Access-Control-Max-Age: {MAX_AGE_S}\r\n"
            );
            out.put_slice(lines.as_bytes());
        }
        out.put_slice(b"\r\n");
    }
}

impl Cors {
    /// What the origins' setting says of the page that the request comes from.
    fn of(head: &Head<'_>, origins: &Origins) -> Self {
        let origin = head.header("Origin").filter(|_| head.count("Origin") == 1);
        let allowed = origin.filter(|origin| origins.allows(Some(origin)));
        Self(allowed.and_then(|origin| match origins.allows_any() {
            // Not the page's own name: its user's cookies are not to come along.
            true => Some("*".to_owned()),
            false => str::from_utf8(origin).ok().map(str::to_owned),
        }))
    }

    fn headers(&self) -> impl Iterator<Item = (&'static str, Cow<'static, str>)> {
        let named = self.0.as_ref().filter(|origin| *origin != "*");
        let allow = self
            .0
            .clone()
            .map(|origin| ("Access-Control-Allow-Origin", origin.into()));
        // A page that the configuration names may show who its user is, as it may on a WebSocket.
        let credentials = named.map(|_| ("Access-Control-Allow-Credentials", "true".into()));
        let vary = named.map(|_| ("Vary", "Origin".into()));
        [allow, credentials, vary].into_iter().flatten()
    }

    fn put(&self, out: &mut impl BufMut) {
        for (name, value) in self.headers() {
            out.put_slice(format!("{name}: {value}\r\n").as_bytes());
        }
    }

    fn allow(&self, refusal: Refusal) -> Refusal {
        self.headers().fold(refusal, |refusal, (name, value)| {
            refusal.with_header(name, value)
        })
    }
}

/// Whether the request names event streams among what it accepts (RFC 9110, section 12.5.1). Ranges such as `*/*` do not
/// count: they are sent by programs that want something that ends.
fn accepts_stream(head: &Head<'_>) -> bool {
    head.list("Accept").any(|range| {
        let mut parts = range.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let is_stream = parts
            .next()
            .is_some_and(|range| range.eq_ignore_ascii_case(sse::MEDIA_TYPE.as_bytes()));
        is_stream && !parts.any(is_weight_of_zero)
    })
}

/// `q=0`, `q=0.0` and so on: not acceptable.
fn is_weight_of_zero(parameter: &[u8]) -> bool {
    let weight = parameter
        .strip_prefix(b"q=")
        .or_else(|| parameter.strip_prefix(b"Q="));
    weight.is_some_and(|weight| {
        weight.starts_with(b"0") && weight.iter().all(|byte| matches!(byte, b'0' | b'.'))
    })
}

/// The headers that a page asks for, or those that clients of streams have use for.
fn requested_headers(head: &Head<'_>) -> String {
    let asked = head.list("Access-Control-Request-Headers");
    let names: Vec<&str> = asked
        .filter(|name| !name.is_empty() && name.iter().copied().all(is_token_byte))
        .filter_map(|name| str::from_utf8(name).ok())
        .collect();
    match names.is_empty() {
        true => HEADERS.to_owned(),
        false => names.join(", "),
    }
}

/// RFC 9112, section 3.2: one `Host`, which only HTTP/1.0 may leave out.
fn check_host(head: &Head<'_>) -> Result<(), Refusal> {
    match head.count("Host") {
        1 => Ok(()),
        0 if head.minor_version() == 0 => Ok(()),
        0 => Err(Refusal::new(400, "the Host header is missing")),
        _ => Err(Refusal::new(400, "there is more than one Host header")),
    }
}

/// As for a WebSocket; but browsers send no `Origin` with what a page asks of its own origin, and say so.
fn check_stream_origin(head: &Head<'_>, origins: &Origins) -> Result<(), Refusal> {
    let is_own = head.count("Origin") == 0 && head.header("Sec-Fetch-Site") == Some(b"same-origin");
    if is_own {
        Ok(())
    } else {
        check_origin(head, origins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ws::handshake::{HeadLimits, with_head};

    fn asked(
        origins: &[&str],
        missing_allowed: bool,
        request_line: &str,
        headers: &[&str],
    ) -> Option<Result<Answer, Refusal>> {
        let text = format!("{request_line}\r\n{}\r\n\r\n", headers.join("\r\n"));
        let limits = HeadLimits {
            head_bytes_max: 8_192,
            headers_max: 64,
        };
        let origins = Origins::parse(origins, missing_allowed).expect("patterns");
        with_head(text.as_bytes(), &limits, |head| {
            Ok(negotiate(head, &origins))
        })
        .expect("a head")
    }

    fn get(headers: &[&str]) -> Option<Result<Answer, Refusal>> {
        asked(&["*"], true, "GET /sub/news HTTP/1.1", headers)
    }

    fn status(answer: Option<Result<Answer, Refusal>>) -> Option<u16> {
        answer.map(|answer| answer.map_or_else(|refusal| refusal.status(), |_| 200))
    }

    fn text(answer: Option<Result<Answer, Refusal>>) -> String {
        let mut out = Vec::new();
        match answer {
            Some(Ok(Answer::Stream(head) | Answer::Head(head))) => head.put(&mut out),
            Some(Ok(Answer::Options(options))) => options.put(&mut out),
            Some(Err(refusal)) => refusal.put_response(&mut out),
            None => {}
        }
        String::from_utf8(out).expect("text")
    }

    const STREAM: &str = "Accept: text/event-stream";

    #[test]
    fn who_names_event_streams_among_what_it_accepts_gets_one() {
        for accept in [
            "text/event-stream",
            "TEXT/Event-Stream",
            "text/html, text/event-stream;q=0.5",
            "text/event-stream; charset=utf-8",
        ] {
            let answer = get(&["Host: a", &format!("Accept: {accept}")]);
            assert!(matches!(answer, Some(Ok(Answer::Stream(_)))), "{accept}");
        }
    }

    #[test]
    fn who_accepts_something_else_is_told_406_and_what_to_write() {
        for accept in [
            "*/*",
            "text/*",
            "text/html,*/*;q=0.8",
            "text/event-stream;q=0",
            "text/event-stream;q=0.000",
            "",
        ] {
            let answer = get(&["Host: a", &format!("Accept: {accept}")]);
            assert_eq!(status(answer), Some(406), "{accept:?}");
        }
        let answer = text(get(&["Host: a", "Accept: */*"]));
        assert!(
            answer.starts_with("HTTP/1.1 406 Not Acceptable\r\n"),
            "{answer}"
        );
        assert!(
            answer.contains("curl -N -H 'Accept: text/event-stream'"),
            "{answer}"
        );
    }

    #[test]
    fn what_asks_for_a_websocket_or_accepts_nothing_in_particular_is_left_to_the_websockets_side() {
        for headers in [
            &["Host: a"][..],
            &["Host: a", "Upgrade: websocket", STREAM],
            &["Host: a", "Upgrade: h2c", "Accept: */*"],
        ] {
            assert_eq!(get(headers), None, "{headers:?}");
        }
        let post = asked(&["*"], true, "POST /sub/news HTTP/1.1", &["Host: a"]);
        assert_eq!(post, None);
    }

    #[test]
    fn an_upgrade_to_anything_else_does_not_keep_a_stream_from_being_one() {
        let answer = get(&["Host: a", STREAM, "Connection: Upgrade", "Upgrade: h2c"]);
        assert!(matches!(answer, Some(Ok(Answer::Stream(_)))));
    }

    #[test]
    fn a_malformed_request_is_400_and_another_method_405() {
        assert_eq!(status(get(&[STREAM])), Some(400));
        assert_eq!(status(get(&[STREAM, "Host: a", "Host: b"])), Some(400));
        assert_eq!(
            status(get(&[
                STREAM,
                "Host: a",
                "Origin: http://a",
                "Origin: http://b"
            ])),
            Some(400)
        );
        let old = asked(&["*"], true, "GET /sub/news HTTP/1.0", &[STREAM]);
        assert!(
            matches!(old, Some(Ok(Answer::Stream(_)))),
            "HTTP/1.0 needs no Host"
        );
        let delete = text(asked(
            &["*"],
            true,
            "DELETE /sub/news HTTP/1.1",
            &[STREAM, "Host: a"],
        ));
        assert!(delete.starts_with("HTTP/1.1 405 "), "{delete}");
        assert!(
            delete.contains("\r\nAllow: GET, HEAD, OPTIONS\r\n"),
            "{delete}"
        );
    }

    #[test]
    fn the_head_keeps_caches_and_buffers_away() {
        let answer = text(get(&["Host: a", STREAM]));
        assert_eq!(
            answer,
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\
             X-Accel-Buffering: no\r\nConnection: close\r\n\r\n"
        );
        let head = asked(
            &["*"],
            true,
            "HEAD /sub/news HTTP/1.1",
            &["Host: a", STREAM],
        );
        assert!(matches!(head, Some(Ok(Answer::Head(_)))));
    }

    #[test]
    fn a_page_may_read_what_its_origin_is_allowed() {
        let from = |allowed: &[&str], origin: &str| {
            let headers = ["Host: a", STREAM, &format!("Origin: {origin}")];
            text(asked(allowed, true, "GET /sub/news HTTP/1.1", &headers))
        };
        let any = from(&["*"], "https://a.example");
        assert!(
            any.contains("\r\nAccess-Control-Allow-Origin: *\r\n"),
            "{any}"
        );
        assert!(!any.contains("Credentials"), "{any}");
        let named = from(&["https://*.example"], "https://a.example");
        assert!(
            named.contains("\r\nAccess-Control-Allow-Origin: https://a.example\r\nAccess-Control-Allow-Credentials: true\r\nVary: Origin\r\n"),
            "{named}"
        );
        let foreign = from(&["https://*.example"], "https://evil.test");
        assert!(foreign.starts_with("HTTP/1.1 403 "), "{foreign}");
        assert!(!foreign.contains("Access-Control"), "{foreign}");
    }

    #[test]
    fn an_allowed_page_may_read_a_refusal() {
        let headers = ["Host: a", "Accept: text/html", "Origin: https://a.example"];
        let answer = text(asked(
            &["https://a.example"],
            true,
            "GET /sub/news HTTP/1.1",
            &headers,
        ));
        assert!(answer.starts_with("HTTP/1.1 406 "), "{answer}");
        assert!(
            answer.contains("\r\nAccess-Control-Allow-Origin: https://a.example\r\n"),
            "{answer}"
        );
    }

    #[test]
    fn a_page_of_the_same_origin_needs_no_origin_header() {
        let without = |more: &[&str]| {
            let headers = [&["Host: a", STREAM], more].concat();
            status(asked(
                &["https://a.example"],
                false,
                "GET /sub/news HTTP/1.1",
                &headers,
            ))
        };
        assert_eq!(without(&[]), Some(403));
        assert_eq!(without(&["Sec-Fetch-Site: cross-site"]), Some(403));
        assert_eq!(without(&["Sec-Fetch-Site: same-origin"]), Some(200));
        assert_eq!(
            without(&["Sec-Fetch-Site: same-origin", "Origin: https://evil.test"]),
            Some(403)
        );
    }

    #[test]
    fn a_preflight_allows_the_headers_that_it_asks_for() {
        let ask = |headers: &[&str]| {
            let headers = [&["Host: a"], headers].concat();
            text(asked(
                &["https://a.example"],
                true,
                "OPTIONS /sub/news HTTP/1.1",
                &headers,
            ))
        };
        let answer = ask(&[
            "Origin: https://a.example",
            "Access-Control-Request-Method: GET",
            "Access-Control-Request-Headers: authorization, x-user,, bad name",
        ]);
        assert!(
            answer.starts_with("HTTP/1.1 204 No Content\r\n"),
            "{answer}"
        );
        assert!(
            answer.contains("\r\nAccess-Control-Allow-Methods: GET, HEAD\r\n"),
            "{answer}"
        );
        assert!(
            answer.contains("\r\nAccess-Control-Allow-Headers: authorization, x-user\r\n"),
            "{answer}"
        );
        let unasked = ask(&["Origin: https://a.example"]);
        assert!(
            unasked.contains("\r\nAccess-Control-Allow-Headers: Authorization, Last-Event-ID\r\n"),
            "{unasked}"
        );
        assert!(ask(&["Origin: https://evil.test"]).starts_with("HTTP/1.1 403 "));
        let nobody = ask(&[]);
        assert!(
            nobody.contains("\r\nAllow: GET, HEAD, OPTIONS\r\n")
                && !nobody.contains("Access-Control"),
            "{nobody}"
        );
    }
}
