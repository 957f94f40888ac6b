//! The blocks of a page.

/// What a block is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Config,
    Run,
    Background,
    Output,
    BackgroundOutput,
    /// To be read only.
    Read,
}

/// A fenced block of code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The line of the page where it begins.
    pub line: usize,
    pub language: String,
    pub what: What,
    pub text: String,
}

/// All blocks of a page in their order.
pub fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (line, number) in page.lines().zip(1..) {
        match (&mut open, line.strip_prefix("```")) {
            (Some(_), Some("")) => blocks.extend(open.take()),
            (Some(block), _) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, Some(info)) => {
                let (language, what) = info.split_once(' ').unwrap_or((info, ""));
                open = Some(Block {
                    line: number,
                    language: language.to_owned(),
                    what: what_of(what, number),
                    text: String::new(),
                });
            }
            (None, None) => {}
        }
    }
    assert_eq!(open, None, "a block has no end");
    blocks
}

fn what_of(words: &str, line: usize) -> What {
    match words {
        "config" => What::Config,
        "run" => What::Run,
        "run background" => What::Background,
        "output" => What::Output,
        "output background" => What::BackgroundOutput,
        "" => What::Read,
        other => panic!("line {line}: a block that is {other:?} is none"),
    }
}

#[test]
fn blocks_are_found_with_what_they_are_for() {
    let page = "# A page\n\n```sh run background\ncurl x\n\n  y\n```\n```text output\n1…\n```\n```js\n```\n";
    let found = blocks(page);
    let expected = [
        (3, "sh", What::Background, "curl x\n\n  y\n"),
        (8, "text", What::Output, "1…\n"),
        (11, "js", What::Read, ""),
    ];
    let expected = expected.map(|(line, language, what, text)| Block {
        line,
        language: language.to_owned(),
        what,
        text: text.to_owned(),
    });
    assert_eq!(found, expected);
}
