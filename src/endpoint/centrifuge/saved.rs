//! A connection's state as one version of the program hands it to the next (a live upgrade).
//!
//! All of it is carried over, also what waits for an answer, so that nothing depends on when the upgrade happens.

use super::forms::Forms;
use super::subscriptions::Subscriptions;
use super::{Client, Stage};
use crate::endpoint::saved;

impl Client {
    /// As [`Endpoint::save`](crate::endpoint::Endpoint::save).
    pub(super) fn save(&self) -> Option<Vec<u8>> {
        saved::save(self)
    }

    /// As [`Endpoint::restore`](crate::endpoint::Endpoint::restore).
    pub(super) fn restore(saved: &[u8], forms: &mut Forms) -> Option<Self> {
        let mut client: Self = saved::restore(saved)?;
        if let Some(subscriptions) = client.subscriptions_mut() {
            for subscription in subscriptions.iter_mut() {
                subscription.form = forms.restore(subscription.form.clone());
            }
        }
        Some(client)
    }

    fn subscriptions_mut(&mut self) -> Option<&mut Subscriptions> {
        match &mut self.stage {
            Stage::Connecting(connecting) => Some(&mut connecting.connected.subscriptions),
            Stage::Connected(connected) => Some(&mut connected.subscriptions),
            Stage::New { .. } | Stage::Unwelcome | Stage::Over => None,
        }
    }
}

/// A form is saved as its channel: what else it has is how this version writes pushes.
pub mod form {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer};

    use crate::encoding::CentrifugeForm;

    pub fn serialize<S: Serializer>(
        form: &CentrifugeForm,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(form.channel())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<CentrifugeForm>, D::Error> {
        let channel = <&str>::deserialize(deserializer)?;
        Ok(Arc::new(CentrifugeForm::new(channel)))
    }
}
