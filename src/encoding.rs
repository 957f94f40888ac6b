//! The wire encodings that a lane may have.

#![forbid(unsafe_code)]

use std::sync::Arc;

use bytes::{BufMut, BytesMut};

use crate::publication::{Event, ID_BYTES_MAX, Publication};
use crate::raw;
use crate::stomp::Version;
use crate::stomp::encode::{MessageHead, message_len, put_message};
use crate::ws::deflate::{Compressors, WindowBits};

/// How publications are put on the wire for one lane: whoever has an equal encoding receives the
/// very same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Encoding {
    /// What a message says.
    pub form: Form,
    /// The window that it is compressed for (RFC 7692), where the receivers take compressed
    /// messages.
    pub deflate: Option<WindowBits>,
}

/// What one client protocol makes of a publication.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// The raw protocol over WebSocket: the payload and nothing else.
    Raw,
    /// STOMP: a MESSAGE frame, which is the same for all subscriptions of the same id, destination
    /// and version that acknowledge nothing.
    Stomp(Arc<StompForm>),
}

/// What makes the MESSAGE frames of a STOMP subscription what they are.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct StompForm {
    version: Version,
    subscription: Box<str>,
    destination: Box<str>,
}

impl Form {
    /// The form of a STOMP subscription: its id, empty where it has none, and its destination as
    /// MESSAGE frames name it.
    pub fn stomp(version: Version, subscription: &str, destination: &str) -> Self {
        Self::Stomp(Arc::new(StompForm::new(version, subscription, destination)))
    }
}

impl StompForm {
    /// As [`Form::stomp`].
    pub fn new(version: Version, subscription: &str, destination: &str) -> Self {
        Self {
            version,
            subscription: subscription.into(),
            destination: destination.into(),
        }
    }

    /// The version that the client speaks.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The subscription's id; empty in 1.0 where it has none.
    pub fn subscription(&self) -> &str {
        &self.subscription
    }

    /// The destination as the client wrote it.
    pub fn destination(&self) -> &str {
        &self.destination
    }
}

impl Encoding {
    /// Appends one publication's frame.
    pub fn put_publication(
        &self,
        out: &mut impl BufMut,
        publication: &Publication,
        compressors: &mut Compressors,
    ) {
        let opcode = raw::opcode(publication.kind);
        match &self.form {
            Form::Raw => compressors.put_frame(out, self.deflate, opcode, &publication.payload),
            Form::Stomp(form) => {
                let mut message = BytesMut::new();
                form.put_message(&mut message, publication);
                compressors.put_frame(out, self.deflate, opcode, &message);
            }
        }
    }
}

impl Encoding {
    /// Appends the frame that tells of somebody's coming or leaving; nothing where the protocol has none.
    pub fn put_event(
        &self,
        out: &mut impl BufMut,
        channel: &str,
        event: &Event,
        compressors: &mut Compressors,
    ) {
        let _ = (out, channel, event, compressors);
        match &self.form {
            Form::Raw | Form::Stomp(_) => {}
        }
    }
}

impl StompForm {
    fn put_message(&self, out: &mut BytesMut, publication: &Publication) {
        let mut id = [0; ID_BYTES_MAX];
        let head = MessageHead {
            version: self.version,
            subscription: &self.subscription,
            message_id: publication.position.as_id(&mut id),
            destination: &self.destination,
            ack: None,
            redelivered: false,
            headers: &publication.headers,
            default_content_type: None,
        };
        out.reserve(message_len(&head, publication.payload.len()));
        put_message(out, &head, &publication.payload);
    }
}
