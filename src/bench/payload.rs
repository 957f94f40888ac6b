//! What is published: a payload that says which publication of which run it is, and when it was due.

/// Hexadecimal digits of a stamp: run, channel, sequence number, due time.
const RUN_DIGITS: usize = 8;
const CHANNEL_DIGITS: usize = 4;
const SEQUENCE_DIGITS: usize = 12;
const DUE_DIGITS: usize = 16;
const STAMP_BYTES: usize = RUN_DIGITS + CHANNEL_DIGITS + SEQUENCE_DIGITS + DUE_DIGITS;

/// The shortest payload there is, in bytes.
pub const PAYLOAD_BYTES_MIN: usize = STAMP_BYTES;

/// What a payload looks like besides its stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PayloadKind {
    /// Letters and digits.
    Text,
    /// A JSON object as a price feed would send it.
    Json,
}

/// How a protocol writes a payload into its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Embedding {
    /// Byte for byte.
    Plain,
    /// As a JSON value: an object as it is, text as a JSON string.
    JsonValue,
    /// As a JSON string, whatever it is.
    JsonString,
}

/// Which publication a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The channel's number.
    pub channel: u32,
    /// Counted from 0 on each channel.
    pub sequence: u64,
    /// When it was due, in nanoseconds of the run's clock.
    pub due_ns: u64,
}

/// The payloads of one run, in the form in which they stand in messages: equal but for the stamp.
#[derive(Debug, Clone)]
pub struct Form {
    bytes: Vec<u8>,
    stamp_at: usize,
}

impl Form {
    /// Payloads of `length` bytes (no fewer than a stamp needs) that carry `run`, as `embedding` writes them.
    pub fn new(kind: PayloadKind, length: usize, run: u32, embedding: Embedding) -> Self {
        let (bytes, stamp_at) = match kind {
            PayloadKind::Text => (text(length), 0),
            PayloadKind::Json => json(length),
        };
        let mut form = Self { bytes, stamp_at };
        put_hex(
            &mut form.bytes[stamp_at..stamp_at + RUN_DIGITS],
            u64::from(run),
        );
        match (embedding, kind) {
            (Embedding::Plain, _) | (Embedding::JsonValue, PayloadKind::Json) => form,
            (Embedding::JsonValue | Embedding::JsonString, _) => form.quoted(),
        }
    }

    /// The same as a JSON string.
    fn quoted(self) -> Self {
        let mut bytes = vec![b'"'];
        let mut stamp_at = 0;
        for (at, &byte) in self.bytes.iter().enumerate() {
            if at == self.stamp_at {
                stamp_at = bytes.len();
            }
            if matches!(byte, b'"' | b'\\') {
                bytes.push(b'\\');
            }
            bytes.push(byte);
        }
        bytes.push(b'"');
        Self { bytes, stamp_at }
    }

    /// Bytes of each payload.
    pub fn bytes_len(&self) -> usize {
        self.bytes.len()
    }

    /// The payload of one publication.
    pub fn stamped(&mut self, stamp: Stamp) -> &[u8] {
        let mut at = self.stamp_at + RUN_DIGITS;
        for (digits, value) in [
            (CHANNEL_DIGITS, u64::from(stamp.channel)),
            (SEQUENCE_DIGITS, stamp.sequence),
            (DUE_DIGITS, stamp.due_ns),
        ] {
            put_hex(&mut self.bytes[at..at + digits], value);
            at += digits;
        }
        &self.bytes
    }

    /// The stamp of a received payload, or `None` if it is none of this run's or has been changed.
    pub fn read(&self, received: &[u8]) -> Option<Stamp> {
        if received.len() != self.bytes.len() {
            return None;
        }
        let numbers_at = self.stamp_at + RUN_DIGITS;
        let filler_at = self.stamp_at + STAMP_BYTES;
        if received[..numbers_at] != self.bytes[..numbers_at]
            || received[filler_at..] != self.bytes[filler_at..]
        {
            return None;
        }
        let (channel, rest) = received[numbers_at..filler_at].split_at(CHANNEL_DIGITS);
        let (sequence, due) = rest.split_at(SEQUENCE_DIGITS);
        Some(Stamp {
            channel: hex(channel)? as u32,
            sequence: hex(sequence)?,
            due_ns: hex(due)?,
        })
    }

