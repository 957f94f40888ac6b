//! Files of the kernel, below a root.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the files are.
pub(super) struct Tree {
    root: PathBuf,
}

impl Tree {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// Where a file is of which the path from the root is given, without a slash in front.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Its text, if it can be read.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        let bytes = fs::read(self.path(path)).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The text of a file that has one line.
    pub(super) fn line(&self, path: &str) -> Option<String> {
        Some(self.text(path)?.trim().to_owned())
    }

    /// What stands behind a label at the beginning of a line.
    pub(super) fn labelled(&self, path: &str, label: &str) -> Option<String> {
        let text = self.text(path)?;
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(label))?;
        Some(value.trim().to_owned())
    }

    /// What stands behind a label in KiB, in bytes.
    pub(super) fn kib(&self, path: &str, label: &str) -> Option<u64> {
        let text = self.labelled(path, label)?;
        let kib: u64 = text.strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib.saturating_mul(1_024))
    }
}

/// Ranges as the kernel writes them: `0-3,8,10-11`.
pub(super) fn ranges(text: &str) -> Vec<(u64, u64)> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    text.trim().split(',').filter_map(range).collect()
}

/// The numbers of cores in such ranges.
pub(super) fn cores(text: &str) -> Vec<usize> {
    // No machine has more, whatever a file says.
    const CORE_MAX: u64 = 65_535;
    let ranges = ranges(text).into_iter();
    ranges
        .flat_map(|(first, last)| first..=last.min(CORE_MAX))
        .map(|core| core as usize)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_kernel_writes_them() {
        assert_eq!(cores("0-3,8,10-11\n"), [0, 1, 2, 3, 8, 10, 11]);
        assert_eq!(cores("0"), [0]);
        for nothing in ["", "\n", "x", "3-", "-", "5-2"] {
            assert!(cores(nothing).is_empty(), "{nothing:?}");
        }
    }
}
