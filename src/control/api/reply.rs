//! What the API answers.

use std::fmt::Display;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::json;
use crate::publication::Position;

/// The JSON of a method's result, or why there is none.
pub type Reply = Result<String, ApiError>;

/// What went wrong, in the terms of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    code: Code,
    message: String,
    /// The status that says it even where errors have none: it is about the request, not about what it asks for.
    status: Option<StatusCode>,
}

/// The codes of Centrifugo's API that are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    Internal = 100,
    Unauthorized = 101,
    PermissionDenied = 103,
    MethodNotFound = 104,
    LimitExceeded = 106,
    BadRequest = 107,
    NotAvailable = 108,
    UnrecoverablePosition = 112,
}

impl ApiError {
    /// The server could not do it.
    pub fn internal(reason: impl Display) -> Self {
        Self::new(Code::Internal, format!("internal server error: {reason}"))
    }

    /// There is no such method.
    pub fn method_not_found(methods: &str) -> Self {
        Self {
            status: Some(StatusCode::NOT_FOUND),
            ..Self::new(
                Code::MethodNotFound,
                format!("method not found: there are {methods}"),
            )
        }
    }

    /// More than the server takes or keeps.
    pub fn limit_exceeded(reason: impl Display) -> Self {
        Self::new(Code::LimitExceeded, format!("limit exceeded: {reason}"))
    }

    /// What it asks for makes no sense.
    pub fn bad_request(reason: impl Display) -> Self {
        Self::new(Code::BadRequest, format!("bad request: {reason}"))
    }

    /// The body is not what the method takes.
    pub fn malformed(reason: impl Display) -> Self {
        Self {
            status: Some(StatusCode::BAD_REQUEST),
            ..Self::bad_request(reason)
        }
    }

    /// The body, or the message in it, is longer than messages may be.
    pub fn too_large(message_bytes_max: usize) -> Self {
        Self {
            status: Some(StatusCode::PAYLOAD_TOO_LARGE),
            ..Self::limit_exceeded(format!(
                "the message has more than {message_bytes_max} bytes (limits.message_bytes_max)"
            ))
        }
    }

    /// What the channel's namespace does not have, or what a server that ends does not do any more.
    pub fn not_available(reason: impl Display) -> Self {
        Self::new(Code::NotAvailable, format!("not available: {reason}"))
    }

    /// The position is of another stream.
    pub fn unrecoverable_position(position: Position) -> Self {
        Self::new(
            Code::UnrecoverablePosition,
            format!(
                "unrecoverable position: the stream has the epoch {:x} now",
                position.epoch
            ),
        )
    }

    /// The answer that is nothing but this error.
    pub fn response(&self, request: &HeaderMap) -> Response {
        if request
            .get("x-centrifugo-error-mode")
            .is_some_and(|mode| mode.as_bytes() == b"transport")
        {
            json_response(self.transport_status(), self.object())
        } else {
            json_response(self.status.unwrap_or(StatusCode::OK), self.json())
        }
    }

    /// `{"error":{…}}`
    pub fn json(&self) -> String {
        format!("{{\"error\":{}}}", self.object())
    }

    fn new(code: Code, message: String) -> Self {
        Self {
            code,
            message,
            status: None,
        }
    }

    fn object(&self) -> String {
        let message = json::quoted(&self.message);
        format!("{{\"code\":{},\"message\":{message}}}", self.code as u32)
    }

    /// The status of an error where errors have one.
    fn transport_status(&self) -> StatusCode {
        self.status.unwrap_or(match self.code {
            Code::Unauthorized => StatusCode::UNAUTHORIZED,
            Code::PermissionDenied => StatusCode::FORBIDDEN,
            Code::MethodNotFound => StatusCode::NOT_FOUND,
            Code::BadRequest | Code::NotAvailable => StatusCode::BAD_REQUEST,
            Code::UnrecoverablePosition => StatusCode::RANGE_NOT_SATISFIABLE,
            Code::Internal | Code::LimitExceeded => StatusCode::INTERNAL_SERVER_ERROR,
        })
    }
}

/// The answer to a request without a key that is known.
pub fn unauthorized() -> Response {
    let reason = "unauthorized: send one of auth.api_keys in the header X-API-Key, or as \
                  `Authorization: apikey KEY`";
    let error = ApiError::new(Code::Unauthorized, reason.to_owned());
    json_response(StatusCode::UNAUTHORIZED, error.json())
}

/// The answer to a request of a web page that is not this listener's.
pub fn foreign_page() -> Response {
    let reason = "permission denied: pages of other origins may not call; set auth.api_keys and send one of them in the header \
                  X-API-Key";
    let error = ApiError::new(Code::PermissionDenied, reason.to_owned());
    json_response(StatusCode::FORBIDDEN, error.json())
}

/// An answer of JSON.
pub fn json_response(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// A place in a stream, the epoch in hexadecimal digits.
pub fn position_json(position: Position) -> String {
    format!(
        "{{\"offset\":{},\"epoch\":\"{:x}\"}}",
        position.offset, position.epoch
    )
}
