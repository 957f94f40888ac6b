//! Which server is meant, and with which key.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::TopError;
use crate::config::{Config, Overrides, Secret, load};

/// The port of HTTP.
const HTTP_PORT: u16 = 80;

/// A URL that leads to no internal listener; the fault of who wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not of the form that is asked for.
    #[error(
        "--url {0:?} is no address of an internal listener; write one such as http://127.0.0.1:8001"
    )]
    Url(String),
    /// TLS.
    #[error(
        "--url {0:?}: top speaks plain HTTP alone; write the internal listener's own address, such as http://127.0.0.1:8001"
    )]
    Tls(String),
    /// What no header can carry.
    #[error(
        "--key has a character that a header cannot carry; write letters, digits and signs without blanks"
    )]
    Key,
}

/// Where to ask, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Host and port, as the `Host` header has them; an IPv6 address in brackets.
    pub authority: String,
    /// What stands in front of `/live`: empty, or what a proxy serves the listener under.
    pub prefix: String,
    /// The key to show.
    pub key: Option<Secret>,
}

impl Target {
    /// What the arguments say, and for the rest the configuration.
    pub(super) fn find(
        url: Option<String>,
        key: Option<String>,
        file: Option<PathBuf>,
        env: Vec<(String, String)>,
    ) -> Result<Self, TopError> {
        let config = match (&url, &key) {
            (Some(_), Some(_)) => Config::default(),
            _ => load(file.as_deref(), env.into_iter(), Overrides::default())?,
        };
        let key = key
            .map(Secret::new)
            .or(config.auth.api_keys.into_iter().next());
        if key.as_ref().is_some_and(|key| !can_be_sent(key.reveal())) {
            return Err(TargetError::Key.into());
        }
        let url = url.unwrap_or_else(|| format!("http://{}", reachable(config.internal)));
        let (authority, prefix) = parse(&url)?;
        Ok(Self {
            authority,
            prefix,
            key,
        })
    }

    /// The whole URL, for people.
    pub fn url(&self) -> String {
        format!("http://{}{}", self.authority, self.prefix)
    }
}

/// An address that is bound to all is reached by the machine's own.
fn reachable(bound: SocketAddr) -> SocketAddr {
    match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, bound.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => {
            (std::net::Ipv6Addr::LOCALHOST, bound.port()).into()
        }
        _ => bound,
    }
}

fn parse(url: &str) -> Result<(String, String), TargetError> {
    if url.starts_with("https://") {
        return Err(TargetError::Tls(url.to_owned()));
    }
    let wrong = || TargetError::Url(url.to_owned());
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let is_plain = url
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !b"?#@\\".contains(&byte));
    // The colon of a port stands behind the last bracket.
    let after_host = authority.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match authority[after_host..].find(':') {
        Some(colon) => {
            let (host, port) = authority.split_at(after_host + colon);
            (host, port[1..].parse().map_err(|_| wrong())?)
        }
        None => (authority, HTTP_PORT),
    };
    if host.is_empty() || !is_plain || url.contains("://") && !url.starts_with("http://") {
        return Err(wrong());
    }
    Ok((
        format!("{host}:{port}"),
        path.trim_end_matches('/').to_owned(),
    ))
}

fn can_be_sent(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_an_address_and_perhaps_a_path_that_a_proxy_serves_it_under() {
        for (url, authority, prefix) in [
            ("http://127.0.0.1:8001", "127.0.0.1:8001", ""),
            ("127.0.0.1:8001/", "127.0.0.1:8001", ""),
            ("http://push.example.com", "push.example.com:80", ""),
            ("http://[::1]:8001/push/", "[::1]:8001", "/push"),
            ("[::1]", "[::1]:80", ""),
        ] {
            assert_eq!(
                parse(url),
                Ok((authority.to_owned(), prefix.to_owned())),
                "{url}"
            );
        }
    }

    #[test]
    fn what_is_no_such_url_is_refused() {
        for url in [
            "",
            "http://",
            "ws://127.0.0.1:8001",
            "http://a:b",
            "http://a:99999",
            "a b",
            "http://u@h",
            "a?b",
        ] {
            assert!(matches!(parse(url), Err(TargetError::Url(_))), "{url}");
        }
        assert!(matches!(parse("https://a"), Err(TargetError::Tls(_))));
    }

    #[test]
    fn arguments_win_over_the_configuration_which_names_an_address_that_can_be_reached() {
        let env = vec![
            ("PUSHRING_INTERNAL".to_owned(), "0.0.0.0:9001".to_owned()),
            ("PUSHRING_INSECURE".to_owned(), "true".to_owned()),
        ];
        let found = Target::find(None, None, None, env.clone()).unwrap();
        assert_eq!(
            (found.url(), found.key),
            ("http://127.0.0.1:9001".to_owned(), None)
        );
        let url = Some("http://h:1".to_owned());
        let found = Target::find(url, Some("sesame".to_owned()), None, env.clone()).unwrap();
        assert_eq!(
            (found.url(), found.key),
            ("http://h:1".to_owned(), Some(Secret::new("sesame")))
        );
        let refused = Target::find(None, Some("a b".to_owned()), None, env);
        assert!(matches!(refused, Err(TopError::Target(TargetError::Key))));
    }
}
