//! The command line: what it starts with which configuration, and how it fails.

use std::cell::RefCell;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};

use pushring::cli;
use pushring::config::{Config, reference, settings};

/// What a run of the command line did.
struct Ran {
    exit: ExitCode,
    /// The configuration that a server was started with.
    started: Option<Config>,
    out: String,
    err: String,
}

const STARTED: u8 = 77;

fn run(args: &[&str], env: &[(&str, &str)]) -> Ran {
    run_os(args.iter().map(OsString::from).collect(), env)
}

fn run_os(args: Vec<OsString>, env: &[(&str, &str)]) -> Ran {
    let started = RefCell::new(None);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = cli::run(
        std::iter::once(OsString::from("pushring")).chain(args),
        env.iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        |config, _, _| {
            *started.borrow_mut() = Some(config);
            ExitCode::from(STARTED)
        },
        &mut out,
        &mut err,
    );
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran {
        exit,
        started: started.into_inner(),
        out: text(out),
        err: text(err),
    }
}

impl Ran {
    fn config(self) -> Config {
        assert_eq!(self.exit, ExitCode::from(STARTED), "{}", self.err);
        self.started.expect("a server was started")
    }

    /// The one line with which it refused.
    fn refusal(self) -> String {
        assert_eq!(self.exit, ExitCode::from(2), "{}", self.err);
        assert!(self.started.is_none());
        assert_eq!(self.out, "");
        one_line(&self.err)
    }
}

fn one_line(text: &str) -> String {
    let line = text.strip_suffix('\n').expect("a whole line");
    assert!(
        !line.is_empty() && !line.chars().any(char::is_control),
        "{text:?}"
    );
    line.to_owned()
}

fn file(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{name}.toml"));
    std::fs::write(&path, text).unwrap();
    path
}

/// The built program, with nothing in its environment but this.
fn program(args: &[&str], env: &[(&str, OsString)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pushring"));
    command
        .env_clear()
        .envs(env.iter().cloned())
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn without_arguments_a_server_starts_with_the_defaults() {
    let ran = run(&[], &[]);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""));
    assert_eq!(ran.config(), Config::default());
}

#[test]
fn serve_and_no_command_start_the_same_server() {
    let flags = [
        "--listen",
        "127.0.0.1:9000",
        "--internal=127.0.0.1:9001",
        "--shards",
        "3",
        "--echo",
    ];
    let with_command: Vec<&str> = std::iter::once("serve").chain(flags).collect();
    let config = run(&flags, &[]).config();
    assert_eq!(config, run(&with_command, &[]).config());
    let listen = "127.0.0.1:9000".parse().unwrap();
    let internal = "127.0.0.1:9001".parse().unwrap();
    assert_eq!(
        config,
        Config {
            listen,
            internal,
            shards: 3,
            echo: true,
            ..Config::default()
        }
    );
}

#[test]
fn flags_win_over_variables_and_those_over_the_file() {
    let path = file(
        "precedence",
        "shards = 1\necho = true\nlisten = '127.0.0.1:7000'\n[limits]\nheaders_max = 20\n",
    );
    let args = [
        "--config",
        path.to_str().unwrap(),
        "--shards",
        "3",
        "--echo=false",
    ];
    let config = run(
        &args,
        &[
            ("PUSHRING_SHARDS", "2"),
            ("PUSHRING_LISTEN", "127.0.0.1:7001"),
        ],
    )
    .config();
    assert_eq!((config.shards, config.echo), (3, false));
    assert_eq!(config.listen, "127.0.0.1:7001".parse().unwrap());
    assert_eq!(config.limits.headers_max, 20);
}

#[test]
fn a_variable_names_the_file_unless_a_flag_does() {
    let (a, b) = (file("a", "shards = 1\n"), file("b", "shards = 2\n"));
    let (a, b) = (a.to_str().unwrap(), b.to_str().unwrap());
    assert_eq!(run(&[], &[("PUSHRING_CONFIG", a)]).config().shards, 1);
    assert_eq!(
        run(&["--config", b], &[("PUSHRING_CONFIG", a)])
            .config()
            .shards,
        2
    );
    assert!(
        run(&[], &[("PUSHRING_CONFIG", "")])
            .refusal()
            .contains("PUSHRING_CONFIG is empty")
    );
}

