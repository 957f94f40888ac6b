//! One round with one server: live deliveries, then clients that go and come back, with nothing missed and with much.

use std::io::{self, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use pushring::bench::frames::{Opcode, put_frame};
use pushring::bench::handshake::Request;
use pushring::bench::ledger::Counts;
use pushring::bench::payload::{Embedding, Form, PayloadKind, Stamp};

use crate::clients::Clients;
use crate::protocol::Protocol;
use crate::server::{CHANNEL, DEADLINE, Place, Server};

/// Bytes of every publication.
pub const PAYLOAD_BYTES: usize = 128;
/// Publications before anything is measured.
const WARM_UP: u64 = 20;

/// The size of a round.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Load {
    /// Clients of the one channel.
    pub clients: u32,
    /// Publications that each misses, and as many that are delivered live.
    pub missed: u64,
}

/// What one round gave.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Figures {
    /// CPU of a live delivery where the next publication is made when the last has arrived everywhere, in ns.
    pub live_ns: f64,
    /// CPU of a live delivery where all are published at once, in ns.
    pub live_together_ns: f64,
    /// All come back, and none has missed anything.
    pub current: Return,
    /// All come back, and each has missed as many publications as the load says.
    pub behind: Return,
    /// CPU of a recovered publication without what coming back costs anyway, in ns.
    pub recovered_ns: f64,
    /// The same with all that coming back costs, in ns.
    pub recovered_gross_ns: f64,
    /// Resident memory before the first client came.
    pub empty_bytes: u64,
    /// The same with all of them connected and at rest.
    pub connected_bytes: u64,
    /// Publications that the server says were recovered.
    pub recovered: u64,
    /// Every publication at every client.
    pub counts: Counts,
    /// What was said that may not be said, if anything was.
    pub fault: Option<String>,
}

/// All clients have come back at once.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Return {
    /// From the first connect to the last publication at the last client.
    pub seconds: f64,
    /// CPU of the server for it, in ns.
    pub cpu_ns: f64,
    /// The most resident memory on the way.
    pub peak_bytes: u64,
}

/// Runs one round from the server's start to its end.
pub fn run(
    protocol: Protocol,
    load: Load,
    round: u32,
    binary: &Path,
    core: usize,
    scratch: &Path,
) -> io::Result<Figures> {
    let mut server = Server::start(binary, core, scratch)?;
    let measured = Round::begin(protocol, load, round, &server).and_then(Round::measure);
    measured.map_err(|error| server.explain(&error))
}

struct Round<'a> {
    load: Load,
    server: &'a Server,
    clients: Clients,
    publisher: TcpStream,
    form: Form,
    empty_bytes: u64,
    /// Where the channel stands: what every client has.
    place: Place,
    /// Rounds take turns in what comes first.
    behind_first: bool,
}

impl<'a> Round<'a> {
    fn begin(protocol: Protocol, load: Load, round: u32, server: &'a Server) -> io::Result<Self> {
        // As a JSON string, which every protocol carries as it is.
        let run = std::process::id().wrapping_mul(1_009).wrapping_add(round);
        let length = PAYLOAD_BYTES - 2;
        let form = Form::new(PayloadKind::Text, length, run, Embedding::JsonString);
        let empty_bytes = server.resident_bytes()?;
        let mut clients = Clients::new(protocol, load.clients, form.clone())?;
        clients.come(server, None)?;
        let publisher = connect_publisher(server)?;
        let mut round = Self {
            load,
            server,
            clients,
            publisher,
            form,
            empty_bytes,
            place: Place {
                epoch: String::new(),
                offset: 0,
            },
            behind_first: round.is_multiple_of(2),
        };
        round.publish_over_http()?;
        round.clients.catch_up()?;
        Ok(round)
    }

