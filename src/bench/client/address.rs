//! The addresses that a load goes to.

use std::net::{SocketAddr, ToSocketAddrs};

/// A `ws://` or `http://` address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `ws` or `http`.
    pub scheme: String,
    /// Host and port as written, for the `Host` header.
    pub host: String,
    /// Where to connect.
    pub socket: SocketAddr,
    /// Path and query, at least `/`.
    pub path: String,
}

impl Address {
    /// Reads an address. Braces may stand in the path.
    ///
    /// # Errors
    /// One sentence with what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let example = "write it like ws://127.0.0.1:8000/sub/{channel}";
        let (scheme, rest) = text
            .split_once("://")
            .filter(|(scheme, _)| matches!(*scheme, "ws" | "http"))
            .ok_or_else(|| format!("{text:?} is no ws:// or http:// address; {example}"))?;
        let path_at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(path_at);
        let with_port = match host.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() => host.to_owned(),
            _ => format!("{host}:80"),
        };
        let socket = with_port
            .to_socket_addrs()
            .ok()
            .and_then(|mut all| all.next())
            .ok_or_else(|| format!("{text:?}: {host:?} is no host that is known; {example}"))?;
        Ok(Self {
            scheme: scheme.to_owned(),
            host: host.to_owned(),
            socket,
            path: if path.starts_with('/') {
                path.to_owned()
            } else {
                format!("/{path}")
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        let address = Address::parse("ws://127.0.0.1:8000/sub/{channel}?x=1").unwrap();
        assert_eq!(address.socket, "127.0.0.1:8000".parse().unwrap());
        assert_eq!(address.path, "/sub/{channel}?x=1");
        assert_eq!(Address::parse("http://127.0.0.1").unwrap().path, "/");
        assert_eq!(
            Address::parse("http://127.0.0.1").unwrap().socket.port(),
            80
        );
    }

    #[test]
    fn what_is_no_address_is_refused_with_an_example() {
        for text in [
            "127.0.0.1:8000",
            "wss://127.0.0.1/",
            "ws://no such host/",
            "",
        ] {
            let error = Address::parse(text).unwrap_err();
            assert!(
                error.contains("ws://127.0.0.1:8000/sub/{channel}"),
                "{error}"
            );
        }
    }
}
