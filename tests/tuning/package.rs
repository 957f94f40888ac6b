//! The Debian package, made of the program that the tests run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::{file, folder, printed, run};
use crate::support::Message;
use crate::support::server::{Options, Server};
use crate::support::wire::Socket;

/// The package, made once for all tests. Its program is stripped as a release is, and compressed in less time.
fn package() -> &'static Path {
    static PACKAGE: OnceLock<PathBuf> = OnceLock::new();
    PACKAGE.get_or_init(|| {
        let folder = folder("package");
        let program = folder.join("pushring");
        let mut strip = Command::new("strip");
        strip.arg("-o").arg(&program);
        printed(strip.arg(env!("CARGO_BIN_EXE_pushring")));
        let mut build = Command::new(file("tuning/debian/build"));
        build.env("PACKAGE_COMPRESSION", "gzip");
        let said = printed(build.arg(&program).arg(&folder));
        PathBuf::from(said.trim_end())
    })
}

/// The package unpacked.
fn unpacked(name: &str) -> PathBuf {
    let root = folder(&format!("package-{name}"));
    let mut unpack = Command::new("dpkg-deb");
    printed(unpack.arg("-x").arg(package()).arg(&root));
    root
}

#[test]
fn the_package_has_what_a_service_needs_and_nothing_where_it_should_not_be() {
    let listed = printed(Command::new("dpkg-deb").arg("-c").arg(package()));
    let files: Vec<(&str, &str)> = listed
        .lines()
        .map(|line| {
            let mut words = line.split_whitespace();
            (words.next().unwrap(), words.last().unwrap())
        })
        .collect();
    for expected in [
        ("-rwxr-xr-x", "./usr/bin/pushring"),
        ("-rw-r--r--", "./etc/pushring/pushring.toml"),
        ("-rw-r--r--", "./usr/lib/systemd/system/pushring.service"),
        ("-rw-r--r--", "./usr/lib/systemd/system/pushring.socket"),
        ("-rw-r--r--", "./usr/share/man/man1/pushring.1.gz"),
        ("-rw-r--r--", "./usr/share/man/man1/pushring-serve.1.gz"),
        ("-rw-r--r--", "./usr/share/man/man5/pushring.toml.5.gz"),
        (
            "-rw-r--r--",
            "./usr/share/bash-completion/completions/pushring",
        ),
        ("-rw-r--r--", "./usr/share/zsh/vendor-completions/_pushring"),
        (
            "-rw-r--r--",
            "./usr/share/fish/vendor_completions.d/pushring.fish",
        ),
        ("-rw-r--r--", "./usr/share/doc/pushring/copyright"),
        ("-rwxr-xr-x", "./usr/share/doc/pushring/examples/affinity"),
        (
            "-rw-r--r--",
            "./usr/share/doc/pushring/examples/sysctl.d/90-pushring.conf",
        ),
    ] {
        assert!(
            files.contains(&expected),
            "{expected:?} is not in\n{listed}"
        );
    }
    for (mode, path) in &files {
        let is_known = ["./usr/", "./etc/pushring/"]
            .iter()
            .any(|folder| path.starts_with(folder));
        assert!(is_known || ["./", "./etc/"].contains(path), "{path}");
        assert!(
            !path.contains("sysctl.d/") || path.contains("/examples/"),
            "{path}"
        );
        assert!(
            !mode.contains('s') && mode.as_bytes()[8] != b'w',
            "{mode} {path}"
        );
    }
    assert!(listed.lines().all(|line| line.contains(" root/root ")));
}

#[test]
fn lintian_finds_no_error() {
    let output = run(Command::new("lintian")
        .args(["--fail-on", "error", "--allow-root"])
        .arg(package()));
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complaint}");
    assert!(!said.lines().any(|line| line.starts_with("E: ")), "{said}");
}

