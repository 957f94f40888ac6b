//! Forms of subscriptions that clients have in common.

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
}

impl Forms {
    /// The form of a channel.
    pub fn find(&mut self, channel: &str) -> Arc<CentrifugeForm> {
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
}

#[cfg(test)]
mod tests {
    use super::*;

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
