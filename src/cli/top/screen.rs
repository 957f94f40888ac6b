//! What is shown, line by line: a snapshot in, texts of a given width out.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::figures::{NONE, bytes, count, duration, micros, percent, rate, sparkline};
use crate::control::live::snapshot::{Channel, Figures, Snapshot};

/// Seconds that are drawn.
const SECONDS_MAX: usize = 120;

/// A shard that has not begun a turn for so long does not answer.
const STUCK_MS: u64 = 2_000;

/// Width and channels where nothing bounds them.
const TEXT_WIDTH: usize = 110;
const TEXT_CHANNELS_MAX: usize = 20;

/// What lines may have beside characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Nothing.
    Plain,
    /// Bold and faint.
    Marked,
    /// Colours, too.
    Colored,
}

/// What channels are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Publications a second.
    #[default]
    Publications,
    /// Subscribers.
    Subscribers,
    /// Subscribers that are behind.
    Behind,
}

impl Order {
    /// The one after it.
    pub fn next(self) -> Self {
        match self {
            Self::Publications => Self::Subscribers,
            Self::Subscribers => Self::Behind,
            Self::Behind => Self::Publications,
        }
    }

    fn key(self, channel: &Channel) -> f64 {
        match self {
            Self::Publications => channel.publications.unwrap_or(-1.0),
            Self::Subscribers => channel.subscribers as f64,
            Self::Behind => channel.behind as f64,
        }
    }
}

/// See the module's documentation. Remembers the last minutes of what it draws as lines.
#[derive(Debug)]
pub struct Screen {
    style: Style,
    /// What channels are sorted by.
    pub order: Order,
    deliveries: Vec<f64>,
    p99: Vec<f64>,
}

impl Screen {
    /// A screen that has seen nothing.
    pub fn new(style: Style) -> Self {
        Self {
            style,
            order: Order::default(),
            deliveries: Vec::new(),
            p99: Vec::new(),
        }
    }

    /// Remembers a snapshot's numbers.
    pub fn note(&mut self, snapshot: &Snapshot) {
        let Some(rates) = &snapshot.total.rates else {
            return;
        };
        let p99 = rates.turn_p99_us.map_or(0.0, |us| us as f64);
        for (values, newest) in [
            (&mut self.deliveries, rates.deliveries),
            (&mut self.p99, p99),
        ] {
            values.push(newest);
            if values.len() > SECONDS_MAX {
                values.remove(0);
            }
        }
    }

    /// A snapshot as a text of its own.
    pub fn text(&self, snapshot: &Snapshot) -> Vec<String> {
        let mut lines = vec![self.title(snapshot, None)];
        lines.extend(self.figures(&snapshot.total, TEXT_WIDTH));
        lines.push(String::new());
        lines.extend(self.shards(snapshot, TEXT_WIDTH));
        lines.push(String::new());
        lines.extend(self.channels(snapshot, TEXT_WIDTH, TEXT_CHANNELS_MAX));
        lines
    }

    /// A snapshot for a terminal of that size; `trouble` says why there is no newer one.
    pub fn frame(
        &self,
        snapshot: &Snapshot,
        trouble: Option<&str>,
        width: usize,
        height: usize,
    ) -> Vec<String> {
        let mut lines = vec![self.title(snapshot, trouble)];
        lines.extend(self.figures(&snapshot.total, width));
        lines.push(String::new());
        let mut shards = self.shards(snapshot, width);
        // At least some channels are to have room, too.
        let shards_max = height.saturating_sub(lines.len() + 8).max(2);
        if shards.len() > shards_max {
            let left_out = shards.len() - shards_max + 1;
            shards.truncate(shards_max - 1);
            shards.push(self.faint(&format!("and {left_out} more shards")));
        }
        lines.extend(shards);
        lines.push(String::new());
        let left = height.saturating_sub(lines.len() + 3);
        lines.extend(self.channels(snapshot, width, left));
        lines.truncate(height.saturating_sub(1));
        lines.resize(height.saturating_sub(1), String::new());
        lines.push(self.faint("q ends   s sorts the channels by something else"));
        let mut lines: Vec<String> = lines.iter().map(|line| cut(line, width)).collect();
        lines.truncate(height);
        lines
    }

    fn title(&self, snapshot: &Snapshot, trouble: Option<&str>) -> String {
        let server = &snapshot.server;
        let stuck = snapshot
            .shards
            .iter()
            .position(|shard| shard.stuck_ms >= STUCK_MS);
        let state = match (trouble, stuck) {
            (Some(trouble), _) => self.bad(trouble),
            (None, Some(shard)) => self.bad(&format!("shard {shard} does not answer")),
            (None, None) if server.draining => self.warn("shutting down"),
            (None, None) => self.good("live"),
        };
        let name = self.bold(&format!("{} {}", server.product, server.version));
        format!(
            "{name}  {}  up {}  clients at {}  {state}",
            server.name,
            duration(server.uptime_s),
            server.public
        )
    }

