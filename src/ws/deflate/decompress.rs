//! From a compressed message to its payload, within bounds.

use zlib_rs::{Inflate, InflateFlush, Status};

use super::WindowBits;

/// What a message leaves out at its end (RFC 7692, section 7.2.2): an empty block, all but its first bits.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// An empty final block. That it is read as one shows that the message ended where a block did.
const END: [u8; 5] = [0x01, 0x00, 0x00, 0xff, 0xff];

/// Final blocks in one message. Each makes the decompressor start anew, which costs more than the two bytes it takes.
pub const FINAL_BLOCKS_MAX: usize = 64;

/// Output is asked for in no smaller pieces.
const OUTPUT_BYTES_MIN: usize = 256;

/// Why a message cannot be decompressed; the client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// It is no deflate data, or not all of it.
    #[error("a message's compressed data is damaged")]
    Damaged,
    /// Its payload has more bytes than the limit; no more than these were made.
    #[error("a message has more than {0} bytes when decompressed")]
    TooBig(usize),
    /// It has more than [`FINAL_BLOCKS_MAX`] final blocks.
    #[error("a message has more than {FINAL_BLOCKS_MAX} final blocks")]
    TooManyFinalBlocks,
}

/// The most compressed bytes that are taken for a message of `message_bytes_max`: what a compressor may make of bytes
/// that do not compress, 9 bits of each and its blocks' headers.
pub fn compressed_len_max(message_bytes_max: usize) -> usize {
    message_bytes_max
        .saturating_add(message_bytes_max / 8)
        .saturating_add(message_bytes_max / 64)
        .saturating_add(64)
}

/// The decompressor of a shard; made when it is first used.
#[derive(Default)]
pub struct Decompressor {
    inflate: Option<Inflate>,
    /// What has been done so far.
    pub tally: DecompressionTally,
}

/// What a decompressor has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecompressionTally {
    /// Messages, those that failed included.
    pub messages: u64,
    /// Their bytes as they came.
    pub bytes_in: u64,
    /// Bytes made of them.
    pub bytes_out: u64,
}

/// The end of what a client has sent compressed, to which its next message may refer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct History(pub(super) Vec<u8>);

impl History {
    /// The bytes that may be referred to, the last ones last.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A history that ends in those bytes.
    pub fn of_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Whether there is nothing to refer to, and no memory held.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a message and forgets what is out of the window's reach.
    pub fn push(&mut self, message: &[u8], window: WindowBits) {
        let max = window.bytes();
        let message = &message[message.len().saturating_sub(max)..];
        let too_many = (self.0.len() + message.len()).saturating_sub(max);
        self.0.drain(..too_many);
        self.0.reserve_exact(message.len());
        self.0.extend_from_slice(message);
    }
}

impl Decompressor {
    /// The payload of a compressed message (RFC 7692, section 7.2.2) that may refer to a history. Makes no more output than
    /// the limit, and holds no more memory than that and its own.
    ///
    /// # Errors
    /// [`DecompressError`].
    pub fn decompress(
        &mut self,
        compressed: &[u8],
        history: &History,
        message_bytes_max: usize,
    ) -> Result<Vec<u8>, DecompressError> {
        self.tally.messages += 1;
        self.tally.bytes_in += compressed.len() as u64;
        // Strictly an empty message is one byte (section 7.2.3.6); but flushing zlib twice with nothing in between gives
        // no byte at all, and that is what its users send for a second empty message in a row.
        if compressed.is_empty() {
            return Ok(Vec::new());
        }
        let inflate = self
            .inflate
            .get_or_insert_with(|| Inflate::new(false, WindowBits::W15.bits() as u8));
        let mut output = Output::new(compressed.len(), message_bytes_max);
        let result = decompress(inflate, compressed, history, &mut output);
        self.tally.bytes_out += output.made as u64;
        result?;
        output.bytes.truncate(output.made);
        Ok(output.bytes)
    }
}