#[test]
fn a_reachable_listener_is_refused_and_insecure_starts_it_and_says_so_every_time() {
    let line = run(&["--listen", "0.0.0.0:9000"], &[]).refusal();
    assert!(
        line.starts_with("pushring: --listen: listen = \"0.0.0.0:9000\" can be reached"),
        "{line}"
    );
    assert!(
        line.contains("--insecure") && line.contains("insecure = true"),
        "{line}"
    );
    for _ in 0..2 {
        let ran = run(&["--listen", "0.0.0.0:9000", "--insecure"], &[]);
        let warning = one_line(&ran.err);
        assert!(
            warning.starts_with("pushring: warning: insecure is set: listen = \"0.0.0.0:9000\""),
            "{warning}"
        );
        assert!(ran.config().insecure);
    }
}

#[test]
fn whatever_is_wrong_with_the_arguments_is_one_line() {
    for (args, part) in [
        (
            &["--lisen", "x"][..],
            "'--lisen' found; a similar argument exists: '--listen'",
        ),
        (&["srve"], "'srve'; a similar subcommand exists: 'serve'"),
        (&["--listen"], "a value is required for '--listen <ADDR>'"),
        (
            &["--listen", "localhost:80"],
            "--listen: \"localhost:80\" is not an IP address and port; write for example 127.0.0.1:80",
        ),
        (
            &["--shards", "65"],
            "--shards: \"65\" is above the maximum, 64 shards;",
        ),
        (
            &["--shards", "-1"],
            "--shards: \"-1\" is below the minimum, 0 shards;",
        ),
        (
            &["--shards", "two"],
            "--shards: \"two\" is not a whole number;",
        ),
        (
            &["--shards", "1", "--shards", "2"],
            "cannot be used multiple times",
        ),
        (
            &["--echo=yes"],
            "--echo: \"yes\" is not a truth value; write true or false",
        ),
        (
            &["--config", ""],
            "a value is required for '--config <FILE>'",
        ),
        (
            &["--config", "/nonexistent\n/x.toml"],
            "/nonexistent\\n/x.toml: cannot be read",
        ),
        (&["check-config"], "not provided: <FILE>"),
        (&["check-config", ""], "a value is required for '<FILE>'"),
        (
            &["--shards", "1", "check-config", "x"],
            "cannot be used with",
        ),
    ] {
        let line = run(args, &[]).refusal();
        assert!(
            line.starts_with("pushring: ") && line.contains(part),
            "{args:?}: {line}"
        );
    }
    let not_utf8 = run_os(vec!["--listen".into(), OsString::from_vec(vec![0xff])], &[]);
    assert!(not_utf8.refusal().contains("UTF-8"));
}

#[test]
fn a_bad_file_is_one_line_with_the_first_mistake_and_the_number_of_the_others() {
    let path = file(
        "bad",
        "shards = 1\nlisen = 'x'\necho = 1\n[limits]\nx = 1\n",
    );
    let line = run(&["--config", path.to_str().unwrap()], &[]).refusal();
    assert!(line.starts_with(&format!(
        "pushring: {}:2: there is no setting lisen; the nearest is listen",
        path.display()
    )));
    assert!(
        line.ends_with("(and 2 more; pushring check-config lists all)"),
        "{line}"
    );
}

#[test]
fn check_config_says_that_a_file_is_fine_and_what_it_changes() {
    let path = file(
        "fine",
        "shards = 2\n[limits]\nmessage_bytes_max = 131072\nheaders_max = 64\n",
    );
    let name = path.to_str().unwrap();
    let ran = run(
        &["check-config", name, "--echo"],
        &[("PUSHRING_LOG_LEVEL", "debug")],
    );
    assert_eq!(ran.exit, ExitCode::SUCCESS, "{}", ran.err);
    assert!(ran.started.is_none());
    assert_eq!(
        ran.out,
        format!(
            "{name} is fine\n\
             shards = 2 shards (default 0; {name}:1)\n\
             echo = true (default false; --echo)\n\
             limits.message_bytes_max = 131_072 bytes (default 65_536; {name}:3)\n\
             log.level = \"debug\" (default \"info\"; PUSHRING_LOG_LEVEL)\n"
        )
    );
    let unchanged = file("unchanged", &reference());
    let name = unchanged.to_str().unwrap();
    assert_eq!(
        run(&["check-config", name], &[]).out,
        format!("{name} is fine\nevery setting has its default\n")
    );
}

