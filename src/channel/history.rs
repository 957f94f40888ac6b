//! What a channel keeps of what was published, so that whoever was away gets exactly what it missed.
//!
//! A history is the newest part of its stream without a hole: so many publications, so many bytes, so
//! old at the most. It answers whole or not at all. What it hands out is shared by all who ask before
//! something else is published: ten thousand subscribers that return at once cost about one look.

mod saved;

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::publication::{Missed, Publication};

/// How much one channel keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryBounds {
    /// Publications; 0 to keep none.
    pub publications_max: usize,
    /// How old they may become, in ms.
    pub ttl_ms: u64,
    /// Bytes, as [`Publication::kept_bytes`] counts them.
    pub bytes_max: usize,
}

/// See the module's documentation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct History {
    /// When each was published, in ms, and it.
    kept: VecDeque<(u64, Publication)>,
    /// Counted anew when it is restored: what a publication counts is the version's own.
    #[serde(skip)]
    bytes: usize,
    /// Publications given up for the channel's bound in bytes, since that was last asked.
    #[serde(skip)]
    crowded_out: u32,
    /// All that was published behind this offset is kept, apart from what was not to be kept.
    whole_behind: u64,
    /// The newest publications, made for the last who asked; gone with the next change.
    #[serde(skip)]
    shared: Option<Arc<[Publication]>>,
}

impl History {
    /// A history that begins where its stream stands.
    pub fn behind(offset: u64) -> Self {
        Self {
            kept: VecDeque::new(),
            bytes: 0,
            crowded_out: 0,
            whole_behind: offset,
            shared: None,
        }
    }

    /// Publications kept.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Bytes kept.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps a publication, which is the next of its stream that is to be kept, and gives up what is beyond the
    /// bounds. A publication that is larger than all bytes that there may be is not kept, nor what came before
    /// it.
    pub fn push(&mut self, now_ms: u64, publication: Publication, bounds: &HistoryBounds) {
        self.shared = None;
        self.bytes += publication.kept_bytes();
        self.kept.push_back((now_ms, publication));
        self.trim(now_ms, bounds);
    }

    /// Gives up what is beyond the bounds.
    pub fn trim(&mut self, now_ms: u64, bounds: &HistoryBounds) {
        self.expire(now_ms, bounds.ttl_ms);
        while self.kept.len() > bounds.publications_max {
            self.evict();
        }
        while self.bytes > bounds.bytes_max {
            self.evict();
            self.crowded_out += 1;
        }
    }

    /// How many publications [`HistoryBounds::bytes_max`] has cost since the last call.
    pub fn take_crowded_out(&mut self) -> u32 {
        std::mem::take(&mut self.crowded_out)
    }

    /// Gives up what has become too old.
    pub fn expire(&mut self, now_ms: u64, ttl_ms: u64) {
        while self.expires_at_ms(ttl_ms).is_some_and(|at| at <= now_ms) {
            self.evict();
        }
    }

    /// Gives up the oldest publication.
    pub fn evict(&mut self) {
        if let Some((_, publication)) = self.kept.pop_front() {
            self.bytes -= publication.kept_bytes();
            self.whole_behind = publication.position.offset;
            self.shared = None;
        }
    }

    /// Gives up everything.
    pub fn clear(&mut self) {
        while !self.is_empty() {
            self.evict();
        }
    }

    /// When the oldest publication becomes too old, in ms.
    pub fn expires_at_ms(&self, ttl_ms: u64) -> Option<u64> {
        self.kept.front().map(|(at, _)| at.saturating_add(ttl_ms))
    }

