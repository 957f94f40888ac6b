//! Keys of the HTTP API.

use pushring::access::{API_KEYS_MAX, Access, AuthSettings};

fn with_api_keys(keys: &[&str]) -> Access {
    Access::new(&AuthSettings {
        api_keys: keys.iter().map(|&key| key.to_owned()).collect(),
        ..AuthSettings::default()
    })
    .unwrap()
}

#[test]
fn each_of_several_api_keys_is_known_and_nothing_else() {
    let keys = [
        "the old key of the API",
        "the new key of the API",
        "a third, longer key of the API",
    ];
    let access = with_api_keys(&keys);
    for key in keys {
        assert!(access.knows_api_key(key.as_bytes()), "{key}");
        for other in [
            format!("{key} "),
            format!(" {key}"),
            format!("{key}\0"),
            key.to_uppercase(),
            key[1..].to_owned(),
            key[..key.len() - 1].to_owned(),
            keys.concat(),
            String::new(),
        ] {
            assert!(!access.knows_api_key(other.as_bytes()), "{other:?}");
        }
    }
    assert!(!access.knows_api_key(&[0xff; 32]));
    assert!(!access.knows_api_key(&vec![0; 1 << 20]));
}

#[test]
fn without_api_keys_none_is_known() {
    for access in [Access::default(), with_api_keys(&[])] {
        for key in [b"".as_slice(), b"x", &[0; 32]] {
            assert!(!access.knows_api_key(key));
        }
    }
}

#[test]
fn as_many_api_keys_as_are_allowed_are_known() {
    let keys: Vec<String> = (0..API_KEYS_MAX)
        .map(|number| format!("key number {number:08}"))
        .collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let access = with_api_keys(&keys);
    for key in keys {
        assert!(access.knows_api_key(key.as_bytes()), "{key}");
    }
}

#[test]
fn a_secret_for_tokens_is_no_api_key() {
    let access = crate::support::with_secret();
    assert!(!access.knows_api_key(crate::support::SECRET.as_bytes()));
}
