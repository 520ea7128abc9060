//! Owners under the model checker (shuttle): a caller, its owner and whoever gives it up, in thousands of random schedules.
//!
//! What runs is the code of this folder itself, through the handle of the actor, which adds nothing to it but names; the locks and threads are
//! shuttle's ([`crate::sync`]). The reaper's clock is not modelled: a thread of the model gives up all that waits, at any moment.
//!
//! After every schedule: what the callers were told, what the level says and what was handed over agree ([`Bench::settle`]). Over
//! all schedules: the outcomes that the model is about occurred.
//!
//! How many schedules, and which: [`crate::sync::schedules`].

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use shuttle::future::block_on;
use shuttle::thread;

use crate::stock::{
    Applied, Change, Changed, HandOff, IfMissing, KeySet, Location, Operation, Sku, StockKey, Transaction,
};
use crate::strategy::{KeyIndex, Ledger, Rejected, Strategy, StrategyConfig, TransactRejected};
use crate::sync::schedules::outcomes;

/// A strategy in a model, and what it handed over.
pub(in crate::strategy) struct Bench<S> {
    pub(in crate::strategy) strategy: S,
    handed: Arc<AtomicU64>,
}

/// A hand-off that is counted, key by key.
pub(in crate::strategy) struct Counted(Arc<AtomicU64>);

impl HandOff for Counted {
    fn hand_over<'a, C>(self, changes: C)
    where
        C: ExactSizeIterator<Item = Changed<'a>> + Clone,
    {
        self.0.fetch_add(changes.len() as u64, Ordering::SeqCst);
    }
}

/// One unit more, of a level that may have to be created: so units and version are the same number.
pub(in crate::strategy) fn one_more() -> Change {
    Change::unconditional(Operation::Adjust { delta: 1, if_missing: IfMissing::Create })
}

/// A key.
pub(in crate::strategy) fn key(sku: &str) -> StockKey {
    StockKey::new(&Sku::parse(sku).unwrap(), &Location::DEFAULT)
}

/// What became of a call: made, or kept out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::strategy) enum Told {
    Made,
    Contention,
    /// Its future was dropped.
    Nothing,
}

impl<S: Strategy> Bench<S> {
    /// A strategy with that queue and as many owners, whose callers wait as long as the model lets them.
    pub(in crate::strategy) fn new(
        new: impl FnOnce(StrategyConfig, Ledger) -> S,
        actor_queue: usize,
        partitions: usize,
    ) -> Arc<Self> {
        let config = StrategyConfig { lock_timeout: Duration::from_hours(1), actor_queue, partitions };
        let strategy = new(config, Ledger::new(Arc::new(KeyIndex::default())));
        Arc::new(Self { strategy, handed: Arc::default() })
    }

    fn hand_off(&self) -> Counted {
        Counted(Arc::clone(&self.handed))
    }

    /// One more of one level.
    pub(in crate::strategy) async fn change(&self, key: &StockKey) -> Told {
        match self.strategy.apply(key, one_more(), self.hand_off()).await {
            Ok(_) => Told::Made,
            Err(Rejected::Contention(_)) => Told::Contention,
            Err(Rejected::Refused(refusal)) => panic!("{refusal:?}"),
        }
    }

    /// One more of each level.
    pub(in crate::strategy) async fn change_all(&self, keys: &[StockKey]) -> Told {
        let lines = keys.iter().map(|key| (key.clone(), one_more())).collect();
        let transaction = Arc::new(Transaction::new(lines).unwrap());
        match self.strategy.transact(&transaction, self.hand_off()).await {
            Ok(applied) => {
                assert!(
                    applied.iter().all(|Applied { before, after }| after.version() == before.version() + 1)
                );
                Told::Made
            }
            Err(TransactRejected::Contention(_)) => Told::Contention,
            Err(TransactRejected::Refused(refused)) => panic!("{refused:?}"),
        }
    }

    /// The units of a level.
    pub(in crate::strategy) async fn units(&self, key: &StockKey) -> Option<u64> {
        let level = self.strategy.read(key).await.ok()?;
        assert_eq!(level.on_hand(), level.version(), "one version a unit");
        Some(level.on_hand())
    }

    /// The units of several levels at one instant.
    pub(in crate::strategy) async fn units_of_all(&self, keys: &[StockKey]) -> Option<Vec<u64>> {
        let keys = Arc::new(KeySet::new(keys.to_vec()));
        let levels = self.strategy.snapshot(&keys).await.ok()?;
        Some(levels.iter().map(|level| level.on_hand()).collect())
    }