#[test]
fn check_config_tells_of_namespaces_and_keys_and_shows_no_secret() {
    let path = file(
        "namespaces",
        "[auth]\nhmac_secret = '0123456789abcdef0123456789abcdef'\n\
         [[namespace]]\nchannels = 'news:*'\nhistory_size = 100\nhistory_ttl = '5m'\nsubscribe = 'anyone'\n",
    );
    let name = path.to_str().unwrap();
    let ran = run(
        &["check-config", name],
        &[(
            "PUSHRING_AUTH_API_KEYS",
            "0123456789abcdef,fedcba9876543210",
        )],
    );
    assert_eq!(ran.exit, ExitCode::SUCCESS, "{}", ran.err);
    assert_eq!(
        ran.out,
        format!(
            "{name} is fine\n\
             auth.hmac_secret = \"(hidden)\" (not set by default; {name}:2)\n\
             auth.api_keys = [\"(hidden)\", \"(hidden)\"] (default []; PUSHRING_AUTH_API_KEYS)\n\
             [[namespace]] for the channels \"news:*\" ({name}:4)\n\
             \"news:*\": history_size = 100 publications a channel (default 0; {name}:5)\n\
             \"news:*\": history_ttl = \"5m\" (default \"10m\"; {name}:6)\n\
             \"news:*\": subscribe = \"anyone\" (not set by default; {name}:7)\n"
        )
    );
}

#[test]
fn check_config_looks_into_the_file_of_keys_too() {
    let path = file("jwks", "[auth]\njwks_file = '/nonexistent/keys.json'\n");
    let ran = run(&["check-config", path.to_str().unwrap()], &[]);
    assert_eq!(ran.exit, ExitCode::from(2));
    assert!(
        ran.err
            .starts_with("auth.jwks_file \"/nonexistent/keys.json\" cannot be read: "),
        "{}",
        ran.err
    );
    assert_eq!(ran.err.lines().count(), 1);
}

#[test]
fn check_config_lists_a_line_for_each_mistake() {
    let path = file(
        "mistakes",
        "shards = 99\n\n[limit]\nx = 1\n[timeouts]\nhead_ms = '5s'\n",
    );
    let name = path.to_str().unwrap();
    let ran = run(&["check-config", name], &[("PUSHRING_ECO", "true")]);
    assert_eq!(ran.exit, ExitCode::from(2));
    assert_eq!(ran.out, "");
    let begins: Vec<String> = ran
        .err
        .lines()
        .map(|line| line.split(": ").next().unwrap().to_owned())
        .collect();
    let of_file = |line| format!("{name}:{line}");
    assert_eq!(
        begins,
        [
            of_file(1),
            of_file(3),
            of_file(6),
            "PUSHRING_ECO".to_owned()
        ]
    );
}

/// `check-config` takes the same flags and variables, so that its answer is what `serve` will do.
#[test]
fn check_config_and_serve_agree() {
    for (name, text) in [
        ("agree-1", "listen = '0.0.0.0:8000'\n"),
        ("agree-2", "internal = '127.0.0.1:8000'\n"),
        ("agree-3", "shards = 65\n"),
        ("agree-4", "shards = 64\n"),
        ("agree-5", "[origins]\nallowed = ['x']\n"),
    ] {
        let path = file(name, text);
        let path = path.to_str().unwrap();
        for flags in [&[][..], &["--insecure"], &["--internal", "127.0.0.1:9"]] {
            let served = run(&[&["serve", "--config", path], flags].concat(), &[]);
            let checked = run(&[&["check-config", path], flags].concat(), &[]);
            assert_eq!(
                served.started.is_some(),
                checked.exit == ExitCode::SUCCESS,
                "{text} {flags:?}"
            );
        }
    }
}

