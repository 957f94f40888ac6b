//! `pushring token`, and the making of tokens behind it.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::UNIX_EPOCH;

use pushring::access::{Access, AccessError, AuthSettings, NewToken};
use pushring::cli;

use crate::support::{NOW_MS, NOW_S, SECRET, TempFile, settings_with_secret, with_secret};

/// What is printed to standard output, or the line on standard error.
fn token(arguments: &[&str], env: &[(&str, &str)]) -> Result<String, String> {
    let arguments = ["pushring", "token"].iter().chain(arguments);
    let env = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = cli::run(
        arguments.map(OsString::from),
        env,
        |_, _, _| panic!("a server was started"),
        &mut out,
        &mut err,
    );
    let [out, err] = [out, err].map(|bytes| String::from_utf8(bytes).unwrap());
    let line = |text: String| {
        let line = text.strip_suffix('\n').unwrap().to_owned();
        assert!(!line.contains(char::is_control), "{line:?}");
        line
    };
    if exit == ExitCode::SUCCESS {
        assert_eq!(err, "");
        Ok(line(out))
    } else {
        assert_eq!((exit, out.as_str()), (ExitCode::from(2), ""));
        Err(line(err))
    }
}

fn config(auth: &str) -> TempFile {
    TempFile::new(format!("[auth]\n{auth}\n"))
}

fn now_ms() -> u64 {
    UNIX_EPOCH.elapsed().unwrap().as_millis() as u64
}

#[test]
fn a_token_made_by_the_command_lets_its_user_in_for_the_time_asked_for() {
    let file = config(&format!("hmac_secret = \"{SECRET}\""));
    let path = file.0.to_str().unwrap();
    for (expires, seconds) in [
        (&[][..], 3600),
        (&["--expires", "10m"], 600),
        (&["--expires", "1s"], 1),
    ] {
        let before_ms = now_ms();
        let arguments = [&["--user", "ann", "--config", path], expires].concat();
        let made = token(&arguments, &[]).unwrap();
        let claims = with_secret().connection(&made, now_ms()).unwrap();
        assert_eq!(claims.user, "ann");
        let expires_at_s = claims.expires_at_ms.unwrap() / 1000;
        let range = before_ms / 1000 + seconds..=now_ms() / 1000 + seconds;
        assert!(range.contains(&expires_at_s), "{expires_at_s} {range:?}");
    }
}

#[test]
fn a_token_made_by_the_command_has_what_its_arguments_and_the_configuration_say() {
    let file = config(&format!(
        "hmac_secret = \"{SECRET}\"\naudience = \"push\"\nissuer = \"me\"\njwks_file = \"/no/such/file\""
    ));
    let path = file.0.to_str().unwrap();
    let access = Access::new(&AuthSettings {
        audience: Some("push".to_owned()),
        issuer: Some("me".to_owned()),
        ..settings_with_secret()
    })
    .unwrap();
    // The file may also be named by the variable.
    let made = token(
        &[
            "--user",
            "",
            "--publish",
            "rooms:*",
            "--subscribe",
            "news",
            "--subscribe",
            "rooms:*",
        ],
        &[("PUSHRING_CONFIG", path)],
    )
    .unwrap();
    let claims = access.connection(&made, now_ms()).unwrap();
    assert_eq!(claims.user, "");
    assert_eq!(claims.publish, ["rooms:*"]);
    assert_eq!(claims.subscribe, ["news", "rooms:*"]);
    let made = token(
        &["--user", "ann", "--channel", "rooms:1", "--config", path],
        &[],
    )
    .unwrap();
    let claims = access.subscription(&made, now_ms()).unwrap();
    assert!(claims.are_for("rooms:1", "ann", "any"));
    assert!(access.connection(&made, now_ms()).is_err());
}