    /// When nobody calls any more: all that was made, and nothing else, is there and was handed over. Of what nobody was told,
    /// `told` has a `Nothing`: it may or may not be there. Returns the units of each key.
    pub(in crate::strategy) fn settle(&self, keys: &[StockKey], told: &[(Told, &[usize])]) -> Vec<u64> {
        let units: Vec<u64> =
            keys.iter().map(|key| block_on(self.units(key)).expect("nobody else is there")).collect();
        for (number, &units) in units.iter().enumerate() {
            let of = |wanted| {
                let changes = told.iter().filter(|(told, keys)| *told == wanted && keys.contains(&number));
                changes.count() as u64
            };
            let made = of(Told::Made);
            assert!((made..=made + of(Told::Nothing)).contains(&units), "{units} of {number}: {told:?}");
        }
        assert_eq!(self.handed.load(Ordering::SeqCst), units.iter().sum::<u64>(), "handed over: {told:?}");
        units
    }
}

/// Polls a call once, and drops it: its caller went away.
pub(in crate::strategy) fn abandon(call: impl Future<Output = Told>) -> Told {
    match std::pin::pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(told) => told,
        Poll::Pending => Told::Nothing,
    }
}

/// A hand-off that keeps its owner until it is let go.
pub(in crate::strategy) struct Keeps(Arc<shuttle::sync::Barrier>);

impl HandOff for Keeps {
    fn hand_over<'a, C>(self, _changes: C)
    where
        C: ExactSizeIterator<Item = Changed<'a>> + Clone,
    {
        self.0.wait();
        self.0.wait();
    }
}

/// Runs `test` while the owner of that level is inside a change of it.
pub(in crate::strategy) fn while_an_owner_is_kept<S>(strategy: &Arc<S>, key: &StockKey, test: impl FnOnce())
where
    S: Strategy + 'static,
{
    let kept = Arc::new(shuttle::sync::Barrier::new(2));
    let (strategy, key, keeps) = (Arc::clone(strategy), key.clone(), Keeps(Arc::clone(&kept)));
    let inside = thread::spawn(move || block_on(strategy.apply(&key, one_more(), keeps)).unwrap());
    kept.wait();
    test();
    kept.wait();
    inside.join().unwrap();
}

mod models {
    use super::*;
    use crate::strategy::Contention;
    use crate::strategy::actor::Actor;
    use crate::strategy::kept_out::{adjust, assert_changes_are_kept_out, impatient, read};
    use crate::strategy::owner::call::{Answer, Call};

    const A: &[usize] = &[0];

    fn bench(queue: usize) -> Arc<Bench<Actor>> {
        Bench::new(Actor::new, queue, 1)
    }

    /// Callers in threads of their own, each with one change of the level; what each was told.
    fn callers(bench: &Arc<Bench<Actor>>, count: usize) -> Vec<thread::JoinHandle<Told>> {
        let call = |_| {
            let bench = Arc::clone(bench);
            thread::spawn(move || block_on(bench.change(&key("a"))))
        };
        (0..count).map(call).collect()
    }

    fn joined(callers: Vec<thread::JoinHandle<Told>>) -> Vec<Told> {
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    }

    fn settle(bench: &Bench<Actor>, told: &[Told]) -> u64 {
        let told: Vec<_> = told.iter().map(|told| (*told, A)).collect();
        bench.settle(&[key("a")], &told)[0]
    }

    fn assert_occurred(occurred: &BTreeSet<String>, expected: &[&str]) {
        let expected: BTreeSet<String> = expected.iter().map(|&outcome| outcome.to_owned()).collect();
        assert_eq!(*occurred, expected);
    }

    /// P1: three callers and a queue of one: the third waits at the door, and nobody is forgotten there.
    #[test]
    fn everybody_is_let_in() {
        let occurred = outcomes(|| {
            let bench = bench(1);
            let told = joined(callers(&bench, 3));
            settle(&bench, &told).to_string()
        });
        assert_occurred(&occurred, &["3"]);
    }

    /// P3, P10: owner and giver-up race for each message: whoever is told "contention" has changed nothing, and never will.
    #[test]
    fn what_is_given_up_is_never_applied() {
        let occurred = outcomes(|| {
            let bench = bench(1);
            let calling = callers(&bench, 3);
            bench.strategy.owners().reap_all();
            let told = joined(calling);
            // Whatever the owner comes upon later is done by now.
            block_on(bench.strategy.owners().join());
            settle(&bench, &told).to_string()
        });
        assert_occurred(&occurred, &["1", "2", "3"]);
    }

