//! Leaves something out of what a new process is given, to prove that the checks see it.

use pushring::shard::SavedShard;
use serde_json::{Value, json};

use super::plan::Sabotage;

/// What was saved without some part of it; counts how much that was.
pub fn strike(
    saved: SavedShard,
    sabotage: Sabotage,
    struck: &mut u64,
) -> Result<SavedShard, String> {
    // Members of channels are named in a way that JSON has no word for; a shard that owns such channels is left in peace.
    let Ok(mut tree) = serde_json::to_value(&saved) else {
        return Ok(saved);
    };
    let mut left_out = 0;
    match sabotage {
        Sabotage::LeaveBacklogs => {
            for connection in list(&mut tree["connections"]) {
                left_out += empty(&mut connection["backlog"], Value::Null);
            }
        }
        Sabotage::LeaveInput => {
            for connection in list(&mut tree["connections"]) {
                let session = &mut connection["session"];
                if session.get("Open").is_some() {
                    left_out += empty(&mut session["Open"]["reader"], Value::Null);
                } else if session.get("Head").is_some() {
                    left_out += empty(&mut session["Head"]["bytes"], json!([]));
                }
            }
        }
        Sabotage::LeaveHandouts => {
            for connection in list(&mut tree["connections"]) {
                let all = list(&mut connection["subscriptions"]);
                let before = all.len();
                all.retain(|one| one[1].get("Handed").is_none());
                left_out += before - all.len();
            }
        }
        Sabotage::LeaveParked => {
            for connection in list(&mut tree["connections"]) {
                if !connection["extra"].is_null() {
                    left_out += empty(&mut connection["extra"]["parked"], json!([]));
                }
            }
        }
        Sabotage::LeaveHeld => {
            for stream in streams(&mut tree) {
                if !stream["paced"].is_null() {
                    left_out += empty(&mut stream["paced"]["held"], Value::Null);
                }
            }
        }
        Sabotage::LeaveInterests => {
            for stream in streams(&mut tree) {
                left_out += empty(&mut stream["interested"], json!(0));
            }
        }
        Sabotage::LeaveHistories => {
            for stream in streams(&mut tree) {
                if !stream["kept"].is_null() {
                    left_out += empty(&mut stream["kept"]["history"]["kept"], json!([]));
                }
            }
        }
        Sabotage::LeaveCounted => {
            for channel in list(&mut tree["channels"]) {
                left_out += empty(&mut channel["counted"], json!(false));
            }
        }
        Sabotage::LeaveReady => {
            for queue in list(&mut tree["queues"]["queues"]) {
                left_out += empty(&mut queue[1]["ready"], json!({}));
            }
        }
        _ => {}
    }
    if left_out == 0 {
        return Ok(saved);
    }
    *struck += 1;
    serde_json::from_value(tree).map_err(|e| e.to_string())
}

/// The streams of the channels that the shard owns.
fn streams(tree: &mut Value) -> impl Iterator<Item = &mut Value> {
    let all = list(&mut tree["directory"]["streams"]);
    all.iter_mut().map(|pair| &mut pair[1])
}

/// What must be a list: if the library's names have changed, this test is to be changed with them.
fn list(value: &mut Value) -> &mut Vec<Value> {
    value.as_array_mut().expect("a list in a saved shard")
}

/// Puts that in place of what is there, which must be of another name than nothing; how much was taken away by it: 0 or 1.
fn empty(value: &mut Value, nothing: Value) -> usize {
    usize::from(std::mem::replace(value, nothing.clone()) != nothing)
}
