//! The rules of the house, read from the source: a floor uses only floors below it, `unsafe` stays
//! where it is allowed and says why it is sound, files stay short, exceptions to lints have reasons.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

/// Longest source file, in lines.
const LINES_MAX: usize = 550;

/// Modules that every floor may use.
const LEAVES: [&str; 5] = ["config", "json", "metrics", "publication", "table"];

/// Floors, the lowest first: what stands on one may use what stands below it and itself, but none
/// of its neighbours unless [`MAY_USE`] says so.
const FLOORS: [&[&str]; 6] = [
    &["ws", "stomp", "centrifuge", "raw", "sse", "access"],
    &[
        "session", "endpoint", "rules", "channel", "encoding", "bench",
    ],
    &["shard"],
    &["reactor"],
    &["server", "control", "cluster", "systemd"],
    &["cli", "doctor", "main"],
];

/// Uses the lowest floor alone, and only the command line uses it: what measures servers knows none, this one included.
const BENCH: &str = "bench";

/// Neighbours on one floor of which the first may use the second.
const MAY_USE: [(&str, &str); 16] = [
    // The raw protocol and the others over WebSocket write WebSocket frames.
    ("raw", "ws"),
    ("stomp", "ws"),
    ("centrifuge", "ws"),
    ("session", "endpoint"),
    ("session", "channel"),
    ("session", "rules"),
    ("endpoint", "rules"),
    ("rules", "channel"),
    ("endpoint", "channel"),
    ("endpoint", "encoding"),
    ("server", "control"),
    ("server", "cluster"),
    ("server", "systemd"),
    ("control", "systemd"),
    ("cli", "doctor"),
    ("main", "cli"),
];

/// A source file: its path below `src` and its text.
struct Source {
    path: String,
    text: String,
}

#[test]
fn no_floor_looks_up() {
    assert_clean(uses_upwards);
}

#[test]
fn unsafe_stays_in_the_reactor_and_in_unmasking() {
    assert_clean(misplaced_unsafe);
}

#[test]
fn every_unsafe_block_says_why_it_is_sound() {
    assert_clean(unexplained_unsafe);
}

#[test]
fn files_stay_short() {
    assert_clean(long_file);
}

#[test]
fn every_exception_to_a_lint_has_a_reason() {
    assert_clean(unexplained_allow);
}

#[test]
fn a_floor_that_looks_up_is_found() {
    for (path, text) in [
        ("ws/frame.rs", "use crate::shard::Shard;\n"),
        ("ws/frame.rs", "use crate::{config::Config, session};\n"),
        (
            "ws/frame.rs",
            "use crate::{\n    config::Config,\n    channel::{\n        ChannelName,\n    },\n};\n",
        ),
        (
            "shard/mod.rs",
            "fn f() { let x = crate::reactor::sys::x(); }\n",
        ),
        ("shard/mod.rs", "pub(crate) use pushring::cli;\n"),
        ("shard/mod.rs", "use super::reactor::run;\n"),
        ("shard/lane.rs", "use super::super::reactor::run;\n"),
        ("stomp/mod.rs", "use crate::raw;\n"),
        ("channel/name.rs", "use crate::session;\n"),
        ("channel/directory.rs", "use crate::rules::Rules;\n"),
        ("rules/identity.rs", "use crate::endpoint::Context;\n"),
        ("access/mod.rs", "use crate::channel::ChannelName;\n"),
        ("table.rs", "use crate::ws::frame;\n"),
        ("access/claims.rs", "use crate::channel::ChannelName;\n"),
        ("ws/frame.rs", "use crate::access::Access;\n"),
        ("config/file.rs", "use crate::metrics;\n"),
        ("reactor.rs", "use crate::server;\n"),
        ("tower/mod.rs", "use crate::ws;\n"),
        ("bench/client/worker.rs", "use crate::shard::Shard;\n"),
        ("bench/client/worker.rs", "use crate::session;\n"),
        ("reactor/mod.rs", "use crate::bench::machine;\n"),
        ("session/mod.rs", "use crate::bench::machine;\n"),
    ] {
        assert_found(uses_upwards, path, text);
    }
    for (path, text) in [
        (
            "shard/mod.rs",
            "use crate::session::{self, Command};\nuse super::mail;\n",
        ),
        (
            "shard/mod.rs",
            "// crate::reactor drives it\nlet x = \"crate::reactor\";\n",
        ),
        (
            "shard/mod.rs",
            "//! [`crate::reactor`]\nuse super::wheel::Tick;\n",
        ),
        (
            "raw.rs",
            "use crate::ws::frame;\nuse crate::publication::Kind;\n",
        ),
        (
            "session/head.rs",
            "use super::Settings;\nuse crate::endpoint::Routes;\n",
        ),
        ("bench/frames.rs", "use crate::ws::mask::unmask;\n"),
        ("endpoint/context.rs", "use crate::access::Access;\n"),
        ("control/api.rs", "use crate::access::Access;\n"),
        ("server/mod.rs", "use crate::access::AuthSettings;\n"),
        ("cli/bench/mod.rs", "use crate::bench::table;\n"),
        ("lib.rs", "pub use crate::reactor::run;\n"),
    ] {
        assert_passes(uses_upwards, path, text);
    }
}

