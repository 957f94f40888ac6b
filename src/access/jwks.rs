//! A file with a JSON Web Key Set: RFC 7517, section 5.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::AccessError;
use super::jwk::{Jwk, Members};
use super::keys::Keys;

/// The longest JWKS file that is read, in bytes.
pub const JWKS_BYTES_MAX: u64 = 256 * 1024;

/// The most keys of a JWKS file that verify tokens: one without `kid` may have to be compared with each of them.
pub const KEYS_MAX: usize = 32;

/// The members of a set that matter.
#[derive(Deserialize)]
struct Set<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

/// Adds the keys of a file.
pub(super) fn read(path: &Path, keys: &mut Keys) -> Result<(), AccessError> {
    add(path, &bytes(path)?, keys)
}

fn bytes(path: &Path) -> Result<Vec<u8>, AccessError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(JWKS_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| AccessError::Unreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
    if bytes.len() as u64 > JWKS_BYTES_MAX {
        return Err(AccessError::TooLong {
            path: path.to_owned(),
        });
    }
    Ok(bytes)
}

fn add(path: &Path, json: &[u8], keys: &mut Keys) -> Result<(), AccessError> {
    let mut added = 0;
    let mut first_passed_over = None;
    for (index, json) in parse(path, json)?.keys.into_iter().enumerate() {
        let number = index + 1;
        let fault = |kid: Option<&str>, fault| AccessError::Key {
            path: path.to_owned(),
            number,
            kid: kid.map(str::to_owned),
            fault,
        };
        let members = Members::parse(json.get()).map_err(|cause| fault(None, cause))?;
        let kid = members.kid().map_err(|cause| fault(None, cause))?;
        match members.read().map_err(|cause| fault(kid, cause))? {
            Jwk::Key(key) if added < KEYS_MAX => {
                keys.push(key);
                added += 1;
            }
            Jwk::Key(_) => {
                return Err(AccessError::TooManyKeys {
                    path: path.to_owned(),
                });
            }
            Jwk::PassedOver(reason) => {
                first_passed_over.get_or_insert((number, reason));
            }
        }
    }
    if added == 0 {
        return Err(AccessError::NoUsableKey {
            path: path.to_owned(),
            first_passed_over,
        });
    }
    Ok(())
}

/// What serde says of a wrong value repeats it, and here it may be a secret; so of its errors only the place is told.
fn parse<'a>(path: &Path, json: &'a [u8]) -> Result<Set<'a>, AccessError> {
    serde_json::from_slice::<Set<'_>>(json)
        .map_err(|error| match error.classify() {
            Category::Data => AccessError::NotASet {
                path: path.to_owned(),
            },
            Category::Io | Category::Syntax | Category::Eof => AccessError::NotJson {
                path: path.to_owned(),
                line: error.line(),
                column: error.column(),
            },
        })
        .and_then(|set| {
            // For serde an array may be read as a struct, too.
            let is_object = json.trim_ascii_start().first() == Some(&b'{');
            is_object.then_some(set).ok_or(AccessError::NotASet {
                path: path.to_owned(),
            })
        })
}
