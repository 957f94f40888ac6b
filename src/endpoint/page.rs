//! Documents.

use bytes::{BufMut, Bytes};

use crate::ws::handshake::Refusal;

/// A static document on the public listener, such as the page whose script then connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The path or pattern that it is found at.
    pub pattern: String,
    /// Its media type.
    pub content_type: &'static str,
    /// What it says.
    pub body: Bytes,
}

impl Page {
    /// Answers a request for it, after which the connection is closed.
    ///
    /// # Errors
    /// 405 for a method that is neither GET nor HEAD.
    pub fn put_response(&self, method: &str, out: &mut impl BufMut) -> Result<(), Refusal> {
        if !matches!(method, "GET" | "HEAD") {
            return Err(
                Refusal::new(405, "a page is fetched with GET").with_header("Allow", "GET, HEAD")
            );
        }
        out.put_slice(
            format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\n\r\n",
                self.content_type,
                self.body.len()
            )
            .as_bytes(),
        );
        if method == "GET" {
            out.put_slice(&self.body);
        }
        Ok(())
    }
}
