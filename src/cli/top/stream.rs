//! Reads `/live` over a plain socket: HTTP/1.0, whose answer ends with the connection and comes in no chunks.

use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use super::target::Target;
use crate::control::live::snapshot::Snapshot;
use crate::sse;

/// How long the server may take to accept, to answer, and from one snapshot to the next.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait after a stream has ended as it should, before the next is asked for.
pub const AFTER_END: Duration = Duration::from_millis(200);

/// Longest line, in bytes: 100 channels with names of 255 bytes, all of them escaped, and 64 shards.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// Nobody is there.
    #[error(
        "nothing answers at {url}: {error}; is the server running, and is that where its internal listener is (internal = \"…\")?"
    )]
    Connect { url: String, error: io::Error },
    /// No key, or a wrong one.
    #[error(
        "{url} asks for an API key: give one of auth.api_keys with --key, or the server's file with --config"
    )]
    NoKey { url: String },
    /// A key that is not among the server's.
    #[error(
        "{url} does not know this API key: give one of auth.api_keys with --key, or the server's file with --config"
    )]
    WrongKey { url: String },
    /// Something else listens there, or a pushring that has no figures to tell.
    #[error(
        "what answers at {url} is no pushring that tells its figures ({said}); give its internal listener's address with --url"
    )]
    Stranger { url: String, said: String },
    /// The server has too much to do, or too many readers.
    #[error("{url} refuses to tell its figures: {said}")]
    Refused { url: String, said: String },
    /// It was there.
    #[error("the connection to {url} is lost: {error}")]
    Lost { url: String, error: io::Error },
    /// It has said that there is no more.
    #[error("the server has ended the stream")]
    Ended,
}

/// Snapshots as they come.
#[derive(Debug)]
pub struct LiveStream {
    lines: BufReader<TcpStream>,
    url: String,
}

impl LiveStream {
    /// Asks for the stream and waits until it begins.
    pub fn open(target: &Target) -> Result<Self, StreamError> {
        let url = target.url();
        let socket = connect(target).map_err(|error| StreamError::Connect {
            url: url.clone(),
            error,
        })?;
        let mut stream = Self {
            lines: BufReader::new(socket),
            url,
        };
        let key = target
            .key
            .as_ref()
            .map(|key| format!("X-API-Key: {}\r\n", key.reveal()));
        let request = format!(
            "GET {}/live HTTP/1.0\r\nHost: {}\r\nAccept: {}\r\n{}\r\n",
            target.prefix,
            target.authority,
            sse::MEDIA_TYPE,
            key.as_deref().unwrap_or_default()
        );
        stream
            .lines
            .get_mut()
            .write_all(request.as_bytes())
            .map_err(|error| stream.lost(error))?;
        let (status, kind) = stream.head()?;
        let url = stream.url.clone();
        match status {
            200 if kind == sse::MEDIA_TYPE => Ok(stream),
            401 | 403 if key.is_some() => Err(StreamError::WrongKey { url }),
            401 | 403 => Err(StreamError::NoKey { url }),
            503 => Err(StreamError::Refused {
                url,
                said: stream.first_line(),
            }),
            200 => Err(StreamError::Stranger {
                url,
                said: format!("Content-Type {kind:?}"),
            }),
            status => Err(StreamError::Stranger {
                url,
                said: format!("status {status}"),
            }),
        }
    }

    /// Status and media type of the answer.
    fn head(&mut self) -> Result<(u16, String), StreamError> {
        let stranger = |said: &str| StreamError::Stranger {
            url: self.url.clone(),
            said: said.to_owned(),
        };
        let no_http = stranger("it does not speak HTTP");
        let first = self.line()?.unwrap_or_default();
        let status = first
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.get(2..5)?.parse().ok());
        let Some(status) = status else {
            return Err(no_http);
        };
        let mut kind = String::new();
        while let Some(line) = self.line()?.filter(|line| !line.is_empty()) {
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-type")
            {
                kind = value
                    .split(';')
                    .next()
                    .unwrap_or_default()
                    .trim()
                    .to_ascii_lowercase();
            }
        }
        Ok((status, kind))
    }

    /// The beginning of an answer's body, for people.
    fn first_line(&mut self) -> String {
        let line = self.line().ok().flatten().unwrap_or_default();
        line.chars().filter(|c| !c.is_control()).take(200).collect()
    }

    /// The next line without its end; `None` at the end of the stream.
    fn line(&mut self) -> Result<Option<String>, StreamError> {
        let mut line = Vec::new();
        let read = (&mut self.lines)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line);
        match read {
            Ok(0) => Ok(None),
            Ok(_) => {
                let text = String::from_utf8_lossy(&line);
                Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
            }
            Err(error) => Err(self.lost(error)),
        }
    }

    fn lost(&self, error: io::Error) -> StreamError {
        let error = match error.kind() {
            // What the socket's time limit is reported as.
            io::ErrorKind::WouldBlock => {
                io::Error::other(format!("nothing has come for {} s", PATIENCE.as_secs()))
            }
            _ => error,
        };
        StreamError::Lost {
            url: self.url.clone(),
            error,
        }
    }
}

impl Iterator for LiveStream {
    type Item = Result<Snapshot, StreamError>;

    /// Waits for the next. A snapshot is one line, for it is JSON without line ends.
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let line = match self.line() {
                Ok(line) => line?,
                Err(error) => return Some(Err(error)),
            };
            if let Some(json) = line.strip_prefix("data: ") {
                return Some(
                    serde_json::from_str(json).map_err(|error| StreamError::Stranger {
                        url: self.url.clone(),
                        said: format!("its figures cannot be read: {error}"),
                    }),
                );
            }
        }
    }
}

fn connect(target: &Target) -> io::Result<TcpStream> {
    let mut last = io::Error::other("the name has no address");
    for address in target.authority.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(socket) => {
                socket.set_read_timeout(Some(PATIENCE))?;
                socket.set_write_timeout(Some(PATIENCE))?;
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}
