//! A connected client that was written down and read again.

use super::Connected;
use crate::endpoint::stomp::forms::Forms;

impl Connected {
    /// Makes whole what has just been read.
    pub fn restored(&mut self, forms: &mut Forms) {
        // Vectors that are read have room for more.
        self.subscriptions.shrink_to_fit();
        for subscription in &mut self.subscriptions {
            let form = &subscription.form;
            subscription.form = forms.find(form.version(), form.subscription(), form.destination());
            if let Some(window) = &mut subscription.window {
                window.restored();
            }
        }
        if let Some(busy) = &mut self.busy {
            busy.transactions.restored();
        }
    }
}

/// What waits for its owners, with each receipt once: it is due when the last of those that share it is answered.
pub mod waiting {
    use std::collections::VecDeque;
    use std::rc::Rc;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::endpoint::stomp::connected::Waiting;

    /// The receipts, and for each that waits its number and which of them it has.
    type Saved<T> = (Vec<T>, Vec<(u32, Option<usize>)>);

    pub fn serialize<S: Serializer>(
        waiting: &VecDeque<Waiting>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut receipts: Vec<&Rc<str>> = Vec::new();
        let mut index_of = |receipt| match receipts.last() {
            // Those that share one have come together.
            Some(last) if Rc::ptr_eq(last, receipt) => receipts.len() - 1,
            _ => {
                receipts.push(receipt);
                receipts.len() - 1
            }
        };
        let all = waiting
            .iter()
            .map(|one| (one.number, one.receipt.as_ref().map(&mut index_of)))
            .collect();
        let saved: Saved<&str> = (receipts.into_iter().map(|text| &**text).collect(), all);
        saved.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<VecDeque<Waiting>, D::Error> {
        let (receipts, all) = Saved::<Rc<str>>::deserialize(deserializer)?;
        let waiting = all.into_iter().map(|(number, index)| {
            let receipt = match index {
                Some(index) => Some(receipts.get(index).ok_or("a receipt is missing")?.clone()),
                None => None,
            };
            Ok(Waiting { number, receipt })
        });
        waiting
            .collect::<Result<_, &str>>()
            .map_err(D::Error::custom)
    }
}
