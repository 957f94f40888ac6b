//! As much HTTP/1.1 as the tests need, over a plain socket.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::DEADLINE;

/// A kept-alive connection.
pub struct Http {
    stream: BufReader<TcpStream>,
    host: SocketAddr,
}

impl Http {
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address)
            .unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"))
    }

    pub fn try_connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        Ok(Self {
            stream: BufReader::new(stream),
            host: address,
        })
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.request("GET", path, &[], b"")
    }

    pub fn post(&mut self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.request("POST", path, &[], body.as_ref())
    }

    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        self.try_request(method, path, headers, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    pub fn try_request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        let mut request = request.into_bytes();
        request.extend_from_slice(body);
        self.stream.get_mut().write_all(&request)?;
        read_answer(&mut self.stream)
    }

    /// Publishes over `POST /pub/{channel}` (the channel percent-encoded) and returns the offset.
    pub fn publish(&mut self, channel: &str, payload: impl AsRef<[u8]>) -> u64 {
        published(&self.post(&format!("/pub/{channel}"), payload))
    }

    /// The same with the payload declared as binary.
    pub fn publish_binary(&mut self, channel: &str, payload: &[u8]) -> u64 {
        let headers = [("Content-Type", "application/octet-stream")];
        published(&self.request("POST", &format!("/pub/{channel}"), &headers, payload))
    }

    /// Calls `POST /api/{method}` with a JSON body.
    pub fn api(&mut self, method: &str, body: &str) -> Value {
        let headers = [("Content-Type", "application/json")];
        let answer = self.request("POST", &format!("/api/{method}"), &headers, body.as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }
}

/// The offset that a publication got.
fn published(answer: &Answer) -> u64 {
    assert_eq!(answer.status, 200, "{answer:?}");
    let json = answer.json();
    assert!(
        json["epoch"]
            .as_str()
            .is_some_and(|epoch| !epoch.is_empty()),
        "{answer:?}"
    );
    json["offset"]
        .as_u64()
        .unwrap_or_else(|| panic!("no offset: {answer:?}"))
}

/// What a server answered.
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// A header that stands there once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self
            .headers
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.as_str());
        let first = values.next();
        assert!(
            values.next().is_none(),
            "{name} stands there twice: {self:?}"
        );
        first
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        write!(f, "{} {:?} {body:?}", self.status, self.headers)
    }
}

/// Reads one answer: its head, and a body of the declared length (or up to the end, where none is declared).
pub fn read_answer(stream: &mut impl BufRead) -> io::Result<Answer> {
    let mut answer = read_head(stream)?;
    match answer.header("content-length").map(str::parse) {
        Some(Ok(length)) => {
            answer.body.resize(length, 0);
            stream.read_exact(&mut answer.body)?;
        }
        Some(Err(error)) => return Err(io::Error::other(error)),
        None if answer.header("transfer-encoding").is_some() => {
            return Err(io::Error::other(
                "a chunked answer, which is not expected here",
            ));
        }
        None if answer.status == 101 => {}
        None => drop(stream.read_to_end(&mut answer.body)?),
    }
    Ok(answer)
}

/// Reads the head of an answer and leaves what follows.
pub fn read_head(stream: &mut impl BufRead) -> io::Result<Answer> {
    let status_line = read_line(stream)?;
    let status = status_line
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .ok_or_else(|| io::Error::other(format!("no status line: {status_line:?}")))?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| io::Error::other(format!("no header: {line:?}")))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Ok(Answer {
        status,
        headers,
        body: Vec::new(),
    })
}

fn read_line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    let line = line.strip_suffix(b"\r\n").ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("the answer ends in {:?}", String::from_utf8_lossy(&line)),
        )
    })?;
    String::from_utf8(line.to_vec()).map_err(io::Error::other)
}
