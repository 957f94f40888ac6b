//! Masking (RFC 6455, section 5.3).

#![forbid(unsafe_code)]

/// Unmasks a part of a payload of which `offset` bytes have been unmasked before.
pub fn unmask(bytes: &mut [u8], key: [u8; 4], offset: usize) {
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte ^= key[(offset + index) % 4];
    }
}
