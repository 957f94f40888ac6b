//! Publishing over HTTP/1.1: one POST a message on one connection at a time, kept as long as the server keeps it.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, Mac};
use md5::{Digest, Md5};
use sha2::Sha256;

use super::publisher::Around;

/// The longest response head that is taken for one.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// The requests of one publisher, and what has come back.
#[derive(Debug, Clone)]
pub struct Posts {
    /// The `Host` header.
    pub host: String,
    /// Path and query of each channel.
    pub paths: Vec<String>,
    /// What stands around the payload, by channel.
    pub around: Vec<Around>,
    /// Header fields besides `Host` and `Content-Length`.
    pub headers: Vec<(String, String)>,
    /// Whether requests may follow each other before their answers came; given up for a server that ends connections.
    pub pipelined: bool,
    /// Pusher's signature, if the server wants one.
    pub sign: Option<Sign>,
    /// Where the answers have got to.
    pub progress: Progress,
}

/// A key and its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sign {
    /// `auth_key`.
    pub key: String,
    /// What `auth_signature` is made with.
    pub secret: String,
}

/// The state of the connection.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// Requests that were not sent because others have not been answered.
    held: VecDeque<Vec<u8>>,
    /// Requests that were sent on this connection and have not been answered, the oldest first.
    unanswered: VecDeque<Vec<u8>>,
    received: Vec<u8>,
    refused: u64,
    first_refusal: Option<String>,
}

impl Posts {
    /// Appends the request that publishes `payload`, or keeps it until its turn comes.
    pub fn put(&mut self, channel: usize, payload: &[u8], out: &mut Vec<u8>) {
        let Around { before, after } = &self.around[channel % self.around.len()];
        let body = [before.as_bytes(), payload, after.as_bytes()].concat();
        let mut path = self.paths[channel % self.paths.len()].clone();
        if let Some(sign) = &self.sign {
            path += &sign.query(&path, &body);
        }
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n",
            self.host,
            body.len()
        );
        for (name, value) in &self.headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += "\r\n";
        let mut request = request.into_bytes();
        request.extend(body);
        if self.pipelined || self.is_done() {
            out.extend_from_slice(&request);
            self.progress.unanswered.push_back(request);
        } else {
            self.progress.held.push_back(request);
        }
    }

    /// Appends the request whose turn has come, if one waits.
    pub fn release(&mut self, out: &mut Vec<u8>) {
        if self.progress.unanswered.is_empty()
            && let Some(request) = self.progress.held.pop_front()
        {
            out.extend_from_slice(&request);
            self.progress.unanswered.push_back(request);
        }
    }

    /// Whether everything has been answered.
    pub fn is_done(&self) -> bool {
        self.progress.unanswered.is_empty() && self.progress.held.is_empty()
    }

    /// Requests that were answered with anything but success, and the first such answer.
    pub fn refused(&self) -> (u64, Option<&str>) {
        (
            self.progress.refused,
            self.progress.first_refusal.as_deref(),
        )
    }

    /// Takes bytes of answers. True when the last of them ends the connection: what comes next needs another one.
    ///
    /// # Errors
    /// One sentence when they are no HTTP.
    pub fn read(&mut self, bytes: &[u8]) -> Result<bool, String> {
        self.progress.received.extend_from_slice(bytes);
        self.take_answers(false)
    }

    /// Takes the end of the connection: what comes next needs another one.
    ///
    /// # Errors
    /// One sentence when a request is without its answer: whether it has been carried out is unknown, so that sending it
    /// again could publish twice (RFC 9112, section 9.3.1).
    pub fn end(&mut self) -> Result<(), String> {
        if self.take_answers(true)? {
            return Ok(());
        }
        if !self.progress.received.is_empty() {
            return Err("the server closed it in the middle of an answer".to_owned());
        }
        match self.progress.unanswered.len() {
            0 => Ok(()),
            count => Err(format!(
                "the server closed it with {count} publications unanswered"
            )),
        }
    }

    fn take_answers(&mut self, ended: bool) -> Result<bool, String> {
        let progress = &mut self.progress;
        let mut at = 0;
        while let Some(answer) = answer(&progress.received[at..], ended)? {
            if !(200..300).contains(&answer.status) {
                progress.refused += 1;
                let words = &progress.received[at..at + answer.length.min(300)];
                let words = String::from_utf8_lossy(words).into_owned();
                progress.first_refusal.get_or_insert(words);
            }
            at += answer.length;
            progress.unanswered.pop_front();
            if answer.is_last {
                self.take_back();
                return Ok(true);
            }
        }
        progress.received.drain(..at);
        Ok(false)
    }

    /// Holds again what was sent behind the request with the last answer: the server must not carry it out (RFC 9112,
    /// section 9.6). If it does so nevertheless, subscribers count what is doubled.
    fn take_back(&mut self) {
        let progress = &mut self.progress;
        progress.received.clear();
        while let Some(request) = progress.unanswered.pop_back() {
            progress.held.push_front(request);
        }
        // Or every answer would have the rest of the window sent again.
        self.pipelined = false;
    }
}

