//! nginx and HAProxy with the files of `tuning/`, in front of the real server.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::{file, folder, printed, text};
use crate::support::http::{Answer, Http};
use crate::support::server::{Addresses, Options, Server, free_address};
use crate::support::wire::{Said, Socket, handshake_lines, head};
use crate::support::{DEADLINE, Message};

/// A drain that takes long enough to look at.
const CONFIG: &str = "
    [timeouts]
    drain_ms = 3_000
    [origins]
    allowed = [\"https://app.example.com\"]
";

/// Pings often enough that a test sees some. Each waits for the deadlines in front of it: those of the request's head and of the
/// last answer.
const PINGING: &str = "
    [timeouts]
    head_ms = 3_000
    ping_interval_ms = 200
    pong_timeout_ms = 3_000
";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Nginx,
    HaProxy,
}

const KINDS: [Kind; 2] = [Kind::Nginx, Kind::HaProxy];

/// A proxy that runs with its file of `tuning/`, of which only addresses and the certificate's place are other.
struct Proxy {
    child: Child,
    plain: SocketAddr,
    secure: SocketAddr,
    certificate: PathBuf,
}

impl Proxy {
    fn start(kind: Kind, test: &str, upstream: Addresses) -> Self {
        let folder = folder(&format!("{kind:?}-{test}"));
        let (plain, secure) = (free_address(), free_address());
        let certificate = make_certificate(&folder);
        let config = match kind {
            Kind::Nginx => nginx_config(&folder, plain, secure),
            Kind::HaProxy => haproxy_config(&folder, plain, secure),
        };
        let config = config
            .replace("127.0.0.1:8000", &upstream.public.to_string())
            .replace("127.0.0.1:8001", &upstream.internal.to_string())
            .replace("port 8001", &port_of_internal(upstream.internal));
        let path = folder.join("proxy.conf");
        fs::write(&path, config).unwrap();
        let mut command = program(kind);
        match kind {
            Kind::Nginx => {
                let once = ["-e", "stderr", "-p"];
                let mut check = program(kind);
                check.args(once).arg(&folder).arg("-t").arg("-c");
                printed(check.arg(&path));
                command.args(once).arg(&folder).arg("-c").arg(&path);
            }
            Kind::HaProxy => {
                // Warnings are mistakes, too.
                printed(program(kind).args(["-dW", "-c", "-f"]).arg(&path));
                command.arg("-db").arg("-f").arg(&path);
            }
        }
        let log = fs::File::create(folder.join("log")).unwrap();
        let child = command.stdin(Stdio::null()).stderr(log).spawn().unwrap();
        let proxy = Self {
            child,
            plain,
            secure,
            certificate,
        };
        eventually("the proxy accepts", || TcpStream::connect(plain).is_ok());
        proxy
    }

    /// In front of a server that it knows to be ready.
    fn in_front_of(kind: Kind, test: &str, server: &Server) -> Self {
        let proxy = Self::start(kind, test, server.addresses);
        eventually("the proxy lets clients in", || proxy.ready() == 200);
        proxy
    }

    fn ready(&self) -> u16 {
        Http::connect(self.plain).get("/ready").status
    }