#[test]
fn misplaced_unsafe_is_found() {
    let block = "fn f() { unsafe { g() } }\n";
    for path in [
        "shard/mod.rs",
        "ws/message.rs",
        "ws/masked.rs",
        "reactors.rs",
    ] {
        assert_found(misplaced_unsafe, path, block);
    }
    assert_found(misplaced_unsafe, "table.rs", "unsafe impl Send for X {}\n");
    for path in ["reactor/sys.rs", "ws/mask.rs", "ws/mask/simd.rs"] {
        assert_passes(misplaced_unsafe, path, block);
    }
    for text in [
        "#![forbid(unsafe_code)]\n",
        "// unsafe\n",
        "let x = \"unsafe { }\";\n",
    ] {
        assert_passes(misplaced_unsafe, "table.rs", text);
    }
}

#[test]
fn an_unsafe_block_without_its_comment_is_found() {
    for text in [
        "let x = unsafe { g() };\n",
        "// SAFETY: long ago.\nf();\nlet x = unsafe { g() };\n",
        "// It is sound.\nunsafe {\n    g()\n}\n",
        "// SAFETY: one.\nunsafe { g() };\nunsafe { h() };\n",
        "// SAFETY: ours.\nlet y = 1; // no more\n\nlet x = f(unsafe { g() });\n",
    ] {
        assert_found(unexplained_unsafe, "reactor/sys.rs", text);
    }
    for text in [
        "// SAFETY: fine.\nlet x = unsafe { g() };\n",
        "// SAFETY: fine, and for\n// more than one reason.\nunsafe {\n    g()\n}\n",
        "// SAFETY: fine.\nif a\n    && unsafe { g() } < 0\n{\n}\n",
        "unsafe fn f() {}\n",
    ] {
        assert_passes(unexplained_unsafe, "reactor/sys.rs", text);
    }
}

#[test]
fn a_long_file_is_found() {
    assert_found(long_file, "table.rs", &"\n".repeat(LINES_MAX + 1));
    assert_passes(long_file, "table.rs", &"\n".repeat(LINES_MAX));
}

#[test]
fn an_exception_without_a_reason_is_found() {
    for text in [
        "#[allow(dead_code)]\nfn f() {}\n",
        "#![allow(clippy::all)]\n",
        "#[expect(dead_code)]\nfn f() {}\n",
        "#[cfg_attr(test, allow(dead_code))]\nfn f() {}\n",
    ] {
        assert_found(unexplained_allow, "table.rs", text);
    }
    for text in [
        "#[allow(dead_code, reason = \"for tests\")]\nfn f() {}\n",
        "#[allow(dead_code)] // Only tests use it.\nfn f() {}\n",
        "// Only tests use it.\n#[allow(dead_code)]\nfn f() {}\n",
        "#[allow(\n    dead_code,\n    reason = \"for tests\"\n)]\nfn f() {}\n",
        "let allow = #[cfg(test)] 1;\n",
    ] {
        assert_passes(unexplained_allow, "table.rs", text);
    }
}

type Check = fn(&Source) -> Vec<String>;

