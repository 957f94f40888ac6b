//! What the tests of the configuration share.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use pushring::config::{Config, ConfigError, Overrides, Setting, load};

/// A file that is gone when the test is over.
pub struct TempFile(pub PathBuf);

impl TempFile {
    pub fn new(bytes: impl AsRef<[u8]>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "load-{}-{}.toml",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

pub fn variables(pairs: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    let owned: Vec<_> = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    owned.into_iter()
}

pub fn no_flags() -> Overrides {
    Overrides::default()
}

pub fn from_text(text: impl AsRef<[u8]>) -> Result<Config, ConfigError> {
    load(Some(&TempFile::new(text).0), variables(&[]), no_flags())
}

pub fn from_variables(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
    load(None, variables(pairs), no_flags())
}

/// The lines about a file with this text, with FILE for its name.
pub fn lines_about(text: impl AsRef<[u8]>) -> Vec<String> {
    let file = TempFile::new(text);
    let error = load(Some(&file.0), variables(&[]), no_flags()).unwrap_err();
    let name = file.0.display().to_string();
    error
        .problems()
        .iter()
        .map(|problem| problem.to_string().replace(&name, "FILE"))
        .collect()
}

pub fn line_about_variable(name: &str, value: &str) -> String {
    from_variables(&[(name, value)]).unwrap_err().to_string()
}

pub fn line_of_file(setting: &Setting, value: &str) -> String {
    if setting.section.is_empty() {
        format!("{} = {value}\n", setting.name)
    } else {
        format!("[{}]\n{} = {value}\n", setting.section, setting.name)
    }
}

pub fn is_one_line(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(char::is_control)
}
