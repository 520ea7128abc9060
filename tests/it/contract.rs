//! The contract of a store, one clause a test (P4, P6, P7, P8), over every store and every strategy: what `http` and `cli` may
//! count on, whatever keeps the stock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use inventory::stock::{Once, Reason, Transaction};
use inventory::store::{
    Command, Deed, Keeping, LineOutcome, MovementFilter, MovementKind, MovementQuery, Outcome, Store as _,
    TransactionKind, WasApplied, Why,
};

use crate::support::for_each_store;
use crate::support::stock::{adjust, create, delete, key, level, tombstone};
use crate::support::store::{Opened, changed, each};

const ONCE: Once = Once { key: 7, fingerprint: [1; 32] };

fn transaction(lines: &[(&str, i64)]) -> Deed {
    let lines = lines.iter().map(|(sku, delta)| (key(sku), adjust(*delta))).collect();
    let transaction = Arc::new(Transaction::new(lines).expect("a transaction"));
    Deed::Transaction { transaction, kind: TransactionKind::Adjustment }
}

for_each_store! {
    /// P6: what was answered is read, listed and in the history of its level.
    async fn what_was_answered_is_seen(opened: Opened) {
        let [a, b, c] = ["a", "b", "c"].map(key);
        for key in [&c, &a, &b] {
            assert_eq!(opened.change(key, create(5)).await.expect("a level").after, level(5, 0, 1));
        }
        assert_eq!(opened.change(&a, adjust(-2)).await.expect("two units").after, level(3, 0, 2));
        let refusal = opened.change(&a, adjust(-4)).await.expect_err("too many");
        assert!(matches!(refusal.reason, Reason::Insufficient { .. }), "{refusal:?}");
        assert_eq!(refusal.found, level(3, 0, 2));
        assert_eq!(opened.change(&b, delete()).await.expect("a level").after, tombstone(2));
        assert_eq!(opened.read(&a).await, level(3, 0, 2));
        assert_eq!(opened.read(&b).await, tombstone(2));
        assert_eq!(opened.listed().await, [(a.clone(), level(3, 0, 2)), (c, level(5, 0, 1))]);
        let kinds = |movements: Vec<inventory::store::Movement>| {
            movements.iter().map(|movement| (movement.kind, movement.after.version())).collect::<Vec<_>>()
        };
        let adjusted = [(MovementKind::Adjusted, 2), (MovementKind::Created, 1)];
        assert_eq!(kinds(opened.history(&a).await), adjusted);
        assert_eq!(kinds(opened.history(&b).await), [(MovementKind::Deleted, 2), (MovementKind::Created, 1)]);
    }

    /// P4: all lines of a transaction or none, and every line that stands in the way is told.
    async fn a_transaction_is_all_or_nothing(opened: Opened) {
        for (sku, on_hand) in [("a", 1), ("b", 2), ("c", 9)] {
            opened.change(&key(sku), create(on_hand)).await.expect("a level");
        }
        let deed = transaction(&[("a", -2), ("c", -1), ("b", -3)]);
        let answered = opened.store.execute(Command::new(deed)).await.expect("it is judged");
        let Outcome::Transaction(Err(refused)) = answered.outcome else { panic!("{answered:?}") };
        assert_eq!(refused.iter().map(|level| &level.key).collect::<Vec<_>>(), [&key("a"), &key("b")]);
        assert_eq!(opened.read(&key("c")).await, level(9, 0, 1));
        let deed = transaction(&[("c", -9), ("a", -1)]);
        let answered = opened.store.execute(Command::new(deed)).await.expect("it is judged");
        let Outcome::Transaction(Ok(applied)) = answered.outcome else { panic!("{answered:?}") };
        assert_eq!(applied.iter().map(|(key, _)| key).collect::<Vec<_>>(), [&key("a"), &key("c")]);
        assert_eq!(opened.read(&key("c")).await, level(0, 0, 2));
    }

    /// P8: a key takes effect once, a refusal is an outcome like another, and a replay is what came of it then.
    async fn a_key_takes_effect_once(opened: Opened) {
        let a = key("a");
        opened.change(&a, create(5)).await.expect("a level");
        let deed = |delta| Deed::Change { key: key("a"), change: adjust(delta) };
        let first = opened.once(ONCE, deed(-2)).await.expect("it is judged");
        let refused = opened.once(Once { key: 8, ..ONCE }, deed(-4)).await.expect("it is judged");
        opened.change(&a, adjust(100)).await.expect("more");
        for (once, delta, before) in [(ONCE, -2, first), (Once { key: 8, ..ONCE }, -4, refused)] {
            let again = opened.once(once, deed(delta)).await.expect("it is held");
            assert!(again.replayed && !before.replayed);
            assert_eq!(again.outcome, before.outcome);
        }
        assert_eq!(opened.read(&a).await, level(103, 0, 3));
        let other = Once { fingerprint: [2; 32], ..ONCE };
        let not_done = opened.once(other, deed(-2)).await.expect_err("the key stands for something else");
        assert_eq!((not_done.why, not_done.applied), (Why::KeyReused, WasApplied::No));
    }

    /// P8: of a batch under a key each line is once, applied or refused, and so is the batch.
    async fn a_batch_under_a_key_takes_effect_once(opened: Opened) {
        let [a, missing] = ["a", "missing"].map(key);
        opened.change(&a, create(5)).await.expect("a level");
        let deed = || each(&[(&a, adjust(-2)), (&missing, adjust(1)), (&a, adjust(-2)), (&a, adjust(-2))]);
        let first = opened.once(ONCE, deed()).await.expect("it is judged");
        let Outcome::Each(lines) = &first.outcome else { panic!("{first:?}") };
        let applied = lines.iter().map(|line| matches!(line, LineOutcome::Judged(Ok(_)))).collect::<Vec<_>>();
        assert_eq!(applied, [true, false, true, false]);
        let again = opened.once(ONCE, deed()).await.expect("it is held");
        assert!(again.replayed);
        assert_eq!(again.outcome, first.outcome);
        assert_eq!(opened.read(&a).await, level(1, 0, 3));
        assert_eq!(opened.history(&a).await.len(), 3);
    }

    /// P8: what a retry and its original, sent at the same time, come to is one effect.
    async fn racing_retries_take_effect_once(opened: Opened) {
        let a = key("a");
        opened.change(&a, create(0)).await.expect("a level");
        let opened = Arc::new(opened);
        for round in 0..50_u64 {
            let once = Once { key: 100 + u128::from(round), ..ONCE };
            let racing = (0..4).map(|_| {
                let (opened, deed) = (Arc::clone(&opened), Deed::Change { key: a.clone(), change: adjust(1) });
                tokio::spawn(async move { opened.once(once, deed).await })
            });
            let mut fresh = 0;
            for racer in racing.collect::<Vec<_>>() {
                match racer.await.expect("no panic") {
                    Ok(answered) => {
                        fresh += u32::from(!answered.replayed);
                        assert_eq!(changed(answered).expect("one unit").after.on_hand(), round + 1);
                    }
                    Err(not_done) => assert_eq!((not_done.why, not_done.applied), (Why::KeyInProgress, WasApplied::No)),
                }
            }
            assert_eq!(fresh, 1);
        }
        assert_eq!(opened.read(&a).await, level(50, 0, 51));
    }

    /// P10, P8: where no key is free, nothing is done, and it is said so; what is held replays.
    async fn at_the_bound_of_keys_nothing_is_half_done(opened: Opened with Keeping { keys_max: 3, ..Keeping::default() }) {
        let a = key("a");
        opened.change(&a, create(100)).await.expect("a level");
        let batch = || each(&[(&a, adjust(-1)), (&a, adjust(-1)), (&a, adjust(-1))]);
        let mut outcomes = Vec::new();
        for number in 0..5 {
            let once = Once { key: 1 << (100 + number), ..ONCE };
            let before = opened.read(&a).await.on_hand();
            let outcome = opened.once(once, batch()).await;
            let taken = before - opened.read(&a).await.on_hand();
            match &outcome {
                Ok(_) => assert_eq!(taken, 3),
                Err(not_done) => {
                    assert!(matches!(not_done.why, Why::KeysFull { .. }), "{not_done:?}");
                    assert_eq!((taken, not_done.applied), (0, WasApplied::No));
                }
            }
            outcomes.push((once, outcome));
        }
        assert!(outcomes.iter().any(|(_, outcome)| outcome.is_ok()));
        assert!(outcomes.iter().any(|(_, outcome)| outcome.is_err()));
        let on_hand = opened.read(&a).await;
        for (once, outcome) in outcomes {
            let again = opened.once(once, batch()).await;
            assert_eq!(again.map(|answered| answered.outcome).ok(), outcome.map(|answered| answered.outcome).ok());
        }
        assert_eq!(opened.read(&a).await, on_hand);
    }

    /// P6: a history can be asked for at any moment, also while the next change of the level is being written: it is whole up to what was
    /// answered before.
    async fn a_history_is_whole_while_it_grows(opened: Opened) {
        const CHANGES: u64 = 300;
        let a = key("a");
        opened.change(&a, create(0)).await.expect("a level");
        let opened = Arc::new(opened);
        let answered = Arc::new(AtomicU64::new(1));
        let changes = tokio::spawn({
            let (opened, answered, a) = (Arc::clone(&opened), Arc::clone(&answered), a.clone());
            async move {
                for _ in 0..CHANGES {
                    let version = opened.change(&a, adjust(1)).await.expect("room").after.version();
                    answered.store(version, Ordering::SeqCst);
                }
            }
        });
        while !changes.is_finished() {
            let before = answered.load(Ordering::SeqCst);
            let query = MovementQuery::OfLevel { key: a.clone(), cursor: None, filter: MovementFilter::default(), limit: 1_000 };
            let page = opened.store.movements(query).await.expect("a page");
            let newest = page.movements.len() as u64;
            assert!(newest >= before, "{before} were answered, {newest} are there");
            assert!(page.movements.iter().rev().map(|movement| movement.after.version()).eq(1..=newest));
        }
        changes.await.expect("no panic");
        assert_eq!(opened.history(&a).await.len() as u64, CHANGES + 1);
    }

    /// P7, P8: a store that outlives its process has after it what it had before: levels, histories and keys.
    async fn what_was_kept_is_there_again(opened: Opened) {
        let [a, b] = ["a", "b"].map(key);
        opened.change(&a, create(5)).await.expect("a level");
        opened.change(&b, create(5)).await.expect("a level");
        let deed = || Deed::Change { key: key("a"), change: adjust(-2) };
        let first = opened.once(ONCE, deed()).await.expect("it is judged");
        opened.change(&b, delete()).await.expect("a level");
        let (listed, history) = (opened.listed().await, opened.history(&a).await);
        let Some(opened) = opened.reopened().await else { return };
        assert_eq!((opened.listed().await, opened.history(&a).await), (listed, history));
        assert_eq!(opened.read(&b).await, tombstone(2));
        let again = opened.once(ONCE, deed()).await.expect("it is held");
        assert!(again.replayed);
        assert_eq!(again.outcome, first.outcome);
    }
}
