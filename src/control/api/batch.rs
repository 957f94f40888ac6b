//! `batch`: many calls in one request.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use tokio::task::JoinSet;

use super::reply::{ApiError, Reply};
use super::{Control, METHODS, call};
use crate::json;

/// Commands of one batch.
const COMMANDS_MAX: usize = 10_000;

/// Commands of a parallel batch that are under way at one time.
const AT_ONCE_MAX: usize = 128;

/// Bytes of answers behind which the commands that are left are refused.
const REPLIES_BYTES_MAX: usize = 64 * 1_024 * 1_024;

/// What it is called with, apart from `commands`.
#[derive(Deserialize)]
struct Batch {
    #[serde(default)]
    parallel: bool,
}

/// The whole answer, which has the answers in the order of the commands.
pub async fn batch(control: &Arc<Control>, body: &Bytes) -> Reply {
    let (call, commands): (Batch, _) =
        json::parse_around(body, "commands").map_err(ApiError::malformed)?;
    let commands = commands
        .filter(|commands| commands.starts_with(b"["))
        .ok_or_else(|| ApiError::malformed("commands is no list: write [{\"publish\":{…}}, …]"))?;
    let commands: Vec<Bytes> = json::elements(&commands)
        .map(|command| commands.slice(command))
        .collect();
    if commands.len() > COMMANDS_MAX {
        return Err(ApiError::limit_exceeded(format!(
            "at most {COMMANDS_MAX} commands in one batch"
        )));
    }
    let at_once = if call.parallel { AT_ONCE_MAX } else { 1 };
    let mut replies = Vec::with_capacity(commands.len());
    let mut bytes = 0;
    for some in commands.chunks(at_once) {
        if bytes > REPLIES_BYTES_MAX {
            let error = format!("the answers have {REPLIES_BYTES_MAX} bytes already");
            let error = ApiError::limit_exceeded(error).json();
            replies.extend(some.iter().map(|_| error.clone()));
            continue;
        }
        for reply in obey_at_once(control, some).await {
            bytes += reply.len();
            replies.push(reply);
        }
    }
    Ok(format!("{{\"replies\":[{}]}}", replies.join(",")))
}

/// The answers to commands that need not wait for each other.
async fn obey_at_once(control: &Arc<Control>, commands: &[Bytes]) -> Vec<String> {
    if let [command] = commands {
        return vec![obey(control, command).await];
    }
    let mut under_way = JoinSet::new();
    for (index, command) in commands.iter().cloned().enumerate() {
        let control = control.clone();
        under_way.spawn(async move { (index, obey(&control, &command).await) });
    }
    // What stays of this was lost with its task.
    let lost = ApiError::internal("the command was given up").json();
    let mut replies = vec![lost; commands.len()];
    while let Some(done) = under_way.join_next().await {
        if let Ok((index, reply)) = done {
            replies[index] = reply;
        }
    }
    replies
}

/// One command: `{"publish":{…}}` is answered with `{"publish":{…}}`.
async fn obey(control: &Control, command: &Bytes) -> String {
    let mut members = json::members(command);
    let reply = match (members.next(), members.next()) {
        (Some((key, parameters)), None) => {
            let method = String::from_utf8_lossy(&command[key]).into_owned();
            call(control, &method, command.slice(parameters))
                .await
                .map(|result| format!("{{{}:{result}}}", json::quoted(&method)))
        }
        (None, _) => Err(ApiError::bad_request(format!(
            "a command is an object with one of {METHODS}"
        ))),
        (Some(_), Some(_)) => Err(ApiError::bad_request(
            "a command has one method: write one object for each",
        )),
    };
    reply.unwrap_or_else(|error| error.json())
}
