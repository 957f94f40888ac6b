//! What one client has had, and whether that is all that it should have had.

use crate::Place;
use crate::payload;

/// What a client has of its channel.
pub struct Journal {
    channel: usize,
    epoch: u64,
    /// Publications that the channel keeps; `None` if it keeps them all.
    kept_max: Option<u64>,
    /// The last that it knows of.
    last: u64,
    /// Whether it has to find out where the stream stands: it was told of a gap and of no place.
    is_lost: bool,
}

impl Journal {
    /// Of a client that has all up to a place.
    pub fn new(channel: usize, place: Place, kept_max: Option<u64>) -> Self {
        Self {
            channel,
            epoch: place.epoch,
            kept_max,
            last: place.offset,
            is_lost: false,
        }
    }

    /// The last publication that it knows of.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// From where on it wants what it has missed.
    pub fn place(&self) -> Option<Place> {
        (!self.is_lost).then_some(Place {
            epoch: self.epoch,
            offset: self.last,
        })
    }

    /// A publication has come; an error if it is not the next.
    pub fn note_publication(&mut self, offset: Option<u64>, payload: &str) -> Result<(), String> {
        let number = payload::number(self.channel, payload)?;
        if offset.is_some_and(|offset| offset != number) {
            return Err(format!("publication {number} as {offset:?}"));
        }
        if std::mem::take(&mut self.is_lost) {
            // What came between this and the last is not here: the history cannot have had it.
            self.check_gap(number - 1)?;
        } else if number != self.last + 1 {
            let last = self.last;
            return Err(format!("publication {number} came behind {last}"));
        }
        self.last = number;
        Ok(())
    }

    /// It was told of a gap; an error if there can have been none.
    pub fn note_gap(&mut self, place: Option<Place>) -> Result<(), String> {
        if self.is_lost {
            return Err("a gap, though nothing was asked for".to_owned());
        }
        let Some(place) = place else {
            self.is_lost = true;
            return self.kept_max.map(|_| ()).ok_or_else(|| "a gap".to_owned());
        };
        if place.epoch != self.epoch {
            return Err(format!("another epoch: {place:?}"));
        }
        self.check_gap(place.offset)?;
        self.last = place.offset;
        Ok(())
    }

    /// An error if a channel that stands at `newest` keeps all that came behind the last.
    fn check_gap(&self, newest: u64) -> Result<(), String> {
        let last = self.last;
        let missed = newest.saturating_sub(last);
        match self.kept_max {
            Some(kept_max) if missed > kept_max => Ok(()),
            kept_max => Err(format!(
                "a gap from {last} to {newest}, where {kept_max:?} are kept"
            )),
        }
    }
}