struct Answer {
    status: u16,
    length: usize,
    /// Whether the server ends the connection behind it.
    is_last: bool,
}

/// The answer at the beginning of `bytes`, or `None` while it is not whole; `ended` when nothing follows them.
fn answer(bytes: &[u8], ended: bool) -> Result<Option<Answer>, String> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) if bytes.len() <= HEAD_BYTES_MAX => return Ok(None),
        _ => return Err("its answer is no HTTP".to_owned()),
    };
    let status = response.code.unwrap_or_default();
    let is_last = is_last(&response);
    let header = |name: &str| {
        let mut all = response.headers.iter();
        all.find(|header| header.name.eq_ignore_ascii_case(name))
            .and_then(|header| std::str::from_utf8(header.value).ok())
    };
    let body = if matches!(status, 100..200 | 204 | 304) {
        Some(0)
    } else if header("Transfer-Encoding")
        .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
    {
        chunked_len(&bytes[head..])?
    } else if is_last && header("Content-Length").is_none() {
        // It is as long as the connection (RFC 9112, section 6.3).
        ended.then_some(bytes.len() - head)
    } else {
        let length = header("Content-Length").unwrap_or("0").trim().parse();
        Some(length.map_err(|_| "its answer has no valid Content-Length".to_owned())?)
    };
    let whole = body
        .map(|body| head + body)
        .filter(|length| *length <= bytes.len());
    Ok(whole.map(|length| Answer {
        status,
        length,
        is_last,
    }))
}

/// Whether the connection ends behind this answer (RFC 9112, section 9.3).
fn is_last(response: &httparse::Response<'_, '_>) -> bool {
    let says = |option: &str| {
        response
            .headers
            .iter()
            .filter(|header| header.name.eq_ignore_ascii_case("Connection"))
            .filter_map(|header| std::str::from_utf8(header.value).ok())
            .flat_map(|value| value.split(','))
            .any(|said| said.trim().eq_ignore_ascii_case(option))
    };
    says("close") || (response.version == Some(0) && !says("keep-alive"))
}

/// The bytes of a chunked body without trailers, or `None` while it is not whole.
fn chunked_len(body: &[u8]) -> Result<Option<usize>, String> {
    let mut at = 0;
    loop {
        match httparse::parse_chunk_size(&body[at..]) {
            Ok(httparse::Status::Complete((head, size))) => {
                at = at.saturating_add(head).saturating_add(size as usize + 2);
                if at > body.len() {
                    return Ok(None);
                }
                if size == 0 {
                    return Ok(Some(at));
                }
            }
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err("its answer's chunks are damaged".to_owned()),
        }
    }
}

