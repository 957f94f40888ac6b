//! Which connections several dirty lanes have something for.
//!
//! To look at all subscriptions of a connection for what else could be sent takes memory that no cache
//! holds, and is in vain where channels are published to seldom. So once a turn the members of the
//! dirty lanes are gone through, one byte each: only who is met twice is looked at.

/// See the module's documentation.
#[derive(Default)]
pub struct Overlaps {
    /// By connection's slot: the number of the survey that it was last met in, and [`TWICE`].
    marks: Vec<u8>,
    /// The number of the newest survey, above the bit [`TWICE`]; 0 before the first.
    survey: u8,
}

/// Set in a mark when the connection was met more than once.
const TWICE: u8 = 1;

/// The highest number of a survey.
const SURVEY_MAX: u8 = !TWICE;

impl Overlaps {
    /// Begins a survey: of the connections, whose slots are below that, none has been met.
    pub fn begin(&mut self, slots: usize) {
        if self.survey == SURVEY_MAX {
            self.survey = 0;
            self.marks.fill(0);
        }
        self.survey += TWICE + 1;
        if self.marks.len() < slots {
            self.marks.reserve_exact(slots - self.marks.len());
            self.marks.resize(slots, 0);
        }
    }

    /// A dirty lane has something for the connection.
    pub fn meet(&mut self, slot: u32) {
        if let Some(mark) = self.marks.get_mut(slot as usize) {
            let again = *mark & !TWICE == self.survey;
            *mark = self.survey | u8::from(again);
        }
    }

    /// Whether the newest survey met the connection more than once.
    pub fn has(&self, slot: u32) -> bool {
        let mark = self.marks.get(slot as usize);
        mark.is_some_and(|&mark| mark == self.survey | TWICE)
    }

    /// Does away with what is known of a connection.
    pub fn forget(&mut self, slot: u32) {
        if let Some(mark) = self.marks.get_mut(slot as usize) {
            *mark = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_met_twice_in_one_survey_is_there() {
        let mut overlaps = Overlaps::default();
        assert!(!overlaps.has(0), "before the first survey");
        // More surveys than there are numbers.
        for survey in 0..1_000u32 {
            overlaps.begin(8);
            let expected = |slot: u32| 1 + (slot + survey) % 3;
            for slot in (0..8).flat_map(|slot| std::iter::repeat_n(slot, expected(slot) as usize)) {
                // Slot 7 is met in the first survey only, and its mark must not come true again.
                if slot < 7 || survey == 0 {
                    overlaps.meet(slot);
                }
            }
            for slot in 0..7 {
                assert_eq!(overlaps.has(slot), expected(slot) > 1, "survey {survey}");
            }
            assert_eq!(overlaps.has(7), survey == 0, "survey {survey}");
        }
        overlaps.begin(8);
        [1, 1, 2, 2].iter().for_each(|&slot| overlaps.meet(slot));
        overlaps.forget(1);
        assert_eq!((overlaps.has(1), overlaps.has(2)), (false, true));
    }

    #[test]
    fn connections_of_a_grown_table_are_met_as_well() {
        let mut overlaps = Overlaps::default();
        overlaps.begin(1);
        overlaps.begin(300);
        (0..2).for_each(|_| overlaps.meet(299));
        assert!(overlaps.has(299));
    }
}
