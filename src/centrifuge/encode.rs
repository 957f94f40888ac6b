//! What the server says: replies to commands, and pushes. Each is one line without its end.

use bytes::BufMut;

use super::data::{put_data, put_json};
use super::disconnect::Unsubscribed;
use super::error::ErrorReply;
use super::tags::tags;
use crate::json::put_string;
use crate::publication::{ClientInfo, Event, Kind, Position, Publication};

/// The server's ping, and the client's answer.
pub const PING: &str = "{}";

/// What a connection is told when it has begun.
#[derive(Clone, Copy, Debug)]
pub struct Connected<'a> {
    /// Names the connection.
    pub client: &'a str,
    /// Of the server.
    pub version: &'a str,
    /// For how long the token is still valid, in s, if it expires.
    pub ttl_s: Option<u64>,
    /// How often the server sends a ping, in s. Each wants an answer.
    pub ping_s: u64,
}

/// What a subscriber is told when its subscription has begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subscribed<'a> {
    /// For how long its token is still valid, in s, if it expires.
    pub ttl_s: Option<u64>,
    /// Where it stands in the channel's stream: the first publication that it is sent is the one behind
    /// this. `None` if the channel keeps nothing from which it could recover.
    pub position: Option<Position>,
    /// Whether it has asked for what it has missed, and if so whether it gets that.
    pub recovered: Option<bool>,
    /// What it is told besides: JSON, or nothing.
    pub data: &'a [u8],
}

/// Appends the reply to a connect command; `subs` are the channels that the server has subscribed it to.
pub fn put_connected<'s>(
    out: &mut impl BufMut,
    id: u32,
    connected: &Connected<'_>,
    subs: impl IntoIterator<Item = (&'s str, Subscribed<'s>)>,
) {
    put_reply(out, id, "connect", |out| {
        out.put_slice(b"\"client\":");
        put_string(out, connected.client);
        out.put_slice(b",\"version\":");
        put_string(out, connected.version);
        put_ttl(out, true, connected.ttl_s);
        let mut before: &[u8] = b",\"subs\":{";
        let mut has_subs = false;
        for (channel, subscribed) in subs {
            out.put_slice(before);
            put_string(out, channel);
            out.put_slice(b":{");
            put_subscribed_members(out, &subscribed);
            out.put_u8(b'}');
            before = b",";
            has_subs = true;
        }
        if has_subs {
            out.put_u8(b'}');
        }
        out.put_slice(b",\"ping\":");
        put_number(out, connected.ping_s);
        out.put_slice(b",\"pong\":true");
    });
}

/// Appends the reply to a subscribe command.
pub fn put_subscribed(out: &mut impl BufMut, id: u32, subscribed: &Subscribed<'_>) {
    put_reply(out, id, "subscribe", |out| {
        put_subscribed_members(out, subscribed);
    });
}

/// Appends the reply to a command that has nothing more to say than that it was obeyed.
pub fn put_done(out: &mut impl BufMut, id: u32, command: &'static str) {
    put_reply(out, id, command, |_| {});
}

/// Appends the reply to a command that was not obeyed.
pub fn put_error(out: &mut impl BufMut, id: u32, error: &ErrorReply) {
    put_reply(out, id, "error", |out| {
        out.put_slice(b"\"code\":");
        put_number(out, u64::from(error.code));
        out.put_slice(b",\"message\":");
        put_string(out, &error.message);
        if error.temporary {
            out.put_slice(b",\"temporary\":true");
        }
    });
}

/// Appends the reply to a presence command.
pub fn put_presence<'i>(
    out: &mut impl BufMut,
    id: u32,
    present: impl IntoIterator<Item = &'i ClientInfo>,
) {
    put_reply(out, id, "presence", |out| {
        out.put_slice(b"\"presence\":{");
        for (n, info) in present.into_iter().enumerate() {
            put_comma(out, n > 0);
            put_string(out, &info.client);
            out.put_u8(b':');
            put_info(out, info);
        }
        out.put_u8(b'}');
    });
}

/// Appends the reply to a presence_stats command.
pub fn put_presence_stats(out: &mut impl BufMut, id: u32, clients: usize, users: usize) {
    put_reply(out, id, "presence_stats", |out| {
        out.put_slice(b"\"num_clients\":");
        put_number(out, clients as u64);
        out.put_slice(b",\"num_users\":");
        put_number(out, users as u64);
    });
}

/// Appends the reply to a history command.
pub fn put_history(
    out: &mut impl BufMut,
    id: u32,
    position: Position,
    publications: &[Publication],
) {
    put_reply(out, id, "history", |out| {
        out.put_slice(b"\"publications\":[");
        for (n, publication) in publications.iter().enumerate() {
            put_comma(out, n > 0);
            put_publication(out, publication);
        }
        out.put_slice(b"],");
        put_position(out, position);
    });
}

/// Appends the reply to a refresh command.
pub fn put_refreshed(
    out: &mut impl BufMut,
    id: u32,
    client: &str,
    version: &str,
    ttl_s: Option<u64>,
) {
    put_reply(out, id, "refresh", |out| {
        out.put_slice(b"\"client\":");
        put_string(out, client);
        out.put_slice(b",\"version\":");
        put_string(out, version);
        put_ttl(out, true, ttl_s);
    });
}

/// Appends the reply to a sub_refresh command.
pub fn put_sub_refreshed(out: &mut impl BufMut, id: u32, ttl_s: Option<u64>) {
    put_reply(out, id, "sub_refresh", |out| put_ttl(out, false, ttl_s));
}

/// Appends the beginning that all pushes of a channel have: `{"push":{"channel":"news",`.
pub fn put_push_head(out: &mut impl BufMut, channel: &str) {
    out.put_slice(b"{\"push\":{\"channel\":");
    put_string(out, channel);
    out.put_u8(b',');
}

