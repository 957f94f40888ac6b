//! Plays situations on a server and records its answers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::record::{Names, order};
use crate::script::{Act, Situation, expand};
use crate::support::DEADLINE;
use crate::support::stomp::{Frame, Heard, PROTOCOLS, Stomp, connect_frame};
use crate::support::wire::{BINARY, FIN, TEXT, frame};

/// How long a recording waits for the answers that the script awaits. Some servers do not give them.
const AWAITED_WITHIN: Duration = Duration::from_secs(2);

/// How long a recording waits for answers beyond those.
const QUIET: Duration = Duration::from_millis(150);

/// Where the server is, and what tells this run's destinations from those of others.
pub struct Stage {
    pub address: SocketAddr,
    pub path: String,
    pub run: u32,
}

/// One connection.
struct Line {
    stomp: Stomp,
    /// What every MESSAGE carried, for later steps to name.
    messages: Vec<Frame>,
    ended: bool,
}

/// Plays one situation and returns its record, line by line. Where the steps are those of the `expected` record, it is
/// waited for as many answers as that has, so that time plays no part; elsewhere for as many as the script awaits.
pub fn play(stage: &Stage, number: usize, situation: &Situation, expected: &[&str]) -> Vec<String> {
    // Always as long, for some answers count or cut.
    let unique = format!("t{:08x}-{number:03}", stage.run);
    let mut player = Player {
        stage,
        names: Names::new(unique.clone()),
        unique,
        lines: BTreeMap::new(),
        expected,
        record: Vec::new(),
    };
    for step in &situation.steps {
        player
            .step(step.who, &step.line, &step.act)
            .unwrap_or_else(|error| panic!("{}: {}: {error}", situation.name, step.line));
    }
    player.end();
    player.record
}

struct Player<'a> {
    stage: &'a Stage,
    unique: String,
    names: Names,
    lines: BTreeMap<char, Line>,
    expected: &'a [&'a str],
    record: Vec<String>,
}

