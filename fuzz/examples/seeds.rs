//! Writes the seeds of every target's corpus.

#![forbid(unsafe_code)]

use std::fs;
use std::io;
use std::path::Path;

fn main() -> io::Result<()> {
    for (target, seeds) in [
        ("centrifuge", centrifuge()),
        ("head", head()),
        ("frames", frames()),
        ("inflate", inflate()),
        ("json", json()),
        ("operations", operations()),
        ("stomp", stomp()),
    ] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("corpus")
            .join(target);
        fs::create_dir_all(&folder)?;
        for (number, seed) in seeds.into_iter().enumerate() {
            fs::write(folder.join(format!("seed-{number:02}")), seed)?;
        }
    }
    Ok(())
}

fn centrifuge() -> Vec<Vec<u8>> {
    let messages: [&str; 22] = [
        "{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{\"channel\":\"a\"}}\n",
        r#"{"id":1,"connect":{"token":"t","name":"js","version":"5","subs":{"a":{"recover":true,"offset":"7","epoch":"1f"}}}}"#,
        r#"{"id":3,"subscribe":{"channel":"a","token":null,"recover":true,"epoch":"1f","offset":9,"flag":3,"type":0,"tf":{"key":"a"}}}"#,
        r#"{"id":4,"publish":{"channel":"\u00e9","data":{"n":1.10,"b":[1E400,"\ud800"]},"type":1}}"#,
        r#"{"publish":{"data":null,"channel":"a"},"id":"5"}"#,
        r#"{"id":6,"history":{"channel":"a","limit":-1,"since":{"offset":1,"epoch":""},"reverse":true}}"#,
        r#"{"id":7,"history":{"since":[1,"a"]}}"#,
        r#"{"id":8,"presence":{"channel":"a"},"presence_stats":{"channel":"b"}}"#,
        r#"{"id":9,"refresh":{"token":"t"},"sub_refresh":{"channel":"a","token":"t"}}"#,
        "{}\n{}\r\n \n{\"send\":{\"data\":1}}",
        r#"{"id":10,"rpc":{"method":"m","data":{}},"ping":{},"unsubscribe":{"channel":"a"}}"#,
        r#"{"id":4294967296,"rpc":{}}"#,
        r#"{"id":-1,"rpc":{}}"#,
        r#"{"id":1,"fly":{}}"#,
        r#"{"rpc":{}}"#,
        r#"{"id":1,"connect":[]}"#,
        r#"{"id":1,"publish":{"data":01}}"#,
        r#"{"id":1,"publish":{"data":1,"data":2}}"#,
        r#"{"\u0069d":1,"connect":null,"rpc":{"a":[{}]}}"#,
        "a:1\nb\\cc:\\n\na:2\n\0{\r\n \"a\": 1\n}",
        "\0no JSON\n",
        "[[[[[[[[",
    ];
    let binary: &[u8] = b"x:\\\n\0\xff\xfe\0";
    let messages = messages.iter().map(|text| text.as_bytes());
    messages.chain([binary]).map(<[u8]>::to_vec).collect()
}

/// Where the input is cut: four places of two bytes.
const CUTS: [u8; 8] = [3, 0, 20, 0, 90, 0, 200, 0];

fn head() -> Vec<Vec<u8>> {
    let lines = [
        "Host: a",
        "Upgrade: websocket",
        "Connection: keep-alive, Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let request = |first: &str, more: &[&str], left_out: usize| {
        let kept = lines.iter().enumerate().filter(|(n, _)| *n != left_out);
        let all: Vec<&str> = std::iter::once(first)
            .chain(kept.map(|(_, line)| *line))
            .chain(more.iter().copied())
            .collect();
        all.join("\r\n") + "\r\n\r\n"
    };
    let mut requests = vec![
        request("GET /sub/news HTTP/1.1", &[], 9),
        request("GET /pub/a%2Fb HTTP/1.1", &["Origin: https://a.example"], 9),
        request(
            "GET /echo?x=1 HTTP/1.1",
            &["Sec-WebSocket-Protocol: a, b"],
            9,
        ) + "\u{1}frames",
        request("GET /sub/%ff HTTP/1.1", &[], 9),
        request("GET /nowhere HTTP/1.1", &[], 9),
        request("POST /sub/a HTTP/1.1", &[], 9),
        request("GET http://a.example/sub/a HTTP/1.0", &[], 9),
        request(
            "GET /echo HTTP/1.1",
            &["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x; y=\"z\""],
            9,
        ),
        "\u{16}\u{3}\u{1}".to_owned(),
        "GET / HTTP/1.1\n\n".to_owned(),
    ];
    requests.extend((0..5).map(|n| request("GET /sub/news HTTP/1.1", &[], n)));
    requests
        .into_iter()
        .map(|r| [&CUTS[..], r.as_bytes()].concat())
        .collect()
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ ..126 => frame.push(0x80 | len as u8),
        len => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
    }
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m));
    frame
}