    /// The figures of all shards, in as many columns as have room.
    fn figures(&self, total: &Figures, width: usize) -> Vec<String> {
        let columns = (width / CELL_WIDTH_MIN).clamp(1, 4);
        let cell_width = (width / columns).min(CELL_WIDTH_MAX);
        let drawn_width = cell_width.saturating_sub(VALUE_END + 2);
        let rates = total.rates.as_ref();
        let busy = rates.map_or(NONE.to_owned(), |rates| percent(rates.busy));
        let sent = rates.map_or(NONE.to_owned(), |rates| bytes(rates.bytes_out));
        let slow = count(total.backlogged);
        let slow = if total.backlogged > 0 {
            self.warn(&slow)
        } else {
            self.bold(&slow)
        };
        let cells = [
            (
                "connections",
                self.bold(&count(total.connections)),
                format!("{} subscribed", count(total.subscriptions)),
            ),
            (
                "deliveries/s",
                self.bold(&rate(rates.map(|r| r.deliveries))),
                sparkline(&self.deliveries, drawn_width),
            ),
            (
                "publications/s",
                self.bold(&rate(rates.map(|r| r.publications))),
                format!("{} so far", count(total.publications)),
            ),
            (
                "turn p99",
                self.bold(&micros(rates.and_then(|r| r.turn_p99_us))),
                match self.p99.is_empty() {
                    true => format!("half within {}", micros(rates.and_then(|r| r.turn_p50_us))),
                    false => sparkline(&self.p99, drawn_width),
                },
            ),
            (
                "sent/s",
                self.bold(&sent),
                format!("{} sends/s", rate(rates.map(|r| r.sends))),
            ),
            (
                "busy",
                self.bold(&busy),
                format!("{} turns/s", rate(rates.map(|r| r.turns))),
            ),
            (
                "backlog",
                self.bold(&bytes(total.backlog_bytes as f64)),
                format!("{} history", bytes(total.history_bytes as f64)),
            ),
            (
                "slow now",
                slow,
                format!(
                    "{} closed, {} dropped",
                    count(total.closed_slow),
                    count(total.dropped)
                ),
            ),
        ];
        let lines = cells.chunks(columns).map(|row| {
            let cells = row.iter().map(|(name, value, more)| {
                let name = self.faint(&padded(name, 14));
                let more = self.faint(&cut(more, cell_width.saturating_sub(VALUE_END + 1)));
                padded(&format!("{name} {} {more}", padded(value, 9)), cell_width)
            });
            cells.collect::<String>().trim_end().to_owned()
        });
        std::iter::once(String::new()).chain(lines).collect()
    }

    fn shards(&self, snapshot: &Snapshot, width: usize) -> Vec<String> {
        let columns: [Column<Figures>; 11] = [
            ("busy", 6, |s| {
                s.rates
                    .as_ref()
                    .map_or(NONE.to_owned(), |r| percent(r.busy))
            }),
            ("connections", 11, |s| count(s.connections)),
            ("deliveries/s", 12, |s| {
                rate(s.rates.as_ref().map(|r| r.deliveries))
            }),
            ("p99", 8, |s| {
                micros(s.rates.as_ref().and_then(|r| r.turn_p99_us))
            }),
            ("backlog", 9, |s| bytes(s.backlog_bytes as f64)),
            ("slow", 5, |s| count(s.backlogged)),
            ("closed", 6, |s| count(s.closed_slow)),
            ("pubs/s", 9, |s| {
                rate(s.rates.as_ref().map(|r| r.publications))
            }),
            ("p50", 8, |s| {
                micros(s.rates.as_ref().and_then(|r| r.turn_p50_us))
            }),
            ("sent/s", 9, |s| {
                s.rates
                    .as_ref()
                    .map_or(NONE.to_owned(), |r| bytes(r.bytes_out))
            }),
            ("subscriptions", 13, |s| count(s.subscriptions)),
        ];
        let columns = fitting(&columns, width.saturating_sub(SHARD_WIDTH));
        let mut lines = vec![self.faint(&head(&padded("shard", SHARD_WIDTH), columns))];
        for (number, shard) in snapshot.shards.iter().enumerate() {
            let line = row(&padded(&number.to_string(), SHARD_WIDTH), columns, shard);
            lines.push(match shard.stuck_ms >= STUCK_MS {
                true => self.bad(&format!("{line}  no turn for {} s", shard.stuck_ms / 1_000)),
                false => line,
            });
        }
        lines
    }

