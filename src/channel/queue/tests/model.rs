//! Queues as simple as they can be written: vectors, and scans of all that is in them.

use super::*;

/// What has become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Ready,
    Unsettled(u32),
    Settled,
    Discarded,
}

#[derive(Clone, Debug)]
pub struct Sent {
    pub queue: ChannelName,
    pub publication: Publication,
    pub state: State,
    pub deliveries: u32,
    pub refused_by: Option<u32>,
}

#[derive(Clone, Debug)]
struct Consumer {
    name: u32,
    window: u32,
}

struct Queue {
    name: ChannelName,
    epoch: u64,
    offset: u64,
    consumers: Vec<Consumer>,
    /// Whose turn it is; the length of the list when the last has had it.
    cursor: usize,
}

/// All messages ever sent, in order, and the queues that there are.
pub struct Model {
    limits: QueueLimits,
    next_epoch: u64,
    queues: Vec<Queue>,
    pub sent: Vec<Sent>,
}

impl Sent {
    pub fn bytes(&self) -> usize {
        let Publication {
            payload, headers, ..
        } = &self.publication;
        MESSAGE_OVERHEAD_BYTES + payload.len() + headers.len()
    }

    pub fn is_kept(&self) -> bool {
        matches!(self.state, State::Ready | State::Unsettled(_))
    }
}

impl Model {
    pub fn new(limits: QueueLimits, first_epoch: u64) -> Self {
        Self {
            limits,
            next_epoch: first_epoch,
            queues: Vec::new(),
            sent: Vec::new(),
        }
    }

    pub fn send(
        &mut self,
        queue: &ChannelName,
        kind: Kind,
        headers: Bytes,
        payload: Bytes,
        out: &mut Vec<Handed<u32>>,
    ) -> Result<Position, QueueFull> {
        let mut sent = Sent {
            queue: queue.clone(),
            publication: Publication {
                position: Position {
                    epoch: 0,
                    offset: 0,
                },
                kind,
                headers,
                payload,
                publisher: None,
                channel: None,
            },
            state: State::Ready,
            deliveries: 0,
            refused_by: None,
        };
        let is_new = !self.queues.iter().any(|other| other.name == *queue);
        if is_new && self.queues.len() == self.limits.queues_max {
            return Err(QueueFull::Queues);
        }
        let here: Vec<&Sent> = self.kept().filter(|sent| sent.queue == *queue).collect();
        if here.len() == self.limits.messages_max {
            return Err(QueueFull::Messages);
        }
        let bytes: usize = here.iter().map(|sent| sent.bytes()).sum();
        if bytes + sent.bytes() > self.limits.bytes_max {
            return Err(QueueFull::Bytes);
        }
        let bytes: usize = self.kept().map(Sent::bytes).sum();
        if bytes + sent.bytes() > self.limits.total_bytes_max {
            return Err(QueueFull::TotalBytes);
        }
        let index = self.open(queue)?;
        self.queues[index].offset += 1;
        let position = self.position(index);
        sent.publication.position = position;
        self.sent.push(sent);
        self.hand_out(index, out);
        Ok(position)
    }

    pub fn subscribe(
        &mut self,
        queue: &ChannelName,
        name: u32,
        window: u32,
        out: &mut Vec<Handed<u32>>,
    ) -> Result<Position, QueueFull> {
        let index = self.open(queue)?;
        let consumers = &mut self.queues[index].consumers;
        match consumers.iter_mut().find(|consumer| consumer.name == name) {
            Some(consumer) => consumer.window = window,
            None => consumers.push(Consumer { name, window }),
        }
        self.hand_out(index, out);
        Ok(self.position(index))
    }

    pub fn settle(
        &mut self,
        queue: &ChannelName,
        name: u32,
        offsets: &[u64],
        verdict: Verdict,
        out: &mut Vec<Handed<u32>>,
    ) {
        for sent in &mut self.sent {
            if sent.queue != *queue
                || sent.state != State::Unsettled(name)
                || !offsets.contains(&sent.publication.position.offset)
            {
                continue;
            }
            match verdict {
                Verdict::Accept => sent.state = State::Settled,
                Verdict::Return => {
                    put_back(sent, self.limits.deliveries_max);
                    sent.refused_by = Some(name);
                }
            }
        }
        self.finish(queue, out);
    }

    pub fn leave(&mut self, queue: &ChannelName, name: u32, out: &mut Vec<Handed<u32>>) {
        for sent in &mut self.sent {
            if sent.queue == *queue && sent.state == State::Unsettled(name) {
                put_back(sent, self.limits.deliveries_max);
                sent.refused_by = None;
            }
        }
        if let Some(queue) = self.queues.iter_mut().find(|other| other.name == *queue)
            && let Some(gone) = queue.consumers.iter().position(|other| other.name == name)
        {
            queue.consumers.remove(gone);
            if gone < queue.cursor {
                queue.cursor -= 1;
            }
        }
        self.finish(queue, out);
    }

