//! Sockets that systemd opens.

use crate::machine::{INTO, Machine};
use crate::support::Message;
use crate::support::http::Http;
use crate::support::wire::Socket;

#[test]
fn a_client_starts_the_service_and_one_that_comes_during_a_restart_waits() {
    let machine = Machine::boot();
    let address = machine.addresses.public;
    let internal = machine.addresses.internal;
    // Two sockets for four shards, and the internal one.
    machine.amend(
        "pushring.socket",
        &format!("[Socket]\nListenStream=\nListenStream={address}\nListenStream={address}\n"),
    );
    machine.write(
        &format!("{INTO}/pushring-internal.socket"),
        &format!(
            "[Socket]\nService=pushring.service\nFileDescriptorName=internal\nListenStream={internal}\n"
        ),
    );
    machine.configure("shards = 4\n");
    machine.amend("pushring.service", "");
    machine.run(&[
        "systemctl",
        "start",
        "pushring.socket",
        "pushring-internal.socket",
    ]);
    assert_eq!(
        machine.property("pushring.service", "ActiveState"),
        "inactive"
    );

    let mut first = Socket::open(address, "/sub/news");
    assert_eq!(
        machine.property("pushring.service", "ActiveState"),
        "active"
    );
    let given = machine.run(&[
        "sh",
        "-c",
        &format!("tr '\\0' '\\n' </proc/{}/environ", machine.main_pid()),
    ]);
    assert!(given.lines().any(|line| line == "LISTEN_FDS=3"), "{given}");
    Http::connect(internal).publish("news", "hello");
    assert_eq!(first.message(), Message::text("hello"));

    machine.run(&[
        "systemctl",
        "kill",
        "--kill-whom=main",
        "--signal=SIGUSR2",
        "pushring.service",
    ]);
    machine.wait_for("the other program", |machine| {
        let journal = machine.run(&["journalctl", "--no-pager", "--output=cat"]);
        journal.contains("taken over from pushring")
    });
    Http::connect(internal).publish("news", "upgraded");
    assert_eq!(first.message(), Message::text("upgraded"));
    let mut late = Socket::open(address, "/sub/news");

    machine.run(&["systemctl", "restart", "--no-block", "pushring.service"]);
    // Before, in between or behind: nobody is refused.
    for _ in 0..20 {
        let mut socket = Socket::connect(address);
        socket.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(!socket.some_bytes().is_empty());
    }
    assert_eq!(first.close_code(), 1001);
    assert_eq!(late.close_code(), 1001);
    machine.wait_for("the service", |machine| {
        machine.property("pushring.service", "ActiveState") == "active"
    });
    let mut second = Socket::open(address, "/sub/news");
    Http::connect(internal).publish("news", "again");
    assert_eq!(second.message(), Message::text("again"));
    for socket in ["pushring.socket", "pushring-internal.socket"] {
        assert_eq!(machine.property(socket, "Result"), "success", "{socket}");
        assert_ne!(
            machine.property(socket, "ActiveState"),
            "failed",
            "{socket}"
        );
    }
}
