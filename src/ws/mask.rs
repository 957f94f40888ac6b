//! Unmasking what clients send (RFC 6455 section 5.3).
//!
//! Every frame from a client is XORed with a key of four bytes, so a server touches each received
//! byte once more than it would need to. Three ways share the work, by length: nothing to choose
//! for payloads that fit in two overlapping halves, which are unmasked where they are met, and one
//! vectorised algorithm in `simd` for the others, with the widest vectors that this CPU has.

#![deny(unsafe_code)]

#[allow(
    unsafe_code,
    reason = "vector loads, stores and target features need it; the only such file of this floor"
)]
mod simd;

/// The longest payload unmasked without a call through a pointer, in bytes.
///
/// Every vectorised implementation relies on payloads longer than this, so it is at least the
/// width of the widest vector.
const SHORT_BYTES_MAX: usize = 64;

/// Unmasks a part of a payload in place, or masks it: the two are the same operation.
///
/// `key` is the masking key in the order in which it stands in the frame. `offset` is the number of
/// bytes of this payload, in the same frame, that come before `bytes`: 0 for a whole payload. Any
/// length and any alignment will do.
///
/// As RFC 6455 section 5.3 has it, byte `i` of `bytes` becomes
/// `bytes[i] ^ key[(offset + i) % 4]`.
#[inline]
pub fn unmask(bytes: &mut [u8], key: [u8; 4], offset: usize) {
    let key = advance(key, offset);
    if bytes.len() <= SHORT_BYTES_MAX {
        unmask_short(bytes, key);
    } else {
        simd::unmask_long(bytes, key);
    }
}

/// Unmasks at most [`SHORT_BYTES_MAX`] bytes, as two ends that may overlap.
#[inline]
fn unmask_short(bytes: &mut [u8], key: [u8; 4]) {
    match bytes.len() {
        0..4 => {
            for (byte, key) in bytes.iter_mut().zip(key) {
                *byte ^= key;
            }
        }
        4..=8 => unmask_ends::<4>(bytes, key),
        9..=16 => unmask_ends::<8>(bytes, key),
        17..=32 => unmask_ends::<16>(bytes, key),
        _ => unmask_ends::<32>(bytes, key),
    }
}

/// Unmasks the first `N` bytes and the last `N` bytes, `N` being a multiple of 4.
///
/// Both ends are read before either is written, so that bytes in both are unmasked once.
#[inline(always)]
fn unmask_ends<const N: usize>(bytes: &mut [u8], key: [u8; 4]) {
    debug_assert!((N..=2 * N).contains(&bytes.len()));
    let last_key = advance(key, bytes.len());
    let (Some(&first), Some(&last)) = (bytes.first_chunk::<N>(), bytes.last_chunk::<N>()) else {
        return;
    };
    if let Some(place) = bytes.first_chunk_mut::<N>() {
        *place = xor_words(first, key);
    }
    if let Some(place) = bytes.last_chunk_mut::<N>() {
        *place = xor_words(last, last_key);
    }
}

/// XORs every word of four bytes with the key: a fixed length, so it compiles to a few registers.
#[inline(always)]
fn xor_words<const N: usize>(mut bytes: [u8; N], key: [u8; 4]) -> [u8; N] {
    let key = u32::from_ne_bytes(key);
    for word in bytes.as_chunks_mut::<4>().0 {
        *word = (u32::from_ne_bytes(*word) ^ key).to_ne_bytes();
    }
    bytes
}

/// The key as it applies `by` bytes further on.
#[inline(always)]
fn advance(key: [u8; 4], by: usize) -> [u8; 4] {
    let bits = 8 * (by % 4) as u32;
    u32::from_le_bytes(key).rotate_right(bits).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    /// RFC 6455 section 5.3, byte by byte.
    fn naive(bytes: &[u8], key: [u8; 4], offset: usize) -> Vec<u8> {
        let masked = bytes.iter().enumerate();
        masked
            .map(|(at, byte)| byte ^ key[(offset + at) % 4])
            .collect()
    }

    /// Panics unless [`unmask`] agrees with [`naive`] and leaves the bytes around alone.
    fn check(field: &[u8], from: usize, length: usize, offset: usize) {
        let mut unmasked = field.to_vec();
        unmask(&mut unmasked[from..from + length], KEY, offset);
        let expected = [
            &field[..from],
            &naive(&field[from..from + length], KEY, offset),
            &field[from + length..],
        ]
        .concat();
        assert!(
            unmasked == expected,
            "{length} bytes from {from}, offset {offset}"
        );
    }

    fn field(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at * 167 % 253) as u8).collect()
    }

    #[test]
    fn the_example_of_rfc_6455_section_5_7_says_hello() {
        let mut payload = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
        unmask(&mut payload, KEY, 0);
        assert_eq!(&payload, b"Hello");
    }

    #[test]
    fn every_length_agrees_with_the_definition() {
        let field = field(4096 + 64);
        for length in 0..=4096 {
            for (from, offset) in [(0, 0), (1, 3), (15, 2), (32, 1)] {
                check(&field, from, length, offset);
            }
        }
    }

    #[test]
    fn every_alignment_and_phase_of_short_and_middling_payloads_agrees_with_the_definition() {
        let field = field(400);
        for from in 0..64 {
            for offset in 0..4 {
                for length in 0..=2 * SHORT_BYTES_MAX + 5 {
                    check(&field, from, length, offset);
                }
            }
        }
    }

    #[test]
    fn a_huge_offset_counts_modulo_four() {
        let field = field(300);
        for length in [0, 1, 5, 40, 300] {
            for offset in usize::MAX - 3..=usize::MAX {
                let mut unmasked = field[..length].to_vec();
                unmask(&mut unmasked, KEY, offset);
                assert_eq!(unmasked, naive(&field[..length], KEY, offset % 4));
            }
        }
    }

    proptest! {
        #[test]
        fn unmasking_twice_gives_back_the_bytes(
            bytes in prop::collection::vec(any::<u8>(), 0..2000),
            key: [u8; 4],
            offset: usize,
        ) {
            let mut twice = bytes.clone();
            unmask(&mut twice, key, offset);
            unmask(&mut twice, key, offset);
            prop_assert_eq!(twice, bytes);
        }

        #[test]
        fn a_payload_unmasked_in_parts_is_as_one_unmasked_whole(
            bytes in prop::collection::vec(any::<u8>(), 0..2000),
            key: [u8; 4],
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            cuts.push(bytes.len());
            let mut parts = bytes.clone();
            let mut from = 0;
            for to in cuts {
                unmask(&mut parts[from..to], key, from);
                from = to;
            }
            prop_assert_eq!(parts, naive(&bytes, key, 0));
        }

        #[test]
        fn any_payload_agrees_with_the_definition(
            bytes in prop::collection::vec(any::<u8>(), 0..9000),
            key: [u8; 4],
            offset in 0usize..1 << 40,
        ) {
            let mut unmasked = bytes.clone();
            unmask(&mut unmasked, key, offset);
            prop_assert_eq!(unmasked, naive(&bytes, key, offset));
        }
    }

    #[test]
    fn a_payload_split_at_any_place_is_as_one_unmasked_whole() {
        let masked = field(333);
        for at in 0..=masked.len() {
            let mut parts = masked.clone();
            unmask(&mut parts[..at], KEY, 0);
            unmask(&mut parts[at..], KEY, at);
            assert_eq!(parts, naive(&masked, KEY, 0), "split at {at}");
        }
    }
}