fn assert_clean(check: Check) {
    let sources = sources();
    assert!(sources.len() > 20, "only {} files read", sources.len());
    let found: Vec<String> = sources.iter().flat_map(check).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

fn assert_found(check: Check, path: &str, text: &str) {
    assert!(
        !check(&made_up(path, text)).is_empty(),
        "{path} passes: {text}"
    );
}

fn assert_passes(check: Check, path: &str, text: &str) {
    let found = check(&made_up(path, text));
    assert!(found.is_empty(), "{path}: {text}{found:?}");
}

fn made_up(path: &str, text: &str) -> Source {
    Source {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    paths
        .into_iter()
        .map(|path| Source {
            text: fs::read_to_string(&path).unwrap(),
            path: path
                .strip_prefix(&root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned(),
        })
        .collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

fn uses_upwards(source: &Source) -> Vec<String> {
    let module = module(&source.path);
    if module == "lib" {
        return Vec::new();
    }
    if !LEAVES.contains(&module) && floor(module).is_none() {
        return vec![format!(
            "{}: {module} stands on no floor: give it one",
            source.path
        )];
    }
    named_modules(source)
        .into_iter()
        .filter(|(_, used)| !may_use(module, used))
        .map(|(line, used)| format!("src/{}:{line}: {module} may not use {used}", source.path))
        .collect()
}

fn may_use(module: &str, used: &str) -> bool {
    if module == used || MAY_USE.contains(&(module, used)) {
        return true;
    }
    if used == BENCH {
        return module == "cli";
    }
    if LEAVES.contains(&used) {
        return !LEAVES.contains(&module);
    }
    match (floor(module), floor(used)) {
        (Some(above), Some(below)) => above > below,
        // A leaf uses nothing.
        (None, Some(_)) => false,
        // Not a module: a macro or something that the crate's root exports.
        (_, None) => true,
    }
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// The module at the top of the tree that a file belongs to.
fn module(path: &str) -> &str {
    let first = path.split('/').next().unwrap_or(path);
    first.strip_suffix(".rs").unwrap_or(first)
}

/// The modules at the top of the tree that a file's code names, with the line of each.
fn named_modules(source: &Source) -> Vec<(usize, String)> {
    let code = code_of(&source.text);
    // How often `super` leads from the file's own module to the root.
    let file = source.path.strip_suffix(".rs").unwrap_or(&source.path);
    let depth = file.split('/').filter(|part| *part != "mod").count();
    let roots = [
        "crate::".to_owned(),
        "pushring::".to_owned(),
        "super::".repeat(depth),
    ];
    let mut named = Vec::new();
    for root in &roots {
        for (at, _) in code.match_indices(root.as_str()) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let line = code[..at].matches('\n').count() + 1;
            let rest = &code[at + root.len()..];
            named.extend(first_names(rest).into_iter().map(|name| (line, name)));
        }
    }
    named
}

/// The first names of a path, or of each path in braces.
fn first_names(path: &str) -> Vec<String> {
    let Some(inner) = path.trim_start().strip_prefix('{') else {
        return Vec::from_iter(first_name(path));
    };
    let mut names = Vec::new();
    let mut depth = 0;
    let mut begins = true;
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            c if begins && !c.is_whitespace() => {
                names.extend(first_name(&inner[at..]));
                begins = false;
            }
            _ => {}
        }
    }
    names
}

fn first_name(path: &str) -> Option<String> {
    let name: String = path
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    (!name.is_empty()).then_some(name)
}

fn misplaced_unsafe(source: &Source) -> Vec<String> {
    let allowed = source.path.starts_with("reactor/")
        || source.path == "ws/mask.rs"
        || source.path.starts_with("ws/mask/");
    let code = code_of(&source.text);
    code.lines()
        .enumerate()
        .filter(|(_, line)| !allowed && has_word(line, "unsafe"))
        .map(|(i, _)| format!("src/{}:{}: unsafe does not belong here", source.path, i + 1))
        .collect()
}

fn unexplained_unsafe(source: &Source) -> Vec<String> {
    let code = code_of(&source.text);
    let code: Vec<&str> = code.lines().collect();
    let text: Vec<&str> = source.text.lines().collect();
    (0..code.len())
        .filter(|&i| opens_unsafe_block(code[i]) && !is_explained(&code, &text, i))
        .map(|i| format!("src/{}:{}: no SAFETY comment above", source.path, i + 1))
        .collect()
}

fn opens_unsafe_block(line: &str) -> bool {
    line.match_indices("unsafe")
        .any(|(at, word)| line[at + word.len()..].trim_start().starts_with('{'))
}

/// Whether the comment above the statement of that line says `SAFETY:`.
fn is_explained(code: &[&str], text: &[&str], line: usize) -> bool {
    let mut at = line;
    // Up to where the statement begins.
    while at > 0 && continues(code[at - 1]) {
        at -= 1;
    }
    while at > 0 && text[at - 1].trim_start().starts_with("//") {
        at -= 1;
        if text[at].trim_start().starts_with("// SAFETY:") {
            return true;
        }
    }
    false
}

/// Whether a line of code goes on in the next.
fn continues(line: &str) -> bool {
    let line = line.trim_end();
    !line.trim().is_empty() && !line.ends_with([';', '{', '}', ','])
}

fn long_file(source: &Source) -> Vec<String> {
    let lines = source.text.lines().count();
    Vec::from_iter((lines > LINES_MAX).then(|| {
        format!(
            "src/{}: {lines} lines, at most {LINES_MAX}: split it by concept",
            source.path
        )
    }))
}

fn unexplained_allow(source: &Source) -> Vec<String> {
    let code = code_of(&source.text);
    let text: Vec<&str> = source.text.lines().collect();
    let mut found = Vec::new();
    for begin in ["#[", "#!["] {
        for (at, _) in code.match_indices(begin) {
            let end = code[at..].find(']').map_or(code.len(), |len| at + len);
            let attribute = &code[at..end];
            if !["allow", "expect"]
                .iter()
                .any(|word| has_word(attribute, word))
            {
                continue;
            }
            let line = code[..at].matches('\n').count();
            let beside = text[line].contains("//");
            let above = line > 0 && text[line - 1].trim_start().starts_with("// ");
            if !has_word(attribute, "reason") && !beside && !above {
                found.push(format!(
                    "src/{}:{}: an exception without a reason",
                    source.path,
                    line + 1
                ));
            }
        }
    }
    found
}

fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].chars().next_back().is_some_and(is_part)
            && !text[at + word.len()..].chars().next().is_some_and(is_part)
    })
}