    /// The answer to a handshake from a page of that origin.
    fn handshake_from(&self, origin: &str) -> Answer {
        let mut socket = Socket::connect(self.plain);
        let mut lines = handshake_lines("/sub/news");
        lines.push(format!("Origin: {origin}"));
        socket.send(&head(&lines));
        socket.answer_head()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(kind: Kind) -> Command {
    let name = format!("{kind:?}").to_lowercase();
    Command::new(server_program(&name))
}

/// A program that tests/install-tools has unpacked.
pub(super) fn server_program(name: &str) -> PathBuf {
    let path = file("target/tools/servers/bin").join(name);
    assert!(
        path.exists(),
        "{} is not there: tests/install-tools installs it",
        path.display()
    );
    path
}

fn nginx_config(folder: &Path, plain: SocketAddr, secure: SocketAddr) -> String {
    let site = replaced(
        text("tuning/nginx.conf"),
        "listen 443 ssl;",
        &format!("listen {plain}; listen {secure} ssl;"),
    );
    let site = replaced(site, "/etc/ssl/push.example.com", &within(folder, "site"));
    let kept: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {};\n", within(folder, what)))
        .concat();
    format!(
        "daemon off;\nmaster_process off;\nuser root;\npid {};\nevents {{ worker_connections 256; }}\n\
         http {{\naccess_log off;\n{kept}{site}}}\n",
        within(folder, "pid")
    )
}

fn haproxy_config(folder: &Path, plain: SocketAddr, secure: SocketAddr) -> String {
    let line = "bind :443 ssl crt /etc/haproxy/push.example.com.pem";
    let both = within(folder, "both.pem");
    let bound = format!("bind {plain}\n    bind {secure} ssl crt {both}");
    let site = replaced(text("tuning/haproxy.cfg"), line, &bound);
    format!(
        "global\n    maxconn 1000\n\n{}",
        replaced(site, "maxconn 200000\n", "maxconn 500\n")
    )
}

/// Its host goes with it: the tests' servers are each on an address of their own.
fn port_of_internal(internal: SocketAddr) -> String {
    format!("addr {} port {}", internal.ip(), internal.port())
}

fn replaced(text: String, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} is not in\n{text}");
    text.replace(from, to)
}

fn within(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().unwrap().to_owned()
}

/// A certificate for push.example.com, signed by itself: `site.pem`, `site.key`, and both in `both.pem`.
fn make_certificate(folder: &Path) -> PathBuf {
    let (certificate, key) = (folder.join("site.pem"), folder.join("site.key"));
    let mut command = Command::new("openssl");
    command.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
    ]);
    command.args(["-nodes", "-days", "2", "-subj", "/CN=push.example.com"]);
    command.args(["-addext", "subjectAltName=DNS:push.example.com"]);
    command
        .arg("-out")
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key);
    printed(&mut command);
    let both = fs::read_to_string(&certificate).unwrap() + &fs::read_to_string(&key).unwrap();
    fs::write(folder.join("both.pem"), both).unwrap();
    certificate
}

fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < until, "it does not come about that {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// An event stream over TLS, read by curl.
struct Stream {
    curl: Child,
    lines: Receiver<String>,
}

impl Stream {
    fn open(proxy: &Proxy, path: &str) -> Self {
        let address = proxy.secure;
        let mut curl = Command::new("curl")
            .args(["--silent", "--show-error", "--no-buffer", "--http1.1"])
            .args(["--header", "Accept: text/event-stream", "--cacert"])
            .arg(&proxy.certificate)
            .arg("--connect-to")
            .arg(format!(
                "push.example.com:443:{}:{}",
                address.ip(),
                address.port()
            ))
            .arg(format!("https://push.example.com{path}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (told, lines) = channel();
        let output = BufReader::new(curl.stdout.take().unwrap());
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if told.send(line).is_err() {
                    return;
                }
            }
        });
        Self { curl, lines }
    }

    /// The next line that begins so, without its beginning.
    fn next(&self, beginning: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(DEADLINE).unwrap();
            if let Some(rest) = line.strip_prefix(beginning) {
                return rest.to_owned();
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.curl.kill();
        let _ = self.curl.wait();
    }
}

/// The next message; pings are answered on the way, as clients do.
fn message(socket: &mut Socket) -> Message {
    loop {
        match socket.next() {
            Said::Message(message) => return message,
            Said::Ping(data) => answer_ping(socket, &data),
            other => panic!("a message is expected, not {other:?}"),
        }
    }
}

fn answer_ping(socket: &mut Socket, data: &[u8]) {
    use crate::support::wire::{FIN, PONG, frame};
    socket.send(&frame(FIN | PONG, data));
}