    /// The payload at the beginning of `received`, if one stands there; what follows it is not looked at.
    pub fn at_beginning_of<'a>(&self, received: &'a [u8]) -> Option<&'a [u8]> {
        let payload = received.get(..self.bytes.len())?;
        self.read(payload).map(|_| payload)
    }
}

fn text(length: usize) -> Vec<u8> {
    let filler = (b'a'..=b'z').cycle();
    let stamp = [b'0'; STAMP_BYTES].into_iter();
    stamp.chain(filler).take(length.max(STAMP_BYTES)).collect()
}

fn json(length: usize) -> (Vec<u8>, usize) {
    let begin = "{\"sequence\":\"";
    let mut text = format!("{begin}{}\",\"quotes\":[", "0".repeat(STAMP_BYTES));
    for i in 0.. {
        // Numbers that look like prices and repeat as little as those do.
        let noise = (i * 7_919 + 104_729) % 99_991;
        let (bid, ask) = (10_000 + noise, 10_003 + noise + noise % 17);
        let quote = format!(
            "{{\"symbol\":\"{}{}\",\"bid\":{}.{:02},\"ask\":{}.{:02},\"volume\":{}}}",
            ["EUR", "USD", "GBP", "JPY"][i % 4],
            ["CHF", "SEK", "NOK"][i % 3],
            bid / 100,
            bid % 100,
            ask / 100,
            ask % 100,
            noise % 1_009 * 100,
        );
        if text.len() + quote.len() + 20 > length {
            break;
        }
        text += if i > 0 { "," } else { "" };
        text += &quote;
    }
    text += "],\"note\":\"";
    text += &"-".repeat(length.saturating_sub(text.len() + 2));
    text += "\"}";
    (text.into_bytes(), begin.len())
}

fn put_hex(digits: &mut [u8], mut value: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(value & 0xf) as usize];
        value >>= 4;
    }
}

fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, &digit| {
        let nibble = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(nibble))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp {
        channel: 99,
        sequence: 123_456_789,
        due_ns: 0x0123_4567_89ab_cdef,
    };

    #[test]
    fn a_stamp_comes_back_from_every_kind_and_embedding() {
        for kind in [PayloadKind::Text, PayloadKind::Json] {
            for embedding in [
                Embedding::Plain,
                Embedding::JsonValue,
                Embedding::JsonString,
            ] {
                let mut form = Form::new(kind, 1024, 7, embedding);
                let payload = form.stamped(STAMP).to_vec();
                assert_eq!(form.read(&payload), Some(STAMP), "{kind:?} {embedding:?}");
                if embedding != Embedding::Plain {
                    serde_json::from_slice::<serde_json::Value>(&payload).unwrap();
                }
            }
        }
    }

    #[test]
    fn a_payload_has_the_length_asked_for() {
        for (kind, length) in [(PayloadKind::Text, 40), (PayloadKind::Text, 128)] {
            assert_eq!(
                Form::new(kind, length, 1, Embedding::Plain).bytes_len(),
                length
            );
        }
        for length in [200, 1_024, 16_384] {
            assert_eq!(
                Form::new(PayloadKind::Json, length, 1, Embedding::Plain).bytes_len(),
                length
            );
        }
    }

    #[test]
    fn a_changed_byte_another_run_or_another_length_is_no_payload() {
        let mut form = Form::new(PayloadKind::Text, 64, 7, Embedding::Plain);
        let payload = form.stamped(STAMP).to_vec();
        for at in 0..payload.len() {
            let mut changed = payload.clone();
            changed[at] = b'!';
            assert_eq!(form.read(&changed), None, "byte {at}");
        }
        assert_eq!(form.read(&payload[1..]), None);
        let other = Form::new(PayloadKind::Text, 64, 8, Embedding::Plain);
        assert_eq!(other.read(&payload), None);
    }
}
