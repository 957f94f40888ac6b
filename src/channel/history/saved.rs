//! A history that was written down and read again.

use super::History;
use crate::channel::restore_error::Fault;
use crate::publication::{Position, Publication};

impl History {
    /// Makes a history whole that has just been read, of a stream that stands there; or says why it is none of
    /// that stream's.
    pub fn restored(&mut self, position: Position) -> Result<(), Fault> {
        let mut behind = self.whole_behind;
        self.bytes = 0;
        for (_, publication) in &self.kept {
            let place = publication.position;
            Fault::Order.unless(place.epoch == position.epoch && place.offset > behind)?;
            behind = place.offset;
            self.bytes += publication.kept_bytes();
        }
        Fault::Order.unless(behind <= position.offset)
    }

    /// All that is kept, the oldest first, to be changed in nothing that counts.
    pub fn publications_mut(&mut self) -> impl Iterator<Item = &mut Publication> {
        self.shared = None;
        self.kept.iter_mut().map(|(_, publication)| publication)
    }
}
