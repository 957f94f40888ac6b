//! Sockets that systemd opens for the server (`sd_listen_fds(3)`): `LISTEN_PID`, `LISTEN_FDS`, `LISTEN_FDNAMES`.

use std::ffi::OsStr;
use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

use crate::reactor::{Given, sys};

/// The name of sockets for clients (`FileDescriptorName=`).
const PUBLIC: &str = "public";

/// The name of the internal listener's socket.
const INTERNAL: &str = "internal";

/// Why the sockets that have been given cannot be used, in one line. It is the fault of who wrote the units.
#[derive(Debug, thiserror::Error)]
pub enum SocketsError {
    /// The variables contradict each other, or name what is not open.
    #[error(
        "LISTEN_FDS cannot be understood: {0}; start it by systemd, or unset LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES"
    )]
    Variables(io::Error),
    /// A name that means nothing here.
    #[error(
        "a socket was given under the name \"{0}\": write FileDescriptorName=public (clients) or FileDescriptorName=internal into its unit"
    )]
    UnknownName(String),
    /// Not a listening TCP socket.
    #[error(
        "the socket that was given as {name} is no TCP socket that listens: write ListenStream= with an IP address and a port, and Accept=no, into its unit"
    )]
    NotListening {
        /// Its name.
        name: &'static str,
    },
    /// Several that do not share an address.
    #[error(
        "public sockets were given for {first} and for {other}: several must have one address (ReusePort=yes)"
    )]
    Apart {
        /// Where the first of them listens.
        first: SocketAddr,
        /// Where another does.
        other: SocketAddr,
    },
    /// More than one.
    #[error("several sockets were given as internal: leave all but one out")]
    SeveralInternal,
}

/// The sockets that have been given to this process; none if nobody gives any.
///
/// They stay open for as long as the process runs, also when what is returned is dropped, and so can be asked for again.
///
/// # Errors
/// [`SocketsError`].
pub fn sockets() -> Result<Given, SocketsError> {
    // What was meant for another process need not make sense here.
    let given = sd_notify::listen_fds().map_err(SocketsError::Variables)?;
    if given.len() == 0 {
        return Ok(Given::default());
    }
    let named = sd_notify::listen_fds_with_names().map_err(SocketsError::Variables)?;
    let open = named.map(|(number, name)| {
        let fd = sys::inherited(number).map_err(SocketsError::Variables)?;
        Ok((name, Socket::from(fd)))
    });
    sort(open.collect::<Result<_, _>>()?)
}

/// Whether a variable of that name tells of sockets that have been given. It means nothing to another program in the same process:
/// there the numbers are those of other files.
pub fn names_sockets(variable: &OsStr) -> bool {
    ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]
        .iter()
        .any(|name| variable == *name)
}

fn sort(named: Vec<(String, Socket)>) -> Result<Given, SocketsError> {
    let mut given = Given::default();
    for (name, socket) in named {
        match name.as_str() {
            PUBLIC => {
                let other = address(&socket, PUBLIC)?;
                let first = given.public_address().unwrap_or(other);
                if first != other {
                    return Err(SocketsError::Apart { first, other });
                }
                given.public.push(socket);
            }
            INTERNAL if given.internal.is_some() => return Err(SocketsError::SeveralInternal),
            INTERNAL => {
                address(&socket, INTERNAL)?;
                given.internal = Some(socket);
            }
            _ => return Err(SocketsError::UnknownName(name)),
        }
    }
    Ok(given)
}

/// Where a socket listens, if it does.
fn address(socket: &Socket, name: &'static str) -> Result<SocketAddr, SocketsError> {
    let listens = socket.is_listener().unwrap_or(false)
        && matches!(socket.r#type(), Ok(Type::STREAM))
        && matches!(socket.domain(), Ok(Domain::IPV4 | Domain::IPV6));
    listens
        .then(|| socket.local_addr().ok()?.as_socket())
        .flatten()
        .ok_or(SocketsError::NotListening { name })
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, UdpSocket};
    use std::os::unix::net::UnixListener;

    use super::*;

    fn listening() -> Socket {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().into()
    }

    fn refusal(named: Vec<(&str, Socket)>) -> String {
        let named = named.into_iter().map(|(name, s)| (name.to_owned(), s));
        let line = sort(named.collect()).unwrap_err().to_string();
        assert!(!line.contains('\n'), "{line}");
        line
    }

    #[test]
    fn sockets_are_sorted_by_name() {
        let public = listening();
        let again = public.try_clone().unwrap();
        let internal = listening();
        let (where_public, where_internal) = (
            public.local_addr().unwrap().as_socket(),
            internal.local_addr().unwrap().as_socket(),
        );
        let named = [
            ("public", public),
            ("internal", internal),
            ("public", again),
        ];
        let given = sort(named.map(|(name, s)| (name.to_owned(), s)).into()).unwrap();
        assert_eq!(given.public.len(), 2);
        assert_eq!(given.public_address(), where_public);
        assert_eq!(given.internal_address(), where_internal);
        let none = sort(Vec::new()).unwrap();
        assert!(none.public.is_empty() && none.internal.is_none());
    }

    #[test]
    fn each_socket_that_cannot_be_used_is_a_line_that_says_what_to_write() {
        let line = refusal(vec![("pushring.socket", listening())]);
        assert!(line.contains("\"pushring.socket\"") && line.contains("FileDescriptorName=public"));
        let line = refusal(vec![("public", listening()), ("public", listening())]);
        assert!(line.contains("ReusePort=yes"), "{line}");
        let line = refusal(vec![("internal", listening()), ("internal", listening())]);
        assert!(line.contains("all but one"), "{line}");
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let line = refusal(vec![("public", udp.into())]);
        assert!(
            line.contains("given as public") && line.contains("ListenStream="),
            "{line}"
        );
        let bound = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        bound
            .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
            .unwrap();
        let line = refusal(vec![("internal", bound)]);
        assert!(line.contains("given as internal"), "{line}");
        let path = std::env::temp_dir().join(format!("pushring-sockets-{}", std::process::id()));
        let unix = UnixListener::bind(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(refusal(vec![("public", unix.into())]).contains("no TCP socket"));
    }
}