#[test]
fn messages_pass_at_once_to_web_sockets_and_event_streams() {
    for kind in KINDS {
        let server = Server::start(Options::with_config(CONFIG));
        let proxy = Proxy::in_front_of(kind, "messages", &server);
        let mut subscriber = Socket::open(proxy.plain, "/sub/news");
        let stream = Stream::open(&proxy, "/sub/news");
        // Its first event: where it begins.
        stream.next("id: ");
        let mut publisher = Socket::open(proxy.plain, "/pub/news");
        for i in 0..3 {
            let news = format!("from {kind:?} {i}");
            // Each is waited for, so that none is seen because the next has pushed it on.
            match i % 2 {
                0 => drop(server.http().publish("news", &news)),
                _ => publisher.send_text(&news),
            }
            assert_eq!(message(&mut subscriber), Message::text(&news));
            assert_eq!(stream.next("data: "), news);
        }
    }
}

#[test]
fn pings_pass_nginx_and_so_do_the_comments_of_event_streams() {
    pings_pass(Kind::Nginx);
}

#[test]
fn pings_pass_haproxy_and_so_do_the_comments_of_event_streams() {
    pings_pass(Kind::HaProxy);
}

fn pings_pass(kind: Kind) {
    let server = Server::start(Options::with_config(PINGING));
    let proxy = Proxy::in_front_of(kind, "pings", &server);
    let mut subscriber = Socket::open(proxy.plain, "/sub/quiet");
    let stream = Stream::open(&proxy, "/sub/quiet");
    for _ in 0..2 {
        match subscriber.next() {
            Said::Ping(data) => answer_ping(&mut subscriber, &data),
            other => panic!("a ping is expected, not {other:?}"),
        }
        stream.next(":");
    }
}

#[test]
fn the_origin_of_a_page_reaches_the_server() {
    for kind in KINDS {
        let server = Server::start(Options::with_config(CONFIG));
        let proxy = Proxy::in_front_of(kind, "origin", &server);
        let welcome = proxy.handshake_from("https://app.example.com");
        assert_eq!(welcome.status, 101, "{kind:?}: {welcome:?}");
        let refused = proxy.handshake_from("https://evil.example.com");
        assert_eq!(refused.status, 403, "{kind:?}: {refused:?}");
    }
}

#[test]
fn a_drain_is_told_to_clients_and_to_who_asks_whether_it_is_ready() {
    for kind in KINDS {
        let mut server = Server::start(Options::with_config(CONFIG));
        let proxy = Proxy::in_front_of(kind, "drain", &server);
        let mut sockets: Vec<Socket> = (0..4)
            .map(|_| Socket::open(proxy.plain, "/sub/last"))
            .collect();
        server.signal("TERM");
        // A 502 would be a server that has gone already.
        eventually("the proxy is not ready", || proxy.ready() != 200);
        assert_eq!(proxy.ready(), 503, "{kind:?}");
        for socket in &mut sockets {
            let code = loop {
                match socket.next() {
                    Said::Ping(data) => answer_ping(socket, &data),
                    Said::Close { code, .. } => break code,
                    other => panic!("{kind:?}: a close is expected, not {other:?}"),
                }
            };
            assert_eq!(code, Some(1001), "{kind:?}");
        }
        drop(sockets);
        server.wait_for_exit(DEADLINE);
    }
}

/// HAProxy asks by itself, every second.
#[test]
fn haproxy_lets_clients_in_when_the_server_says_that_it_is_ready() {
    let addresses = Addresses::free();
    let proxy = Proxy::start(Kind::HaProxy, "health", addresses);
    eventually("it has found no server", || proxy.ready() == 503);
    let refused = proxy.handshake_from("https://app.example.com");
    assert_eq!(refused.status, 503, "{refused:?}");
    let _server = Server::start_at(addresses, Options::with_config(CONFIG));
    eventually("it lets clients in", || proxy.ready() == 200);
    let welcome = proxy.handshake_from("https://app.example.com");
    assert_eq!(welcome.status, 101, "{welcome:?}");
}

