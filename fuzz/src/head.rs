//! The request head: the same at every split, and the answer to a key as RFC 6455 has it.

use std::net::{IpAddr, Ipv4Addr};

use arbitrary::Unstructured;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::BytesMut;
use pushring::config::Config;
use pushring::endpoint::{ConnectionName, Endpoints};
use pushring::rules::Rules;
use pushring::session::{Command, Progress, Session, Settings, Surroundings};
use pushring::table::Key;
use pushring::ws::deflate::Codec;
use sha1::{Digest as _, Sha1};

use crate::cut;

/// What a session has made of its input.
type Made = (Vec<u8>, Vec<Command>, Vec<Progress>);

/// Takes four cuts of two bytes each, then the request and whatever comes behind it.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(places) = input.arbitrary::<[u16; 4]>() else {
        return;
    };
    let request = input.take_rest();
    let (whole, commands, progress) = feed(&[request.to_vec()]);
    let (replies, pieces_commands, pieces_progress) = feed(&cut(request, &places));
    assert_eq!(whole, replies, "the replies depend on how the input is cut");
    assert_eq!(commands, pieces_commands);
    let messages = |all: &[Progress]| all.iter().map(|p| p.messages).sum::<u32>();
    let refused = |all: &[Progress]| all.iter().any(|p| p.refused);
    assert_eq!(messages(&progress), messages(&pieces_progress));
    assert_eq!(refused(&progress), refused(&pieces_progress));
    if commands.first() == Some(&Command::Opened) {
        let reply = String::from_utf8_lossy(&whole);
        assert!(reply.starts_with("HTTP/1.1 101 "), "{reply}");
        let accept = format!("Sec-WebSocket-Accept: {}\r\n", accept(request));
        assert!(reply.contains(&accept), "{accept} is not in {reply}");
    } else if !whole.is_empty() {
        let status = whole.get(9..12).expect("a status line");
        assert!(status[0] == b'4', "{}", String::from_utf8_lossy(status));
    }
}

fn feed(pieces: &[Vec<u8>]) -> Made {
    let config = Config {
        echo: true,
        ..Config::default()
    };
    let settings = Settings::new(&config).expect("the default origins");
    let mut endpoints = Endpoints::new(&settings.routes);
    let mut codec = Codec::new(settings.compression);
    let rules = Rules::default();
    let (mut replies, mut commands) = (BytesMut::new(), Vec::new());
    let mut session = Session::new(IpAddr::V4(Ipv4Addr::LOCALHOST), None);
    let progress = pieces
        .iter()
        .map(|piece| {
            let mut around = Surroundings {
                settings: &settings,
                rules: &rules,
                unix_ms: 0,
                is_behind: false,
                endpoints: &mut endpoints,
                codec: &mut codec,
                name: ConnectionName {
                    shard: 0,
                    key: Key::from_bits(0),
                },
                replies: &mut replies,
                commands: &mut commands,
            };
            session.handle_input(&mut piece.clone(), &mut around)
        })
        .collect();
    (replies.to_vec(), commands, progress)
}

/// The answer to the request's key, found by nothing but looking for the header's name.
fn accept(request: &[u8]) -> String {
    let text = String::from_utf8_lossy(request);
    let key = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))
        .map(|(_, value)| value.trim_matches([' ', '\t', '\r']))
        .expect("a request that was accepted has a key");
    let hash = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    BASE64.encode(hash)
}
