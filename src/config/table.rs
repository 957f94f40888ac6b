//! The macros that make structures, defaults and the list of settings from one table, and the types of that list.

use super::Config;

/// One setting, as the table states it.
#[derive(Debug)]
pub struct Setting {
    /// Its section in the file, empty for the settings at the top.
    pub section: &'static str,
    /// Its name within the section, units last.
    pub name: &'static str,
    /// What it is for: the lines of its description.
    pub description: &'static [&'static str],
    /// The bounds of a number; `None` for everything that is not a number.
    pub bounds: Option<Bounds>,
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

/// Every setting, in the order of the table.
#[must_use]
pub fn settings() -> &'static [Setting] {
    Config::SETTINGS
}

/// Makes [`Config`], its sections, their defaults and `Config::SETTINGS`.
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
            /// The table as values.
            const SETTINGS: &'static [Setting] = &[
                $(settings_table!(@setting "", $top, [$($top_doc),+]
                    $(, $top_min, $top_max, $top_unit $(, $top_zero)?)?),)+
                $($(settings_table!(@setting stringify!($section), $name, [$($doc),+]
                    $(, $min, $max, $unit $(, $zero)?)?),)+)+
            ];
        }
    };

    (@setting $section:expr, $name:ident, [$($doc:literal),+] $($bounds:tt)*) => {
        Setting {
            section: $section,
            name: stringify!($name),
            description: &[$($doc),+],
            bounds: settings_table!(@bounds $($bounds)*),
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
    };
}
