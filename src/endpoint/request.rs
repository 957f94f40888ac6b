//! The request that opens a connection, as interceptors and endpoints see it.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::ws::handshake::Head;

/// What an interceptor attaches to a request for the endpoint: at most one value of each type.
pub use http::Extensions as Attributes;

/// An opening handshake, or a request for an event stream: path, query, headers, and whose it is.
pub struct Request<'a> {
    pub(super) head: &'a Head<'a>,
    pub(super) parameters: Vec<(&'a str, Cow<'a, str>)>,
    pub(super) peer: IpAddr,
    pub(super) subprotocol: Option<&'static str>,
    pub(super) event_stream: bool,
    pub(super) attributes: Attributes,
}

impl<'a> Request<'a> {
    /// The path as it was sent, percent-encoded.
    pub fn path(&self) -> &'a str {
        self.head.path()
    }

    /// What follows the question mark, percent-encoded.
    pub fn query(&self) -> Option<&'a str> {
        self.head.query()
    }

    /// The part of the path that stands for `{name}` or `{*name}` in the route's pattern,
    /// percent-decoded.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| &**value)
    }

    /// The first parameter of that name in the query, percent-encoded as it was sent.
    pub(super) fn query_parameter(&self, name: &str) -> Option<&'a str> {
        let pairs = self.query()?.split('&');
        pairs
            .filter_map(|pair| pair.split_once('='))
            .find_map(|(key, value)| (key == name).then_some(value))
    }

    /// The first header of that name, in any case of its letters, without spaces around it.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.head.header(name)
    }

    /// All headers in their order.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.head.headers()
    }

    /// The address that the connection comes from: of a proxy, where one is in front.
    pub fn peer(&self) -> IpAddr {
        self.peer
    }

    /// The subprotocol agreed on, if any.
    pub fn subprotocol(&self) -> Option<&'static str> {
        self.subprotocol
    }

    /// Whether it is for an event stream, at a [`Route::event_stream`](super::Route::event_stream), and not for a WebSocket.
    pub fn is_event_stream(&self) -> bool {
        self.event_stream
    }

    /// What the route's interceptor has attached.
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }
}