    fn channels(&self, snapshot: &Snapshot, width: usize, rows_max: usize) -> Vec<String> {
        let channels = &snapshot.channels;
        if let Some(why) = &channels.unknown {
            return vec![self.faint(&format!("channels are not known: {why}"))];
        }
        if channels.busiest.is_empty() {
            return vec![self.faint("no channel has been published to or subscribed to")];
        }
        let columns: [Column<Channel>; 5] = [
            ("publications/s", 14, |c| rate(c.publications)),
            ("subscribers", 11, |c| count(c.subscribers as u64)),
            ("behind", 7, |c| count(c.behind as u64)),
            ("~deliveries/s", 13, |c| {
                rate(c.publications.map(|p| p * c.subscribers as f64))
            }),
            ("shard", 5, |c| {
                c.owner.map_or(NONE.to_owned(), |shard| shard.to_string())
            }),
        ];
        let columns = fitting(&columns, width.saturating_sub(NAME_WIDTH_MIN));
        let taken: usize = columns.iter().map(|(_, width, _)| width + GAP).sum();
        let name_width = width.saturating_sub(taken).clamp(NAME_WIDTH_MIN, 60);
        let mut sorted: Vec<&Channel> = channels.busiest.iter().collect();
        // A stable sort keeps the server's order among equals.
        sorted.sort_by(|one, other| self.order.key(other).total_cmp(&self.order.key(one)));
        let used = channels.used.map_or(String::new(), |used| {
            format!(" ({} in use)", count(used as u64))
        });
        let mut lines = vec![self.faint(&head(
            &padded(&format!("channel{used}"), name_width),
            columns,
        ))];
        for channel in sorted.into_iter().take(rows_max) {
            let line = row(
                &padded(&cut(&channel.name, name_width), name_width),
                columns,
                channel,
            );
            lines.push(if channel.behind > 0 {
                self.warn(&line)
            } else {
                line
            });
        }
        lines
    }

    fn bold(&self, text: &str) -> String {
        self.styled(text, "1", "1")
    }

    fn faint(&self, text: &str) -> String {
        self.styled(text, "2", "2")
    }

    fn good(&self, text: &str) -> String {
        self.styled(text, "1", "32")
    }

    fn warn(&self, text: &str) -> String {
        self.styled(text, "1", "1;33")
    }

    fn bad(&self, text: &str) -> String {
        self.styled(text, "1", "1;31")
    }

    fn styled(&self, text: &str, marked: &str, colored: &str) -> String {
        match self.style {
            Style::Plain => text.to_owned(),
            Style::Marked => format!("\x1b[{marked}m{text}\x1b[0m"),
            Style::Colored => format!("\x1b[{colored}m{text}\x1b[0m"),
        }
    }
}

/// Width of one figure with its name and what stands behind it.
const CELL_WIDTH_MIN: usize = 38;
const CELL_WIDTH_MAX: usize = 60;

/// Where the number of a figure ends: behind its name, a blank, itself and another blank.
const VALUE_END: usize = 14 + 1 + 9 + 1;

/// Width of the shards' numbers.
const SHARD_WIDTH: usize = 6;

/// Names of channels have at least so much.
const NAME_WIDTH_MIN: usize = 20;

/// Between two columns.
const GAP: usize = 2;

/// A column: its head, its width, and what it shows.
type Column<T> = (&'static str, usize, fn(&T) -> String);

/// As many columns as have room, the first ones first.
fn fitting<T>(columns: &[Column<T>], width: usize) -> &[Column<T>] {
    let mut left = width;
    let fits = |(_, width, _): &&Column<T>| {
        let fits = *width + GAP <= left;
        left = left.saturating_sub(*width + GAP);
        fits
    };
    let count = columns.iter().take_while(fits).count();
    &columns[..count]
}

fn head<T>(first: &str, columns: &[Column<T>]) -> String {
    let cells = columns.iter().map(|(name, width, _)| aligned(name, *width));
    first.to_owned() + &cells.collect::<String>()
}

fn row<T>(first: &str, columns: &[Column<T>], of: &T) -> String {
    let cells = columns
        .iter()
        .map(|(_, width, text)| aligned(&text(of), *width));
    first.to_owned() + &cells.collect::<String>()
}

/// A text at the right edge of its column.
fn aligned(text: &str, width: usize) -> String {
    let blanks = (width + GAP).saturating_sub(text.width());
    " ".repeat(blanks) + text
}

/// A text with blanks up to a width, which escape sequences do not count towards.
fn padded(text: &str, width: usize) -> String {
    text.to_owned() + &" ".repeat(width.saturating_sub(visible_width(text)))
}

fn visible_width(text: &str) -> usize {
    let mut width = 0;
    let mut escaped = false;
    for c in text.chars() {
        match (escaped, c) {
            (false, '\x1b') => escaped = true,
            (false, c) => width += c.width().unwrap_or(0),
            (true, 'm') => escaped = false,
            (true, _) => {}
        }
    }
    width
}

/// The beginning of a text that fits, with an ellipsis where it is not all of it; escape sequences stay.
fn cut(text: &str, width: usize) -> String {
    if visible_width(text) <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut left = width.saturating_sub(1);
    let mut escaped = false;
    let mut full = false;
    for c in text.chars() {
        if escaped || c == '\x1b' {
            out.push(c);
            escaped = c != 'm';
            continue;
        }
        let wide = c.width().unwrap_or(0);
        if !full && wide > left {
            full = true;
            out.push('…');
        }
        if !full {
            left -= wide;
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests;