/// A listener instead of the server sees the request as the server does.
#[test]
fn the_server_is_told_who_the_client_is() {
    for kind in KINDS {
        let upstream = TcpListener::bind(free_address()).unwrap();
        let addresses = Addresses {
            public: upstream.local_addr().unwrap(),
            internal: free_address(),
        };
        // HAProxy sends no client to a server that it does not know to be ready.
        let ready = TcpListener::bind(addresses.internal).unwrap();
        thread::spawn(move || {
            for connection in ready.incoming().map_while(Result::ok) {
                answer(
                    connection,
                    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                );
            }
        });
        let proxy = Proxy::start(kind, "headers", addresses);
        eventually("the proxy lets clients in", || proxy.ready() == 200);
        let mut client = Socket::connect(proxy.plain);
        let mut lines = handshake_lines("/sub/news?token=x");
        lines.push("Origin: https://app.example.com".to_owned());
        client.send(&head(&lines));
        let request = answer(
            upstream.accept().unwrap().0,
            "HTTP/1.1 403 Forbidden\r\n\r\n",
        );
        let client = client.stream().local_addr().unwrap().ip();
        let seen: Vec<String> = request.lines().map(str::to_ascii_lowercase).collect();
        assert_eq!(seen[0], "get /sub/news?token=x http/1.1", "{kind:?}");
        for line in [
            "host: 127.0.0.1",
            "upgrade: websocket",
            "connection: upgrade",
            "origin: https://app.example.com",
            &format!("x-forwarded-for: {client}"),
        ] {
            let found = seen.iter().filter(|seen| *seen == line).count();
            assert_eq!(found, 1, "{kind:?}: {line} in\n{request}");
        }
    }
}

/// Reads a request's head and answers it.
fn answer(mut connection: TcpStream, answer: &str) -> String {
    use std::io::Write as _;
    connection.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && connection.read(&mut byte).is_ok_and(|read| read == 1)
    {
        request.push(byte[0]);
    }
    let _ = connection.write_all(answer.as_bytes());
    String::from_utf8(request).unwrap()
}

#[test]
fn the_timeouts_are_longer_than_a_ping_and_its_answer_may_take() {
    let timeouts = pushring::config::Config::default().timeouts;
    let silence_ms = timeouts.ping_interval_ms + timeouts.pong_timeout_ms;
    for (name, settings) in [
        (
            "tuning/nginx.conf",
            &["proxy_read_timeout ", "proxy_send_timeout "][..],
        ),
        (
            "tuning/haproxy.cfg",
            &["timeout client ", "timeout server ", "timeout tunnel "],
        ),
    ] {
        let text = text(name);
        for setting in settings {
            let values: Vec<u64> = text
                .lines()
                .filter_map(|line| line.trim().strip_prefix(setting))
                .map(|value| value.trim_end_matches([';', 's']).parse().unwrap())
                .collect();
            assert_eq!(values.len(), 1, "{name}: {setting}");
            assert!(values[0] * 1_000 > 2 * silence_ms, "{name}: {setting}");
        }
    }
}

/// The lines that are for very many clients work as they stand.
#[test]
fn nginx_takes_the_lines_that_begin_with_a_number_sign() {
    let folder = folder("nginx-more");
    make_certificate(&folder);
    let config = nginx_config(&folder, free_address(), free_address());
    let lines = config.lines().map(|line| {
        let at = line.len() - line.trim_start().len();
        match line[at..].strip_prefix('#') {
            Some(rest)
                if !rest.is_empty() && (!rest.starts_with(' ') || rest.starts_with("    ")) =>
            {
                rest.to_owned()
            }
            _ => line.to_owned(),
        }
    });
    let config: Vec<String> = lines.collect();
    assert!(
        config
            .iter()
            .any(|line| line == "proxy_bind $pushring_source;")
    );
    let path = folder.join("more.conf");
    fs::write(&path, config.join("\n") + "\n").unwrap();
    let mut check = program(Kind::Nginx);
    check.args(["-e", "stderr", "-p"]).arg(&folder).arg("-t");
    printed(check.arg("-c").arg(&path));
}
