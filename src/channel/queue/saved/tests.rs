//! Queues that were saved and restored, beside those that they were made of.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::channel::{Handed, Verdict};
use crate::publication::Kind;

/// Consumers are numbers below this.
const CONSUMERS: u32 = 6;

#[derive(Clone, Debug)]
enum Step {
    Send(usize, usize),
    Subscribe(usize, u32, u32),
    /// Which of the offsets that there may be, a bit for each.
    Settle(usize, u32, u32, Verdict),
    Leave(usize, u32),
}

fn step() -> impl Strategy<Value = Step> {
    let queue = || prop_oneof![4 => Just(0usize), 1 => 1usize..4];
    let verdict = prop_oneof![2 => Just(Verdict::Accept), 1 => Just(Verdict::Return)];
    prop_oneof![
        6 => (queue(), 0usize..1_000).prop_map(|(queue, bytes)| Step::Send(queue, bytes)),
        4 => (queue(), 0..CONSUMERS, 1u32..5)
            .prop_map(|(queue, consumer, window)| Step::Subscribe(queue, consumer, window)),
        5 => (queue(), 0..CONSUMERS, any::<u32>(), verdict)
            .prop_map(|(queue, consumer, which, verdict)| Step::Settle(queue, consumer, which, verdict)),
        2 => (queue(), 0..CONSUMERS).prop_map(|(queue, consumer)| Step::Leave(queue, consumer)),
    ]
}

fn steps(max: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 0..max)
}

prop_compose! {
    fn limits()(
        queues_max in 1usize..5,
        messages_max in 1usize..30,
        deliveries_max in 1u32..5,
        window_bytes_max in 0usize..2_500,
    ) -> QueueLimits {
        QueueLimits {
            queues_max,
            messages_max,
            bytes_max: 20_000,
            total_bytes_max: 30_000,
            deliveries_max,
            window_bytes_max,
        }
    }
}

fn name(queue: usize) -> ChannelName {
    ChannelName::parse(&format!("q{queue}")).unwrap()
}

/// Does it, and tells all that came of it.
fn act(queues: &mut Queues<u32>, step: &Step) -> (String, Vec<Handed<u32>>, QueueTally) {
    let mut out = Vec::new();
    let result = match *step {
        Step::Send(queue, bytes) => {
            let headers = Bytes::from_static(b"a:b\n");
            let payload = Bytes::from(vec![bytes as u8; bytes]);
            let sent = queues.send(&name(queue), Kind::Text, headers, payload, &mut out);
            format!("{sent:?}")
        }
        Step::Subscribe(queue, consumer, window) => {
            let joined = queues.subscribe(&name(queue), consumer, window, &mut out);
            format!("{joined:?}")
        }
        Step::Settle(queue, consumer, which, verdict) => {
            let offsets = (0..32).filter(|bit| which & (1 << bit) != 0);
            let offsets: Vec<u64> = offsets.map(|bit| bit + 1).collect();
            queues.settle(&name(queue), &consumer, &offsets, verdict, &mut out);
            String::new()
        }
        Step::Leave(queue, consumer) => {
            queues.leave(&name(queue), &consumer, &mut out);
            String::new()
        }
    };
    (result, out, queues.tally())
}

fn written(queues: &Queues<u32>) -> Vec<u8> {
    postcard::to_allocvec(&queues.save()).unwrap()
}

fn restored(saved: SavedQueues<u32>) -> Result<Queues<u32>, RestoreError> {
    let may_be = |consumer: &u32| *consumer < CONSUMERS;
    Queues::restore(FixedState::with_seed(1), 1, saved, may_be)
}

fn queues(limits: QueueLimits, steps: &[Step]) -> Queues<u32> {
    let mut queues = Queues::new(FixedState::with_seed(1), limits, 1);
    for step in steps {
        act(&mut queues, step);
    }
    queues
}

