//! The terminal: taken over whole, drawn on once a second, and given back as it was.

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};

use super::TopError;
use super::screen::Screen;
use super::stream::{self, LiveStream, StreamError};
use super::target::Target;
use crate::control::live::snapshot::Snapshot;

/// Between two attempts to reach a server that has gone.
const AGAIN_EVERY: Duration = Duration::from_secs(2);

/// A terminal that does not say how large it is.
const SIZE: (usize, usize) = (80, 24);

/// Ctrl-C, which a raw terminal hands on as a character.
const CTRL_C: u8 = 3;

/// What may happen.
enum Event {
    Snapshot(Box<Snapshot>),
    /// There is no newer one, for that reason.
    Trouble(StreamError),
    Key(u8),
    Resized,
    /// Somebody wants this to end.
    End,
}

/// Shows what the stream tells until somebody wants it to end. A server that goes is tried again.
pub(super) fn watch(
    target: &Target,
    stream: LiveStream,
    mut screen: Screen,
) -> Result<(), TopError> {
    let (events, happened) = mpsc::channel();
    let taken = Taken::take().map_err(TopError::Terminal)?;
    heed_signals(events.clone()).map_err(TopError::Terminal)?;
    let (keys, target) = (events.clone(), target.clone());
    thread::spawn(move || read_keys(&keys));
    thread::spawn(move || read_stream(&target, stream, &events));
    let ended = draw_all(&happened, &mut screen);
    drop(taken);
    ended
}

fn draw_all(happened: &Receiver<Event>, screen: &mut Screen) -> Result<(), TopError> {
    let mut newest: Option<Box<Snapshot>> = None;
    let mut trouble: Option<String> = None;
    loop {
        match happened.recv_timeout(AGAIN_EVERY) {
            Ok(Event::Snapshot(snapshot)) => {
                screen.note(&snapshot);
                newest = Some(snapshot);
                trouble = None;
            }
            // Nothing that waiting would mend.
            Ok(Event::Trouble(
                error @ (StreamError::NoKey { .. } | StreamError::WrongKey { .. }),
            )) => {
                return Err(error.into());
            }
            // As where another version of the server takes over: it is there.
            Ok(Event::Trouble(StreamError::Ended)) => {}
            Ok(Event::Trouble(_)) => {
                trouble = Some("the server does not answer; trying again".to_owned())
            }
            Ok(Event::Key(b'q' | b'Q' | CTRL_C) | Event::End) => return Ok(()),
            Ok(Event::Key(b's')) => screen.order = screen.order.next(),
            Ok(Event::Key(_) | Event::Resized) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        if let Some(snapshot) = &newest {
            draw(screen, snapshot, trouble.as_deref()).map_err(TopError::Terminal)?;
        }
    }
}

/// Each line over the one that stood there, so that nothing flickers.
fn draw(screen: &Screen, snapshot: &Snapshot, trouble: Option<&str>) -> io::Result<()> {
    let (width, height) = size();
    let lines = screen.frame(snapshot, trouble, width, height);
    let text = lines.join("\x1b[K\r\n");
    let mut out = io::stdout().lock();
    out.write_all(format!("\x1b[H{text}\x1b[K\x1b[J").as_bytes())?;
    out.flush()
}

fn size() -> (usize, usize) {
    match tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => SIZE,
    }
}

fn read_keys(events: &Sender<Event>) {
    for key in io::stdin().lock().bytes().map_while(Result::ok) {
        if events.send(Event::Key(key)).is_err() {
            return;
        }
    }
}

fn read_stream(target: &Target, first: LiveStream, events: &Sender<Event>) {
    let mut stream = Ok(first);
    loop {
        let error = match stream {
            Ok(stream) => match read_to_end(stream, events) {
                Some(error) => error,
                None => return,
            },
            Err(error) => error,
        };
        let pause = match error {
            StreamError::Ended => stream::AFTER_END,
            _ => AGAIN_EVERY,
        };
        if events.send(Event::Trouble(error)).is_err() {
            return;
        }
        thread::sleep(pause);
        stream = LiveStream::open(target);
    }
}

/// Why it has ended; nothing if nobody wants to know any more.
fn read_to_end(stream: LiveStream, events: &Sender<Event>) -> Option<StreamError> {
    for snapshot in stream {
        match snapshot {
            Ok(snapshot) => events.send(Event::Snapshot(Box::new(snapshot))).ok()?,
            Err(error) => return Some(error),
        }
    }
    Some(StreamError::Ended)
}

/// Signals that would end the process are events, so that the terminal is given back; so is a change of its size.
fn heed_signals(events: Sender<Event>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let guard = runtime.enter();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut resized = signal(SignalKind::window_change())?;
    drop(guard);
    thread::spawn(move || {
        runtime.block_on(async move {
            loop {
                let event = tokio::select! {
                    _ = resized.recv() => Event::Resized,
                    _ = terminate.recv() => Event::End,
                    _ = interrupt.recv() => Event::End,
                    _ = hang_up.recv() => Event::End,
                };
                if events.send(event).is_err() {
                    return;
                }
            }
        });
    });
    Ok(())
}

/// The terminal while it is ours; dropping this gives it back.
struct Taken {
    /// How it was, where keys come from a terminal.
    before: Option<Termios>,
}

impl Taken {
    fn take() -> io::Result<Self> {
        let mut before = None;
        if io::stdin().is_terminal() {
            let attributes = tcgetattr(io::stdin())?;
            let mut raw = attributes.clone();
            raw.make_raw();
            tcsetattr(io::stdin(), OptionalActions::Flush, &raw)?;
            before = Some(attributes);
        }
        let taken = Self { before };
        // Another screen, without a cursor and without wrapping.
        let mut out = io::stdout().lock();
        out.write_all(b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J")?;
        out.flush()?;
        Ok(taken)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut out = io::stdout().lock();
        // Nobody is left to be told.
        let _ = out.write_all(b"\x1b[?7h\x1b[?25h\x1b[?1049l");
        let _ = out.flush();
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}
