//! The macros that make structures, defaults and the list of settings from one table, and the types of that list.

use toml::de::DeValue;

use super::error::{Expected, Refusal};
use super::variables::PREFIX;
use super::{Config, NamespaceConfig};

/// One setting, as the table states it.
#[derive(Debug)]
pub struct Setting {
    /// Its section in the file, empty for the settings at the top, and `namespace` for those of each `[[namespace]]`.
    pub section: &'static str,
    /// Its name within the section, units last.
    pub name: &'static str,
    /// What it is for: the lines of its description, each with a space before it.
    pub description: &'static [&'static str],
    /// The bounds of a number; `None` for everything that is not a number.
    pub bounds: Option<Bounds>,
    pub(super) expected: Expected,
    pub(super) default_toml: fn() -> String,
}

/// How a setting is read, checked and written where it belongs: in the [`Config`] or in a [`NamespaceConfig`].
pub(super) struct Field<In> {
    pub(super) from_toml: fn(&mut In, &DeValue<'_>, Option<&Bounds>) -> Result<(), Refusal>,
    pub(super) from_text: fn(&mut In, &str, Option<&Bounds>) -> Result<(), Refusal>,
    pub(super) check: fn(&In, Option<&Bounds>) -> Result<(), Refusal>,
    pub(super) to_toml: fn(&In) -> String,
    /// Whether both have the same value.
    pub(super) is_same: fn(&In, &In) -> bool,
    /// Gives the second the value of the first.
    pub(super) copy: fn(&In, &mut In),
}

impl Setting {
    /// Its full name: section and name with a dot between them.
    #[must_use]
    pub fn key(&self) -> String {
        if self.section.is_empty() {
            self.name.to_owned()
        } else {
            format!("{}.{}", self.section, self.name)
        }
    }

    /// Its variable in the environment, unless it belongs to `[[namespace]]`: those have none.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.key().replace('.', "_").to_uppercase())
    }

    /// The kind of value that it takes.
    #[must_use]
    pub fn expected(&self) -> Expected {
        self.expected
    }

    /// Whether nobody is shown its value.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self.expected, Expected::Secret | Expected::Secrets)
    }

    /// Its value in this configuration, as it is written in the file; but of a secret only that there is one. Empty for what
    /// is not set, and for the settings of `[[namespace]]`, of which each table has its own.
    #[must_use]
    pub fn value_toml(&self, config: &Config) -> String {
        let mut fields = settings().iter().zip(fields());
        fields
            .find(|(setting, _)| *setting == self)
            .map(|(_, field)| (field.to_toml)(config))
            .unwrap_or_default()
    }

    /// Its default as it is written in the file; empty if it has none.
    #[must_use]
    pub fn default_toml(&self) -> String {
        (self.default_toml)()
    }
}

impl PartialEq for Setting {
    /// Two settings are the same if they have the same name.
    fn eq(&self, other: &Self) -> bool {
        (self.section, self.name) == (other.section, other.name)
    }
}

/// The bounds of a setting that is a number, both inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The smallest value.
    pub min: u64,
    /// The largest value.
    pub max: u64,
    /// What is counted.
    pub unit: &'static str,
    /// What zero stands for, where it is more than the number.
    pub zero: Option<&'static str>,
}

/// A section of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// Its name, without brackets.
    pub name: &'static str,
    /// What its settings are about: lines, each with a space before it.
    pub description: &'static [&'static str],
}

/// Every setting, in the order of the table.
#[must_use]
pub fn settings() -> &'static [Setting] {
    Config::SETTINGS
}

/// Every section, in the order of the table.
#[must_use]
pub fn sections() -> &'static [Section] {
    Config::SECTIONS
}

/// The section of which a file can have many: `[[namespace]]`.
#[must_use]
pub fn namespace_section() -> &'static Section {
    &NamespaceConfig::SECTION
}

/// Every setting of a `[[namespace]]`, in the order of the table.
#[must_use]
pub fn namespace_settings() -> &'static [Setting] {
    NamespaceConfig::SETTINGS
}

