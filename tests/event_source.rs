//! Event streams in a real Chromium: `EventSource` in a page, which `tests/event_source/drive.mjs` drives, its connection
//! cut and the server started anew.
//!
//! tests/run installs the browser; without it this test fails.

#![forbid(unsafe_code)]

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use support::server::{Options, Server};

#[test]
fn a_page_hears_everything_once_or_of_a_gap_whatever_becomes_of_its_connection() {
    let config = "[sse]\nretry_ms = 100\n\
                  [[namespace]]\nchannels = \"kept\"\nhistory_size = 100\nhistory_ttl = \"10m\"\n\
                  [[namespace]]\nchannels = \"silent\"\nhistory_size = 100\nhistory_ttl = \"10m\"\n\
                  [[namespace]]\nchannels = \"short\"\nhistory_size = 3\nhistory_ttl = \"10m\"\n";
    let mut server = Server::start(Options::with_config(config));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut browser = Command::new("node")
        .arg(root.join("tests/event_source/drive.mjs"))
        .arg(server.addresses.public.to_string())
        .arg(server.addresses.internal.to_string())
        .arg(root.join("target/tools/browser"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run node: {error}: run tests/install-tools"));
    let mut told = BufReader::new(browser.stdout.take().unwrap()).lines();
    let mut commands = browser.stdin.take().unwrap();
    while let Some(Ok(line)) = told.next() {
        assert_eq!(line, "restart");
        let (addresses, options) = (server.addresses, server.options.clone());
        server.kill();
        server = Server::start_at(addresses, options);
        // It fails when the script has failed, which its status says.
        let _ = writeln!(commands, "restarted");
    }
    let status = browser.wait().unwrap();
    assert!(status.success(), "{status}: see above");
}