/// The text with blanks instead of comments and of what stands in quotes; lines stay lines.
fn code_of(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = end_of_comment_or_quote(&chars, at);
        if end == at {
            code.push(chars[at]);
            at += 1;
        } else {
            code.extend(
                chars[at..end]
                    .iter()
                    .map(|c| if *c == '\n' { '\n' } else { ' ' }),
            );
            at = end;
        }
    }
    code
}

/// Where the comment or the quote ends that begins here; the place itself if none does.
fn end_of_comment_or_quote(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    let find = |from: usize, end: &[char]| {
        (from..chars.len())
            .find(|&i| chars[i..].starts_with(end))
            .map_or(chars.len(), |i| i + end.len())
    };
    match (chars[at], next) {
        ('/', Some('/')) => (at..chars.len())
            .find(|&i| chars[i] == '\n')
            .unwrap_or(chars.len()),
        ('/', Some('*')) => find(at + 2, &['*', '/']),
        ('r', Some('"' | '#')) if at == 0 || !chars[at - 1].is_alphanumeric() => {
            let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
            if chars.get(at + 1 + hashes) != Some(&'"') {
                return at;
            }
            let mut end = vec!['"'];
            end.extend(std::iter::repeat_n('#', hashes));
            find(at + 2 + hashes, &end)
        }
        ('"', _) => {
            let mut i = at + 1;
            while i < chars.len() && chars[i] != '"' {
                i += if chars[i] == '\\' { 2 } else { 1 };
            }
            (i + 1).min(chars.len())
        }
        // A character, not a lifetime.
        ('\'', Some('\\')) => find(at + 3, &['\'']),
        ('\'', Some(_)) if chars.get(at + 2) == Some(&'\'') => at + 3,
        _ => at,
    }
}
