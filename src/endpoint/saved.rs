//! How the built-in endpoints write down what a live upgrade carries over: postcard, whose format number stands in front of all that
//! an upgrade saves.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What [`restore`] makes the same value of.
pub fn save(value: &impl Serialize) -> Option<Vec<u8>> {
    postcard::to_allocvec(value).ok()
}

/// The value that [`save`] has written. `None` where the bytes are no such value, or where some are left over.
pub fn restore<T: DeserializeOwned>(saved: &[u8]) -> Option<T> {
    match postcard::take_from_bytes(saved) {
        Ok((value, [])) => Some(value),
        Ok(_) | Err(_) => None,
    }
}
