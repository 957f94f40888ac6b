//! Pusher's protocol 7: one JSON object a message.

use memchr::memmem;

use super::{Dialect, Link, Said, Step, words};

pub(super) fn read(
    dialect: &Dialect,
    link: &mut Link,
    subscriptions: &[u32],
    message: &[u8],
    each: &mut impl FnMut(Said<'_>),
) {
    if let Some(payload) = dialect.payload_in_json(message) {
        return each(Said::Delivery(payload));
    }
    match event(message) {
        Some(b"pusher:connection_established") if link.step == Step::Greeting => {
            link.step = Step::Subscribing;
            link.unanswered = subscriptions.len() as u32;
            for channel in dialect.channels_of(subscriptions) {
                let channel = serde_json::Value::from(channel);
                let subscribe = format!(
                    "{{\"event\":\"pusher:subscribe\",\"data\":{{\"channel\":{channel}}}}}"
                );
                each(Said::Answer(subscribe.into_bytes()));
            }
        }
        Some(b"pusher_internal:subscription_succeeded") if link.step == Step::Subscribing => {
            link.unanswered -= 1;
            if link.unanswered == 0 {
                link.step = Step::Open;
                each(Said::Open);
            }
        }
        Some(b"pusher:ping") => {
            each(Said::Answer(
                b"{\"event\":\"pusher:pong\",\"data\":{}}".to_vec(),
            ));
        }
        Some(b"pusher:pong" | b"pusher_internal:subscription_count") => {}
        Some(b"pusher:error" | b"pusher:subscription_error") => each(Said::Refused(words(message))),
        _ => each(Said::Foreign),
    }
}

/// The name of the event, wherever it stands in the object.
fn event(message: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"\"event\":\"";
    let name = &message[memmem::find(message, NAME)? + NAME.len()..];
    name.split(|&byte| byte == b'"').next()
}
