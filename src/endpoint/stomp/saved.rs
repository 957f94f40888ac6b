//! A client's connection written down, and taken up again by the version of the program that takes over.

use super::forms::Forms;
use super::{Client, Stage};
use crate::endpoint::saved;
use crate::stomp::Reader;

/// What [`restore`] makes the same client of.
pub fn save(client: &Client) -> Option<Vec<u8>> {
    let unread = match client.stage {
        // It is not read any more, and its version is gone.
        Stage::Over => Vec::new(),
        Stage::Connecting(_) | Stage::Connected(_) => client.reader.save(),
    };
    saved::save(&(unread, &client.stage))
}

/// The client that was saved; its subscriptions share their forms with others of the same.
pub fn restore(saved: &[u8], forms: &mut Forms) -> Option<Client> {
    let (unread, mut stage): (Vec<u8>, Stage) = saved::restore(saved)?;
    if let Stage::Connected(connected) = &mut stage {
        connected.restored(forms);
    }
    let mut client = Client {
        reader: Reader::new(),
        stage,
    };
    client.reader = Reader::restore(&unread, client.version())?;
    Some(client)
}

#[cfg(test)]
mod tests;
