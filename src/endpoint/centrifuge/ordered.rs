//! What somebody outside orders to be done with a client, by the handle or the HTTP API.

use super::connected::Connected;
use super::rights::Granted;
use super::subscribing::Begins;
use super::{Centrifuge, Client, Stage, Work};
use crate::centrifuge::disconnect::Unsubscribed;
use crate::centrifuge::encode;
use crate::channel::ChannelName;
use crate::endpoint::{Context, Order, OrderedSubscription};

impl Centrifuge {
    /// Does it, and tells the client by a push. One that has not connected yet can only be closed.
    pub(super) fn do_ordered(
        &mut self,
        client: &mut Client,
        order: Order,
        context: &mut Context<'_>,
    ) {
        if let Order::Close { code, reason } = order {
            client.stage = Stage::Over;
            return context.close(code, reason);
        }
        self.with_connected(client, context, |connected, work| {
            match order {
                Order::Send(payload) => work.say(|out| {
                    encode::put_message_push(out, payload.kind(), payload.as_bytes());
                }),
                Order::Subscribe(subscription) => connected.subscribe_ordered(*subscription, work),
                Order::Unsubscribe(channel) => connected.unsubscribe_ordered(channel, work),
                Order::Close { .. } => {}
            }
            Ok(())
        });
    }
}

impl Connected {
    /// Begins a subscription that the client has not asked for, and to which it needs no right. Nothing happens if
    /// it has one to that channel already, or as many as it may have.
    fn subscribe_ordered(&mut self, ordered: OrderedSubscription, work: &mut Work<'_, '_>) {
        let OrderedSubscription {
            channel,
            since,
            info,
            data,
        } = ordered;
        if self.check_room(&channel, work).is_err() {
            return;
        }
        let granted = Granted {
            info,
            ..Granted::default()
        };
        self.begin(channel, granted, since, Begins::Ordered(data), work);
    }

    /// Ends the subscription to a channel, or all of them.
    fn unsubscribe_ordered(&mut self, channel: Option<ChannelName>, work: &mut Work<'_, '_>) {
        let is_meant = |name: &str| {
            channel
                .as_ref()
                .is_none_or(|channel| channel.as_str() == name)
        };
        let meant = self.subscriptions.iter();
        let meant = meant.filter(|subscription| is_meant(subscription.form.channel()));
        let numbers: Vec<u32> = meant.map(|subscription| subscription.number).collect();
        for number in numbers {
            self.end_subscription(number, Unsubscribed::SERVER, work);
        }
    }
}
