//! What `tuning/` holds for operators, each file put to use: settings in a kernel, the script on a made-up machine, proxies and
//! Prometheus as they are, the profile as a real filter, the package built and unpacked.

#![forbid(unsafe_code)]

mod support;

mod tuning {
    mod affinity;
    mod container;
    mod monitoring;
    mod package;
    mod proxies;
    mod sysctl;

    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::{Command, Output, Stdio};

    /// A file of the repository.
    fn file(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
    }

    fn text(name: &str) -> String {
        let path = file(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// An empty folder of the test's own.
    fn folder(name: &str) -> PathBuf {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tuning-{name}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// Runs a program to its end.
    fn run(command: &mut Command) -> Output {
        let name = command.get_program().to_string_lossy().into_owned();
        command
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| {
                panic!("cannot run {name} ({error}): tests/install-tools installs it")
            })
    }

    /// What a program prints that must succeed.
    fn printed(command: &mut Command) -> String {
        let output = run(command);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{command:?}: {}\n{text}{complaint}",
            output.status
        );
        text
    }
}
