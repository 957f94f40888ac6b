//! Frames: the same at every split, and the same as a decoder makes of them that has the whole
//! stream at hand and knows no shortcuts.

use arbitrary::Unstructured;
use pushring::ws::deflate::{Agreement, Codec, CompressionSettings, WindowBits};
use pushring::ws::message::{Item, Limits, ReadError, Reader};

use crate::cut;

const LIMITS: Limits = Limits {
    message_bytes_max: 300,
};

/// What a stream says, and how it ends when it is refused: with that close code.
type Said = (Vec<Item<'static>>, Option<u16>);

/// Takes a byte of flags, four cuts of two bytes each, then the stream.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok((flags, places)) = input.arbitrary::<(u8, [u16; 4])>() else {
        return;
    };
    let stream = input.take_rest();
    let deflate =
        (flags & 1 == 1).then(|| Agreement::new(WindowBits::W15, WindowBits::W15, flags & 2 == 2));
    let whole = read(&[stream.to_vec()], deflate);
    let pieces = read(&cut(stream, &places), deflate);
    assert_eq!(
        whole.0, pieces.0,
        "the items depend on how the input is cut"
    );
    assert_eq!(whole.1, pieces.1);
    if deflate.is_none() {
        let code = whole.1.map(|error| error.close_code().as_u16());
        assert_eq!((whole.0, code), naive(stream));
    }
}

pub(crate) fn read(
    pieces: &[Vec<u8>],
    deflate: Option<Agreement>,
) -> (Vec<Item<'static>>, Option<ReadError>) {
    let mut codec = Codec::new(CompressionSettings {
        message_bytes_min: 0,
        level: 6,
        memory_level: 8,
    });
    let mut reader = Reader::default();
    let mut items = Vec::new();
    for piece in pieces {
        let mut piece = piece.clone();
        let mut at = 0;
        while at < piece.len() {
            let decompression = codec.decompression(deflate);
            match reader.read(&mut piece[at..], &LIMITS, decompression) {
                Ok((consumed, item)) => {
                    assert!(consumed > 0 || item.is_some(), "the reader stands still");
                    at += consumed;
                    items.extend(item.map(owned));
                }
                Err(error) => return (items, Some(error)),
            }
        }
    }
    (items, None)
}

fn owned(item: Item<'_>) -> Item<'static> {
    match item {
        Item::Text(text) => Item::Text(text.into_owned().into()),
        Item::Binary(bytes) => Item::Binary(bytes.into_owned().into()),
        Item::Ping(bytes) => Item::Ping(bytes.into_owned().into()),
        Item::Pong => Item::Pong,
        Item::Close(said) => {
            Item::Close(said.map(|(code, reason)| (code, reason.into_owned().into())))
        }
    }
}

/// RFC 6455, section 5, frame by frame.
fn naive(stream: &[u8]) -> Said {
    let mut items = Vec::new();
    let mut message: Option<(bool, Vec<u8>)> = None;
    let mut rest = stream;
    loop {
        match frame(rest, &mut message, &mut items) {
            Ok(Some(len)) => rest = &rest[len..],
            Ok(None) => return (items, None),
            Err(code) => return (items, Some(code)),
        }
    }
}

/// The length of the frame in front, when it is whole; or the code that the stream is refused with.
fn frame(
    rest: &[u8],
    message: &mut Option<(bool, Vec<u8>)>,
    items: &mut Vec<Item<'static>>,
) -> Result<Option<usize>, u16> {
    let [first, tail @ ..] = rest else {
        return Ok(None);
    };
    let (last, opcode) = (first & 0x80 != 0, first & 0x0f);
    let control = opcode >= 8;
    if first & 0x70 != 0 || !matches!(opcode, 0..=2 | 8..=10) || (control && !last) {
        return Err(1002);
    }
    let [second, tail @ ..] = tail else {
        return Ok(None);
    };
    if second & 0x80 == 0 || (control && second & 0x7f > 125) {
        return Err(1002);
    }
    let more = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    if more == 8 && tail.first().is_some_and(|byte| byte & 0x80 != 0) {
        return Err(1002);
    }
    if tail.len() < more {
        return Ok(None);
    }
    let len = match more {
        0 => u64::from(second & 0x7f),
        _ => tail[..more]
            .iter()
            .fold(0, |len, &byte| len << 8 | u64::from(byte)),
    };
    if (more == 2 && len < 126) || (more == 8 && len < 1 << 16) {
        return Err(1002);
    }
    let tail = &tail[more..];
    // What does not fit is known when the header is, its mask included.
    if tail.len() < 4 {
        return Ok(None);
    }
    match (opcode, &message) {
        (0, None) | (1 | 2, Some(_)) => return Err(1002),
        _ => {}
    }
    let before = message.as_ref().map_or(0, |(_, bytes)| bytes.len()) as u64;
    if !control && before + len > LIMITS.message_bytes_max as u64 {
        return Err(1009);
    }
    let (mask, tail) = tail.split_at(4);
    let there = tail.len().min(len as usize);
    let payload: Vec<u8> = tail[..there]
        .iter()
        .zip(mask.iter().cycle())
        .map(|(b, m)| b ^ m)
        .collect();
    if control {
        if there < len as usize {
            return Ok(None);
        }
        items.push(control_item(opcode, payload)?);
    } else {
        let (text, bytes) = message.get_or_insert_with(|| (opcode == 1, Vec::new()));
        bytes.extend_from_slice(&payload);
        let whole = there == len as usize;
        if *text {
            check_utf8(bytes, last && whole)?;
        }
        if !whole {
            return Ok(None);
        }
        if last && let Some((text, bytes)) = message.take() {
            items.push(match text {
                true => Item::Text(String::from_utf8(bytes).map_err(|_| 1007_u16)?.into()),
                false => Item::Binary(bytes.into()),
            });
        }
    }
    Ok(Some(2 + more + 4 + len as usize))
}

fn control_item(opcode: u8, payload: Vec<u8>) -> Result<Item<'static>, u16> {
    Ok(match (opcode, &*payload) {
        (9, _) => Item::Ping(payload.into()),
        (10, _) => Item::Pong,
        (_, []) => Item::Close(None),
        (_, [_]) => return Err(1002),
        (_, [high, low, reason @ ..]) => {
            let code = u16::from_be_bytes([*high, *low]);
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(1002);
            }
            let reason = std::str::from_utf8(reason).map_err(|_| 1007_u16)?;
            Item::Close(Some((code, reason.to_owned().into())))
        }
    })
}

/// Text must be UTF-8 as far as it has come, but for a character that is cut.
fn check_utf8(bytes: &[u8], complete: bool) -> Result<(), u16> {
    match std::str::from_utf8(bytes) {
        Ok(_) => Ok(()),
        Err(error) if error.error_len().is_none() && !complete => Ok(()),
        Err(_) => Err(1007),
    }
}
