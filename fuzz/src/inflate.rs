//! permessage-deflate against another implementation of DEFLATE, in both directions, and with bytes
//! that are none.

use arbitrary::Unstructured;
use bytes::BytesMut;
use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, compress_to_output, create_comp_flags_from_zip_params,
};
use miniz_oxide::inflate::decompress_to_vec_with_limit;
use pushring::ws::deflate::{
    Agreement, Codec, CompressionSettings, Decompressor, History, WindowBits,
};
use pushring::ws::frame::Opcode;
use pushring::ws::message::Item;

use crate::{cut, frames};

/// The message limit of the readers in `frames`.
const MESSAGE_BYTES_MAX: usize = 300;

/// What a sender leaves off each message (RFC 7692, section 7.2.1), and a last block behind it.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
const LAST_BLOCK: [u8; 5] = [0x01, 0x00, 0x00, 0xff, 0xff];

/// Takes a byte that says which of the three, then what it needs.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    match input.arbitrary::<u8>().map(|mode| mode % 3) {
        Ok(0) => anything(input.take_rest()),
        Ok(1) => others_to_us(input),
        Ok(_) => us_to_others(input),
        Err(_) => {}
    }
}

/// Any bytes: no panic, no more output than is allowed, and nothing that the other one makes
/// differently.
fn anything(compressed: &[u8]) {
    let mut decompressor = Decompressor::default();
    let ours = decompressor.decompress(compressed, &History::default(), MESSAGE_BYTES_MAX);
    if let Ok(message) = &ours {
        assert!(message.len() <= MESSAGE_BYTES_MAX);
    }
    let stream = [compressed, &TAIL, &LAST_BLOCK].concat();
    if let (Ok(ours), Ok(theirs)) = (ours, decompress_to_vec_with_limit(&stream, 1 << 20)) {
        // They stop at the first final block, behind which a message may go on.
        assert!(ours.starts_with(&theirs));
    }
    // The decompressor is a shard's, so what comes next must not suffer.
    let again = decompressor.decompress(b"\xf2\x48\xcd\xc9\xc9\x07\x00", &History::default(), 5);
    assert_eq!(again.as_deref(), Ok(&b"Hello"[..]));
}

/// Messages that the other one has compressed, with or without context, cut anywhere.
fn others_to_us(mut input: Unstructured<'_>) {
    let Ok((keeps_context, places, level)) = input.arbitrary::<(bool, [u16; 4], u8)>() else {
        return;
    };
    // A negative number of window bits asks for DEFLATE without zlib's header.
    let flags = create_comp_flags_from_zip_params(i32::from(level % 11), -15, 0);
    let mut compressor = CompressorOxide::new(flags);
    let mut stream = Vec::new();
    let mut expected = Vec::new();
    let rest = input.take_rest();
    for message in rest.split(|&byte| byte == b'|').take(20) {
        let message = &message[..message.len().min(MESSAGE_BYTES_MAX)];
        if !keeps_context {
            compressor.reset();
        }
        let mut compressed = Vec::new();
        compress_to_output(&mut compressor, message, TDEFLFlush::Sync, |bytes| {
            compressed.extend_from_slice(bytes);
            true
        });
        compressed.truncate(compressed.len().saturating_sub(TAIL.len()));
        put_masked(&mut stream, &compressed);
        expected.push(Item::Binary(message.to_vec().into()));
    }
    let agreement = Agreement::new(WindowBits::W15, WindowBits::W15, keeps_context);
    let (items, error) = frames::read(&cut(&stream, &places), Some(agreement));
    assert_eq!(error, None);
    assert_eq!(items, expected);
}

/// A client's compressed binary message in one frame, its mask zero.
fn put_masked(stream: &mut Vec<u8>, compressed: &[u8]) {
    stream.push(0xc2);
    match compressed.len() {
        len @ ..126 => stream.push(0x80 | len as u8),
        len => {
            stream.push(0x80 | 126);
            stream.extend_from_slice(&(len as u16).to_be_bytes());
        }
    }
    stream.extend_from_slice(&[0; 4]);
    stream.extend_from_slice(compressed);
}

/// Messages that we have compressed.
fn us_to_others(mut input: Unstructured<'_>) {
    let Ok((window, level)) = input.arbitrary::<(u8, u8)>() else {
        return;
    };
    let message = input.take_rest();
    let window = WindowBits::ALL[usize::from(window) % 8];
    let mut codec = Codec::new(CompressionSettings {
        message_bytes_min: 0,
        level: u32::from(level % 9) + 1,
        memory_level: u32::from(level % 9) + 1,
    });
    let mut frame = BytesMut::new();
    let agreement = Agreement::new(window, WindowBits::W15, false);
    codec.put_frame(&mut frame, Some(agreement), Opcode::Binary, message);
    let header_len = match frame[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    let payload = &frame[header_len..];
    if frame[0] == 0x82 {
        assert_eq!(payload, message);
        return;
    }
    assert_eq!(frame[0], 0xc2);
    assert!(
        payload.len() < message.len(),
        "compressed, it has become longer"
    );
    let stream = [payload, &TAIL, &LAST_BLOCK].concat();
    let theirs = decompress_to_vec_with_limit(&stream, message.len());
    assert_eq!(theirs.ok().as_deref(), Some(message));
}
