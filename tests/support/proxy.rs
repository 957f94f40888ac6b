//! A TCP proxy that cuts connections: after so many bytes, in the middle of whatever they are the middle of, or after so long.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use super::rng::Rng;
use super::server::free_address;

/// Bytes on their way in one direction at the most, so that who is behind is felt at both ends.
const BUFFER_BYTES: usize = 16 * 1024;

/// A proxy in front of a server, on a thread of its own. Dropping it ends it.
pub struct Proxy {
    pub address: SocketAddr,
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    is_calm: AtomicBool,
    cuts: AtomicU64,
}

/// What will be done to a connection.
struct Fate {
    /// Bytes of the server that are passed on before it is cut.
    down_bytes: usize,
    /// The same of the client's.
    up_bytes: usize,
    /// How long it lives at the most.
    lives: Duration,
    /// How long nothing is passed on before it is cut.
    freezes: Duration,
    /// Whether both ends see a reset, not an orderly end.
    resets: bool,
}

impl Proxy {
    /// Starts one in front of `server`. Every seed cuts differently.
    pub fn start(server: SocketAddr, seed: u64) -> Self {
        let address = free_address();
        let state = Arc::new(State::default());
        let (stop, stopped) = oneshot::channel();
        let own = Arc::clone(&state);
        let listener = std::net::TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let thread = thread::spawn(move || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            let runtime = builder.enable_all().build().unwrap();
            let tasks = LocalSet::new();
            tasks.spawn_local(accept(listener, server, seed, own));
            let _ = tasks.block_on(&runtime, stopped);
        });
        Self {
            address,
            state,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// From now on nothing is cut.
    pub fn calm(&self) {
        self.state.is_calm.store(true, Ordering::Relaxed);
    }

    /// Connections cut so far.
    pub fn cuts(&self) -> u64 {
        self.state.cuts.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || thread::panicking(), "the proxy panicked");
    }
}

impl Fate {
    fn draw(rng: &mut Rng) -> Self {
        let most = rng.pick(&[400, 3_000, 20_000, 100_000]);
        let down_bytes = rng.within(0..=most);
        let millis = |ms: usize| Duration::from_millis(ms as u64);
        Self {
            down_bytes,
            // Mostly all that a client says; now and then not even its whole handshake.
            up_bytes: match rng.chance(100) {
                true => rng.within(0..=600),
                false => usize::MAX,
            },
            lives: millis(rng.within(50..=5_000)),
            freezes: millis(rng.pick(&[0, 0, 0, 20, 200])),
            resets: rng.chance(500),
        }
    }
}

async fn accept(listener: std::net::TcpListener, server: SocketAddr, seed: u64, state: Arc<State>) {
    let listener = TcpListener::from_std(listener).unwrap();
    let mut rng = Rng::new(seed);
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let fate = Fate::draw(&mut rng);
        let state = Arc::clone(&state);
        tokio::task::spawn_local(async move {
            // A connection that fails is one more that ends.
            let _ = pass_on(client, server, fate, &state).await;
        });
    }
}

/// Passes everything on until an end, or until the connection is to be cut.
async fn pass_on(
    client: TcpStream,
    server: SocketAddr,
    fate: Fate,
    state: &State,
) -> io::Result<()> {
    let server = TcpStream::connect(server).await?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let passed = {
        let down = pump(&server, &client, fate.down_bytes, state);
        let up = pump(&client, &server, fate.up_bytes, state);
        tokio::select! {
            passed = down => passed,
            passed = up => passed,
            () = die(fate.lives, state) => Ok(Passed::Cut),
        }
    };
    let Ok(Passed::Cut) = passed else {
        return Ok(());
    };
    state.cuts.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(fate.freezes).await;
    if fate.resets {
        for stream in [&client, &server] {
            stream.set_zero_linger()?;
        }
    }
    Ok(())
}

/// Waits until a connection's life is over, which in calm times it never is.
async fn die(lives: Duration, state: &State) {
    tokio::time::sleep(lives).await;
    if state.is_calm.load(Ordering::Relaxed) {
        std::future::pending().await
    }
}

/// How passing on came to its end.
enum Passed {
    End,
    Cut,
}

/// Passes on what one end says, so many bytes of it at the most.
async fn pump(
    from: &TcpStream,
    to: &TcpStream,
    mut left: usize,
    state: &State,
) -> io::Result<Passed> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        from.readable().await?;
        let count = match from.try_read(&mut buffer) {
            Ok(0) => return Ok(Passed::End),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        if state.is_calm.load(Ordering::Relaxed) {
            left = usize::MAX;
        }
        write_all(to, &buffer[..count.min(left)]).await?;
        if count > left {
            return Ok(Passed::Cut);
        }
        left -= count;
    }
}

async fn write_all(to: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        to.ready(Interest::WRITABLE).await?;
        match to.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
