//! The TOML file: from its bytes to settings, with the line of each.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::error::{Fault, Place, Problem, excerpt};
use super::layers::Layers;
use super::nearest;
use super::table::{find, sections, settings};

/// The longest file that is read, in bytes; a configuration has some kilobytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Mistakes that are listed; whoever gave some other file by accident need not read them all.
const PROBLEMS_MAX: usize = 100;

/// Lays what the file says over what is there.
pub(super) fn lay(path: &Path, layers: &mut Layers) {
    let bytes = match read(path) {
        Ok(bytes) => bytes,
        Err(fault) => {
            layers.problems.push(Problem {
                place: place(path, None),
                fault,
            });
            return;
        }
    };
    let line_starts = line_starts(&bytes);
    match str::from_utf8(&bytes) {
        Ok(text) => FileLayer {
            path,
            text,
            line_starts,
        }
        .lay(layers),
        Err(error) => {
            let line = line_of(&line_starts, error.valid_up_to());
            layers.problems.push(Problem {
                place: place(path, Some(line)),
                fault: Fault::NotUtf8,
            });
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| Fault::Unreadable {
            reason: error.to_string(),
        })?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        Err(Fault::TooLong {
            bytes_max: FILE_BYTES_MAX,
        })
    } else {
        Ok(bytes)
    }
}

/// Where each line but the first begins.
fn line_starts(bytes: &[u8]) -> Vec<usize> {
    bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(at, _)| at + 1)
        .collect()
}

/// The line, counted from one, of the byte at this place.
fn line_of(line_starts: &[usize], at: usize) -> usize {
    line_starts.partition_point(|&start| start <= at) + 1
}

fn place(path: &Path, line: Option<usize>) -> Place {
    Place::File {
        path: path.to_owned(),
        line,
    }
}

struct FileLayer<'a> {
    path: &'a Path,
    text: &'a str,
    line_starts: Vec<usize>,
}

/// A key that stands in the file, with the name of its section before it, and its value.
struct Item<'t, 'i> {
    full_key: String,
    key: &'t Spanned<DeString<'i>>,
    value: &'t Spanned<DeValue<'i>>,
}

impl FileLayer<'_> {
    fn lay(&self, layers: &mut Layers) {
        let (root, errors) = DeTable::parse_recoverable(self.text);
        let mut problems = if errors.is_empty() {
            self.lay_items(&in_order(root.get_ref()), layers)
        } else {
            // What the parser recovered may stand in the wrong section, so nothing is said about it.
            self.grammar(&errors)
        };
        if problems.len() > PROBLEMS_MAX {
            let next = problems[PROBLEMS_MAX].place.clone();
            problems.truncate(PROBLEMS_MAX);
            problems.push(Problem {
                place: next,
                fault: Fault::TooMany {
                    listed: PROBLEMS_MAX,
                },
            });
        }
        layers.problems.extend(problems);
    }

    fn lay_items(&self, items: &[Item<'_, '_>], layers: &mut Layers) -> Vec<Problem> {
        let faulty = items
            .iter()
            .filter_map(|item| self.lay_item(item, layers).err().map(|fault| (item, fault)));
        let problems = faulty.map(|(item, fault)| Problem {
            place: self.place(item.key.span()),
            fault,
        });
        // One more than is listed tells that there are more.
        problems.take(PROBLEMS_MAX + 1).collect()
    }

    fn lay_item(&self, item: &Item<'_, '_>, layers: &mut Layers) -> Result<(), Fault> {
        let Item {
            full_key,
            key,
            value,
        } = item;
        if let Some(index) = settings()
            .iter()
            .position(|setting| setting.key() == *full_key)
        {
            let setting = &settings()[index];
            return match (setting.from_toml)(
                &mut layers.config,
                value.get_ref(),
                setting.bounds.as_ref(),
            ) {
                Ok(()) => {
                    layers.places[index] = Some(self.place(key.span()));
                    Ok(())
                }
                Err(refusal) => {
                    let written = self.text.get(value.span()).map(excerpt).unwrap_or_default();
                    Err(Fault::Value {
                        setting,
                        written,
                        refusal,
                    })
                }
            };
        }
        if let Some(section) = sections().iter().find(|section| section.name == full_key) {
            return Err(Fault::SectionAsSetting {
                section: section.name,
            });
        }
        // What stands in a known section is a mistyped setting, whatever its value; at the top a table is a mistyped section.
        if value.get_ref().is_table() && full_key.len() == key.get_ref().len() {
            return Err(Fault::UnknownSection {
                section: excerpt(full_key),
                nearest: nearest::section(full_key),
            });
        }
        Err(Fault::UnknownKey {
            key: excerpt(full_key),
            nearest: nearest::setting(full_key),
        })
    }

    fn grammar(&self, errors: &[toml::de::Error]) -> Vec<Problem> {
        let mut problems: Vec<(Option<usize>, Fault)> = errors
            .iter()
            .map(|error| {
                let fault = match error.message() {
                    "duplicate key" => Fault::Twice,
                    reason => Fault::NotToml {
                        reason: reason.to_owned(),
                    },
                };
                (
                    error
                        .span()
                        .map(|span| line_of(&self.line_starts, span.start)),
                    fault,
                )
            })
            .collect();
        problems.sort_by_key(|(line, _)| *line);
        // One slip often makes several errors; the first one of a line says what it was.
        problems.dedup_by_key(|(line, _)| *line);
        problems
            .into_iter()
            .map(|(line, fault)| Problem {
                place: place(self.path, line),
                fault,
            })
            .collect()
    }

    fn place(&self, span: Range<usize>) -> Place {
        place(self.path, Some(line_of(&self.line_starts, span.start)))
    }
}

/// The settings of all known sections, and everything else that stands at the top, in the order of the file.
fn in_order<'t, 'i>(root: &'t DeTable<'i>) -> Vec<Item<'t, 'i>> {
    let mut items = Vec::new();
    for (key, value) in root {
        let name = key.get_ref();
        match value.get_ref() {
            DeValue::Table(table)
                if find(name).is_none()
                    && sections().iter().any(|section| section.name == name) =>
            {
                items.extend(table.iter().map(|(key, value)| {
                    let full_key = format!("{name}.{}", key.get_ref());
                    Item {
                        full_key,
                        key,
                        value,
                    }
                }));
            }
            _ => items.push(Item {
                full_key: name.to_string(),
                key,
                value,
            }),
        }
    }
    items.sort_by_key(|item| item.key.span().start);
    items
}
