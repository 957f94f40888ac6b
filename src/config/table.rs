//! The macros that make structures, defaults and the list of settings from one table, and the types of that list.

use toml::de::DeValue;

use super::Config;
use super::error::{Expected, Refusal};
use super::variables::PREFIX;

/// One setting, as the table states it.
#[derive(Debug)]
pub struct Setting {
    /// Its section in the file, empty for the settings at the top.
    pub section: &'static str,
    /// Its name within the section, units last.
    pub name: &'static str,
    /// What it is for: the lines of its description, each with a space before it.
    pub description: &'static [&'static str],
    /// The bounds of a number; `None` for everything that is not a number.
    pub bounds: Option<Bounds>,
    pub(super) expected: Expected,
    pub(super) from_toml: fn(&mut Config, &DeValue<'_>, Option<&Bounds>) -> Result<(), Refusal>,
    pub(super) from_text: fn(&mut Config, &str, Option<&Bounds>) -> Result<(), Refusal>,
    pub(super) check: fn(&Config, Option<&Bounds>) -> Result<(), Refusal>,
    pub(super) to_toml: fn(&Config) -> String,
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

    /// Its variable in the environment.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.key().replace('.', "_").to_uppercase())
    }

    /// The kind of value that it takes.
    #[must_use]
    pub fn expected(&self) -> Expected {
        self.expected
    }

    /// Its value in this configuration, as it is written in the file.
    #[must_use]
    pub fn value_toml(&self, config: &Config) -> String {
        (self.to_toml)(config)
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

/// The setting with this full name.
pub(super) fn find(key: &str) -> Option<&'static Setting> {
    settings().iter().find(|setting| setting.key() == key)
}

/// Makes [`Config`], its sections, their defaults, `Config::SETTINGS` and `Config::SECTIONS`.
///
/// A row is `name: type = default;` or, for a number, `name: type = default, min..=max "unit";`, with `, 0 = "meaning"` at the
/// end where zero means something of its own.
macro_rules! settings_table {
    (
        $(#[doc = $config_doc:literal])+
        $Config:ident {
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
        }

        impl Default for $Config {
            fn default() -> Self {
                Self { $($top: $top_default,)+ $($section: $Section::default(),)+ }
            }
        }

        $(
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
        )+

        impl $Config {
            /// The rows of the table.
            const SETTINGS: &'static [Setting] = &[
                $(settings_table!(@setting "", $top, $top_type, (.$top), [$($top_doc),+]
                    $(, $top_min, $top_max, $top_unit $(, $top_zero)?)?),)+
                $($(settings_table!(@setting stringify!($section), $name, $type, (.$section.$name), [$($doc),+]
                    $(, $min, $max, $unit $(, $zero)?)?),)+)+
            ];

            /// The sections of the table.
            const SECTIONS: &'static [Section] =
                &[$(Section { name: stringify!($section), description: &[$($section_doc),+] },)+];
        }
    };

    (@setting $section:expr, $name:ident, $type:ty, ($($path:tt)+), [$($doc:literal),+] $($bounds:tt)*) => {
        Setting {
            section: $section,
            name: stringify!($name),
            description: &[$($doc),+],
            bounds: settings_table!(@bounds $($bounds)*),
            expected: <$type as Value>::EXPECTED,
            from_toml: |config, value, bounds| {
                config$($path)+ = Value::from_toml(value, bounds)?;
                Ok(())
            },
            from_text: |config, text, bounds| {
                config$($path)+ = Value::from_text(text, bounds)?;
                Ok(())
            },
            check: |config, bounds| Value::check(&config$($path)+, bounds),
            to_toml: |config| Value::to_toml(&config$($path)+),
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
