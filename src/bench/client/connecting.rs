//! Opening connections, and replacing one by another.

use std::net::Shutdown;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Token};

use super::super::frames::Opcode;
use super::super::handshake;
use super::connection::{Connection, State};
use super::orders::{Connect, Connected};
use super::shared::nanos;
use super::worker::{SLEEP, Worker};

/// How long nothing may come of opening connections before those under way are given up.
const OPEN_PATIENCE: Duration = Duration::from_secs(10);
/// Stalled subscribers have little room in their sockets, so that the server notices soon.
const STALLED_RECEIVE_BYTES: usize = 64 * 1024;

impl Worker {
    /// Opens connections and waits until all are open or have failed.
    pub(super) fn connect(&mut self, order: Connect) -> Result<Connected, String> {
        let began = self.shared.clock.now_ns();
        self.connected = Connected::default();
        let mut begun = 0;
        let mut progress = (began, 0);
        loop {
            while begun < order.count && self.under_way < order.at_once {
                self.begin_connection(order.first_number + begun * order.number_step, None, false);
                begun += 1;
            }
            let done = self.connected.open + self.connected.failed;
            if done == u64::from(order.count) || self.shared.must_stop() {
                break;
            }
            self.turn(SLEEP)?;
            let now = self.shared.clock.now_ns();
            let done = self.connected.open + self.connected.failed;
            if done != progress.1 {
                progress = (now, done);
            }
            if now - progress.0 > nanos(OPEN_PATIENCE) {
                let seconds = OPEN_PATIENCE.as_secs();
                self.connected
                    .fail(format!("no connection was opened for {seconds} s"));
                self.connected.failed += u64::from(order.count) - self.connected.open - 1;
                break;
            }
        }
        self.connected.wall_ns = self.shared.clock.now_ns() - began;
        Ok(std::mem::take(&mut self.connected))
    }

    /// Begins a connection, in the place of another if `place` says so.
    fn begin_connection(&mut self, number: u32, place: Option<usize>, late: bool) {
        let began_ns = self.shared.clock.now_ns();
        let stalls = self.is_to_stall(number);
        let buffer = stalls.then_some(STALLED_RECEIVE_BYTES);
        let index = place.unwrap_or(self.connections.len());
        let channels = self.settings.plan.channels_of(number);
        let began = handshake::connect(self.settings.server, number, buffer).and_then(|stream| {
            let mut stream = TcpStream::from_std(stream);
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll
                .registry()
                .register(&mut stream, Token(index), interest)?;
            Ok(stream)
        });
        match began {
            Ok(stream) => {
                let mut connection = Connection::new(stream, number, channels, began_ns);
                connection.awaits_first = late;
                connection.stalled = stalls.then(Box::default);
                self.under_way += 1;
                match self.connections.get_mut(index) {
                    Some(place) => *place = connection,
                    None => self.connections.push(connection),
                }
            }
            Err(error) => self.count_failure(late, format!("cannot connect: {error}")),
        }
    }

    /// Every so many subscribers, beginning in the middle of the first stretch.
    fn is_to_stall(&self, number: u32) -> bool {
        let permille = self.settings.stalled_permille;
        let before = (number * permille + 500) / 1000;
        let after = ((number + 1) * permille + 500) / 1000;
        after > before
    }

    pub(super) fn count_failure(&mut self, late: bool, why: String) {
        match late {
            true => self.tally.report.joined.fail(why),
            false => self.connected.fail(why),
        }
    }

    /// One subscriber leaves, another comes in its place.
    pub(super) fn replace_one(&mut self) {
        for _ in 0..self.connections.len() {
            let index = self.next_to_leave % self.connections.len();
            self.next_to_leave += 1;
            let connection = &mut self.connections[index];
            let (State::Open, Some(subscriber), false, Some(_)) = (
                &connection.state,
                connection.subscriber,
                connection.awaits_first,
                &connection.stream,
            ) else {
                continue;
            };
            let number = connection.number;
            self.ledger.forget(subscriber);
            // 1000, as a page that is left. Whether it arrives is the kernel's business.
            let _ = connection.send_frame(Opcode::Close, &[0x03, 0xe8]);
            if let Some(stream) = connection.stream.take() {
                let _ = stream.shutdown(Shutdown::Write);
            }
            self.tally.report.left += 1;
            self.begin_connection(number, Some(index), true);
            return;
        }
    }
}
