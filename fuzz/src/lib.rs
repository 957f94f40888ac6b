//! The bodies of the fuzz targets. Each takes any bytes and panics when something is wrong with
//! what the server makes of them; under libFuzzer through `fuzz_targets/`, and in `cargo test` with
//! every file of `corpus/` and `regressions/`.

#![forbid(unsafe_code)]

pub mod centrifuge;
pub mod frames;
pub mod head;
pub mod inflate;
pub mod json;
pub mod operations;
mod operations_model;
pub mod stomp;

/// A target: its name, which is that of its folders, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 7] = [
    ("centrifuge", centrifuge::run),
    ("head", head::run),
    ("frames", frames::run),
    ("inflate", inflate::run),
    ("json", json::run),
    ("operations", operations::run),
    ("stomp", stomp::run),
];

/// Cuts bytes into pieces at the given places, each taken modulo the length.
fn cut(bytes: &[u8], places: &[u16]) -> Vec<Vec<u8>> {
    let mut cuts: Vec<usize> = places
        .iter()
        .map(|&place| usize::from(place) % (bytes.len() + 1))
        .collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2)
        .map(|w| bytes[w[0]..w[1]].to_vec())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::TARGETS;

    #[test]
    fn every_file_of_the_corpus_and_every_regression_passes() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (name, run) in TARGETS {
            let mut files = 0;
            for folder in ["corpus", "regressions"] {
                let Ok(entries) = fs::read_dir(root.join(folder).join(name)) else {
                    continue;
                };
                for entry in entries {
                    let path = entry.expect("a file of the corpus").path();
                    let data = fs::read(&path).expect("a file of the corpus");
                    println!("{}", path.display());
                    run(&data);
                    files += 1;
                }
            }
            assert!(files > 3, "{name} has a corpus of {files} files");
        }
    }
}
