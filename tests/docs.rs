//! The pages in `docs/`: what they show is run, and what they say comes of it must come.
//!
//! A page is a session with one server, from its first block to its last. What a block is for stands behind its language:
//!
//! - `toml config`: what the server is started with; all such blocks of a page together.
//! - `run`: run to its end, which must be a success. `sh` is run by a shell, `python` by Python with `websockets`, `js` in a
//!   page of Chromium, in which `import` finds the packages that the tests drive.
//! - `run background`: started, and left running to the end of the page; the page goes on when it is subscribed.
//! - `output`: the next lines that the newest block of the two kinds above writes; of one that runs to its end all of them.
//!   `…` stands for anything within a line.
//! - `output background`: the same of the newest one that was left running.
//!
//! Programs run in a folder with the server's configuration as `pushring.toml`, and find `pushring` itself. Every other block is
//! only to be read. The addresses in all of them, 127.0.0.1:8000 and 127.0.0.1:8001, are replaced by
//! those of the server.

#![forbid(unsafe_code)]

mod support;

mod docs {
    pub mod page;
    pub mod program;
}

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use docs::page::{Block, What, blocks};
use docs::program::Program;
use support::metrics::Metrics;
use support::server::{Options, Server};

/// A test for each page.
macro_rules! pages {
    ($($page:ident)*) => {
        const PAGES: &[&str] = &[$(stringify!($page)),*];

        $(
            #[test]
            fn $page() {
                run(stringify!($page));
            }
        )*
    };
}

pages! { access api centrifuge channels doctor raw sse stomp upgrade }

#[test]
fn every_page_is_run() {
    let files = fs::read_dir(folder()).unwrap();
    let names: BTreeSet<String> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        // Pictures stand beside the pages.
        .filter(|name| !name.ends_with(".png"))
        .collect();
    let expected = PAGES.iter().map(|page| format!("{page}.md")).collect();
    assert_eq!(names, expected, "pages! lists what is in docs/");
}

#[test]
fn every_page_begins_with_an_example_that_is_run() {
    for page in PAGES {
        let blocks = blocks(&text(page));
        let first = blocks.iter().find(|block| block.what != What::Config);
        let is_run = first.is_some_and(|block| matches!(block.what, What::Run | What::Background));
        assert!(is_run, "docs/{page}.md: {first:?}");
        assert!(
            blocks.iter().any(|block| block.what == What::Output),
            "docs/{page}.md says nothing of what comes of it"
        );
    }
}

fn run(page: &str) {
    let blocks = blocks(&text(page));
    let config: String = blocks
        .iter()
        .filter(|block| block.what == What::Config)
        .map(|block| format!("{}\n", block.text))
        .collect();
    // With one shard a subscription has begun as soon as it is counted.
    let directory = folder_of(page, &config);
    let server = Server::start(Options {
        shards: 1,
        ..Options::with_config(&config)
    });
    let mut programs: Vec<Program> = Vec::new();
    for block in &blocks {
        let place = format!("docs/{page}.md:{}", block.line);
        match block.what {
            What::Config | What::Read => {}
            What::Run => {
                let mut program = start(block, &server, &directory, place);
                program.finish();
                programs.push(program);
            }
            What::Background => {
                let subscriptions = |metrics: &Metrics| metrics.sum("subscriptions");
                let before = subscriptions(&Metrics::get(&mut server.http()));
                programs.push(start(block, &server, &directory, place.clone()));
                Metrics::wait(&mut server.http(), &place, |metrics| {
                    subscriptions(metrics) > before
                });
            }
            What::Output | What::BackgroundOutput => {
                let is_any = block.what == What::Output;
                let mut programs = programs.iter_mut().rev();
                let program = programs.find(|program| is_any || program.is_background);
                let program = program.unwrap_or_else(|| panic!("{place}: nothing has been run"));
                program.expect(&block.text, &place);
            }
        }
    }
}

fn start(block: &Block, server: &Server, directory: &Path, place: String) -> Program {
    let addresses = server.addresses;
    let text = block
        .text
        .replace("127.0.0.1:8000", &addresses.public.to_string())
        .replace("127.0.0.1:8001", &addresses.internal.to_string());
    Program::start(&block.language, block.what, &text, directory, place)
}

/// Where the programs of a page run.
fn folder_of(page: &str, config: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("docs-{page}"));
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("pushring.toml"), config).unwrap();
    directory
}

fn text(page: &str) -> String {
    let path = folder().join(format!("{page}.md"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/docs"))
}
