//! What is done with the connections of a user: `subscribe`, `unsubscribe`, `disconnect`.
//!
//! Each answers when all connections have been told. Whose a connection is, its endpoint has said: a user that
//! nobody is known by is nobody's mistake, and nothing happens.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::Deserialize;

use super::channel::StreamPosition;
use super::reply::{ApiError, Reply};
use super::{Control, channel_name, parameters, survey};
use crate::endpoint::{Addressee, Order, OrderedSubscription};
use crate::json;
use crate::publication::{Position, Since};
use crate::ws::close::CloseCode;

/// What a client is closed with that is not to come back.
const FORCE_DISCONNECT: (u16, &str) = (3503, "force disconnect");

/// Longest reason of a close frame, in bytes (RFC 6455, section 5.5).
const REASON_BYTES_MAX: usize = 123;

/// Whom it is about.
#[derive(Deserialize)]
struct Whom {
    #[serde(default)]
    user: String,
    #[serde(default)]
    client: Option<String>,
    #[serde(default)]
    session: Option<String>,
    /// Only `disconnect` has it: clients that stay.
    #[serde(default)]
    whitelist: Vec<String>,
}

/// What `subscribe` is called with besides, apart from `info` and `data`.
#[derive(Deserialize)]
struct Subscribe {
    channel: String,
    #[serde(default)]
    b64info: Option<String>,
    #[serde(default)]
    b64data: Option<String>,
    #[serde(default)]
    recover_since: Option<StreamPosition>,
    /// Rules of the channel that would not hold for this subscription: there are none such here.
    #[serde(default, rename = "override")]
    overridden: Option<serde::de::IgnoredAny>,
}

/// What `unsubscribe` is called with besides.
#[derive(Deserialize)]
struct Unsubscribe {
    /// All channels where it is empty.
    #[serde(default)]
    channel: String,
}

/// What `disconnect` is called with besides.
#[derive(Deserialize)]
struct Disconnect {
    #[serde(default)]
    disconnect: Option<Close>,
}

/// A close code and its reason.
#[derive(Deserialize)]
struct Close {
    /// As without any of this where it is 0.
    #[serde(default)]
    code: u16,
    #[serde(default)]
    reason: String,
}

/// `subscribe`: the user's clients are subscribed without having asked for it.
pub async fn subscribe(control: &Control, body: &Bytes) -> Reply {
    let addressee = whom(body)?;
    let call: Subscribe = parameters(body)?;
    if call.overridden.is_some() {
        return Err(ApiError::bad_request(
            "override is not known here: write the rules into the channel's namespace",
        ));
    }
    let subscription = OrderedSubscription {
        channel: channel_name(&call.channel)?,
        since: call.recover_since.map(since).transpose()?,
        info: json_or_base64(body, "info", call.b64info)?,
        data: json_or_base64(body, "data", call.b64data)?,
    };
    tell(control, addressee, Order::Subscribe(subscription.into())).await
}

/// `unsubscribe`: the user's clients get nothing more of a channel.
pub async fn unsubscribe(control: &Control, body: &Bytes) -> Reply {
    let addressee = whom(body)?;
    let call: Unsubscribe = parameters(body)?;
    let channel = match &*call.channel {
        "" => None,
        name => Some(channel_name(name)?),
    };
    tell(control, addressee, Order::Unsubscribe(channel)).await
}

/// `disconnect`: the user's connections are closed.
pub async fn disconnect(control: &Control, body: &Bytes) -> Reply {
    let addressee = whom(body)?;
    let call: Disconnect = parameters(body)?;
    let (code, reason) = match call.disconnect {
        Some(close) if close.code != 0 => (close.code, close.reason),
        _ => (FORCE_DISCONNECT.0, FORCE_DISCONNECT.1.to_owned()),
    };
    let code = CloseCode::of_application(code).ok_or_else(|| {
        ApiError::bad_request(format!("disconnect.code is {code}: write 3000 to 4999"))
    })?;
    if reason.len() > REASON_BYTES_MAX {
        return Err(ApiError::bad_request(format!(
            "disconnect.reason has {} bytes: at most {REASON_BYTES_MAX} fit",
            reason.len()
        )));
    }
    tell(control, addressee, Order::Close { code, reason }).await
}

async fn tell(control: &Control, addressee: Addressee, order: Order) -> Reply {
    survey(control.handle.order_user(addressee, order)).await?;
    Ok("{}".to_owned())
}

fn whom(body: &Bytes) -> Result<Addressee, ApiError> {
    let whom: Whom = parameters(body)?;
    if whom.user.is_empty() {
        return Err(ApiError::bad_request("user is missing"));
    }
    let given = |text: Option<String>| text.filter(|text| !text.is_empty()).map(Into::into);
    Ok(Addressee {
        user: whom.user.into(),
        client: given(whom.client),
        session: given(whom.session),
        except: whom.whitelist.into_iter().map(Into::into).collect(),
    })
}

fn since(place: StreamPosition) -> Result<Since, ApiError> {
    let offset = place.offset;
    if place.epoch.is_empty() {
        return Ok(Since::Offset(offset));
    }
    match u64::from_str_radix(&place.epoch, 16) {
        Ok(epoch) => Ok(Since::Position(Position { epoch, offset })),
        Err(_) => Err(ApiError::bad_request(
            "recover_since.epoch is none of this server's: write it as it was given",
        )),
    }
}

/// JSON, as it stands in the body or as base64; nothing where there is neither.
fn json_or_base64(
    body: &Bytes,
    name: &'static str,
    base64: Option<String>,
) -> Result<Bytes, ApiError> {
    let Some(text) = base64.filter(|text| !text.is_empty()) else {
        let value = json::member(body, name).map_err(ApiError::malformed)?;
        let value = value.map_or(Bytes::new(), |at| body.slice(at));
        return match value.is_empty() || &value[..] == b"null" {
            true => Ok(Bytes::new()),
            false => json::check(&value)
                .map(|()| value)
                .map_err(ApiError::malformed),
        };
    };
    let bytes = BASE64_STANDARD
        .decode(text)
        .map_err(|error| ApiError::bad_request(format!("b64{name} is no base64: {error}")))?;
    json::check(&bytes)
        .map_err(|error| ApiError::bad_request(format!("b64{name} is no JSON: {error}")))?;
    Ok(bytes.into())
}