impl Player<'_> {
    fn step(&mut self, who: char, line: &str, act: &Act) -> Result<(), String> {
        if !matches!(act, Act::Hear { .. } | Act::Beat) {
            self.record.push(line.to_owned());
        }
        match act {
            Act::Open { protocols } => {
                let opened = self.open(protocols);
                self.lines.insert(who, opened);
            }
            Act::Connect { version, lines } => self.connect(who, version, lines)?,
            Act::Send { text, binary } => self.send(who, text, *binary)?,
            Act::Hear { count, within } => {
                let heard = self.hear(who, *count, *within);
                self.record_heard(who, heard);
            }
            Act::Beat => self.beat(who),
            Act::Close => {
                self.line(who).stomp.close();
                let heard = self.hear_to_the_end(who);
                self.record_heard(who, heard);
            }
            Act::Drop => self.line(who).stomp.drop_connection(),
        }
        Ok(())
    }

    fn open(&self, protocols: &str) -> Line {
        let (stomp, _) = Stomp::open(self.stage.address, &self.stage.path, protocols);
        Line {
            stomp,
            messages: Vec::new(),
            ended: false,
        }
    }

    fn connect(&mut self, who: char, version: &str, lines: &str) -> Result<(), String> {
        let mut line = self.open(PROTOCOLS);
        let lines = String::from_utf8(self.expand(lines)?).unwrap();
        line.stomp.send(&connect_frame(version, &lines));
        let connected = line.stomp.frame();
        if connected.command != "CONNECTED" {
            return Err(format!("not connected: {connected:?}"));
        }
        self.lines.insert(who, line);
        Ok(())
    }

    fn send(&mut self, who: char, text: &str, binary: bool) -> Result<(), String> {
        let bytes = self.expand(text)?;
        if !self.lines.contains_key(&who) {
            let opened = self.open(PROTOCOLS);
            self.lines.insert(who, opened);
        }
        let message = frame(FIN | if binary { BINARY } else { TEXT }, &bytes);
        // A server that has closed takes nothing more; its close is recorded.
        let _ = self.line(who).stomp.send_raw(&message);
        Ok(())
    }

    /// `$` is the name of this run's destinations; `{A.ack.2}` is what A's second MESSAGE had in its `ack` header.
    fn expand(&self, text: &str) -> Result<Vec<u8>, String> {
        let text = text.replace('$', &self.unique);
        expand(&text, &|name| {
            let (who, rest) = name.split_once('.')?;
            let (header, number) = rest.split_once('.')?;
            let line = self.lines.get(&who.chars().next()?)?;
            let number: usize = number.parse().ok()?;
            let message = line.messages.get(number.checked_sub(1)?)?;
            message.header(header).map(str::to_owned)
        })
    }

    fn hear(&mut self, who: char, awaited: usize, within: Option<Duration>) -> Vec<Heard> {
        let (count, until, quiet) = match self.expected_count(who) {
            Some(count) => (count, Instant::now() + DEADLINE, None),
            None => {
                let wait = within.unwrap_or(AWAITED_WITHIN);
                (awaited, Instant::now() + wait, Some(QUIET))
            }
        };
        let line = self.line(who);
        let mut heard = Vec::new();
        while !line.ended {
            let wait = if heard.len() < count {
                until.saturating_duration_since(Instant::now())
            } else if let Some(quiet) = quiet {
                quiet
            } else {
                break;
            };
            match line.stomp.hear_within(wait) {
                Some(one) => line.take(one, &mut heard),
                None => break,
            }
        }
        heard
    }

    /// How many answers the expected record has here, if it is for the same steps up to here.
    fn expected_count(&self, who: char) -> Option<usize> {
        let rest = self.expected.strip_prefix(&*self.record_as_str())?;
        let answers = rest.iter().take_while(|line| {
            line.strip_prefix(who)
                .is_some_and(|line| line.starts_with('<'))
        });
        Some(
            answers
                .filter(|line| !line.ends_with("< (nothing)"))
                .count(),
        )
    }

    fn record_as_str(&self) -> Vec<&str> {
        self.record.iter().map(String::as_str).collect()
    }

    fn record_heard(&mut self, who: char, mut heard: Vec<Heard>) {
        heard.sort_by_key(order);
        if heard.is_empty() {
            self.record.push(format!("{who}< (nothing)"));
        }
        for one in &heard {
            let line = self.names.line(who, one);
            self.record.push(line);
        }
    }

    fn beat(&mut self, who: char) {
        let until = Instant::now() + DEADLINE;
        let line = self.line(who);
        let beat = loop {
            let wait = until.saturating_duration_since(Instant::now());
            match line.stomp.hear_within(wait) {
                Some(Heard::Beat) => break Heard::Beat,
                Some(Heard::Frame(_)) => {}
                Some(end) => {
                    line.ended = true;
                    break end;
                }
                None => panic!("no heart-beat in {DEADLINE:?}"),
            }
        };
        self.record_heard(who, vec![beat]);
    }

    /// Closes what is still open, and records what was said in between.
    fn end(&mut self) {
        let open: Vec<char> = self.lines.keys().copied().collect();
        for &who in &open {
            self.line(who).stomp.close();
        }
        for &who in &open {
            let mut heard = self.hear_to_the_end(who);
            heard.retain(|one| matches!(one, Heard::Frame(_)));
            if !heard.is_empty() {
                self.record.push(format!("({who} at the end)"));
                self.record_heard(who, heard);
            }
        }
    }

    fn hear_to_the_end(&mut self, who: char) -> Vec<Heard> {
        let until = Instant::now() + DEADLINE;
        let line = self.line(who);
        let mut heard = Vec::new();
        while !line.ended {
            let wait = until.saturating_duration_since(Instant::now());
            let one = line.stomp.hear_within(wait);
            line.take(one.expect("the server does not end"), &mut heard);
        }
        heard
    }

    fn line(&mut self, who: char) -> &mut Line {
        self.lines
            .get_mut(&who)
            .unwrap_or_else(|| panic!("{who} has not connected"))
    }
}

impl Line {
    fn take(&mut self, one: Heard, heard: &mut Vec<Heard>) {
        match &one {
            Heard::Beat => return,
            Heard::Frame(frame) if frame.command == "MESSAGE" => self.messages.push(frame.clone()),
            Heard::Frame(_) => {}
            Heard::Closed { .. } | Heard::End => self.ended = true,
        }
        heard.push(one);
    }
}