#[test]
fn help_and_version_go_to_standard_output_and_exit_with_0() {
    for args in [
        &["--help"][..],
        &["-h"],
        &["--version"],
        &["serve", "--help"],
        &["check-config", "-h"],
        &["doctor", "--help"],
        &["bench", "--help"],
        &["bench", "compare", "--help"],
        &["help"],
    ] {
        let ran = run(args, &[]);
        assert_eq!(ran.exit, ExitCode::SUCCESS, "{args:?}");
        assert!(
            !ran.out.is_empty() && ran.err.is_empty() && ran.started.is_none(),
            "{args:?}"
        );
    }
    assert_eq!(
        run(&["--version"], &[]).out,
        format!("pushring {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn help_states_the_true_defaults_and_bounds() {
    let help = run(&["serve", "--help"], &[]).out;
    let defaults = Config::default();
    assert!(
        help.contains(&format!("[default: {}]", defaults.listen)),
        "{help}"
    );
    assert!(
        help.contains(&format!("[default: {}]", defaults.internal)),
        "{help}"
    );
    let shards = settings()
        .iter()
        .find(|setting| setting.key() == "shards")
        .unwrap();
    let bounds = shards.bounds.unwrap();
    assert!(
        help.contains(&format!(
            "{} to {} [default: {},",
            bounds.min, bounds.max, defaults.shards
        )),
        "{help}"
    );
    let example = settings()
        .iter()
        .find(|setting| setting.key() == "limits.message_bytes_max")
        .unwrap();
    assert!(help.contains(&example.variable()), "{help}");
}

#[test]
fn the_program_reads_flags_variables_and_the_file() {
    let path = file(
        "program",
        "shards = 1\necho = true\n[log]\nlevel = 'warn'\n",
    );
    let name = path.to_str().unwrap();
    let env = [
        ("PUSHRING_SHARDS", "2".into()),
        ("PUSHRING_LOG_LEVEL", "error".into()),
    ];
    let output = program(&["check-config", name, "--shards", "3"], &env);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!(
            "{name} is fine\n\
             shards = 3 shards (default 0; --shards)\n\
             echo = true (default false; {name}:2)\n\
             log.level = \"error\" (default \"info\"; PUSHRING_LOG_LEVEL)\n"
        )
    );
}

#[test]
fn the_program_refuses_what_is_wrong_anywhere_with_one_line_and_exit_code_2() {
    let bad = file("program-bad", "\nshards = 'x'\n");
    let bad = bad.to_str().unwrap();
    let not_utf8 = OsString::from_vec(b"https://\xff".to_vec());
    for (args, env, part) in [
        (
            &["serve", "--config", bad][..],
            &[][..],
            ":2: shards = 'x' is text, not a whole number;",
        ),
        (&["--config", bad], &[], ":2: shards = 'x' is text"),
        (&["check-config", bad], &[], ":2: shards = 'x' is text"),
        (&["--shards", "x"], &[], "--shards: \"x\""),
        (
            &["serve", "--listen", "0.0.0.0:0"],
            &[],
            "no authentication is configured",
        ),
        (
            &[],
            &[("PUSHRING_INTERNAL", "0.0.0.0:0".into())],
            "no authentication is configured",
        ),
        (
            &[],
            &[("PUSHRING_LISEN", "x".into())],
            "the nearest is PUSHRING_LISTEN,",
        ),
        (
            &[],
            &[("PUSHRING_ORIGINS_ALLOWED", not_utf8)],
            "is not UTF-8 text",
        ),
        (
            &[],
            &[("PUSHRING_CONFIG", "/nonexistent".into())],
            "/nonexistent: cannot be read",
        ),
        (&["srve"], &[], "'srve'"),
    ] {
        let output = program(args, env);
        assert_eq!(output.status.code(), Some(2), "{args:?} {env:?}");
        assert!(output.stdout.is_empty());
        let line = one_line(&String::from_utf8(output.stderr).unwrap());
        assert!(line.contains(part), "{args:?} {env:?}: {line}");
    }
}

#[test]
fn the_program_survives_an_output_that_cannot_be_written_to() {
    let full = || {
        Stdio::from(
            std::fs::OpenOptions::new()
                .write(true)
                .open("/dev/full")
                .unwrap(),
        )
    };
    for (args, code) in [
        (["check-config", "/dev/null"], 0),
        (["check-config", "/nonexistent"], 2),
        (["help", "serve"], 0),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pushring"));
        let status = command
            .env_clear()
            .args(args)
            .stdout(full())
            .stderr(full())
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(code), "{args:?}");
    }
}
