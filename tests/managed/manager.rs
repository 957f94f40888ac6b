//! A manager of processes that hears what they say of themselves.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::support::DEADLINE;

/// Listens at a path of its own, which is gone at the end.
pub struct Listening {
    socket: UnixDatagram,
    path: PathBuf,
}

/// One message: what it says, a line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told(pub Vec<String>);

impl Told {
    pub fn says(&self, line: &str) -> bool {
        self.0.iter().any(|one| one == line)
    }

    /// The value of an assignment, if there is one.
    pub fn value(&self, name: &str) -> Option<&str> {
        let of_name = |line| str::strip_prefix(line, name)?.strip_prefix('=');
        self.0.iter().find_map(|line| of_name(line.as_str()))
    }
}

impl Listening {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // The longest path that an address holds is shorter than a checkout's may be.
        let name = format!(
            "pushring-managed-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).unwrap();
        Self { socket, path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The variables that name it to a process.
    pub fn variables(&self, watchdog: Option<Duration>) -> Vec<(String, String)> {
        let path = self.path.to_str().unwrap().to_owned();
        let mut variables = vec![("NOTIFY_SOCKET".to_owned(), path)];
        if let Some(watchdog) = watchdog {
            let microseconds = watchdog.as_micros().to_string();
            variables.push(("WATCHDOG_USEC".to_owned(), microseconds));
        }
        variables
    }

    /// The next message, if one comes in that time.
    pub fn next_within(&self, time: Duration) -> Option<Told> {
        self.socket.set_read_timeout(Some(time)).unwrap();
        let mut buffer = [0; 16_384];
        match self.socket.recv(&mut buffer) {
            Ok(length) => {
                let text = str::from_utf8(&buffer[..length]).unwrap();
                Some(Told(text.lines().map(str::to_owned).collect()))
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// The next message that is wanted; what comes before it is passed over.
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&Told) -> bool) -> Told {
        let until = Instant::now() + DEADLINE;
        let mut others = Vec::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let told = self.next_within(left.max(Duration::from_millis(1)));
            match told {
                Some(told) if wanted(&told) => return told,
                Some(told) => others.push(told),
                None => panic!("{what} was not told, but {others:#?}"),
            }
        }
    }

    pub fn wait_for_line(&self, line: &str) -> Told {
        self.wait_for(line, |told| told.says(line))
    }

    /// The next message that is neither the watchdog's nor figures alone.
    pub fn next_state(&self) -> Told {
        self.wait_for("a state", |told| {
            !told.says("WATCHDOG=1") && told.0.iter().any(|line| !line.starts_with("STATUS="))
        })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
