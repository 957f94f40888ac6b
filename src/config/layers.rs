//! Defaults, file, environment and flags, laid over each other.

use std::path::{Path, PathBuf};

use super::check::Spot;
use super::error::{ConfigError, Fault, Place, Problem, Refusal, excerpt};
use super::pattern::ChannelPattern;
use super::secret::HIDDEN;
use super::table::{Field, Setting, fields, namespace_fields, namespace_settings, settings};
use super::{Config, check, file, variables};

/// What flags of the command line say, each as it was written there; `None` where a flag was not given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--listen`: IP address and port.
    pub listen: Option<String>,
    /// `--internal`: IP address and port.
    pub internal: Option<String>,
    /// `--shards`: a whole number.
    pub shards: Option<String>,
    /// `--echo`: `true` or `false`.
    pub echo: Option<String>,
    /// `--insecure`: `true` or `false`.
    pub insecure: Option<String>,
}

/// Where a configuration comes from, to be read now and again later.
#[derive(Clone)]
pub struct Source {
    /// The TOML file, if there is one.
    pub file: Option<PathBuf>,
    /// Variables of the environment.
    pub env: Vec<(String, String)>,
    /// What flags of the command line say.
    pub flags: Overrides,
}

impl Source {
    /// The same as [`load`] of its parts.
    ///
    /// # Errors
    /// As those of [`load`].
    pub fn load(&self) -> Result<Config, ConfigError> {
        load(
            self.file.as_deref(),
            self.env.iter().cloned(),
            self.flags.clone(),
        )
    }
}

/// A configuration that can be used, and how it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// The configuration.
    pub config: Config,
    /// The settings that do not have their default: in the order of [`settings`], then those of each namespace in the order of
    /// [`namespace_settings`].
    pub differences: Vec<Difference>,
}

/// A setting that does not have its default.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The setting.
    pub setting: &'static Setting,
    /// The channels of the namespace that it belongs to, if it belongs to one.
    pub channels: Option<ChannelPattern>,
    /// Its value as it is written in the file; of a secret only that there is one.
    pub value: String,
    /// Where it was written.
    pub place: Place,
}

/// The configuration that file, environment and flags make together; each wins over those before it, and all over the
/// defaults.
///
/// Variables whose names do not begin with `PUSHRING_` are passed over.
///
/// # Errors
/// If anything in any of the three is unknown, out of its bounds or cannot be read, also where another layer would have
/// overridden it; or if the result is refused by [`Config::validate`].
pub fn load(
    file: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
    flags: Overrides,
) -> Result<Config, ConfigError> {
    resolve(file, env, flags).map(|resolved| resolved.config)
}

/// The same as [`load`], and tells which settings differ from their defaults and where that was written.
///
/// # Errors
/// As those of [`load`].
pub fn resolve(
    file: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
    flags: Overrides,
) -> Result<Resolved, ConfigError> {
    let mut layers = Layers::new();
    if let Some(path) = file {
        file::lay(path, &mut layers);
    }
    variables::lay(env, &mut layers);
    layers.lay_flags(&flags);
    layers.resolved()
}

/// The configuration while layers are put on it.
pub(super) struct Layers {
    pub(super) config: Config,
    /// Where the value of each of [`settings`] was written; `None` for a default.
    pub(super) places: Vec<Option<Place>>,
    /// The same for each of the namespaces.
    pub(super) namespaces: Vec<NamespaceLayer>,
    pub(super) problems: Vec<Problem>,
}

/// Where a namespace was written.
pub(super) struct NamespaceLayer {
    pub(super) place: Place,
    /// Where the value of each of [`namespace_settings`] was written; `None` for a default.
    pub(super) places: Vec<Option<Place>>,
}

impl Layers {
    fn new() -> Self {
        Self {
            config: Config::default(),
            places: vec![None; settings().len()],
            namespaces: Vec::new(),
            problems: Vec::new(),
        }
    }