/// How to get at each of [`settings`], in the same order.
pub(super) fn fields() -> &'static [Field<Config>] {
    Config::FIELDS
}

/// How to get at each of [`namespace_settings`], in the same order.
pub(super) fn namespace_fields() -> &'static [Field<NamespaceConfig>] {
    NamespaceConfig::FIELDS
}

/// The setting with this full name.
pub(super) fn find(key: &str) -> Option<&'static Setting> {
    settings().iter().find(|setting| setting.key() == key)
}

/// Makes [`Config`], its sections, their defaults, `Config::SETTINGS`, `Config::FIELDS` and `Config::SECTIONS`.
///
/// A row is `name: type = default;` or, for a number, `name: type = default, min..=max "unit";`, with `, 0 = "meaning"` at the
/// end where zero means something of its own. The brackets behind `Config` name the lists that it has besides.
macro_rules! settings_table {
    (
        $(#[doc = $config_doc:literal])+
        $Config:ident [$($(#[doc = $list_doc:literal])+ $list:ident: $List:ty;)*] {
            $(
                $(#[doc = $top_doc:literal])+
                $top:ident: $top_type:ty = $top_default:expr
                    $(, $top_min:literal ..= $top_max:literal $top_unit:literal $(, 0 = $top_zero:literal)?)?;
            )+
        }
        $(
            $(#[doc = $section_doc:literal])+
            $section:ident: $Section:ident {
                $(
                    $(#[doc = $doc:literal])+
                    $name:ident: $type:ty = $default:expr
                        $(, $min:literal ..= $max:literal $unit:literal $(, 0 = $zero:literal)?)?;
                )+
            }
        )+
    ) => {
        $(#[doc = $config_doc])+
        #[derive(Debug, Clone, PartialEq)]
        pub struct $Config {
            $(
                $(#[doc = $top_doc])+
                ///
                #[doc = concat!("Default: `", stringify!($top_default), "`.")]
                $(
                    #[doc = concat!("Bounds: ", stringify!($top_min), " to ", stringify!($top_max), " ", $top_unit, ".")]
                    $(#[doc = concat!("Zero: ", $top_zero, ".")])?
                )?
                pub $top: $top_type,
            )+
            $(
                $(#[doc = $section_doc])+
                pub $section: $Section,
            )+
            $(
                $(#[doc = $list_doc])+
                pub $list: $List,
            )*
        }

        impl Default for $Config {
            fn default() -> Self {
                Self {
                    $($top: $top_default,)+
                    $($section: $Section::default(),)+
                    $($list: Default::default(),)*
                }
            }
        }

        $(
            section_struct! {
                $(#[doc = $section_doc])+
                $Section {
                    $(
                        $(#[doc = $doc])+
                        $name: $type = $default $(, $min ..= $max $unit $(, 0 = $zero)?)?;
                    )+
                }
            }
        )+

        impl $Config {
            /// The rows of the table.
            const SETTINGS: &'static [Setting] = &[
                $(setting!("", $top, $top_type, $top_default, [$($top_doc),+]
                    $(, $top_min, $top_max, $top_unit $(, $top_zero)?)?),)+
                $($(setting!(stringify!($section), $name, $type, $default, [$($doc),+]
                    $(, $min, $max, $unit $(, $zero)?)?),)+)+
            ];

            /// How to get at the settings, in the order of the rows.
            const FIELDS: &'static [Field<Self>] = &[
                $(field!(.$top),)+
                $($(field!(.$section.$name),)+)+
            ];

            /// The sections of the table.
            const SECTIONS: &'static [Section] =
                &[$(Section { name: stringify!($section), description: &[$($section_doc),+] },)+];
        }
    };
}

/// Makes the structure of a section that a file can have many of, with rows as those of [`settings_table`].
macro_rules! repeated_section {
    (
        $(#[doc = $section_doc:literal])+
        $section:ident: $Section:ident {
            $(
                $(#[doc = $doc:literal])+
                $name:ident: $type:ty = $default:expr
                    $(, $min:literal ..= $max:literal $unit:literal $(, 0 = $zero:literal)?)?;
            )+
        }
    ) => {
        section_struct! {
            $(#[doc = $section_doc])+
            $Section {
                $(
                    $(#[doc = $doc])+
                    $name: $type = $default $(, $min ..= $max $unit $(, 0 = $zero)?)?;
                )+
            }
        }

        impl $Section {
            const SETTINGS: &'static [Setting] = &[
                $(setting!(stringify!($section), $name, $type, $default, [$($doc),+]
                    $(, $min, $max, $unit $(, $zero)?)?),)+
            ];

            const FIELDS: &'static [Field<Self>] = &[$(field!(.$name),)+];

            const SECTION: Section =
                Section { name: stringify!($section), description: &[$($section_doc),+] };
        }
    };
}

/// Makes the structure of a section and its default.
macro_rules! section_struct {
    (
        $(#[doc = $section_doc:literal])+
        $Section:ident {
            $(
                $(#[doc = $doc:literal])+
                $name:ident: $type:ty = $default:expr
                    $(, $min:literal ..= $max:literal $unit:literal $(, 0 = $zero:literal)?)?;
            )+
        }
    ) => {
        $(#[doc = $section_doc])+
        #[derive(Debug, Clone, PartialEq)]
        pub struct $Section {
            $(
                $(#[doc = $doc])+
                ///
                #[doc = concat!("Default: `", stringify!($default), "`.")]
                $(
                    #[doc = concat!("Bounds: ", stringify!($min), " to ", stringify!($max), " ", $unit, ".")]
                    $(#[doc = concat!("Zero: ", $zero, ".")])?
                )?
                pub $name: $type,
            )+
        }

        impl Default for $Section {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }
    };
}

/// Makes a [`Setting`] of a row.
macro_rules! setting {
    ($section:expr, $name:ident, $type:ty, $default:expr, [$($doc:literal),+] $($bounds:tt)*) => {
        Setting {
            section: $section,
            name: stringify!($name),
            description: &[$($doc),+],
            bounds: setting!(@bounds $($bounds)*),
            expected: <$type as Value>::EXPECTED,
            default_toml: || {
                let default: $type = $default;
                Value::to_toml(&default)
            },
        }
    };

    (@bounds) => { None };
    (@bounds , $min:literal, $max:literal, $unit:literal) => {
        Some(Bounds { min: $min, max: $max, unit: $unit, zero: None })
    };
    (@bounds , $min:literal, $max:literal, $unit:literal, $zero:literal) => {
        Some(Bounds { min: $min, max: $max, unit: $unit, zero: Some($zero) })
    };
}

/// Makes a [`Field`] of where a row's value is.
macro_rules! field {
    ($($path:tt)+) => {
        Field {
            from_toml: |to, value, bounds| {
                to$($path)+ = Value::from_toml(value, bounds)?;
                Ok(())
            },
            from_text: |to, text, bounds| {
                to$($path)+ = Value::from_text(text, bounds)?;
                Ok(())
            },
            check: |of, bounds| Value::check(&of$($path)+, bounds),
            to_toml: |of| Value::to_toml(&of$($path)+),
            is_same: |one, other| one$($path)+ == other$($path)+,
            copy: |from, to| to$($path)+.clone_from(&from$($path)+),
        }
    };
}

/// Makes the type of a setting that is one of a few words.
macro_rules! setting_words {
    ($(#[doc = $doc:literal])+ $Words:ident { $($(#[doc = $word_doc:literal])+ $Word:ident = $word:literal,)+ }) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $Words {
            $(
                $(#[doc = $word_doc])+
                ///
                #[doc = concat!("Written `", $word, "`.")]
                $Word,
            )+
        }

        impl $Words {
            /// The word as it is written in the file.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$Word => $word,)+ }
            }
        }

        impl Words for $Words {
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$Word),)+];
            const NAMES: &'static [&'static str] = &[$($word,)+];

            fn word(self) -> &'static str {
                self.as_str()
            }
        }
    };
}
