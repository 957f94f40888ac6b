//! What is under way, on a terminal; nothing where the output is no terminal.

use std::cell::Cell;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A line of progress on standard error.
pub struct Progress {
    bar: ProgressBar,
    who: String,
    began: Cell<Option<Instant>>,
}

impl Progress {
    /// Shows progress if standard error is a terminal and `quiet` is not said.
    pub fn new(quiet: bool) -> Self {
        let bar = ProgressBar::new(0);
        bar.set_draw_target(match quiet {
            true => ProgressDrawTarget::hidden(),
            // It hides itself where there is no terminal.
            false => ProgressDrawTarget::stderr(),
        });
        // A constant that the crate takes.
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {percent:>3} %") {
            bar.set_style(style);
        }
        Self {
            bar,
            who: String::new(),
            began: Cell::new(None),
        }
    }

    /// Who is measured from now on.
    pub fn of(&mut self, who: String) {
        self.who = who;
        self.say("");
    }

    /// Something without a known end.
    pub fn say(&self, what: &str) {
        self.began.set(None);
        self.bar.set_length(1);
        self.bar.set_position(0);
        self.message(what);
    }

    /// Something that takes about so long.
    pub fn begin(&self, what: &str, takes: Duration) {
        self.began.set(Some(Instant::now()));
        self.bar.set_length(takes.as_millis().max(1) as u64);
        self.bar.set_position(0);
        self.message(what);
    }

    /// Its present state.
    pub fn tick(&self) {
        if let Some(began) = self.began.get() {
            self.bar.set_position(began.elapsed().as_millis() as u64);
        }
    }

    /// Something with so many steps.
    pub fn begin_count(&self, what: &str, steps: u64) {
        self.began.set(None);
        self.bar.set_length(steps);
        self.bar.set_position(0);
        self.message(what);
    }

    /// Steps done.
    pub fn count(&self, steps: u64) {
        self.bar.set_position(steps);
    }

    /// Takes the line away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn message(&self, what: &str) {
        self.bar.set_message(format!("{}: {what}", self.who));
    }
}
