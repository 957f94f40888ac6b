//! The `PUSHRING_*` variables of the environment: one for every setting.

use super::error::{Fault, Place, Problem, Refusal, excerpt};
use super::layers::Layers;
use super::nearest;
use super::table::settings;

/// What the names of all variables begin with.
pub(super) const PREFIX: &str = "PUSHRING_";

/// The variable that names the configuration file where `--config` does not. It is no setting: [`load`](super::load) lets it
/// stand, and the command line reads it.
pub const CONFIG_VARIABLE: &str = "PUSHRING_CONFIG";

/// The environment of this process as [`load`](super::load) takes it. A variable that is not UTF-8 gets U+FFFD in the place of
/// what is not; `load` refuses a `PUSHRING_*` variable that holds one.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().map(|(name, value)| {
        (
            name.to_string_lossy().into_owned(),
            value.to_string_lossy().into_owned(),
        )
    })
}

/// Lays what the variables say over what is there, in the order of their names.
pub(super) fn lay(variables: impl Iterator<Item = (String, String)>, layers: &mut Layers) {
    let mut ours: Vec<(String, String)> = variables
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect();
    ours.sort();
    for (name, value) in ours {
        if name == CONFIG_VARIABLE {
            continue;
        }
        match settings()
            .iter()
            .position(|setting| setting.variable() == name)
        {
            Some(index) => lay_one(index, name, &value, layers),
            None if is_service_link(&name, &value) => {}
            None => {
                let fault = Fault::UnknownVariable {
                    nearest: nearest::variable(&name, &[CONFIG_VARIABLE]),
                };
                layers.problems.push(Problem {
                    place: Place::Variable(excerpt(&name)),
                    fault,
                });
            }
        }
    }
}

fn lay_one(index: usize, name: String, value: &str, layers: &mut Layers) {
    let place = Place::Variable(name);
    if value.contains(char::REPLACEMENT_CHARACTER) {
        layers.refuse(index, place, value, Refusal::NotUtf8);
    } else {
        layers.lay_text(index, place, value);
    }
}

/// Whether it is one of the variables that Kubernetes sets in every container for a service, here one named `pushring` or
/// `pushring-something`: nobody wrote them, so they must not keep the server from starting.
fn is_service_link(name: &str, value: &str) -> bool {
    const SCHEMES: [&str; 3] = ["tcp://", "udp://", "sctp://"];
    let is_url = SCHEMES.iter().any(|scheme| value.starts_with(scheme));
    let parts: Vec<&str> = name.split('_').collect();
    match parts.as_slice() {
        [.., "SERVICE", "HOST"] => true,
        [.., "PORT"] if is_url => true,
        [.., "PORT", port, "TCP" | "UDP" | "SCTP"] => is_port(port) && is_url,
        [
            ..,
            "PORT",
            port,
            "TCP" | "UDP" | "SCTP",
            "PROTO" | "PORT" | "ADDR",
        ] => is_port(port),
        _ => name.contains("_SERVICE_PORT") && is_port(value),
    }
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_that_kubernetes_sets_for_a_service_are_told_from_settings() {
        for (name, value) in [
            ("PUSHRING_SERVICE_HOST", "10.0.0.11"),
            ("PUSHRING_SERVICE_PORT", "8000"),
            ("PUSHRING_SERVICE_PORT_PUBLIC_WS", "8000"),
            ("PUSHRING_PORT", "tcp://10.0.0.11:8000"),
            ("PUSHRING_PORT_8000_TCP", "tcp://10.0.0.11:8000"),
            ("PUSHRING_PORT_8000_TCP_PROTO", "tcp"),
            ("PUSHRING_PORT_8000_TCP_PORT", "8000"),
            ("PUSHRING_PORT_8000_TCP_ADDR", "10.0.0.11"),
            ("PUSHRING_INTERNAL_SERVICE_HOST", "10.0.0.12"),
            ("PUSHRING_INTERNAL_PORT_8001_TCP", "tcp://10.0.0.12:8001"),
        ] {
            assert!(is_service_link(name, value), "{name}={value}");
        }
        for (name, value) in [
            ("PUSHRING_PORT", "8000"),
            ("PUSHRING_LISTEN_PORT", "8000"),
            ("PUSHRING_HOST", "10.0.0.1"),
        ] {
            assert!(!is_service_link(name, value), "{name}={value}");
        }
    }

    #[test]
    fn no_setting_has_the_name_of_a_service_variable() {
        for setting in settings() {
            for value in ["8000", "tcp://10.0.0.11:8000"] {
                assert!(
                    !is_service_link(&setting.variable(), value),
                    "{}",
                    setting.variable()
                );
            }
        }
    }
}
