//! The TOML file: from its bytes to settings, with the line of each.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::NamespaceConfig;
use super::error::{Fault, Place, Problem, Refusal, excerpt};
use super::layers::{Layers, NamespaceLayer, shown};
use super::nearest;
use super::table::{
    Setting, fields, find, namespace_fields, namespace_section, namespace_settings, sections,
    settings,
};

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

/// Something that stands in the file.
enum Item<'t, 'i> {
    /// A setting, or what may be meant for one.
    Entry(Entry<'t, 'i>),
    /// The beginning of a `[[namespace]]`, at this byte, and its settings.
    Namespace(usize, Vec<Entry<'t, 'i>>),
}

/// A key that stands in the file, with the name of its section before it, and its value.
struct Entry<'t, 'i> {
    full_key: String,
    key: &'t Spanned<DeString<'i>>,
    value: &'t Spanned<DeValue<'i>>,
}

impl Item<'_, '_> {
    /// Where it begins in the file.
    fn start(&self) -> usize {
        match self {
            Self::Entry(entry) => entry.key.span().start,
            Self::Namespace(start, _) => *start,
        }
    }
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
        let problems = items.iter().flat_map(|item| match item {
            Item::Entry(entry) => Vec::from_iter(self.lay_entry(entry, layers)),
            Item::Namespace(start, entries) => self.lay_namespace(*start, entries, layers),
        });
        // One more than is listed tells that there are more.
        problems.take(PROBLEMS_MAX + 1).collect()
    }

    /// What is wrong with a setting of the whole configuration, if anything is.
    fn lay_entry(&self, entry: &Entry<'_, '_>, layers: &mut Layers) -> Option<Problem> {
        let place = self.place(entry.key.span());
        let known = settings()
            .iter()
            .position(|setting| setting.key() == entry.full_key);
        let fault = match known {
            Some(index) => {
                let setting = &settings()[index];
                let (value, bounds) = (entry.value.get_ref(), setting.bounds.as_ref());
                match (fields()[index].from_toml)(&mut layers.config, value, bounds) {
                    Ok(()) => {
                        layers.places[index] = Some(place);
                        return None;
                    }
                    Err(refusal) => self.value_fault(setting, entry, refusal),
                }
            }
            None => unknown(entry),
        };
        Some(Problem { place, fault })
    }

    /// Everything that is wrong with a namespace.
    fn lay_namespace(
        &self,
        start: usize,
        entries: &[Entry<'_, '_>],
        layers: &mut Layers,
    ) -> Vec<Problem> {
        let mut namespace = NamespaceConfig::default();
        let mut places = vec![None; namespace_settings().len()];
        let mut problems = Vec::new();
        for entry in entries {
            let place = self.place(entry.key.span());
            let known = namespace_settings()
                .iter()
                .position(|setting| setting.key() == entry.full_key);
            let fault = match known {
                Some(index) => {
                    let setting = &namespace_settings()[index];
                    let (value, bounds) = (entry.value.get_ref(), setting.bounds.as_ref());
                    match (namespace_fields()[index].from_toml)(&mut namespace, value, bounds) {
                        Ok(()) => {
                            places[index] = Some(place);
                            continue;
                        }
                        Err(refusal) => self.value_fault(setting, entry, refusal),
                    }
                }
                None => unknown(entry),
            };
            problems.push(Problem { place, fault });
        }
        let place = self.place(start..start);
        let channels = namespace_settings()
            .iter()
            .zip(&places)
            .find(|(setting, _)| setting.name == "channels");
        let doubtful = |problem: &Problem| problem.fault.concerns("namespace.channels");
        if channels.is_some_and(|(_, place)| place.is_none()) && !problems.iter().any(doubtful) {
            let fault = Fault::NamespaceWithoutChannels;
            let place = place.clone();
            problems.push(Problem { place, fault });
        }
        layers.config.namespaces.push(namespace);
        layers.namespaces.push(NamespaceLayer { place, places });
        problems
    }

    fn value_fault(
        &self,
        setting: &'static Setting,
        entry: &Entry<'_, '_>,
        refusal: Refusal,
    ) -> Fault {
        let written = self.text.get(entry.value.span()).unwrap_or_default();
        Fault::Value {
            setting,
            written: shown(setting, written),
            refusal,
        }
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

/// What somebody may have meant who wrote something that is no setting.
fn unknown(entry: &Entry<'_, '_>) -> Fault {
    let Entry {
        full_key,
        key,
        value,
    } = entry;
    if full_key == namespace_section().name {
        return Fault::NamespaceAlone;
    }
    if let Some(section) = sections().iter().find(|section| section.name == full_key) {
        return Fault::SectionAsSetting {
            section: section.name,
        };
    }
    // What stands in a known section is a mistyped setting, whatever its value; at the top a table is a mistyped section.
    let is_section = value.get_ref().is_table() || tables_of(value.get_ref()).is_some();
    if is_section && full_key.len() == key.get_ref().len() {
        return Fault::UnknownSection {
            section: excerpt(full_key),
            nearest: nearest::section(full_key),
        };
    }
    Fault::UnknownKey {
        key: excerpt(full_key),
        nearest: nearest::setting(full_key),
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
                items.extend(entries(name, table).map(Item::Entry));
            }
            list if name == namespace_section().name && tables_of(list).is_some() => {
                for (start, table) in tables_of(list).into_iter().flatten() {
                    let mut entries: Vec<_> = entries(name, table).collect();
                    entries.sort_by_key(|entry| entry.key.span().start);
                    items.push(Item::Namespace(start, entries));
                }
            }
            _ => items.push(Item::Entry(Entry {
                full_key: name.to_string(),
                key,
                value,
            })),
        }
    }
    items.sort_by_key(Item::start);
    items
}

/// The keys of a section.
fn entries<'t, 'i>(section: &str, table: &'t DeTable<'i>) -> impl Iterator<Item = Entry<'t, 'i>> {
    table.iter().map(move |(key, value)| Entry {
        full_key: format!("{section}.{}", key.get_ref()),
        key,
        value,
    })
}

/// The tables of a list of tables, each with where it begins; `None` for everything else.
fn tables_of<'t, 'i>(value: &'t DeValue<'i>) -> Option<Vec<(usize, &'t DeTable<'i>)>> {
    let DeValue::Array(list) = value else {
        return None;
    };
    let tables = list.iter().map(|entry| match entry.get_ref() {
        DeValue::Table(table) => Some((entry.span().start, table)),
        _ => None,
    });
    tables
        .collect::<Option<Vec<_>>>()
        .filter(|tables| !tables.is_empty())
}
