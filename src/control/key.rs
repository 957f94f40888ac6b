//! Who may call: whoever has one of `auth.api_keys`, or everybody where there are none, apart from foreign web pages: a
//! browser on the same machine reaches the listener, too, and lets any page send a POST.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

use super::{Control, api};

/// Lets a request through that has a key, or needs none, and answers every other before its body is read.
pub async fn check(State(control): State<Arc<Control>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let access = &control.rules().access;
    if !access.takes_api_keys() {
        return match is_foreign_page(headers) {
            false => next.run(request).await,
            true => api::foreign_page(),
        };
    }
    match key(headers).is_some_and(|key| access.knows_api_key(key)) {
        true => next.run(request).await,
        false => api::unauthorized(),
    }
}

/// Whether a web page asks that is not this listener's own. Browsers say so by `Origin` with every POST; other programs send
/// none. Where the page's host is a name, it may be one that was made to mean this machine (DNS rebinding): only an address and
/// `localhost` are surely its own.
fn is_foreign_page(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return false;
    };
    let authority = origin.to_str().ok().and_then(|origin| {
        let (_, authority) = origin.split_once("://")?;
        authority.parse::<Authority>().ok()
    });
    let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
    !authority.is_some_and(|authority| {
        host.is_some_and(|host| host.eq_ignore_ascii_case(authority.as_str().as_bytes()))
            && is_address(authority.host())
    })
}

fn is_address(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

/// The key of a request: `X-API-Key: KEY`, or `Authorization: apikey KEY`.
fn key(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(key) = headers.get("x-api-key") {
        return Some(key.as_bytes());
    }
    let (scheme, key) = headers
        .get(header::AUTHORIZATION)?
        .as_bytes()
        .split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"apikey ")
        .then(|| key.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_listeners_own_page_may_call_without_a_key() {
        for (origin, host, is_foreign) in [
            (None, "127.0.0.1:8001", false),
            (Some("http://127.0.0.1:8001"), "127.0.0.1:8001", false),
            (Some("http://LOCALHOST:8001"), "localhost:8001", false),
            (Some("http://[::1]:8001"), "[::1]:8001", false),
            (Some("http://127.0.0.1:8000"), "127.0.0.1:8001", true),
            (Some("https://evil.example"), "127.0.0.1:8001", true),
            (Some("http://evil.example:8001"), "evil.example:8001", true),
            (
                Some("http://localhost:8001.evil.example"),
                "localhost:8001",
                true,
            ),
            (Some("null"), "127.0.0.1:8001", true),
            (Some(""), "", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            }
            assert_eq!(is_foreign_page(&headers), is_foreign, "{origin:?} {host}");
        }
    }

    #[test]
    fn a_key_stands_in_one_of_two_headers() {
        for (name, value, found) in [
            ("x-api-key", "secret", Some("secret")),
            ("authorization", "apikey secret", Some("secret")),
            ("authorization", "ApiKey  secret", Some("secret")),
            ("authorization", "Bearer secret", None),
            ("authorization", "apikey", None),
            ("cookie", "secret", None),
        ] {
            let headers = HeaderMap::from_iter([(
                axum::http::HeaderName::from_static(name),
                axum::http::HeaderValue::from_static(value),
            )]);
            assert_eq!(key(&headers), found.map(str::as_bytes), "{name}: {value}");
        }
    }
}