proptest! {
    #[test]
    fn restored_queues_go_on_as_those_that_were_saved_would_have(
        first in limits(),
        second in limits(),
        before in steps(120),
        middle in steps(30),
        after in steps(100),
    ) {
        let mut oracle = queues(first, &before);
        let mut restored_before: Option<Queues<u32>> = None;
        // Two upgrades, one behind the other, the second with other settings.
        for (limits, steps) in [(first, &middle), (second, &after)] {
            let bytes = written(restored_before.as_ref().unwrap_or(&oracle));
            let mut taken_over = restored(postcard::from_bytes(&bytes).unwrap()).unwrap();
            prop_assert_eq!(taken_over.tally(), oracle.tally());
            let (mut out, mut expected) = (Vec::new(), Vec::new());
            taken_over.set_limits(limits, &mut out);
            oracle.set_limits(limits, &mut expected);
            // Each queue has its order; among the queues there is none.
            for handed in [&mut out, &mut expected] {
                handed.sort_by_key(|handed| handed.publication.position.epoch);
            }
            prop_assert_eq!(out, expected);
            for step in steps {
                let expected = act(&mut oracle, step);
                prop_assert_eq!(act(&mut taken_over, step), expected, "{:?}", step);
            }
            restored_before = Some(taken_over);
        }
    }

    #[test]
    fn damaged_bytes_of_queues_are_an_error_or_queues_and_never_a_panic(
        limits in limits(),
        before in steps(60),
        at in any::<Index>(),
        byte in any::<u8>(),
        after in steps(60),
    ) {
        let mut bytes = written(&queues(limits, &before));
        let at = at.index(bytes.len());
        prop_assert!(postcard::from_bytes::<SavedQueues<u32>>(&bytes[..at]).is_err());
        bytes[at] = byte;
        let Ok(saved) = postcard::from_bytes(&bytes) else {
            return Ok(());
        };
        if let Ok(mut queues) = restored(saved) {
            for step in &after {
                act(&mut queues, step);
            }
        }
    }
}

const LIMITS: QueueLimits = QueueLimits {
    queues_max: 10,
    messages_max: 100,
    bytes_max: 100_000,
    total_bytes_max: 100_000,
    deliveries_max: 3,
    window_bytes_max: 10_000,
};

#[test]
fn what_a_consumer_holds_it_holds_after_the_upgrade_and_returns_when_it_leaves() {
    let mut queues = queues(LIMITS, &[Step::Subscribe(0, 1, 2), Step::Send(0, 10)]);
    let mut restored = restored(postcard::from_bytes(&written(&queues)).unwrap()).unwrap();
    let leave_and_come = [Step::Leave(0, 1), Step::Subscribe(0, 2, 1)];
    for step in &leave_and_come {
        assert_eq!(act(&mut restored, step), act(&mut queues, step));
    }
    let again = act(&mut restored, &Step::Leave(0, 2));
    assert_eq!((again.2.messages, again.2.unsettled), (1, 0));
    let (_, handed, _) = act(&mut restored, &Step::Subscribe(0, 3, 1));
    assert!(handed[0].redelivered && handed[0].publication.position.offset == 1);
}

#[test]
fn what_does_not_hold_together_is_refused_with_the_queue_and_the_reason() {
    let steps = [Step::Subscribe(0, 1, 1), Step::Send(0, 1), Step::Send(0, 1)];
    let saved = queues(LIMITS, &steps).save();
    let refused = |may_be: &dyn Fn(&u32) -> bool, change: &dyn Fn(&mut SavedQueues<u32>)| {
        let mut saved = saved.clone();
        change(&mut saved);
        let result = Queues::restore(FixedState::with_seed(1), 1, saved, may_be);
        result.map(|_| ()).unwrap_err().to_string()
    };
    let of = |says: Fault| format!("the saved state of queue \"q0\" {says}");
    assert_eq!(refused(&|_| false, &|_| {}), of(Fault::Consumer));
    assert_eq!(
        refused(&|_| true, &|saved| saved
            .queues
            .extend(saved.queues.clone())),
        of(Fault::Twice)
    );
    assert_eq!(
        refused(&|_| true, &|saved| saved.next_epoch = 0),
        of(Fault::Count)
    );
}
