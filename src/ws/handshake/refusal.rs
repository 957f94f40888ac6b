use std::borrow::Cow;

use bytes::BufMut;
use serde::{Deserialize, Serialize};

/// A request that is answered with a status and a line of help, after which the connection is
/// closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    status: u16,
    reason: Cow<'static, str>,
    headers: Vec<(Cow<'static, str>, Cow<'static, str>)>,
}

impl Refusal {
    /// A refusal with its reason: what was wrong, or what to do instead.
    pub fn new(status: u16, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            reason: reason.into(),
            headers: Vec::new(),
        }
    }

    /// Adds a header to the answer.
    pub fn with_header(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Says after how many seconds it is worth trying again.
    pub fn with_retry_after(self, seconds: u32) -> Self {
        self.with_header("Retry-After", seconds.to_string())
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether another client might have been served: 401 and 403.
    pub fn is_unauthorized(&self) -> bool {
        matches!(self.status, 401 | 403)
    }

    /// The line of help.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Appends the whole answer.
    pub fn put_response(&self, out: &mut impl BufMut) {
        let name = status_name(self.status);
        out.put_slice(format!("HTTP/1.1 {} {name}\r\n", self.status).as_bytes());
        for (name, value) in &self.headers {
            out.put_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        // Upgrade is a header of the connection, and must be named as such (RFC 9110, section 7.8).
        let connection = match self.headers.iter().any(|(name, _)| name == "Upgrade") {
            true => "Upgrade, close",
            false => "close",
        };
        out.put_slice(
            format!(
                "Connection: {connection}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\r\n{}\n",
                self.reason.len() + 1,
                self.reason
            )
            .as_bytes(),
        );
    }
}

fn status_name(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Refused",
    }
}
