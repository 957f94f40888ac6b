//! Forms of subscriptions that clients have in common.

use std::collections::HashSet;
use std::sync::Arc;

use crate::encoding::CentrifugeForm;

/// Forms that are remembered. Clients of one program subscribe alike, one after the other.
const FORMS_MAX: usize = 16;

/// The forms that were asked for last, so that subscriptions to the same channel share one.
#[derive(Default)]
pub struct Forms {
    recent: Vec<Arc<CentrifugeForm>>,
    /// Which one is forgotten next.
    oldest: usize,
    /// Those of the subscriptions that a live upgrade has carried over, in no order of time; until the next one begins.
    restored: HashSet<Arc<CentrifugeForm>>,
}

impl Forms {
    /// The form of a channel.
    pub fn find(&mut self, channel: &str) -> Arc<CentrifugeForm> {
        if !self.restored.is_empty() {
            self.restored = HashSet::new();
        }
        if let Some(form) = self.recent.iter().find(|form| form.channel() == channel) {
            return form.clone();
        }
        let form = Arc::new(CentrifugeForm::new(channel));
        if self.recent.len() < FORMS_MAX {
            self.recent.push(form.clone());
        } else {
            self.recent[self.oldest] = form.clone();
            self.oldest = (self.oldest + 1) % FORMS_MAX;
        }
        form
    }

    /// The form of a restored subscription, which it shares with all others to its channel.
    pub fn restore(&mut self, form: Arc<CentrifugeForm>) -> Arc<CentrifugeForm> {
        if let Some(known) = self.restored.get(&form) {
            return known.clone();
        }
        self.restored.insert(form.clone());
        form
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restored_subscriptions_share_forms_in_whatever_order_they_come_and_nothing_is_kept_of_that()
    {
        let mut forms = Forms::default();
        let mut restore =
            |number| forms.restore(Arc::new(CentrifugeForm::new(&format!("a{number}"))));
        let first: Vec<_> = (0..100).map(&mut restore).collect();
        let second: Vec<_> = (0..100).map(&mut restore).collect();
        for (first, second) in first.iter().zip(&second) {
            assert!(Arc::ptr_eq(first, second));
        }
        forms.find("b");
        assert!(first.iter().all(|form| Arc::strong_count(form) == 2));
    }

    #[test]
    fn subscriptions_to_the_same_channel_share_a_form_and_others_do_not() {
        let mut forms = Forms::default();
        let first = forms.find("a");
        assert!(Arc::ptr_eq(&first, &forms.find("a")));
        for number in 0..100 {
            let other = forms.find(&format!("b{number}"));
            assert_ne!(first, other);
            assert!(forms.recent.len() <= FORMS_MAX);
        }
        let again = forms.find("a");
        assert_eq!(first, again);
        assert!(!Arc::ptr_eq(&first, &again));
    }
}