fn frames() -> Vec<Vec<u8>> {
    let streams: Vec<Vec<u8>> = vec![
        [masked(0x81, b"hello"), masked(0x82, &[0xff; 200])].concat(),
        [
            masked(0x01, "é".as_bytes()),
            masked(0x89, b"ping"),
            masked(0x80, b""),
        ]
        .concat(),
        [masked(0x01, &[0xc3]), masked(0x80, &[0xa9])].concat(),
        masked(0x81, &[0xc3]),
        masked(0x82, &[0; 301]),
        [masked(0x02, &[0; 200]), masked(0x80, &[0; 101])].concat(),
        masked(0x88, &[3, 232, b'b', b'y', b'e']),
        masked(0x88, &[3]),
        masked(0x8a, &[7; 125]),
        masked(0x09, b"cut"),
        masked(0x83, b""),
        b"\x81\x05hello".to_vec(),
        vec![0x82, 0xfe, 0, 5, 0, 0, 0, 0],
        vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0],
        masked(0xc1, b"\xf2\x48\xcd\xc9\xc9\x07\x00"),
        [
            masked(0xc1, b"\xf2\x48\xcd\xc9\xc9\x07\x00"),
            masked(0xc1, b"\xf2\x00\x11\x00\x00"),
        ]
        .concat(),
    ];
    let with_flags = streams
        .iter()
        .flat_map(|stream| [0, 3].map(|flags| [&[flags], &CUTS[..], stream].concat()));
    with_flags.collect()
}

fn inflate() -> Vec<Vec<u8>> {
    let text = b"price 1.00|price 1.01|price 1.02||price 1.01 price 1.01 price 1.01";
    vec![
        b"\x00\xf2\x48\xcd\xc9\xc9\x07\x00".to_vec(),
        b"\x00\xf3\x48\xcd\xc9\xc9\x07\x00\x00".to_vec(),
        b"\x00\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00".to_vec(),
        b"\x00\x02\x00".to_vec(),
        b"\x00".to_vec(),
        [&[1, 0], &CUTS[..], &[6], text].concat(),
        [&[1, 1], &CUTS[..], &[9], text].concat(),
        [&[1, 1], &CUTS[..], &[0], text].concat(),
        [&[2, 0, 5], &text[..]].concat(),
        [&[2, 7, 8], &text[..]].concat(),
        [vec![2, 0, 0], b"abc".repeat(1_000)].concat(),
        vec![2, 3, 3],
    ]
}

fn json() -> Vec<Vec<u8>> {
    [
        r#"{"channel":"news","data":{"price":1.00}}"#,
        r#" { "data" : [1e400, -0, 123456789012345678901234567890] , "channel" : "a\u00e9\n" } "#,
        r#"{"channel":"a","data":null,"more":{"data":1,"x":[true,false]}}"#,
        r#"{"channel":"a","data":"\ud83d\ude00 \"}","b":1}"#,
        r#"{"channel":"a"}"#,
        r#"{"data":1}"#,
        r#"{"channel":"a","data":1,"data":2}"#,
        r#"{"channel":1,"data":1}"#,
        r#"{"channel":"a","data":01}"#,
        r#"{"channel":"a","data":1,}"#,
        r#"{"channel":"a","\u0064ata":1}"#,
        r#"[1]"#,
        "",
        "{\"channel\":\"\u{e9}\",\"data\":\"\u{7f}\"}",
        r#"{"channel":"a","x":1e999,"data":1}"#,
    ]
    .into_iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}

/// A simple generator's bytes: any list of them is a list of operations.
fn operations() -> Vec<Vec<u8>> {
    (1..=12_u64)
        .map(|seed| {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (0..200 * seed)
                .map(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    (state >> 24) as u8
                })
                .collect()
        })
        .collect()
}

fn stomp() -> Vec<Vec<u8>> {
    let streams: [&[u8]; 14] = [
        b"CONNECT\naccept-version:1.0,1.1,1.2\nheart-beat:10000,10000\n\n\0\n\r\n",
        b"CONNECT\r\nlogin: a \r\n x :\\t\r\n\r\n\0",
        b"STOMP\naccept-version:1.0\nhost: a\n\n\0SEND\ndestination:/topic/a\n\nbody\0",
        b"SEND\ndestination:/topic/a\ncontent-length:3\ncontent-type:a/b\nreceipt:1\n\n\0\0\0\0\n",
        b"SEND\n x : a\\r\\n\\c\\\\b \ny\\c:1\nack:2\n\n\0",
        b"SUBSCRIBE\nid:sub-0\ndestination:/queue/a\nack:client-individual\n\n\0ACK\nid:1\n\n\0",
        b"NACK\nid:1\ntransaction:t\nreceipt:a\\cb\n\n\0UNSUBSCRIBE\nid:1\n\n\0BEGIN\ntransaction:t\n\n\0",
        b"DISCONNECT\nreceipt:77\n\0",
        b"SEND\nreceipt:7\nx:\\t\n\n\0",
        b"SEND\nno colon\n\n\0",
        b"SEND\n:x\nx:\xff\n\n\0",
        b"SEND\ncontent-length:2\n\nabc\0",
        b"SEND\ncontent-length:101\n\nabc\0",
        b"MESSAGE\n\n\0",
    ];
    let with_versions = streams
        .iter()
        .zip(0..)
        .flat_map(|(stream, n)| [n % 3, 3].map(|version| [&[version], &CUTS[..], stream].concat()));
    with_versions.collect()
}
