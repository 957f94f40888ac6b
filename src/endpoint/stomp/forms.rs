//! Forms of subscriptions that clients have in common.

use std::sync::Arc;

use crate::encoding::StompForm;
use crate::stomp::Version;

/// Forms that are remembered. Clients of one program subscribe alike, one after the other.
const FORMS_MAX: usize = 16;

/// The forms that were asked for last, so that subscriptions with the same share one.
#[derive(Default)]
pub struct Forms {
    recent: Vec<Arc<StompForm>>,
    /// Which one is forgotten next.
    oldest: usize,
}

impl Forms {
    /// The form of that version, subscription id and destination.
    pub fn find(
        &mut self,
        version: Version,
        subscription: &str,
        destination: &str,
    ) -> Arc<StompForm> {
        let found = self.recent.iter().find(|form| {
            form.version() == version
                && form.subscription() == subscription
                && form.destination() == destination
        });
        if let Some(form) = found {
            return form.clone();
        }
        let form = Arc::new(StompForm::new(version, subscription, destination));
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
    fn subscriptions_alike_share_a_form_and_others_do_not() {
        let mut forms = Forms::default();
        let first = forms.find(Version::V1_2, "sub-0", "/topic/a");
        let again = forms.find(Version::V1_2, "sub-0", "/topic/a");
        assert!(Arc::ptr_eq(&first, &again));
        for (version, subscription, destination) in [
            (Version::V1_1, "sub-0", "/topic/a"),
            (Version::V1_2, "sub-1", "/topic/a"),
            (Version::V1_2, "sub-0", "/topic/b"),
        ] {
            let other = forms.find(version, subscription, destination);
            assert_ne!(first, other);
            assert_eq!(other.destination(), destination);
        }
    }

    #[test]
    fn forms_beyond_the_bound_are_forgotten_and_made_anew() {
        let mut forms = Forms::default();
        let first = forms.find(Version::V1_2, "sub-0", "/topic/a");
        for number in 1..100 {
            forms.find(Version::V1_2, &format!("sub-{number}"), "/topic/a");
            assert!(forms.recent.len() <= FORMS_MAX);
        }
        let again = forms.find(Version::V1_2, "sub-0", "/topic/a");
        assert_eq!(first, again);
        assert!(!Arc::ptr_eq(&first, &again));
    }
}