    /// P11: callers that go away leave all or nothing, hand-off included, and do not block the one that stays.
    #[test]
    fn who_goes_away_leaves_all_or_nothing() {
        let occurred = outcomes(|| {
            let bench = bench(1);
            let staying = callers(&bench, 1);
            let mut told = vec![abandon(bench.change(&key("a"))), abandon(bench.change(&key("a")))];
            told.extend(joined(staying));
            block_on(bench.strategy.owners().join());
            settle(&bench, &told).to_string()
        });
        assert_occurred(&occurred, &["1", "2", "3"]);
    }

    /// P3, P10: while the owner is inside, who may not wait is kept out, and told so; nothing of it is ever applied.
    #[test]
    fn whoever_cannot_get_in_changes_nothing() {
        let occurred = outcomes(|| {
            let strategy = Arc::new(impatient(Actor::new));
            let (a, b) = (key("a"), key("b"));
            while_an_owner_is_kept(&strategy, &a, || {
                assert_changes_are_kept_out(&*strategy, &b, &a);
                assert_eq!(read(&*strategy, &a), Err(Contention));
            });
            block_on(strategy.owners().join());
            let taken = block_on(strategy.apply(&a, adjust(-1), ())).unwrap();
            format!("{} {}", taken.before.on_hand(), taken.before.version())
        });
        assert_occurred(&occurred, &["1 1"]);
    }

    /// P10, P11: at shutdown the owner works off what it was sent and ends; who comes later is told so, and changed nothing.
    #[test]
    fn shutdown_answers_everybody_and_ends() {
        let occurred = outcomes(|| {
            let bench = bench(1);
            let calling = callers(&bench, 2);
            block_on(bench.strategy.owners().shut_down());
            let told = joined(calling);
            let made = told.iter().filter(|told| **told == Told::Made).count() as u64;
            assert_eq!(bench.handed.load(Ordering::SeqCst), made);
            made.to_string()
        });
        assert_occurred(&occurred, &["0", "1", "2"]);
    }

    /// P10: what was sent before the shutdown is done, not dropped.
    #[test]
    fn shutdown_works_off_what_was_sent() {
        let occurred = outcomes(|| {
            let bench = bench(1);
            let a = key("a");
            let mut sent = [Box::pin(bench.change(&a)), Box::pin(bench.change(&a))];
            for call in &mut sent {
                let told = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                assert!(told.is_pending() || told == Poll::Ready(Told::Made));
            }
            block_on(bench.strategy.owners().shut_down());
            bench.handed.load(Ordering::SeqCst).to_string()
        });
        assert_occurred(&occurred, &["2"]);
    }

    /// P3, P10: the claim itself: owner and giver-up after one call, and its caller waits. It is told "contention" exactly if
    /// the owner got nothing, whoever comes first.
    #[test]
    fn a_call_is_claimed_once() {
        let occurred = outcomes(|| {
            let call = Arc::new(Call::<&str, &str>::new("question"));
            let (taking, giving_up) = (Arc::clone(&call), Arc::clone(&call));
            let owner = thread::spawn(move || {
                let question = taking.take();
                question.inspect(|_| taking.answer(Ok("answer"))).is_some()
            });
            let giver_up = thread::spawn(move || giving_up.give_up());
            let told = block_on(Answer(call));
            let (is_taken, is_given_up) = (owner.join().unwrap(), giver_up.join().unwrap());
            assert_eq!((is_taken, is_given_up), (told.is_ok(), told.is_err()));
            told.unwrap_or("contention").to_owned()
        });
        assert_occurred(&occurred, &["answer", "contention"]);
    }

    /// P10: joined, all that was sent before is done, though nobody waited for it.
    #[test]
    fn join_waits_for_what_was_sent() {
        let occurred = outcomes(|| {
            let bench = bench(1);
            let calling = callers(&bench, 2);
            let a = key("a");
            let mut sent = Box::pin(bench.change(&a));
            let first = sent.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            block_on(bench.strategy.owners().join());
            let told = match first {
                Poll::Ready(told) => told,
                Poll::Pending => match sent.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(told) => told,
                    Poll::Pending => panic!("joined, and not done"),
                },
            };
            let mut all = joined(calling);
            all.push(told);
            settle(&bench, &all).to_string()
        });
        assert_occurred(&occurred, &["3"]);
    }
}