/// As `dpkg --root` installs it; its scripts are run too, and must let a machine without systemd be.
#[test]
fn dpkg_installs_and_removes_it_and_leaves_only_the_configuration() {
    let root = folder("package-installed");
    fs::create_dir_all(root.join("var/lib/dpkg/info")).unwrap();
    fs::create_dir_all(root.join("var/lib/dpkg/updates")).unwrap();
    fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
    let dpkg = |arguments: &[&str]| {
        let mut command = Command::new("dpkg");
        command.arg("--root").arg(&root);
        // There is no shell in there to run the scripts with, and what it depends on is not in there either.
        command.args([
            "--force-script-chrootless",
            "--force-depends",
            "--force-not-root",
        ]);
        printed(command.args(arguments));
    };
    dpkg(&["--install", package().to_str().unwrap()]);
    assert!(root.join("usr/bin/pushring").exists());
    let config = root.join("etc/pushring/pushring.toml");
    fs::write(&config, "shards = 2\n").unwrap();
    // The same again, as an upgrade would: what the operator has written stays.
    dpkg(&["--force-confold", "--install", package().to_str().unwrap()]);
    assert_eq!(fs::read_to_string(&config).unwrap(), "shards = 2\n");
    dpkg(&["--remove", "pushring"]);
    assert!(!root.join("usr/bin/pushring").exists());
    assert!(config.exists());
    dpkg(&["--purge", "pushring"]);
    assert!(!config.exists());
}

#[test]
fn the_configuration_changes_nothing_and_has_every_setting_behind_a_number_sign() {
    let root = unpacked("config");
    let config = root.join("etc/pushring/pushring.toml");
    let mut check = Command::new(root.join("usr/bin/pushring"));
    let said = printed(check.arg("check-config").arg(&config));
    assert!(said.contains("every setting has its default"), "{said}");
    let text = fs::read_to_string(&config).unwrap();
    for line in text.lines() {
        let is_comment = line.is_empty() || line.starts_with(['#', '[']);
        assert!(is_comment, "{line} is in force");
    }
    for setting in pushring::config::settings() {
        let line = format!("#{} = ", setting.name);
        assert!(text.lines().any(|l| l.starts_with(&line)), "{line}");
    }
    // As soon as the # is gone it holds.
    let changed = root.join("changed.toml");
    fs::write(&changed, text.replace("#headers_max = ", "headers_max = 1")).unwrap();
    let mut check = Command::new(root.join("usr/bin/pushring"));
    let said = printed(check.arg("check-config").arg(&changed));
    assert!(said.contains("limits.headers_max = 1"), "{said}");
}

#[test]
fn the_program_of_the_package_serves() {
    let root = unpacked("program");
    let program = root.join("usr/bin/pushring");
    let server = Server::start(Options {
        program: Some(program.clone()),
        ..Options::default()
    });
    let running = fs::read_link(format!("/proc/{}/exe", server.pid())).unwrap();
    assert_eq!(running, program);
    let mut subscriber = Socket::open(server.addresses.public, "/sub/news");
    server.http().publish("news", "out of the package");
    assert_eq!(subscriber.message(), Message::text("out of the package"));
}

/// What the unit starts and what it reads is what the package installs.
#[test]
fn the_service_names_files_that_the_package_has() {
    let root = unpacked("unit");
    let unit = fs::read_to_string(root.join("usr/lib/systemd/system/pushring.service")).unwrap();
    let starts: Vec<&str> = unit
        .lines()
        .filter_map(|line| line.strip_prefix("ExecStart")?.split_once('='))
        .map(|(_, command)| command)
        .collect();
    assert!(!starts.is_empty());
    for command in starts {
        for word in command.split(' ').filter(|word| word.starts_with('/')) {
            assert!(root.join(&word[1..]).exists(), "{word} is not there");
        }
    }
}

#[test]
fn the_scripts_are_clean_to_shellcheck() {
    for name in ["build", "postinst", "prerm", "postrm"] {
        let script = file("tuning/debian").join(name);
        printed(Command::new("shellcheck").arg(script));
    }
}