    fn lay_flags(&mut self, flags: &Overrides) {
        let Overrides {
            listen,
            internal,
            shards,
            echo,
            insecure,
        } = flags;
        for (flag, key, text) in [
            ("--listen", "listen", listen),
            ("--internal", "internal", internal),
            ("--shards", "shards", shards),
            ("--echo", "echo", echo),
            ("--insecure", "insecure", insecure),
        ] {
            let index = settings().iter().position(|setting| setting.key() == key);
            if let (Some(index), Some(text)) = (index, text) {
                self.lay_text(index, Place::Flag(flag), text);
            }
        }
    }

    /// Gives the setting with this index the value that a variable or a flag holds.
    pub(super) fn lay_text(&mut self, index: usize, place: Place, text: &str) {
        let bounds = settings()[index].bounds.as_ref();
        match (fields()[index].from_text)(&mut self.config, text, bounds) {
            Ok(()) => self.places[index] = Some(place),
            Err(refusal) => self.refuse(index, place, text, refusal),
        }
    }

    pub(super) fn refuse(&mut self, index: usize, place: Place, text: &str, refusal: Refusal) {
        let setting = &settings()[index];
        let fault = Fault::Value {
            setting,
            written: shown(setting, text),
            refusal,
        };
        self.problems.push(Problem { place, fault });
    }

    fn resolved(mut self) -> Result<Resolved, ConfigError> {
        for (spot, fault) in check::faults(&self.config) {
            // Whoever mistyped `insecure` need not hear that it is missing.
            let doubtful = |key| {
                self.problems
                    .iter()
                    .any(|problem| problem.fault.concerns(key))
            };
            if fault.depends_on().iter().any(|key| doubtful(key)) {
                continue;
            }
            let place = self.place_of(spot).unwrap_or(Place::Program);
            self.problems.push(Problem { place, fault });
        }
        ConfigError::none_of(self.problems)?;
        let mut differences: Vec<Difference> =
            differences(&self.config, None, settings(), fields(), self.places).collect();
        for (namespace, layer) in self.config.namespaces.iter().zip(self.namespaces) {
            let channels = Some(&namespace.channels);
            let (settings, fields) = (namespace_settings(), namespace_fields());
            differences.extend(self::differences(
                namespace,
                channels,
                settings,
                fields,
                layer.places,
            ));
        }
        Ok(Resolved {
            differences,
            config: self.config,
        })
    }

    /// Where a setting was written; for one of a namespace that was not, where the namespace was.
    fn place_of(&self, spot: Spot) -> Option<Place> {
        match spot {
            Spot::Setting(key) => {
                let index = settings().iter().position(|setting| setting.key() == key)?;
                self.places[index].clone()
            }
            Spot::Namespace(namespace, name) => {
                let index = namespace_settings()
                    .iter()
                    .position(|setting| setting.name == name)?;
                let layer = self.namespaces.get(namespace)?;
                Some(layer.places[index].clone().unwrap_or(layer.place.clone()))
            }
        }
    }
}

/// What was written and is not the default.
fn differences<In>(
    of: &In,
    channels: Option<&ChannelPattern>,
    settings: &'static [Setting],
    fields: &'static [Field<In>],
    places: Vec<Option<Place>>,
) -> impl Iterator<Item = Difference> {
    let rows = settings.iter().zip(fields).zip(places);
    rows.filter_map(move |((setting, field), place)| {
        let value = (field.to_toml)(of);
        let place = place.filter(|_| value != setting.default_toml())?;
        Some(Difference {
            setting,
            channels: channels.cloned(),
            value,
            place,
        })
    })
}

/// The beginning of what was written for a setting, if that may be shown.
pub(super) fn shown(setting: &Setting, written: &str) -> String {
    if setting.is_secret() {
        HIDDEN.to_owned()
    } else {
        excerpt(written)
    }
}
