//! Surveys that not all shards have answered yet.

use std::collections::HashMap;

use tokio::sync::oneshot;

use crate::shard::mail::Surveyed;

/// See the module's documentation.
#[derive(Default)]
pub struct Surveys {
    under_way: HashMap<u64, UnderWay>,
}

/// One survey.
struct UnderWay {
    /// Shards that have not answered.
    waiting: Vec<usize>,
    answers: Vec<Surveyed>,
    asker: oneshot::Sender<Vec<Surveyed>>,
}

impl Surveys {
    /// Notes a survey of these shards under a number of its own. Those that nobody waits for any more are
    /// given up, so that a shard that does not answer costs nothing for long.
    pub fn begin(
        &mut self,
        number: u64,
        waiting: Vec<usize>,
        asker: oneshot::Sender<Vec<Surveyed>>,
    ) {
        self.under_way.retain(|_, one| !one.asker.is_closed());
        let survey = UnderWay {
            waiting,
            answers: Vec::new(),
            asker,
        };
        self.under_way.insert(number, survey);
        self.finish(number);
    }

    /// Notes a shard's answer.
    pub fn note(&mut self, number: u64, shard: usize, answer: Surveyed) {
        if let Some(survey) = self.under_way.get_mut(&number) {
            survey.answers.push(answer);
            survey.waiting.retain(|one| *one != shard);
            self.finish(number);
        }
    }

    /// A shard has ended and answers nothing any more: it has no connections.
    pub fn forget_shard(&mut self, shard: usize) {
        let numbers: Vec<u64> = self.under_way.keys().copied().collect();
        for number in numbers {
            if let Some(survey) = self.under_way.get_mut(&number) {
                survey.waiting.retain(|one| *one != shard);
            }
            self.finish(number);
        }
    }

    /// Hands the answers over if they are complete.
    fn finish(&mut self, number: u64) {
        if self
            .under_way
            .get(&number)
            .is_some_and(|survey| survey.waiting.is_empty())
            && let Some(survey) = self.under_way.remove(&number)
        {
            // Whoever asked may have gone.
            let _ = survey.asker.send(survey.answers);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(count: usize) -> Surveyed {
        Surveyed::Told(count)
    }

    #[test]
    fn a_survey_is_answered_when_all_shards_have_answered_or_ended() {
        let mut surveys = Surveys::default();
        let (asker, mut answer) = oneshot::channel();
        surveys.begin(1, vec![0, 1, 2], asker);
        surveys.note(1, 2, told(2));
        surveys.note(7, 0, told(7));
        surveys.forget_shard(1);
        assert!(answer.try_recv().is_err());
        surveys.note(1, 0, told(0));
        assert_eq!(answer.try_recv().unwrap(), [told(2), told(0)]);
        assert!(surveys.under_way.is_empty());
    }

    #[test]
    fn where_no_shard_is_left_the_answer_is_there_at_once() {
        let mut surveys = Surveys::default();
        let (asker, mut answer) = oneshot::channel();
        surveys.begin(1, Vec::new(), asker);
        assert_eq!(answer.try_recv().unwrap(), []);
    }

    #[test]
    fn a_survey_that_nobody_waits_for_is_given_up() {
        let mut surveys = Surveys::default();
        let (asker, answer) = oneshot::channel();
        surveys.begin(1, vec![0], asker);
        drop(answer);
        let (asker, _answer) = oneshot::channel();
        surveys.begin(2, vec![0], asker);
        assert_eq!(surveys.under_way.keys().collect::<Vec<_>>(), [&2]);
    }
}
