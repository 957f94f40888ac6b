//! What client and server agree on in the opening handshake (RFC 7692, sections 5 and 7.1).

use bytes::BufMut;

use super::extension::{self, Malformed, Offer};
use super::{Agreement, WindowBits};

/// The extension's name (section 7).
const NAME: &[u8] = b"permessage-deflate";

/// What this server agrees to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether clients may take over their context from one message to the next; the last bytes of what they have sent,
    /// as many as their window has, are kept for each connection then.
    pub client_keeps_context: bool,
    /// The largest window, of the server and of clients that let themselves be told one.
    pub window_max: WindowBits,
}

/// An agreement and what of it has to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What holds from now on.
    pub agreement: Agreement,
    says_server_window: bool,
    says_client_window: bool,
}

impl Answer {
    /// Appends the value of the answer's `Sec-WebSocket-Extensions`.
    pub fn put_value(&self, out: &mut impl BufMut) {
        out.put_slice(NAME);
        out.put_slice(b"; server_no_context_takeover");
        if !self.agreement.client_keeps_context() {
            out.put_slice(b"; client_no_context_takeover");
        }
        if self.says_server_window {
            let bits = self.agreement.server_window().bits();
            out.put_slice(format!("; server_max_window_bits={bits}").as_bytes());
        }
        if self.says_client_window {
            let bits = self.agreement.client_window().bits();
            out.put_slice(format!("; client_max_window_bits={bits}").as_bytes());
        }
    }
}

/// Finds the first acceptable offer among the values of all `Sec-WebSocket-Extensions` headers. Other extensions are passed
/// over, and so are offers with a parameter that is unknown, stands there twice or has a value it must not have
/// (section 7). Without a policy none is acceptable.
///
/// # Errors
/// [`Malformed`] for values that break the header's grammar, whatever they mean.
pub fn negotiate<'a>(
    values: impl Iterator<Item = &'a [u8]>,
    policy: Option<&Policy>,
) -> Result<Option<Answer>, Malformed> {
    let offers = extension::parse(values)?;
    let Some(policy) = policy else {
        return Ok(None);
    };
    let mut known = offers.iter().filter(|offer| offer.name == NAME);
    Ok(known.find_map(|offer| Some(accept(&Parameters::read(offer)?, policy))))
}

/// An offer's parameters, each with its meaning (section 7.1).
#[derive(Default)]
struct Parameters {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<WindowBits>,
    /// Without a value it says no more than that the client takes one in the answer.
    client_max_window_bits: Option<Option<WindowBits>>,
}

impl Parameters {
    /// `None` for an offer that must be declined.
    fn read(offer: &Offer<'_>) -> Option<Self> {
        let mut read = Self::default();
        for parameter in &offer.parameters {
            let value = parameter.value.as_deref();
            let is_first = match parameter.name {
                b"server_no_context_takeover" if value.is_none() => {
                    !std::mem::replace(&mut read.server_no_context_takeover, true)
                }
                b"client_no_context_takeover" if value.is_none() => {
                    !std::mem::replace(&mut read.client_no_context_takeover, true)
                }
                b"server_max_window_bits" => {
                    let bits = window_bits(value?)?;
                    read.server_max_window_bits.replace(bits).is_none()
                }
                b"client_max_window_bits" => {
                    let bits = match value {
                        None => None,
                        Some(value) => Some(window_bits(value)?),
                    };
                    read.client_max_window_bits.replace(bits).is_none()
                }
                _ => return None,
            };
            if !is_first {
                return None;
            }
        }
        Some(read)
    }
}

fn accept(offered: &Parameters, policy: &Policy) -> Answer {
    let at_most = |asked: Option<WindowBits>| {
        let asked = asked.unwrap_or(WindowBits::W15);
        asked.min(policy.window_max)
    };
    let server_window = at_most(offered.server_max_window_bits);
    // A client that does not say it takes a window from us keeps its own, which may be the largest (section 7.1.2.2).
    let client_window = offered
        .client_max_window_bits
        .map_or(WindowBits::W15, at_most);
    Answer {
        agreement: Agreement::new(
            server_window,
            client_window,
            policy.client_keeps_context && !offered.client_no_context_takeover,
        ),
        // Accepting what was asked means saying so (section 7.1.2.1), even where it is what holds anyway.
        says_server_window: offered.server_max_window_bits.is_some()
            || server_window < WindowBits::W15,
        says_client_window: client_window < WindowBits::W15,
    }
}

/// A decimal number from 8 to 15 without leading zeros (section 7.1.2).
fn window_bits(value: &[u8]) -> Option<WindowBits> {
    let bits = match *value {
        [digit @ b'8'..=b'9'] => digit - b'0',
        [b'1', digit @ b'0'..=b'5'] => 10 + digit - b'0',
        _ => return None,
    };
    WindowBits::from_bits(u32::from(bits))
}
