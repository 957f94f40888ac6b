//! The wire encodings that a lane may have.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use serde::{Deserialize, Serialize};

use crate::centrifuge::encode::{put_event_push, put_publication_push, put_push_head};
use crate::publication::{Event, ID_BYTES_MAX, Publication};
use crate::raw;
use crate::sse;
use crate::stomp::Version;
use crate::stomp::encode::{MessageHead, message_len, put_message};
use crate::ws::deflate::{Compressors, WindowBits};
use crate::ws::frame::Opcode;

/// How publications are put on the wire for one lane: whoever has an equal encoding receives the
/// very same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Encoding {
    /// What a message says.
    pub form: Form,
    /// The window that it is compressed for (RFC 7692), where the receivers take compressed
    /// messages.
    pub deflate: Option<WindowBits>,
}

/// What one client protocol makes of a publication.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Form {
    /// The raw protocol over WebSocket: the payload and nothing else.
    Raw,
    /// Server-Sent Events: one event, without WebSocket framing and never compressed.
    Sse {
        /// Whether each has its position as its id. Not where a connection has several channels: an id would speak for
        /// one of them.
        with_ids: bool,
    },
    /// STOMP: a MESSAGE frame, which is the same for all subscriptions of the same id, destination
    /// and version that acknowledge nothing.
    Stomp(Arc<StompForm>),
    /// Centrifugo's protocol: a push, which is the same for all subscribers of a channel.
    Centrifuge(Arc<CentrifugeForm>),
}

/// What makes the MESSAGE frames of a STOMP subscription what they are.
#[derive(Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StompForm {
    version: Version,
    subscription: Box<str>,
    destination: Box<str>,
}

/// What makes the pushes of a channel what they are in Centrifugo's protocol.
#[derive(Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CentrifugeForm {
    channel: Box<str>,
    /// As [`put_push_head`] writes it.
    head: Box<[u8]>,
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

impl CentrifugeForm {
    /// The form of a channel's pushes.
    pub fn new(channel: &str) -> Self {
        let mut head = Vec::new();
        put_push_head(&mut head, channel);
        Self {
            channel: channel.into(),
            head: head.into(),
        }
    }

    /// The channel as pushes name it.
    pub fn channel(&self) -> &str {
        &self.channel
    }

    fn put_publication(&self, out: &mut BytesMut, publication: &Publication) {
        /// What the offset and the brackets take, and some tags.
        const MORE: usize = 64;
        out.reserve(self.head.len() + publication.payload.len() + MORE);
        out.extend_from_slice(&self.head);
        put_publication_push(out, publication);
    }

    fn put_event(&self, out: &mut BytesMut, event: &Event) {
        out.extend_from_slice(&self.head);
        put_event_push(out, event);
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
            Form::Sse { with_ids } => sse::put_publication(out, publication, *with_ids),
            Form::Stomp(form) => {
                let mut message = BytesMut::new();
                form.put_message(&mut message, publication);
                compressors.put_frame(out, self.deflate, opcode, &message);
            }
            Form::Centrifuge(form) => {
                let mut push = BytesMut::new();
                form.put_publication(&mut push, publication);
                compressors.put_frame(out, self.deflate, Opcode::Text, &push);
            }
        }
    }

    /// Appends the frame that tells of somebody's coming or leaving; nothing where the protocol has none.
    pub fn put_event(&self, out: &mut impl BufMut, event: &Event, compressors: &mut Compressors) {
        match &self.form {
            Form::Raw | Form::Sse { .. } | Form::Stomp(_) => {}
            Form::Centrifuge(form) => {
                let mut push = BytesMut::new();
                form.put_event(&mut push, event);
                compressors.put_frame(out, self.deflate, Opcode::Text, &push);
            }
        }
    }
}

impl StompForm {
    /// Where a publication was sent to: the destination of the subscription, or the one that its pattern
    /// has found.
    pub fn destination_of(&self, publication: &Publication) -> Cow<'_, str> {
        match &publication.channel {
            None => Cow::Borrowed(&self.destination),
            Some(channel) => Cow::Owned(format!("/topic/{channel}")),
        }
    }

    fn put_message(&self, out: &mut BytesMut, publication: &Publication) {
        let destination = self.destination_of(publication);
        let mut id = [0; ID_BYTES_MAX];
        let head = MessageHead {
            version: self.version,
            subscription: &self.subscription,
            message_id: publication.position.as_id(&mut id),
            destination: &destination,
            ack: None,
            redelivered: false,
            headers: &publication.headers,
            default_content_type: None,
        };
        out.reserve(message_len(&head, publication.payload.len()));
        put_message(out, &head, &publication.payload);
    }
}