    pub fn tally(&self) -> QueueTally {
        QueueTally {
            queues: self.queues.len(),
            messages: self.count(|state| state == State::Ready),
            unsettled: self.count(|state| matches!(state, State::Unsettled(_))),
            consumers: self.queues.iter().map(|queue| queue.consumers.len()).sum(),
            bytes: self.kept().map(Sent::bytes).sum(),
            discarded: self.count(|state| state == State::Discarded) as u64,
        }
    }

    /// Offsets that a consumer holds, in order.
    pub fn held(&self, queue: &ChannelName, name: u32) -> Vec<u64> {
        self.holding(queue, name)
            .map(|sent| sent.publication.position.offset)
            .collect()
    }

    fn kept(&self) -> impl Iterator<Item = &Sent> {
        self.sent.iter().filter(|sent| sent.is_kept())
    }

    fn holding(&self, queue: &ChannelName, name: u32) -> impl Iterator<Item = &Sent> {
        self.sent
            .iter()
            .filter(move |sent| sent.queue == *queue && sent.state == State::Unsettled(name))
    }

    fn count(&self, is_counted: impl Fn(State) -> bool) -> usize {
        self.sent
            .iter()
            .filter(|sent| is_counted(sent.state))
            .count()
    }

    fn position(&self, index: usize) -> Position {
        Position {
            epoch: self.queues[index].epoch,
            offset: self.queues[index].offset,
        }
    }

    fn open(&mut self, name: &ChannelName) -> Result<usize, QueueFull> {
        if let Some(index) = self.queues.iter().position(|other| other.name == *name) {
            return Ok(index);
        }
        if self.queues.len() == self.limits.queues_max {
            return Err(QueueFull::Queues);
        }
        self.queues.push(Queue {
            name: name.clone(),
            epoch: self.next_epoch,
            offset: 0,
            consumers: Vec::new(),
            cursor: 0,
        });
        self.next_epoch += 1;
        Ok(self.queues.len() - 1)
    }

    /// Hands out what can be, and forgets the queue if nothing is left of it.
    fn finish(&mut self, name: &ChannelName, out: &mut Vec<Handed<u32>>) {
        let Some(index) = self.queues.iter().position(|other| other.name == *name) else {
            return;
        };
        self.hand_out(index, out);
        let has_messages = self.kept().any(|sent| sent.queue == *name);
        if !has_messages && self.queues[index].consumers.is_empty() {
            self.queues.remove(index);
        }
    }

    fn hand_out(&mut self, index: usize, out: &mut Vec<Handed<u32>>) {
        let name = self.queues[index].name.clone();
        while let Some(front) = self
            .sent
            .iter()
            .position(|sent| sent.queue == name && sent.state == State::Ready)
        {
            let Some(served) = self.next(index, front) else {
                return;
            };
            let consumer = self.queues[index].consumers[served].name;
            self.queues[index].cursor = served + 1;
            let sent = &mut self.sent[front];
            out.push(Handed {
                consumer,
                publication: sent.publication.clone(),
                redelivered: sent.deliveries > 0,
            });
            sent.state = State::Unsettled(consumer);
            sent.deliveries += 1;
        }
    }

    /// Who is to have a message, by its place in the list of consumers.
    fn next(&self, index: usize, message: usize) -> Option<usize> {
        let queue = &self.queues[index];
        let sent = &self.sent[message];
        let mut round: Vec<usize> = (queue.cursor..queue.consumers.len())
            .chain(0..queue.cursor)
            .collect();
        round.retain(|&place| self.has_room(queue, &queue.consumers[place], sent.bytes()));
        round
            .iter()
            .copied()
            .find(|&place| Some(queue.consumers[place].name) != sent.refused_by)
            .or_else(|| round.first().copied())
    }

    fn has_room(&self, queue: &Queue, consumer: &Consumer, bytes: usize) -> bool {
        let held = self.holding(&queue.name, consumer.name).count();
        let held_bytes: usize = self
            .holding(&queue.name, consumer.name)
            .map(Sent::bytes)
            .sum();
        let fits = held_bytes + bytes <= self.limits.window_bytes_max;
        held == 0 || (held < consumer.window as usize && fits)
    }
}

fn put_back(sent: &mut Sent, deliveries_max: u32) {
    sent.state = if sent.deliveries < deliveries_max {
        State::Ready
    } else {
        State::Discarded
    };
}
