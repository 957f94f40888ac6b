//! Telling systemd how the server is (`sd_notify(3)`).

use std::env;
use std::fmt::Write as _;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;

/// How long a message may wait for room in the manager's socket. One that finds none is lost.
const SEND_AT_MOST: Duration = Duration::from_secs(1);

/// Whoever manages the process and wants to hear of it: systemd, where the unit says `Type=notify` or `notify-reload`.
///
/// Where nobody wants to, everything here does nothing.
#[derive(Debug, Default)]
pub struct Manager {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
    board: Mutex<Board>,
    /// Whether the log says that it cannot be reached.
    said_lost: AtomicBool,
}

/// What `systemctl status` shows of the server.
#[derive(Debug, Default)]
struct Board {
    figures: String,
    /// What an operator should know besides, until it is over.
    remark: String,
}

impl Board {
    fn text(&self) -> String {
        let mut parts = vec![self.remark.as_str(), self.figures.as_str()];
        parts.retain(|part| !part.is_empty());
        // A line break would end the status and begin another thing.
        parts.join("; ").replace(['\n', '\r'], " ")
    }
}

/// See [`Manager::reloading`].
#[derive(Debug)]
pub struct Reloading<'a>(&'a Manager);

impl Drop for Reloading<'_> {
    fn drop(&mut self) {
        self.0.ready();
    }
}

impl Manager {
    /// The one that the environment names: `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`.
    #[must_use]
    pub fn from_environment() -> Self {
        let Some(path) = env::var_os("NOTIFY_SOCKET") else {
            return Self::default();
        };
        let watchdog = sd_notify::watchdog_enabled();
        Self::at(Path::new(&path), watchdog).unwrap_or_else(|error| {
            tracing::warn!(
                "systemd is not told how the server is: NOTIFY_SOCKET={}: {error}",
                path.display()
            );
            Self::default()
        })
    }

    /// The one that listens at a path, or at an abstract address where that begins with `@`, and wants to hear of the server
    /// within each `watchdog`.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn at(path: &Path, watchdog: Option<Duration>) -> io::Result<Self> {
        // One socket for all there is to say: sd_notify's own function opens one each time, and knows no abstract addresses.
        let socket = UnixDatagram::unbound()?;
        match path.as_os_str().as_bytes().strip_prefix(b"@") {
            Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
            None => socket.connect(path)?,
        }
        socket.set_write_timeout(Some(SEND_AT_MOST))?;
        Ok(Self {
            socket: Some(socket),
            watchdog,
            ..Self::default()
        })
    }

    /// Whether there is somebody to tell.
    #[must_use]
    pub fn listens(&self) -> bool {
        self.socket.is_some()
    }

    /// Within which time it wants to hear [`Manager::alive`] again; otherwise it takes the server for stuck.
    #[must_use]
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog.filter(|_| self.listens())
    }

    /// Clients can connect.
    pub fn ready(&self) {
        self.tell_with_status(&[NotifyState::Ready]);
    }

    /// Other settings, or another program, are about to take over. When what is returned is dropped, clients can connect
    /// again.
    #[must_use = "it lasts until this is dropped"]
    pub fn reloading(&self) -> Reloading<'_> {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(error) => tracing::error!("the kernel has no monotonic clock: {error}"),
        }
        Reloading(self)
    }

    /// The server is about to end, within that time at the most.
    pub fn stopping(&self, within: Duration) {
        let within_us = u32::try_from(within.as_micros()).unwrap_or(u32::MAX);
        self.tell_with_status(&[
            NotifyState::Stopping,
            NotifyState::ExtendTimeoutUsec(within_us),
        ]);
    }

    /// The watchdog is to wait for another [`Manager::watchdog`].
    pub fn alive(&self) {
        self.tell(&[NotifyState::Watchdog]);
    }

    /// Shows what the server does at this moment.
    pub fn show(&self, figures: String) {
        self.edit(|board| board.figures = figures);
        self.tell_with_status(&[]);
    }

    /// Notes what is to be shown in front of the figures from the next message on; nothing if it is empty.
    pub fn remark(&self, remark: String) {
        self.edit(|board| board.remark = remark);
    }

    fn edit(&self, change: impl FnOnce(&mut Board)) {
        // Nothing that panics is done while it is locked.
        if let Ok(mut board) = self.board.lock() {
            change(&mut board);
        }
    }

    fn tell_with_status(&self, states: &[NotifyState<'_>]) {
        let mut status = String::new();
        self.edit(|board| status = board.text());
        let mut all = states.to_vec();
        all.push(NotifyState::Status(&status));
        self.tell(&all);
    }

    fn tell(&self, states: &[NotifyState<'_>]) {
        let Some(socket) = &self.socket else {
            return;
        };
        let mut message = String::new();
        for state in states {
            // A String takes everything.
            let _ = writeln!(message, "{state}");
        }
        match socket.send(message.as_bytes()) {
            Ok(_) => self.said_lost.store(false, Ordering::Relaxed),
            Err(error) if self.said_lost.swap(true, Ordering::Relaxed) => {
                tracing::debug!("systemd cannot be told how the server is: {error}");
            }
            Err(error) => {
                tracing::warn!("systemd cannot be told how the server is: {error}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A manager that listens at an abstract address, and what it hears.
    fn manager(name: &str) -> (Manager, UnixDatagram) {
        let name = format!("pushring-manager-{}-{name}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let hears = UnixDatagram::bind_addr(&address).unwrap();
        hears
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let path = format!("@{name}");
        let manager = Manager::at(Path::new(&path), Some(Duration::from_secs(1))).unwrap();
        (manager, hears)
    }

    fn heard(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 4_096];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn each_state_is_one_datagram_of_lines() {
        let (manager, hears) = manager("lines");
        manager.show("2 shards".to_owned());
        assert_eq!(heard(&hears), "STATUS=2 shards\n");
        manager.ready();
        assert_eq!(heard(&hears), "READY=1\nSTATUS=2 shards\n");
        let reload = manager.reloading();
        let reloading = heard(&hears);
        let time = reloading
            .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
            .unwrap();
        assert!(time.trim_end().parse::<u64>().unwrap() > 0, "{reloading}");
        manager.remark("bad\nfile".to_owned());
        drop(reload);
        assert_eq!(heard(&hears), "READY=1\nSTATUS=bad file; 2 shards\n");
        manager.alive();
        assert_eq!(heard(&hears), "WATCHDOG=1\n");
        manager.remark(String::new());
        manager.stopping(Duration::from_millis(2));
        assert_eq!(
            heard(&hears),
            "STOPPING=1\nEXTEND_TIMEOUT_USEC=2000\nSTATUS=2 shards\n"
        );
    }

    #[test]
    fn where_nobody_listens_nothing_is_said() {
        let nobody = Manager::default();
        nobody.ready();
        nobody.alive();
        assert!(!nobody.listens() && nobody.watchdog().is_none());
        let (manager, hears) = manager("gone");
        drop(hears);
        manager.ready();
        assert!(manager.said_lost.load(Ordering::Relaxed));
        assert!(Manager::at(Path::new("/nonexistent/notify"), None).is_err());
    }
}