impl Sign {
    /// The query parameters with which Pusher's HTTP API knows a request's sender.
    fn query(&self, path: &str, body: &[u8]) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        self.query_at(now.as_secs(), path, body)
    }

    fn query_at(&self, timestamp_s: u64, path: &str, body: &[u8]) -> String {
        let body_md5 = hex(&Md5::digest(body));
        let parameters = format!(
            "auth_key={}&auth_timestamp={timestamp_s}&auth_version=1.0&body_md5={body_md5}",
            self.key
        );
        let signature = match Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()) {
            Ok(hmac) => hmac
                .chain_update(format!("POST\n{path}\n{parameters}"))
                .finalize()
                .into_bytes(),
            // A key of any length is a key.
            Err(_) => return String::new(),
        };
        format!("?{parameters}&auth_signature={}", hex(&signature))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn posts(pipelined: bool) -> Posts {
        Posts {
            host: "h".to_owned(),
            paths: vec!["/pub/c0".to_owned()],
            around: vec![Around::default()],
            headers: vec![("Content-Type".to_owned(), "text/plain".to_owned())],
            pipelined,
            sign: None,
            progress: Progress::default(),
        }
    }

    #[test]
    fn a_pipelined_publisher_does_not_wait_and_another_does() {
        for (pipelined, first) in [(true, 2), (false, 1)] {
            let (mut posts, mut out) = (posts(pipelined), Vec::new());
            posts.put(0, b"a", &mut out);
            posts.put(0, b"b", &mut out);
            let count = |out: &[u8]| String::from_utf8_lossy(out).matches("POST").count();
            assert_eq!(count(&out), first);
            posts
                .read(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                .unwrap();
            posts.release(&mut out);
            assert_eq!(count(&out), 2);
            posts.read(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
            assert!(posts.is_done());
            assert_eq!(posts.refused(), (0, None));
        }
    }

    #[test]
    fn a_refusal_is_counted_and_quoted_however_its_bytes_come() {
        let answer = b"HTTP/1.1 429 Too Many Requests\r\nTransfer-Encoding: chunked\r\n\r\n\
                       4\r\nslow\r\n0\r\n\r\n";
        let (mut posts, mut out) = (posts(true), Vec::new());
        posts.put(0, b"a", &mut out);
        for byte in answer {
            assert!(!posts.is_done());
            posts.read(&[*byte]).unwrap();
        }
        assert!(posts.is_done());
        let (refused, first) = posts.refused();
        assert_eq!(refused, 1);
        assert!(first.unwrap().contains("429"));
    }

    fn bodies(out: &[u8]) -> String {
        let text = String::from_utf8_lossy(out).into_owned();
        let requests = text.split("POST").skip(1);
        requests
            .filter_map(|it| it.split("\r\n\r\n").nth(1))
            .collect()
    }

    #[test]
    fn what_was_sent_behind_the_last_request_of_a_connection_waits_in_its_order() {
        for last in [
            "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ] {
            let (mut posts, mut out) = (posts(true), Vec::new());
            for payload in [b"a", b"b", b"c"] {
                posts.put(0, payload, &mut out);
            }
            assert_eq!(bodies(&out), "abc");
            assert_eq!(posts.read(last.as_bytes()), Ok(true));
            out.clear();
            posts.put(0, b"d", &mut out);
            for payload in ["b", "c", "d"] {
                posts.release(&mut out);
                assert_eq!(bodies(&out), payload);
                out.clear();
                assert!(!posts.is_done());
                assert_eq!(posts.read(last.as_bytes()), Ok(true));
            }
            assert!(posts.is_done());
        }
    }

    #[test]
    fn an_answer_without_a_length_ends_with_its_connection() {
        let (mut posts, mut out) = (posts(false), Vec::new());
        posts.put(0, b"a", &mut out);
        let head = b"HTTP/1.1 500 Oh\r\nConnection: close\r\n\r\n";
        assert_eq!(posts.read(head), Ok(false));
        assert_eq!(posts.read(b"because"), Ok(false));
        assert_eq!(posts.end(), Ok(()));
        assert!(posts.is_done());
        let (refused, first) = posts.refused();
        assert_eq!(refused, 1);
        assert!(first.unwrap().ends_with("because"));
    }

    #[test]
    fn an_end_is_a_loss_only_while_an_answer_is_outstanding() {
        let (mut posts, mut out) = (posts(false), Vec::new());
        assert_eq!(posts.end(), Ok(()));
        posts.put(0, b"a", &mut out);
        assert!(posts.end().unwrap_err().contains("1 publications"));
        for torn in [
            &b"HTTP/1.1 200 OK\r\nConnec"[..],
            b"tion: close\r\nContent-Length: 2\r\n\r\no",
        ] {
            assert_eq!(posts.read(torn), Ok(false));
            assert!(posts.end().unwrap_err().contains("in the middle"));
        }
        assert_eq!(posts.read(b"k"), Ok(true));
        assert_eq!(posts.end(), Ok(()));
    }

    /// The worked example of Pusher's HTTP API reference, "Worked authentication example".
    #[test]
    fn a_signature_is_pushers() {
        let sign = Sign {
            key: "278d425bdf160c739803".to_owned(),
            secret: "7ad3773142a6692b25b8".to_owned(),
        };
        let body = br#"{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}"#;
        let query = sign.query_at(1_353_088_179, "/apps/3/events", body);
        assert!(
            query.contains("body_md5=ec365a775a4cd0599faeb73354201b6f"),
            "{query}"
        );
        assert!(
            query.ends_with(
                "auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"
            ),
            "{query}"
        );
    }
}