/// Appends what follows [`put_push_head`] in the push of a publication.
pub fn put_publication_push(out: &mut impl BufMut, publication: &Publication) {
    out.put_slice(b"\"pub\":");
    put_publication(out, publication);
    out.put_slice(b"}}");
}

/// Appends what follows [`put_push_head`] in the push of somebody's coming or going.
pub fn put_event_push(out: &mut impl BufMut, event: &Event) {
    let info = match event {
        Event::Join(info) => {
            out.put_slice(b"\"join\":{\"info\":");
            info
        }
        Event::Leave(info) => {
            out.put_slice(b"\"leave\":{\"info\":");
            info
        }
    };
    put_info(out, info);
    out.put_slice(b"}}}");
}

/// Appends the push that tells a client that the server has subscribed it.
pub fn put_subscribe_push(out: &mut impl BufMut, channel: &str, subscribed: &Subscribed<'_>) {
    put_push_head(out, channel);
    out.put_slice(b"\"subscribe\":{");
    put_subscribed_members(out, subscribed);
    out.put_slice(b"}}}");
}

/// Appends the push that tells a client that the server has ended a subscription of its.
pub fn put_unsubscribe_push(out: &mut impl BufMut, channel: &str, why: Unsubscribed) {
    put_push_head(out, channel);
    out.put_slice(b"\"unsubscribe\":{\"code\":");
    put_number(out, u64::from(why.code));
    out.put_slice(b",\"reason\":");
    put_string(out, why.reason);
    out.put_slice(b"}}}");
}

/// Appends the push of a message that is for one connection alone.
pub fn put_message_push(out: &mut impl BufMut, kind: Kind, payload: &[u8]) {
    out.put_slice(b"{\"push\":{\"message\":{\"data\":");
    put_data(out, kind, payload);
    out.put_slice(b"}}}");
}

fn put_reply<B: BufMut>(out: &mut B, id: u32, name: &str, members: impl FnOnce(&mut B)) {
    out.put_slice(b"{\"id\":");
    put_number(out, u64::from(id));
    out.put_slice(b",\"");
    out.put_slice(name.as_bytes());
    out.put_slice(b"\":{");
    members(out);
    out.put_slice(b"}}");
}

fn put_subscribed_members(out: &mut impl BufMut, subscribed: &Subscribed<'_>) {
    let Subscribed {
        ttl_s,
        position,
        recovered,
        data,
    } = *subscribed;
    if let Some(position) = position {
        out.put_slice(b"\"recoverable\":true,\"positioned\":true,");
        put_position(out, position);
    }
    if let Some(recovered) = recovered {
        put_comma(out, position.is_some());
        out.put_slice(b"\"was_recovering\":true,\"recovered\":");
        out.put_slice(if recovered { b"true" } else { b"false" });
    }
    let has_more = position.is_some() || recovered.is_some();
    put_ttl(out, has_more, ttl_s);
    if !data.is_empty() {
        put_comma(out, has_more || ttl_s.is_some());
        out.put_slice(b"\"data\":");
        put_json(out, data);
    }
}

/// `expires` and `ttl`, where something expires; behind a comma where something stands in front.
fn put_ttl(out: &mut impl BufMut, comma: bool, ttl_s: Option<u64>) {
    if let Some(ttl_s) = ttl_s {
        put_comma(out, comma);
        out.put_slice(b"\"expires\":true,\"ttl\":");
        put_number(out, ttl_s);
    }
}

fn put_publication(out: &mut impl BufMut, publication: &Publication) {
    out.put_slice(b"{\"data\":");
    put_data(out, publication.kind, &publication.payload);
    match &publication.channel {
        // Numbers of several channels would mean nothing to a subscription to all of them.
        Some(channel) => {
            out.put_slice(b",\"channel\":");
            put_string(out, channel);
        }
        None => {
            out.put_slice(b",\"offset\":");
            put_number(out, publication.position.offset);
        }
    }
    if !publication.headers.is_empty() {
        put_tags(out, &publication.headers);
    }
    if let Some(info) = &publication.publisher {
        out.put_slice(b",\"info\":");
        put_info(out, info);
    }
    out.put_u8(b'}');
}

fn put_tags(out: &mut impl BufMut, lines: &[u8]) {
    out.put_slice(b",\"tags\":{");
    for (n, (name, value)) in tags(lines).iter().enumerate() {
        put_comma(out, n > 0);
        put_string(out, name);
        out.put_u8(b':');
        put_string(out, value);
    }
    out.put_u8(b'}');
}

fn put_info(out: &mut impl BufMut, info: &ClientInfo) {
    out.put_slice(b"{\"user\":");
    put_string(out, &info.user);
    out.put_slice(b",\"client\":");
    put_string(out, &info.client);
    for (name, json) in [
        ("conn_info", &info.conn_info),
        ("chan_info", &info.chan_info),
    ] {
        if !json.is_empty() {
            out.put_slice(b",\"");
            out.put_slice(name.as_bytes());
            out.put_slice(b"\":");
            put_json(out, json);
        }
    }
    out.put_u8(b'}');
}

fn put_position(out: &mut impl BufMut, position: Position) {
    let epoch = format!("{:x}", position.epoch);
    out.put_slice(b"\"epoch\":\"");
    out.put_slice(epoch.as_bytes());
    out.put_slice(b"\",\"offset\":");
    put_number(out, position.offset);
}

fn put_comma(out: &mut impl BufMut, wanted: bool) {
    if wanted {
        out.put_u8(b',');
    }
}

fn put_number(out: &mut impl BufMut, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return out.put_slice(&digits[at..]);
        }
    }
}