    fn measure(mut self) -> io::Result<Figures> {
        self.deliver_one_at_a_time(WARM_UP)?;
        let missed = self.load.missed;
        let live_ns = self.live(|round| round.deliver_one_at_a_time(missed))?;
        let live_together_ns = self.live(|round| round.deliver_together(missed))?;
        let connected_bytes = self.server.resident_bytes()?;
        let (current, behind) = if self.behind_first {
            let behind = self.come_back(missed)?;
            (self.come_back(0)?, behind)
        } else {
            (self.come_back(0)?, self.come_back(missed)?)
        };
        let publications = f64::from(self.load.clients) * missed as f64;
        Ok(Figures {
            live_ns,
            live_together_ns,
            current,
            behind,
            recovered_ns: (behind.cpu_ns - current.cpu_ns) / publications,
            recovered_gross_ns: behind.cpu_ns / publications,
            empty_bytes: self.empty_bytes,
            connected_bytes,
            recovered: (self.server).metric("pushring_publications_recovered_total")?,
            counts: self.clients.counts(),
            fault: self.clients.fault().map(str::to_owned),
        })
    }

    /// The CPU of each delivery that `deliver` makes, in ns.
    fn live(&mut self, deliver: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<f64> {
        let delivered = self.clients.delivered();
        let before = self.server.cpu_at_rest()?;
        deliver(self)?;
        let cpu = self.server.cpu_at_rest()?.saturating_sub(before);
        Ok(nanoseconds(cpu) / (self.clients.delivered() - delivered) as f64)
    }

    /// The next is published when the last has arrived everywhere.
    fn deliver_one_at_a_time(&mut self, count: u64) -> io::Result<()> {
        for _ in 0..count {
            self.deliver_together(1)?;
        }
        Ok(())
    }

    /// All are published in one write.
    fn deliver_together(&mut self, count: u64) -> io::Result<()> {
        let mut frames = Vec::new();
        for _ in 0..count {
            let payload = stamped(&mut self.form, self.place.offset);
            put_frame(&mut frames, Opcode::Text, payload);
            self.place.offset += 1;
            self.clients.note_published();
        }
        self.publisher.write_all(&frames)?;
        self.clients.catch_up()
    }

    /// All clients go, miss that many publications, and come back at once; then one more shows that each is subscribed
    /// and that nothing comes twice.
    fn come_back(&mut self, missed: u64) -> io::Result<Return> {
        self.clients.go();
        // The publisher stays.
        self.server.wait_for_connections(1)?;
        let had = self.place.clone();
        for _ in 0..missed {
            self.publish_over_http()?;
        }
        let before = self.server.cpu_at_rest()?;
        self.server.forget_peak()?;
        let took = self.clients.come(self.server, Some(&had))?;
        let cpu = self.server.cpu_at_rest()?.saturating_sub(before);
        let peak_bytes = self.server.peak_bytes()?;
        self.publish_over_http()?;
        self.clients.catch_up()?;
        Ok(Return {
            seconds: took.as_secs_f64(),
            cpu_ns: nanoseconds(cpu),
            peak_bytes,
        })
    }

    /// Publishes one, and checks that the server gives it the number that it must have.
    fn publish_over_http(&mut self) -> io::Result<()> {
        let place = self
            .server
            .publish(stamped(&mut self.form, self.place.offset))?;
        self.clients.note_published();
        let is_next = place.offset == self.place.offset + 1;
        let is_first = self.place.offset == 0;
        if !is_next || !(is_first || place.epoch == self.place.epoch) {
            let before = &self.place;
            return Err(io::Error::other(format!("{place:?} behind {before:?}")));
        }
        self.place = place;
        Ok(())
    }
}

fn stamped(form: &mut Form, sequence: u64) -> &[u8] {
    form.stamped(Stamp {
        channel: 0,
        sequence,
        due_ns: 0,
    })
}

/// Opens the connection that publishes live.
fn connect_publisher(server: &Server) -> io::Result<TcpStream> {
    let request = Request {
        host: server.public().to_string(),
        subprotocol: None,
        headers: Vec::new(),
        deflate: false,
    };
    let mut stream = TcpStream::connect(server.public())?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.write_all(&request.bytes(&format!("/pub/{CHANNEL}")))?;
    let mut head = Vec::new();
    loop {
        let mut chunk = [0; 1_024];
        match io::Read::read(&mut stream, &mut chunk)? {
            0 => return Err(io::Error::other("the publisher was not let in")),
            count => head.extend_from_slice(&chunk[..count]),
        }
        if request.accepted(&head).map_err(io::Error::other)?.is_some() {
            return Ok(stream);
        }
    }
}

fn nanoseconds(time: Duration) -> f64 {
    time.as_nanos() as f64
}
