//! Which pages may connect: patterns over the `Origin` header (RFC 6454, section 7).

/// Allowed origins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins {
    patterns: Vec<Pattern>,
    missing_allowed: bool,
}

/// Something in the list of allowed origins is none; the configuration's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no origin pattern: write \"*\", an origin such as \"https://app.example.com\", or one with * for a label or the port such as \"https://*.example.com:*\""
)]
pub struct OriginPatternError(pub String);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    /// Every origin, `null` too.
    Any,
    /// What sandboxed pages and files send.
    Null,
    /// Scheme, labels of the host (`*` for one), port.
    Tuple {
        scheme: String,
        labels: Vec<String>,
        port: Port,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    Any,
    /// The scheme's default port where none is written; none for a scheme without one.
    Exact(Option<u16>),
}

impl Origins {
    /// Reads patterns: `*`, `null`, or `scheme://host[:port]` with `*` for a label of the host or
    /// for the port.
    ///
    /// # Errors
    /// [`OriginPatternError`] names the one that is none of these.
    pub fn parse(
        patterns: &[impl AsRef<str>],
        missing_allowed: bool,
    ) -> Result<Self, OriginPatternError> {
        Ok(Self {
            patterns: patterns
                .iter()
                .map(|pattern| {
                    let pattern = pattern.as_ref();
                    Pattern::parse(pattern).ok_or_else(|| OriginPatternError(pattern.to_owned()))
                })
                .collect::<Result<_, _>>()?,
            missing_allowed,
        })
    }

    /// Whether every page is let in.
    pub fn allows_any(&self) -> bool {
        self.patterns.contains(&Pattern::Any)
    }

    /// Whether a handshake with that `Origin` header, or without one, is let in.
    pub fn allows(&self, origin: Option<&[u8]>) -> bool {
        let Some(origin) = origin else {
            return self.missing_allowed;
        };
        if self.allows_any() {
            return true;
        }
        let Ok(origin) = std::str::from_utf8(origin) else {
            return false;
        };
        if origin == "null" {
            return self.patterns.contains(&Pattern::Null);
        }
        let Some((scheme, host, port)) = split(origin) else {
            return false;
        };
        let Some(port) = exact_port(&scheme, port) else {
            return false;
        };
        let labels = labels(&host);
        if !labels.iter().all(|label| is_label(label)) {
            return false;
        }
        self.patterns
            .iter()
            .any(|pattern| pattern.matches(&scheme, &labels, port))
    }
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "*" => return Some(Self::Any),
            "null" => return Some(Self::Null),
            _ => {}
        }
        let (scheme, host, port) = split(text)?;
        let labels = labels(&host);
        if !labels.iter().all(|label| label == "*" || is_label(label)) {
            return None;
        }
        let port = match port {
            Some("*") => Port::Any,
            port => exact_port(&scheme, port)?,
        };
        Some(Self::Tuple {
            scheme,
            labels,
            port,
        })
    }

    fn matches(&self, scheme: &str, labels: &[String], port: Port) -> bool {
        let Self::Tuple {
            scheme: wanted_scheme,
            labels: wanted_labels,
            port: wanted_port,
        } = self
        else {
            return false;
        };
        scheme == wanted_scheme
            && (*wanted_port == Port::Any || *wanted_port == port)
            && labels.len() == wanted_labels.len()
            && labels
                .iter()
                .zip(wanted_labels)
                .all(|(label, wanted)| label == wanted || (wanted == "*" && !is_address(label)))
    }
}

/// Scheme and host in lower case, and the port as it is written.
fn split(origin: &str) -> Option<(String, String, Option<&str>)> {
    let (scheme, rest) = origin.split_once("://")?;
    let host_end = match rest.strip_prefix('[') {
        Some(v6) => v6.find(']')? + 2,
        None => rest.find(':').unwrap_or(rest.len()),
    };
    let (host, port) = rest.split_at(host_end);
    let port = match port {
        "" => None,
        port => Some(port.strip_prefix(':')?),
    };
    if scheme.is_empty() || host.is_empty() {
        return None;
    }
    Some((scheme.to_ascii_lowercase(), host.to_ascii_lowercase(), port))
}

fn labels(host: &str) -> Vec<String> {
    if is_address(host) {
        return vec![host.to_owned()];
    }
    host.split('.').map(str::to_owned).collect()
}

/// Whether it is an IPv6 address, which has no labels.
fn is_address(host: &str) -> bool {
    host.starts_with('[')
}

/// Whether that can be a label of an origin's host: nothing in it that belongs to another part of
/// a URL, so that a wildcard stands for a label and no more.
fn is_label(label: &str) -> bool {
    !label.is_empty()
        && (is_address(label) || !label.contains([':', '[', ']']))
        && !label.contains(|c: char| {
            c.is_whitespace()
                || c.is_control()
                || matches!(c, '*' | '/' | '?' | '#' | '@' | ',' | '"' | '\\')
        })
}

/// The port as it is written, or the scheme's; `None` for what is no port.
fn exact_port(scheme: &str, written: Option<&str>) -> Option<Port> {
    Some(Port::Exact(match written {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
        Some(_) => return None,
        None => default_port(scheme),
    }))
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}
