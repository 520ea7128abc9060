//! A client goes away at any await of its request (P11): the whole effect is there or none of it, and no later change waits for
//! a record that never comes.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::for_each_strategy;
use super::image::Image;
use super::script::{Ask, Deed};
use super::service::{Service, Told, text};
use crate::strategy::StrategyKind;

/// More polls than any request takes.
const POLLS_MAX: usize = 50;
/// Each point is met that often: where a poll ends depends on the other threads.
const ROUNDS: usize = 8;

/// A future that is given up after so many polls.
struct GivenUp<F> {
    future: Pin<Box<F>>,
    polls_left: usize,
}

impl<F: Future> Future for GivenUp<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls_left == 0 {
            return Poll::Ready(None);
        }
        self.polls_left -= 1;
        match self.future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.polls_left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

pub(super) async fn give_up<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    GivenUp { future: Box::pin(future), polls_left: polls }.await
}

fn deeds() -> Vec<Deed> {
    vec![
        Deed::Adjust(0, 1),
        Deed::Count(0, 7),
        Deed::Create(3, 2),
        Deed::Delete(3),
        Deed::Many(vec![(0, 1), (1, 1), (2, 1)]),
        // Refused, which is stored where there is a key.
        Deed::Adjust(0, -1_000_000),
        Deed::Read(0),
    ]
}

/// The levels a deed is about.
fn levels(deed: &Deed) -> Vec<usize> {
    match deed {
        Deed::Many(lines) | Deed::Each(lines) => lines.iter().map(|(level, _)| *level).collect(),
        Deed::Read(level)
        | Deed::Create(level, _)
        | Deed::Count(level, _)
        | Deed::Adjust(level, _)
        | Deed::Delete(level) => vec![*level],
        Deed::List => Vec::new(),
    }
}

async fn versions(service: &Service, levels: &[usize]) -> Vec<u64> {
    let mut versions = Vec::new();
    for level in levels {
        versions.push(service.in_memory(*level).await.version());
    }
    versions
}

/// Gives a request up after `polls`; `false` if it was answered by then.
async fn given_up(service: &Arc<Service>, ask: &Ask, polls: usize) -> bool {
    let levels = levels(&ask.deed);
    let before = versions(service, &levels).await;
    let answered = give_up(service.ask(ask), polls).await;
    // Whoever is still at work on it for the client that has gone is done before this is: it is the same level.
    for level in &levels {
        let told = service.ask(&Ask { deed: Deed::Many(vec![(*level, 1)]), key: None }).await;
        assert_eq!(told, Told::Applied, "after {ask:?} was given up at poll {polls}");
    }
    let after = versions(service, &levels).await;
    let changed: Vec<u64> = before.iter().zip(&after).map(|(before, after)| after - before - 1).collect();
    assert!(changed.iter().all(|by| *by == changed[0] && *by <= 1), "{ask:?} at poll {polls}: {changed:?}");
    match &answered {
        Some(Told::Applied) => assert_eq!(changed[0], 1),
        Some(Told::Refused | Told::Read) => assert_eq!(changed[0], 0),
        _ => {}
    }
    if let (Some(_), None) = (ask.key, &answered) {
        // The key is free, or has that effect: never neither. While it is being stored it is in use.
        let told = loop {
            match service.ask(ask).await {
                Told::Key("in progress") => tokio::task::yield_now().await,
                told => break told,
            }
        };
        let in_all = versions(service, &levels).await[0] - after[0] + changed[0];
        assert!(in_all <= 1, "{ask:?} at poll {polls}: {told:?} took effect twice");
        assert!(changed[0] == 0 || told == Told::Again, "{ask:?} at poll {polls}: {told:?}");
    }
    answered.is_none()
}

for_each_strategy! {
    /// P7, P8, P11: every command, with and without a key, given up after its k-th poll, for every k.
    async fn a_request_given_up_at_any_await_has_all_of_its_effect_or_none(kind: StrategyKind) {
        let service = Service::new(kind).await;
        for level in 0..3 {
            service.ask(&Ask { deed: Deed::Create(level, 100), key: None }).await;
        }
        let (mut number, mut given_up_in_all) = (0_u128, 0);
        for deed in deeds() {
            for keyed in [false, true] {
                for round in 0..ROUNDS {
                    for polls in 0.. {
                        assert!(polls < POLLS_MAX, "{deed:?} never ends");
                        number += 1;
                        let key = (keyed && !matches!(deed, Deed::Read(_))).then_some(number);
                        let ask = Ask { deed: deed.clone(), key };
                        if !given_up(&service, &ask, polls).await {
                            assert!(polls > 0 && round < ROUNDS);
                            break;
                        }
                        given_up_in_all += 1;
                    }
                }
            }
        }
        assert!(given_up_in_all > 100, "{given_up_in_all}");
        tokio::task::block_in_place(|| service.journal().close());
        let image = Image::of(&service.disk.only_synced()).expect("a whole log");
        image.assert_holds(&service.shown());
        image.assert_consistent_with(&service.shown());
        for level in 0..4 {
            assert_eq!(image.levels.get(&text(level)), Some(&service.in_memory(level).await), "no gap in the log");
        }
        assert_eq!(service.journal().shared().watermark.failed(), None);
    }
}