fn decompress(
    inflate: &mut Inflate,
    compressed: &[u8],
    history: &History,
    output: &mut Output,
) -> Result<(), DecompressError> {
    start(inflate, &history.0, &[])?;
    let mut final_blocks = 0;
    let mut rest = compressed;
    loop {
        if run(inflate, &mut rest, output)? == Stop::NoMoreInput {
            break;
        }
        final_blocks += 1;
        if final_blocks > FINAL_BLOCKS_MAX {
            return Err(DecompressError::TooManyFinalBlocks);
        }
        if rest.is_empty() {
            // A final block without the byte that should follow it (section 7.2.3.4): nothing is missing.
            return Ok(());
        }
        start(inflate, &history.0, &output.bytes[..output.made])?;
    }
    let made = output.made;
    for (mut rest, may_go_on) in [(&TAIL[..], true), (&END[..], false)] {
        let stop = run(inflate, &mut rest, output)?;
        if output.made > made || !rest.is_empty() {
            return Err(DecompressError::Damaged);
        }
        match stop {
            Stop::FinalBlock => return Ok(()),
            Stop::NoMoreInput if may_go_on => {}
            Stop::NoMoreInput => break,
        }
    }
    Err(DecompressError::Damaged)
}

/// Makes the decompressor ready for data that may refer to the end of what was before.
fn start(inflate: &mut Inflate, before: &[u8], and: &[u8]) -> Result<(), DecompressError> {
    inflate.reset(false);
    let window = WindowBits::W15.bytes();
    let and = &and[and.len().saturating_sub(window)..];
    let before = &before[(before.len() + and.len())
        .saturating_sub(window)
        .min(before.len())..];
    for dictionary in [before, and] {
        if !dictionary.is_empty() {
            // For raw data it may be set at any time; there is nothing that it must fit.
            inflate
                .set_dictionary(dictionary)
                .map_err(|_| DecompressError::Damaged)?;
        }
    }
    Ok(())
}

/// Why decompressing stops.
#[derive(PartialEq, Eq)]
enum Stop {
    NoMoreInput,
    FinalBlock,
}

/// Decompresses up to the end of the input or of a final block.
fn run(
    inflate: &mut Inflate,
    input: &mut &[u8],
    output: &mut Output,
) -> Result<Stop, DecompressError> {
    loop {
        let (read, made) = (inflate.total_in(), inflate.total_out());
        let (room, is_last) = output.room();
        let room_len = room.len();
        let status = inflate.decompress(input, room, InflateFlush::NoFlush);
        let (read, made) = (inflate.total_in() - read, inflate.total_out() - made);
        *input = &input[read as usize..];
        if is_last && made > 0 {
            return Err(DecompressError::TooBig(output.max));
        }
        output.made += made as usize;
        match status {
            Err(_) => return Err(DecompressError::Damaged),
            Ok(Status::StreamEnd) => return Ok(Stop::FinalBlock),
            // With room left it has nothing more to say.
            Ok(Status::Ok | Status::BufError) if made < room_len as u64 => {
                return Ok(Stop::NoMoreInput);
            }
            Ok(Status::Ok | Status::BufError) => {}
        }
    }
}

/// What is made of a message; grows with it.
struct Output {
    bytes: Vec<u8>,
    made: usize,
    max: usize,
    /// For the byte that shows that there are more than `max`.
    one_too_many: [u8; 1],
}

impl Output {
    fn new(compressed_len: usize, max: usize) -> Self {
        let expected = compressed_len
            .saturating_mul(4)
            .clamp(OUTPUT_BYTES_MIN.min(max), max);
        Self {
            bytes: vec![0; expected],
            made: 0,
            max,
            one_too_many: [0],
        }
    }

    /// Where the next bytes go; and whether that is beyond the limit.
    fn room(&mut self) -> (&mut [u8], bool) {
        if self.made == self.max {
            return (&mut self.one_too_many, true);
        }
        if self.made == self.bytes.len() {
            let more = self
                .bytes
                .len()
                .max(OUTPUT_BYTES_MIN)
                .min(self.max - self.made);
            self.bytes.reserve_exact(more);
            self.bytes.resize(self.made + more, 0);
        }
        (&mut self.bytes[self.made..], false)
    }
}
