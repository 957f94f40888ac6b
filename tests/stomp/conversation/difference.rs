//! What is left of a record when that is taken away in which two servers differ everywhere.

/// A difference that is met everywhere, and would hide all others.
pub struct Rule {
    /// As `differences.md` calls it.
    pub name: &'static str,
    /// Takes it away from one situation's lines.
    apply: fn(Vec<String>) -> Vec<String>,
}

pub const RULES: [Rule; 6] = [
    Rule {
        name: "introduction",
        apply: without_introductions,
    },
    Rule {
        name: "ERROR text",
        apply: without_error_texts,
    },
    Rule {
        name: "close",
        apply: without_closes,
    },
    Rule {
        name: "redelivered:false",
        apply: without_redelivered_false,
    },
    Rule {
        name: "message-id",
        apply: without_ids,
    },
    Rule {
        name: "headers of the SEND",
        apply: without_headers_of_the_send,
    },
];

/// One situation's lines without what the rules take away.
pub fn reduced<'a>(lines: &[&str], rules: impl IntoIterator<Item = &'a Rule>) -> Vec<String> {
    let lines = lines.iter().map(|line| (*line).to_owned()).collect();
    rules
        .into_iter()
        .fold(lines, |lines, rule| (rule.apply)(lines))
}

/// What the server says of itself and of the client in CONNECTED.
fn without_introductions(lines: Vec<String>) -> Vec<String> {
    without_headers(lines, "CONNECTED", &["server", "heart-beat", "user-name"])
}

/// All of an ERROR but that it is one.
fn without_error_texts(lines: Vec<String>) -> Vec<String> {
    let reduce = |line: String| match line.find("ERROR\\n") {
        Some(at) if is_frame(&line, "ERROR") => line[..at + "ERROR".len()].to_owned(),
        _ => line,
    };
    lines.into_iter().map(reduce).collect()
}

/// Whether a connection is closed behind an ERROR, and with what it is closed elsewhere.
fn without_closes(lines: Vec<String>) -> Vec<String> {
    let mut failed = String::new();
    let mut left = Vec::new();
    for line in lines {
        let (who, said) = line.split_at(1);
        if said.starts_with("< ERROR") {
            failed.push_str(who);
        }
        if !said.starts_with("< (closed") {
            left.push(line);
        } else if !failed.contains(who) {
            left.push(format!("{who}< (closed)"));
        }
    }
    left.retain(|line| !line.ends_with("< (nothing)"));
    left
}

fn without_redelivered_false(lines: Vec<String>) -> Vec<String> {
    let reduce = |line: String| line.replace("\\nredelivered:false\\n", "\\n");
    lines.into_iter().map(reduce).collect()
}

/// Which of them are the same.
fn without_ids(lines: Vec<String>) -> Vec<String> {
    let reduce = |line: String| {
        let parts = line.split("\\n").map(|part| match part.split_once(":<") {
            Some((name @ ("message-id" | "ack"), _)) => format!("{name}:<>"),
            _ => part.to_owned(),
        });
        parts.collect::<Vec<String>>().join("\\n")
    };
    let is_message = |line: &String| is_frame(line, "MESSAGE");
    lines
        .into_iter()
        .map(|line| {
            if is_message(&line) {
                reduce(line)
            } else {
                line
            }
        })
        .collect()
}

fn without_headers_of_the_send(lines: Vec<String>) -> Vec<String> {
    without_headers(lines, "MESSAGE", &["receipt", "transaction"])
}

/// Frames of that command without the headers of these names.
fn without_headers(lines: Vec<String>, command: &str, names: &[&str]) -> Vec<String> {
    let reduce = |line: String| {
        if !is_frame(&line, command) {
            return line;
        }
        let (head, body) = line.split_once("\\n\\n").unwrap_or((&line, ""));
        let kept: Vec<&str> = head
            .split("\\n")
            .filter(|part| {
                let name = part.split_once(':').map(|(name, _)| name);
                name.is_none_or(|name| !names.contains(&name))
            })
            .collect();
        format!("{}\\n\\n{body}", kept.join("\\n"))
    };
    lines.into_iter().map(reduce).collect()
}

/// Whether a line is a frame that was heard.
fn is_frame(line: &str, command: &str) -> bool {
    let Some((who, said)) = line.split_once('<') else {
        return false;
    };
    let said = said.strip_prefix(" (binary)").unwrap_or(said).trim_start();
    who.len() == 1
        && said
            .strip_prefix(command)
            .is_some_and(|rest| rest.starts_with("\\n"))
}

/// A row of the table of differences: its situations, and all of its cells.
pub struct Row {
    pub situations: Vec<String>,
    pub cells: Vec<String>,
}

/// The rows of the table under a heading of `differences.md`.
pub fn rows(text: &str, heading: &str) -> Vec<Row> {
    text.lines()
        .skip_while(|line| *line != heading)
        .skip(1)
        .take_while(|line| !line.starts_with('#'))
        .filter(|line| line.starts_with('|'))
        // The names of the columns, and the rule below them.
        .skip(2)
        .map(row)
        .collect()
}

fn row(line: &str) -> Row {
    let cells: Vec<String> = line
        .trim_matches('|')
        .split(" | ")
        .map(|cell| cell.trim().to_owned())
        .collect();
    let situations = cells[0].split('`').skip(1).step_by(2);
    Row {
        situations: situations.map(str::to_owned).collect(),
        cells,
    }
}