    /// All publications behind an offset of a stream that stands at `newest`, but for those that were not to be
    /// kept; `None` if one of them is gone, or if the stream has not come as far as that offset.
    pub fn since(&mut self, newest: u64, offset: u64) -> Option<Missed> {
        if offset > newest || offset < self.whole_behind {
            return None;
        }
        let had = |(_, publication): &(u64, Publication)| publication.position.offset <= offset;
        let missed = self.kept.len() - self.kept.partition_point(had);
        if self.shared.as_ref().is_none_or(|all| all.len() < missed) {
            let first = self.kept.len() - missed;
            let wanted = self.kept.range(first..);
            self.shared = Some(wanted.map(|(_, publication)| publication.clone()).collect());
        }
        let shared = self.shared.clone()?;
        let from = shared.len() - missed;
        Some(Missed::new(shared, from))
    }

    /// The newest publication, if one is kept.
    pub fn newest(&mut self) -> Missed {
        let newest = self.kept.back().map(|(_, p)| p.position.offset);
        newest
            .and_then(|offset| self.since(offset, offset.saturating_sub(1)))
            .unwrap_or_else(|| Missed::new(Arc::default(), 0))
    }

    /// Publications behind an offset, or before it where `reverse` says so, the nearest to it first; from
    /// the end of the stream where none is given. What is not kept any more is passed over.
    pub fn page(&self, behind: Option<u64>, limit: usize, reverse: bool) -> Vec<Publication> {
        let all = self.kept.iter().map(|(_, publication)| publication);
        let offset = |publication: &&Publication| publication.position.offset;
        match reverse {
            false => all
                .filter(|publication| behind.is_none_or(|behind| offset(publication) > behind))
                .take(limit)
                .cloned()
                .collect(),
            true => all
                .rev()
                .filter(|publication| behind.is_none_or(|behind| offset(publication) < behind))
                .take(limit)
                .cloned()
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::publication::{Kind, Position};

    fn publication(offset: u64, payload: usize) -> Publication {
        Publication {
            position: Position { epoch: 1, offset },
            kind: Kind::Text,
            headers: Bytes::new(),
            payload: Bytes::from(vec![b'x'; payload]),
            publisher: None,
            channel: None,
        }
    }

    fn offsets(missed: Option<Missed>) -> Option<Vec<u64>> {
        missed.map(|missed| missed.iter().map(|p| p.position.offset).collect())
    }

    const BOUNDS: HistoryBounds = HistoryBounds {
        publications_max: 3,
        ttl_ms: 100,
        bytes_max: 1_000_000,
    };

    fn five() -> History {
        let mut history = History::behind(0);
        for offset in 1..=5 {
            history.push(offset, publication(offset, 10), &BOUNDS);
        }
        history
    }

    #[test]
    fn what_was_missed_comes_whole_or_not_at_all() {
        let mut history = five();
        assert_eq!(offsets(history.since(5, 5)), Some(vec![]));
        assert_eq!(offsets(history.since(5, 3)), Some(vec![4, 5]));
        assert_eq!(offsets(history.since(5, 2)), Some(vec![3, 4, 5]));
        assert_eq!(offsets(history.since(5, 1)), None);
        assert_eq!(offsets(history.since(5, 6)), None, "it never came so far");
        assert_eq!(offsets(Some(history.newest())), Some(vec![5]));
    }

    #[test]
    fn who_missed_nothing_recovers_though_nothing_is_kept() {
        let mut history = History::behind(7);
        assert_eq!(offsets(history.since(7, 7)), Some(vec![]));
        assert_eq!(offsets(history.since(7, 6)), None);
        assert_eq!(offsets(Some(history.newest())), Some(vec![]));
    }

    #[test]
    fn what_was_not_to_be_kept_is_missed_by_nobody() {
        let mut history = History::behind(0);
        for offset in [1, 4, 5, 8] {
            history.push(offset, publication(offset, 10), &BOUNDS);
        }
        assert_eq!(offsets(history.since(9, 8)), Some(vec![]));
        assert_eq!(offsets(history.since(9, 6)), Some(vec![8]));
        assert_eq!(offsets(history.since(9, 2)), Some(vec![4, 5, 8]));
        assert_eq!(offsets(history.since(9, 0)), None, "1 is given up");
        assert_eq!(offsets(Some(history.newest())), Some(vec![8]));
        history.clear();
        assert_eq!(offsets(history.since(9, 8)), Some(vec![]));
        assert_eq!(offsets(history.since(9, 7)), None);
    }

    #[test]
    fn old_publications_are_given_up_at_their_time() {
        let mut history = five();
        assert_eq!(history.expires_at_ms(100), Some(103));
        history.expire(102, 100);
        assert_eq!(history.len(), 3);
        history.expire(104, 100);
        assert_eq!(offsets(history.since(5, 4)), Some(vec![5]));
        assert_eq!(offsets(history.since(5, 3)), None);
    }

    #[test]
    fn all_who_ask_share_what_they_get_until_something_changes() {
        let mut history = five();
        let first = history.since(5, 2).expect("kept");
        let second = history.since(5, 4).expect("kept");
        assert!(Arc::ptr_eq(first.shared().0, second.shared().0));
        history.push(6, publication(6, 10), &BOUNDS);
        let third = history.since(6, 4).expect("kept");
        assert!(!Arc::ptr_eq(first.shared().0, third.shared().0));
    }

    #[test]
    fn pages_go_both_ways() {
        let history = five();
        let page = |behind, limit, reverse| {
            let page = history.page(behind, limit, reverse);
            page.iter().map(|p| p.position.offset).collect::<Vec<_>>()
        };
        assert_eq!(page(None, 2, false), [3, 4]);
        assert_eq!(page(Some(3), 9, false), [4, 5]);
        assert_eq!(page(None, 2, true), [5, 4]);
        assert_eq!(page(Some(5), 9, true), [4, 3]);
        assert_eq!(page(None, 0, true), [0; 0]);
    }

    proptest! {
        #[test]
        fn a_history_is_the_newest_part_of_its_stream_within_all_bounds(
            steps in prop::collection::vec((0usize..400, 0u64..50, 0u8..4), 1..80),
            publications_max in 0usize..10,
            payloads_max in 0usize..2_000,
        ) {
            let each = publication(1, 0).kept_bytes();
            let bounds = HistoryBounds { publications_max, ttl_ms: 100, bytes_max: payloads_max + 4 * each };
            let mut history = History::behind(0);
            // All that was ever published to be kept: when, how large, and as what.
            let mut all: Vec<(u64, usize, u64)> = Vec::new();
            let mut newest = 0;
            let mut now_ms = 0;
            for (payload, pause_ms, step) in steps {
                now_ms += pause_ms;
                history.expire(now_ms, bounds.ttl_ms);
                match step {
                    0 => {}
                    // Not to be kept.
                    1 => newest += 1,
                    _ => {
                        newest += 1;
                        all.push((now_ms, payload, newest));
                        history.push(now_ms, publication(newest, payload), &bounds);
                    }
                }
                let expected = all.iter().rev().scan((0, 0), |(count, bytes), (at, payload, _)| {
                    *count += 1;
                    *bytes += payload + each;
                    let fits = *count <= publications_max && *bytes <= bounds.bytes_max;
                    (fits && at + bounds.ttl_ms > now_ms).then_some(payload + each)
                });
                let expected: Vec<usize> = expected.collect();
                // A bound that was once passed has cost what lay beyond it for good.
                prop_assert!(history.len() <= expected.len());
                prop_assert_eq!(history.bytes(), expected[..history.len()].iter().sum::<usize>());
                let lost = all[..all.len() - history.len()].last().map_or(0, |(_, _, offset)| *offset);
                for offset in 0..=newest {
                    let behind = all.iter().map(|(_, _, kept)| *kept).filter(|kept| *kept > offset);
                    let whole = (offset >= lost).then(|| behind.collect::<Vec<_>>());
                    prop_assert_eq!(offsets(history.since(newest, offset)), whole);
                }
            }
        }
    }
}
