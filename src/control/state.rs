//! The state that one version of the program leaves to the next: a file in memory with a head that says whether it can be read.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::net::SocketAddr;
use std::os::fd::RawFd;

use bytes::Bytes;
use ring::digest::{Digest, SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::shard::mail::SavedListener;

/// What every state begins with.
const MAGIC: &[u8; 15] = b"pushring state\n";

/// The version of all that follows, the parts of shards and sessions included. It changes with every change of what is saved; a
/// program refuses every version but its own.
const FORMAT: u8 = 1;

/// Bytes in front of the body: magic, format, length, SHA-256.
const HEAD_BYTES: usize = MAGIC.len() + 1 + 8 + 32;

/// A server that has been brought to rest.
#[derive(Debug, Serialize, Deserialize)]
pub struct State {
    /// The version of the program that has saved it.
    pub version: String,
    /// When its shards began to rest, in ns of the kernel's monotonic clock.
    pub rests_since_ns: u64,
    /// As in [`Identity`](crate::shard::Identity).
    pub hash_seed: u64,
    /// Where clients connect, and where the internal listener is: as it was configured when the sockets were opened.
    pub addresses: [SocketAddr; 2],
    /// The internal listener's socket.
    pub internal: Option<RawFd>,
    /// The process that has looked whether this can be taken over: a child that ends now, and is to be waited for.
    pub tester: Option<u32>,
    /// Open connections of the internal listener, and what has been read from each without being looked at.
    pub calls: Vec<(RawFd, Bytes)>,
    /// The shards by their index.
    pub shards: Vec<SavedShard>,
}

/// One of them.
#[derive(Debug, Serialize, Deserialize)]
pub struct SavedShard {
    /// What its reactor makes of it again.
    pub bytes: Bytes,
    /// Its listening socket.
    pub listener: SavedListener,
}

/// Why a state cannot be read; the fault of whoever has started this program with it.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file.
    #[error("the state cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Another program's, or none.
    #[error("this is no state of pushring")]
    Foreign,
    /// A version of it that this program does not know.
    #[error(
        "the state has format {found}, and this program reads format {FORMAT}: restart instead of upgrading"
    )]
    Format {
        /// Its format.
        found: u8,
    },
    /// It is not what was written.
    #[error("the state is damaged: its checksum is another")]
    Checksum,
    /// It is, but that was not what this program would have written.
    #[error("the state cannot be understood: {0}")]
    Body(#[from] postcard::Error),
}

impl State {
    /// Writes the state into an empty file, and returns its checksum.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn write(&self, file: &mut File) -> io::Result<Digest> {
        let body = postcard::to_allocvec(self).map_err(io::Error::other)?;
        let sum = digest(&SHA256, &body);
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(MAGIC)?;
        file.write_all(&[FORMAT])?;
        file.write_all(&(body.len() as u64).to_le_bytes())?;
        file.write_all(sum.as_ref())?;
        file.write_all(&body)?;
        Ok(sum)
    }

    /// Reads a file from its beginning: the state, and its checksum.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn read(file: &mut File) -> Result<(Self, Digest), StateError> {
        let mut all = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.read_to_end(&mut all)?;
        let Some((head, body)) = all.split_at_checked(HEAD_BYTES) else {
            return Err(StateError::Foreign);
        };
        let Some((&found, head)) = head.strip_prefix(MAGIC).and_then(<[u8]>::split_first) else {
            return Err(StateError::Foreign);
        };
        if found != FORMAT {
            return Err(StateError::Format { found });
        }
        let (len, said) = head.split_at(8);
        let sum = digest(&SHA256, body);
        if len != (body.len() as u64).to_le_bytes() || sum.as_ref() != said {
            return Err(StateError::Checksum);
        }
        Ok((postcard::from_bytes(body)?, sum))
    }
}

/// A checksum as text.
pub fn hex(sum: &Digest) -> String {
    sum.as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::sys;

    fn state() -> State {
        State {
            version: "1".to_owned(),
            rests_since_ns: 2,
            hash_seed: 3,
            addresses: [([127, 0, 0, 1], 8).into(), ([127, 0, 0, 1], 9).into()],
            internal: Some(4),
            tester: Some(7),
            calls: vec![(5, Bytes::from_static(b"GET"))],
            shards: vec![SavedShard {
                bytes: Bytes::from_static(b"a shard"),
                listener: SavedListener {
                    fd: 6,
                    given: true,
                    shared: false,
                },
            }],
        }
    }

    fn written() -> (File, Vec<u8>) {
        let mut file = sys::memory_file(c"test").unwrap();
        state().write(&mut file).unwrap();
        let mut all = Vec::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_end(&mut all).unwrap();
        (file, all)
    }

    fn read(bytes: &[u8]) -> Result<State, StateError> {
        let mut file = sys::memory_file(c"test").unwrap();
        file.write_all(bytes).unwrap();
        State::read(&mut file).map(|(state, _)| state)
    }

    #[test]
    fn what_is_read_is_what_was_written_also_over_something_longer() {
        let (mut file, _) = written();
        file.write_all(&[0; 1_000]).unwrap();
        let sum = state().write(&mut file).unwrap();
        let (read, read_sum) = State::read(&mut file).unwrap();
        assert_eq!(format!("{read:?}"), format!("{:?}", state()));
        assert_eq!(hex(&read_sum), hex(&sum));
        assert_eq!(hex(&sum).len(), 64);
    }

    #[test]
    fn whatever_byte_is_another_or_missing_the_state_is_refused() {
        let (_, all) = written();
        for at in 0..all.len() {
            let mut changed = all.clone();
            changed[at] ^= 0x10;
            let error = read(&changed).expect_err("a changed byte");
            match at {
                0..15 => assert!(matches!(error, StateError::Foreign)),
                15 => assert!(matches!(error, StateError::Format { found: 0x11 })),
                _ => assert!(matches!(error, StateError::Checksum), "{error}"),
            }
            read(&all[..at]).expect_err("a missing end");
        }
    }
}
