//! A page's text, put together from parts that are rendered each for themselves.

use std::io::{self, Write};

use clap_mangen::roff::{Inline, Roff, bold, roman};

/// A manual page in the form that man reads.
pub(super) struct Text(String);

impl Text {
    /// A page with its title line. There is no date: a page is as old as the program that makes it.
    pub fn new(name: &str, section: u8) -> Self {
        let title = name.to_uppercase().replace('-', "\\-");
        let version = env!("CARGO_PKG_VERSION");
        // By hand, for `Roff::control` leaves out an argument that is empty.
        Self(format!(
            "{}.TH {title} {section} \"\" \"pushring {version}\" \"pushring manual\"\n",
            preamble()
        ))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Adds what somebody else renders.
    pub fn render(&mut self, render: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        let mut bytes = Vec::new();
        // Writing to a Vec cannot fail.
        let _ = render(&mut bytes);
        let rendered = String::from_utf8_lossy(&bytes);
        self.0
            .push_str(rendered.strip_prefix(&preamble()).unwrap_or(&rendered));
    }

    /// Adds a request or macro.
    pub fn control(&mut self, name: &str, arguments: &[&str]) {
        self.add(Roff::new().control(name, arguments.iter().copied()));
    }

    /// Adds a line, which the reader fills with those around it.
    pub fn line(&mut self, parts: impl Into<Vec<Inline>>) {
        self.add(Roff::new().text(parts));
    }

    /// Begins a section.
    pub fn section(&mut self, name: &str) {
        self.control("SH", &[name]);
    }

    /// Adds a paragraph.
    pub fn paragraph(&mut self, text: &str) {
        self.control("PP", &[]);
        self.line([roman(text)]);
    }

    /// Adds a term and, set in from it, what it means.
    pub fn term(&mut self, term: &str, meaning: &str) {
        self.control("TP", &[]);
        self.line([bold(term)]);
        self.line([roman(meaning)]);
    }

    /// Adds lines that stay as they are.
    pub fn verbatim<'a>(&mut self, lines: impl IntoIterator<Item = &'a str>) {
        self.control("nf", &[]);
        for line in lines {
            self.line([roman(line)]);
        }
        self.control("fi", &[]);
    }

    /// Names other pages.
    pub fn see_also<'a>(&mut self, pages: impl IntoIterator<Item = (&'a str, u8)>) {
        self.section("SEE ALSO");
        let mut line = Vec::new();
        for (name, section) in pages {
            if !line.is_empty() {
                line.push(roman(", "));
            }
            line.extend([bold(name), roman(format!("({section})"))]);
        }
        self.line(line);
    }

    fn add(&mut self, part: &Roff) {
        self.render(|to| part.to_writer(to));
    }
}

/// What every rendered text begins with: how an apostrophe is written.
fn preamble() -> String {
    Roff::new().render()
}
