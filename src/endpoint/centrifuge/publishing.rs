//! What clients publish.

use bytes::Bytes;

use super::Work;
use super::connected::{Connected, What, refused};
use super::fault::Fault;
use super::rights;
use super::subscribing::channel;
use crate::centrifuge::command::Publish;
use crate::centrifuge::{ErrorReply, encode};
use crate::channel::Refused;
use crate::publication::{Draft, Kind, Position};

impl Connected {
    pub(super) fn publish(
        &mut self,
        id: u32,
        publish: &Publish<'_>,
        work: &mut Work<'_, '_>,
    ) -> Result<(), Fault> {
        let channel = channel("publish", &publish.channel)?;
        if publish.kind.0 != 0 {
            let detail = "there are only publications to streams (type 0)";
            return Err(ErrorReply::NOT_AVAILABLE.because(detail).into());
        }
        let Some(data) = publish.data else {
            return Err(ErrorReply::BAD_REQUEST
                .because("publish has no data")
                .into());
        };
        let data = data.get().as_bytes();
        let max = work.settings.data_bytes_max;
        if data.len() > max {
            let detail = format!("data has more than {max} bytes (limits.message_bytes_max)");
            return Err(ErrorReply::LIMIT_EXCEEDED.because(detail).into());
        }
        rights::publish(&self.identity, &channel, work)?;
        let of_subscription = self.find(channel.as_str()).and_then(|subscription| {
            let more = subscription.more.as_ref()?;
            more.info.clone()
        });
        let publisher = of_subscription.unwrap_or_else(|| self.info(work));
        let draft = Draft {
            publisher: Some(publisher),
            ..Draft::new(Kind::Text, Bytes::copy_from_slice(data))
        };
        let number = work.context.publish_draft(channel, draft);
        self.wait_for(number, What::Publish(id));
        Ok(())
    }

    /// A publication has its place, or was refused.
    pub(super) fn published(
        &mut self,
        number: u32,
        result: Result<Position, Refused>,
        work: &mut Work<'_, '_>,
    ) {
        let Some(What::Publish(id)) = self.take_waiting(number) else {
            return;
        };
        work.say(|out| match result {
            Ok(_) => encode::put_done(out, id, "publish"),
            Err(error) => encode::put_error(out, id, &refused(error)),
        });
    }
}
