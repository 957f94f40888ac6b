//! Who may call: whoever has one of `auth.api_keys`, or everybody where there are none.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;

use super::{Control, api};

/// Lets a request through that has a key, and answers every other before its body is read.
pub async fn check(State(control): State<Arc<Control>>, request: Request, next: Next) -> Response {
    match is_known(&control, request.headers()) {
        true => next.run(request).await,
        false => api::unauthorized(),
    }
}

fn is_known(control: &Control, headers: &HeaderMap) -> bool {
    let rules = control.rules();
    let access = &rules.access;
    !access.takes_api_keys() || key(headers).is_some_and(|key| access.knows_api_key(key))
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
