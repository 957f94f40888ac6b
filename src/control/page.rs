//! The page on `/`: what it is made of lies in `page/`, hand-written, and goes into the program as it is.
//!
//! It can be fetched without a key, for it holds nothing; what it shows it reads from `/live`, which asks for one.

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// Scripts and styles come from here alone and none stands in the document; nobody may put the page in a frame; texts
/// never become markup. Connections are its business: it tries out whichever address it is told.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src * ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'";

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

const INDEX: &str = include_str!("page/index.html");

/// What the document refers to, below `/page/`.
const FILES: [(&str, &str, &str); 17] = [
    ("style.css", STYLE, include_str!("page/style.css")),
    ("hand.css", STYLE, include_str!("page/hand.css")),
    ("icon.svg", IMAGE, include_str!("page/icon.svg")),
    ("main.js", SCRIPT, include_str!("page/main.js")),
    ("live.js", SCRIPT, include_str!("page/live.js")),
    (
        "event_stream.js",
        SCRIPT,
        include_str!("page/event_stream.js"),
    ),
    ("key.js", SCRIPT, include_str!("page/key.js")),
    ("format.js", SCRIPT, include_str!("page/format.js")),
    ("dom.js", SCRIPT, include_str!("page/dom.js")),
    ("tiles.js", SCRIPT, include_str!("page/tiles.js")),
    ("tables.js", SCRIPT, include_str!("page/tables.js")),
    ("hand.js", SCRIPT, include_str!("page/hand.js")),
    ("log.js", SCRIPT, include_str!("page/log.js")),
    ("raw.js", SCRIPT, include_str!("page/raw.js")),
    ("stomp.js", SCRIPT, include_str!("page/stomp.js")),
    ("centrifuge.js", SCRIPT, include_str!("page/centrifuge.js")),
    ("http.js", SCRIPT, include_str!("page/http.js")),
];

/// The routes of what the document refers to.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES
        .iter()
        .fold(Router::new(), |router, (name, kind, text)| {
            let path = format!("/page/{name}");
            router.route(&path, get(async || file(kind, text)))
        })
}

/// The document for a browser, and `help` for who asks for no HTML.
pub fn front(headers: &HeaderMap, help: &'static str) -> Response {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let mut accepted = accepted.filter_map(|accept| accept.to_str().ok());
    let mut response = match accepted.any(|accept| accept.contains("text/html")) {
        true => file(HTML, INDEX),
        false => help.into_response(),
    };
    response
        .headers_mut()
        .insert(header::VARY, HeaderValue::from_static("Accept"));
    response
}

fn file(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        // Of another version's files nothing would fit together.
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, text).into_response()
}
