//! The situations, as `tests/stomp/conversation.txt` tells them.

use std::time::Duration;

/// What happens in one situation, over connections with a letter each.
pub struct Situation {
    pub name: String,
    pub steps: Vec<Step>,
}

pub struct Step {
    /// The line as it is written.
    pub line: String,
    /// The connection's letter.
    pub who: char,
    pub act: Act,
}

pub enum Act {
    /// Opens a WebSocket that offers these subprotocols.
    Open { protocols: String },
    /// Opens a WebSocket and connects in that version, which must succeed; the lines are more headers.
    Connect { version: String, lines: String },
    /// Sends one WebSocket message; the text is still to be expanded.
    Send { text: String, binary: bool },
    /// Waits for so many answers.
    Hear {
        count: usize,
        /// How long a recording waits for them, where it is not the usual time.
        within: Option<Duration>,
    },
    /// Waits for a heart-beat.
    Beat,
    /// Closes the WebSocket and waits for the server's end.
    Close,
    /// Ends the TCP connection without a word.
    Drop,
}

/// Reads the script. The error names the line.
pub fn parse(text: &str) -> Result<Vec<Situation>, String> {
    let mut situations: Vec<Situation> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let at = |what: &str| format!("line {number}: {what}: {line:?}");
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix("== ") {
            if situations.iter().any(|situation| situation.name == name) {
                return Err(at("this situation stands there twice"));
            }
            situations.push(Situation {
                name: name.to_owned(),
                steps: Vec::new(),
            });
            continue;
        }
        let situation = situations
            .last_mut()
            .ok_or_else(|| at("a step before the first situation (`== name`)"))?;
        let (who, act) = parse_step(line).ok_or_else(|| at("not a step"))?;
        situation.steps.push(Step {
            line: line.to_owned(),
            who,
            act,
        });
    }
    Ok(situations)
}

fn parse_step(line: &str) -> Option<(char, Act)> {
    let mut rest = line.chars();
    let who = rest.next().filter(char::is_ascii_uppercase)?;
    let rest = rest.as_str();
    let act = if let Some(text) = rest.strip_prefix("> ") {
        send(text, false)
    } else if let Some(text) = rest.strip_prefix(">> ") {
        send(text, true)
    } else if let Some(hear) = rest.strip_prefix("< ") {
        parse_hear(hear)?
    } else if let Some(connect) = rest.strip_prefix(" connects ") {
        let (version, lines) = connect.split_once(' ').unwrap_or((connect, ""));
        Act::Connect {
            version: version.to_owned(),
            lines: lines.to_owned(),
        }
    } else if let Some(protocols) = rest.strip_prefix(" opens") {
        Act::Open {
            protocols: protocols.trim().to_owned(),
        }
    } else {
        match rest {
            "~" => Act::Beat,
            " closes" => Act::Close,
            " drops" => Act::Drop,
            _ => return None,
        }
    };
    Some((who, act))
}

fn send(text: &str, binary: bool) -> Act {
    Act::Send {
        text: text.to_owned(),
        binary,
    }
}

fn parse_hear(text: &str) -> Option<Act> {
    let (count, within) = match text.split_once(" within ") {
        Some((count, seconds)) => {
            let seconds = seconds.strip_suffix('s')?.parse().ok()?;
            (count, Some(Duration::from_secs(seconds)))
        }
        None => (text, None),
    };
    let count = count.parse().ok()?;
    Some(Act::Hear { count, within })
}

/// The bytes that a text stands for: `\n`, `\r`, `\0`, `\\` and `\xHH` are what they are in Rust, `{x*300}` repeats what
/// stands before the star, and any other braces name something that `lookup` knows.
pub fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '{']) {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let (length, found) = if rest[at..].starts_with('\\') {
            escape(&rest[at..]).ok_or_else(|| format!("an escape unknown here in {text:?}"))?
        } else {
            let end = rest[at..].find('}').ok_or(format!("no }} in {text:?}"))?;
            let inner = &rest[at + 1..at + end];
            let found = match inner.rsplit_once('*') {
                Some((what, count)) => {
                    let count = count
                        .parse()
                        .map_err(|error| format!("{text:?}: {error}"))?;
                    expand(what, lookup)?.repeat(count)
                }
                None => lookup(inner)
                    .ok_or_else(|| format!("nothing is known as {inner:?}"))?
                    .into_bytes(),
            };
            (end + 1, found)
        };
        bytes.extend(found);
        rest = &rest[at + length..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

fn escape(text: &str) -> Option<(usize, Vec<u8>)> {
    let byte = match text.as_bytes().get(1)? {
        b'n' => b'\n',
        b'r' => b'\r',
        b'0' => 0,
        b'\\' => b'\\',
        b'x' => return Some((4, vec![u8::from_str_radix(text.get(2..4)?, 16).ok()?])),
        _ => return None,
    };
    Some((2, vec![byte]))
}