#[test]
fn the_secret_may_stand_in_a_variable() {
    let made = token(&["--user", "ann"], &[("PUSHRING_AUTH_HMAC_SECRET", SECRET)]).unwrap();
    assert!(with_secret().connection(&made, now_ms()).is_ok());
}

#[test]
fn what_is_wrong_with_the_arguments_is_one_line_with_what_to_write() {
    let env = [("PUSHRING_AUTH_HMAC_SECRET", SECRET)];
    for (arguments, line) in [
        (
            &["--expires", "10"][..],
            "--expires \"10\" is no time from 1s up; write a whole number and a unit, such as 30s, 10m, 2h or 7d",
        ),
        (
            &["--expires", "999ms"],
            "--expires \"999ms\" is no time from 1s up; write a whole number and a unit, such as 30s, 10m, 2h or 7d",
        ),
        (
            &["--channel", ""],
            "--channel: the channel name is empty: write 1 to 255 bytes",
        ),
        (
            &["--publish", "a*b"],
            "--publish \"a*b\": a * stands only at its end; write a channel's name, or the beginning of names and a * \
             behind it",
        ),
        (
            &["--subscribe", ""],
            "--subscribe \"\": it is empty; write a channel's name, or the beginning of names and a * behind it",
        ),
    ] {
        let arguments = [&["--user", "ann"], arguments].concat();
        assert_eq!(token(&arguments, &env), Err(format!("pushring: {line}")));
    }
    let long = "x".repeat(8 * 1024);
    assert_eq!(
        token(&["--user", &long], &env).unwrap_err(),
        "pushring: no server would take it: the token has more than 8192 bytes: make one with fewer claims"
    );
    for arguments in [
        &[][..],
        &["--user", "ann", "--channel", "x", "--publish", "x"],
    ] {
        let line = token(arguments, &env).unwrap_err();
        assert!(line.starts_with("pushring: the "), "{line}");
    }
}

#[test]
fn without_a_secret_no_token_is_made_and_the_setting_to_write_is_named() {
    let nothing = token(&["--user", "ann"], &[]).unwrap_err();
    assert_eq!(
        nothing,
        "pushring: there is no auth.hmac_secret to sign with; write one of at least 32 random bytes, such as openssl \
         rand -hex 32 prints"
    );
    let keys_alone = config("jwks_file = \"/etc/pushring/jwks.json\"");
    let path = keys_alone.0.to_str().unwrap();
    assert_eq!(
        token(&["--user", "ann", "--config", path], &[]),
        Err(nothing)
    );
    let short = token(
        &["--user", "ann"],
        &[("PUSHRING_AUTH_HMAC_SECRET", "mark4711")],
    )
    .unwrap_err();
    assert!(short.contains("auth.hmac_secret"), "{short}");
    assert!(!short.contains("mark4711"), "{short}");
}

#[test]
fn a_token_that_a_program_makes_is_taken_by_an_access_of_the_same_settings() {
    let token = |new: &NewToken| settings_with_secret().sign(new).unwrap();
    let for_ever = NewToken {
        user: "ann".to_owned(),
        ..NewToken::default()
    };
    let claims = with_secret().connection(&token(&for_ever), NOW_MS).unwrap();
    assert_eq!((claims.user.as_str(), claims.expires_at_ms), ("ann", None));
    let minute = NewToken {
        channel: Some("x".to_owned()),
        expires_at_s: Some(NOW_S + 60),
        ..for_ever.clone()
    };
    let claims = with_secret().subscription(&token(&minute), NOW_MS).unwrap();
    assert_eq!(claims.expires_at_ms, Some(NOW_MS + 60_000));
    assert_eq!(
        AuthSettings::default().sign(&for_ever),
        Err(AccessError::NoSecret)
    );
    let short = AuthSettings {
        hmac_secret: Some("short".to_owned()),
        ..AuthSettings::default()
    };
    assert_eq!(
        short.sign(&for_ever),
        Err(AccessError::ShortSecret { bytes: 5 })
    );
}
