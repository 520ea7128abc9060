//! Idempotency keys under races, crashes and age (P8, P10).

use std::io::ErrorKind;
use std::sync::Arc;

use super::for_each_strategy;
use super::image::Truth;
use super::script::{Ask, Deed};
use super::service::{Outcome, Service, Told, command, config, key, once, text};
use crate::journal::disk::faulty::{Call, Fault, FaultyDisk};
use crate::journal::record::RecordKind;
use crate::journal::stored::Stored;
use crate::journal::{Journal, JournalConfig};
use crate::said::Said;
use crate::stock::{Level, Reason, Refusal, RefusedLevel};
use crate::store::local::books::Begun;
use crate::store::{Idempotency, NotDone, Store as _, WasApplied, Why};
use crate::strategy::StrategyKind;

const TASKS: usize = 64;

/// Asks until the key is no longer in use by somebody else.
async fn insist(service: &Service, ask: &Ask) -> Told {
    loop {
        match service.ask(ask).await {
            Told::Key("in progress") => tokio::task::yield_now().await,
            told => return told,
        }
    }
}

/// That many tasks ask at once, task by task what `ask` says.
async fn all_at_once(service: &Arc<Service>, ask: impl Fn(usize) -> Ask) -> Vec<Told> {
    let start = Arc::new(tokio::sync::Barrier::new(TASKS));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (service, start, ask) = (Arc::clone(service), Arc::clone(&start), ask(task));
            tokio::spawn(async move {
                start.wait().await;
                insist(&service, &ask).await
            })
        })
        .collect();
    let mut told = Vec::new();
    for task in tasks {
        told.push(task.await.expect("a task"));
    }
    told
}

fn count(told: &[Told], wanted: &Told) -> usize {
    told.iter().filter(|told| *told == wanted).count()
}

/// The effect of the keys after a race: of the change one, of the refusal none, of the two bodies whichever came first.
async fn race(service: &Arc<Service>) {
    let one = all_at_once(service, |_| Ask { deed: Deed::Adjust(0, 1), key: Some(1) }).await;
    assert_eq!((count(&one, &Told::Applied), count(&one, &Told::Again)), (1, TASKS - 1), "{one:?}");
    let many = all_at_once(service, |_| Ask { deed: Deed::Many(vec![(0, 1), (1, 1)]), key: Some(2) }).await;
    assert_eq!((count(&many, &Told::Applied), count(&many, &Told::Again)), (1, TASKS - 1), "{many:?}");
    let refused = all_at_once(service, |_| Ask { deed: Deed::Adjust(0, -1_000), key: Some(3) }).await;
    assert_eq!(
        (count(&refused, &Told::Refused), count(&refused, &Told::Again)),
        (1, TASKS - 1),
        "{refused:?}"
    );
    let two =
        |task: usize| Ask { deed: Deed::Adjust(0, if task.is_multiple_of(2) { 1 } else { 2 }), key: Some(4) };
    let two = all_at_once(service, two).await;
    assert_eq!(count(&two, &Told::Applied), 1, "{two:?}");
    assert_eq!(count(&two, &Told::Again), TASKS / 2 - 1, "{two:?}");
    assert_eq!(count(&two, &Told::Key("reused")), TASKS / 2, "{two:?}");
}

for_each_strategy! {
    /// P8: 64 tasks with one key have one effect and one outcome, also after a crash, whatever it left; another body is told so.
    async fn of_many_requests_with_a_key_one_takes_effect(kind: StrategyKind) {
        let service = Service::new(kind).await;
        service.ask(&Ask { deed: Deed::Create(0, 10), key: None }).await;
        race(&service).await;
        assert_eq!(service.in_memory(0).await.version(), 4);
        let shown = service.shown();
        for disk in [service.disk.only_synced(), service.disk.process_killed(), service.disk.power_cut(1)] {
            let next = Service::open(kind, &disk, &config()).await.expect("recovered");
            for key in 1..=3 {
                let deed = [Deed::Adjust(0, 1), Deed::Many(vec![(0, 1), (1, 1)]), Deed::Adjust(0, -1_000)][key - 1].clone();
                let again = all_at_once(&next, |_| Ask { deed: deed.clone(), key: Some(key as u128) }).await;
                assert_eq!(count(&again, &Told::Again), TASKS, "{again:?}");
            }
            let other = Ask { deed: Deed::Adjust(0, 7), key: Some(1) };
            assert_eq!(next.ask(&other).await, Told::Key("reused"));
            for (key, outcome) in next.shown().outcomes {
                assert_eq!(shown.outcomes.get(&key), Some(&outcome), "key {key}: the outcome of the first time");
            }
            assert_eq!(next.in_memory(0).await.version(), 4, "no effect is repeated");
        }
    }

    /// P8, P10: as many keys as there may be: a new one is turned away, those that were used are still answered, and so does a
    /// crash leave it.
    async fn a_full_table_of_keys_turns_new_ones_away_and_answers_old_ones(kind: StrategyKind) {
        let config = JournalConfig { keys_max: 5, ..config() };
        let service = Service::open(kind, &FaultyDisk::new(), &config).await.expect("an empty disk");
        let ask = |number: u128| Ask { deed: Deed::Many(vec![(0, 1)]), key: Some(number) };
        let told = all_at_once(&service, |task| ask(task as u128)).await;
        let (applied, full) = (count(&told, &Told::Applied), count(&told, &Told::Key("full")));
        assert_eq!((applied, full), (5, TASKS - 5), "{told:?}");
        let used: Vec<u128> = service.shown().outcomes.into_keys().collect();
        let next = Service::open(kind, &service.disk.only_synced(), &config).await.expect("recovered");
        for service in [service, next] {
            for key in 0..TASKS as u128 {
                let expected = if used.contains(&key) { Told::Again } else { Told::Key("full") };
                assert_eq!(service.ask(&ask(key)).await, expected);
            }
            assert_eq!(service.ask(&Ask { deed: Deed::Adjust(0, 1), key: None }).await, Told::Applied);
            let keys = &service.journal().shared().keys;
            assert_eq!(keys.len(), 5);
        }
    }

    /// P8, P11: a request that goes away before its record was handed over gives its key up; afterwards the key stays.
    async fn a_key_is_given_up_before_the_hand_over_and_kept_after(kind: StrategyKind) {
        let service = Service::new(kind).await;
        let books = &service.store.0.books;
        let idempotency = Idempotency { once: once(9, &Deed::Create(0, 5)), version_1: None };
        let begin = || books.begin(&idempotency);
        let in_progress = |begun: Result<Begun, NotDone>| {
            assert_eq!(begun.unwrap_err(), NotDone::no(Why::KeyInProgress));
        };
        let Ok(Begun::Fresh(claim)) = begin().await else { panic!("a new key") };
        in_progress(begin().await);
        drop(claim);
        let Ok(Begun::Fresh(claim)) = begin().await else { panic!("given up") };
        let permit = books.permit(RecordKind::Change, Said::default(), Some(claim)).await.expect("a slot");
        in_progress(begin().await);
        drop(permit);
        let Ok(Begun::Fresh(claim)) = begin().await else { panic!("given up with the permit") };
        drop(claim);
        assert_eq!(service.ask(&Ask { deed: Deed::Create(0, 5), key: Some(9) }).await, Told::Applied);
        assert!(matches!(begin().await, Ok(Begun::Before(_))));
    }

    /// P8, P10: a batch of lines that stand alone costs one key, whatever comes of its lines, and is answered again at the cap.
    async fn a_batch_costs_one_key_and_is_answered_again_at_the_cap(kind: StrategyKind) {
        let config = JournalConfig { keys_max: 2, ..config() };
        let service = Service::open(kind, &FaultyDisk::new(), &config).await.expect("an empty disk");
        service.ask(&Ask { deed: Deed::Create(0, 10), key: None }).await;
        let lines = |first: i64| Deed::Each((0..20).map(|line| (usize::from(line % 7 == 3), first + line)).collect());
        let asks = [Ask { deed: lines(-3), key: Some(1) }, Ask { deed: lines(0), key: Some(2) }];
        for ask in &asks {
            assert_eq!(service.ask(ask).await, Told::Applied);
        }
        let keys = &service.journal().shared().keys;
        assert_eq!((keys.len(), keys.passing()), (2, 0), "one key each");
        let before = service.in_memory(0).await;
        let next = Service::open(kind, &service.disk.only_synced(), &config).await.expect("recovered");
        for service in [&service, &next] {
            assert_eq!(service.ask(&Ask { deed: lines(5), key: Some(3) }).await, Told::Key("full"));
            for ask in &asks {
                assert_eq!(service.ask(ask).await, Told::Again);
                let other = Ask { deed: lines(7), key: ask.key };
                assert_eq!(service.ask(&other).await, Told::Key("reused"));
            }
            assert_eq!(service.in_memory(0).await, before, "nothing was changed");
        }
        for (key, outcome) in next.shown().outcomes {
            assert_eq!(service.shown().outcomes.get(&key), Some(&outcome));
        }
    }

    /// P8, P11: a batch that was cut short (its record is not on disk) is carried through by a retry, each line once: also at the
    /// cap, where a new key would be turned away.
    async fn a_batch_cut_short_is_carried_through_once(kind: StrategyKind) {
        let config = JournalConfig { keys_max: 3, ..config() };
        let first = Service::open(kind, &FaultyDisk::new(), &config).await.expect("an empty disk");
        first.ask(&Ask { deed: Deed::Create(0, 10), key: None }).await;
        // Three lines of four, as a process leaves them that is killed before the last.
        let batch = Deed::Each(vec![(0, -1), (0, -2), (0, -500), (0, -3)]);
        let whole = once(7, &batch);
        let claims = first.journal().shared().keys.claim_lines(whole, &[0, 1]).expect("room");
        for (line, delta) in [(0, -1), (1, -2)] {
            let claim = crate::journal::keys::Claim::Line(Arc::clone(&claims), line);
            let deed = crate::stock::Operation::Adjust { delta, if_missing: crate::stock::IfMissing::Refuse };
            let change = crate::stock::Change::unconditional(deed);
            first.store.change(&key(0), change, Said::default(), Some(claim)).await.expect("a slot").expect("stock");
        }
        let next = Service::open(kind, &first.disk.only_synced(), &config).await.expect("recovered");
        assert_eq!(next.journal().shared().keys.len(), 2);
        next.ask(&Ask { deed: Deed::Adjust(0, 1), key: Some(1) }).await;
        assert_eq!(next.ask(&Ask { deed: Deed::Adjust(0, 1), key: Some(2) }).await, Told::Key("full"));
        // Another request with its key is told so, as long as the lines are remembered.
        assert_eq!(next.ask(&Ask { deed: Deed::Adjust(0, 1), key: Some(7) }).await, Told::Key("reused"));
        assert_eq!(next.ask(&Ask { deed: batch.clone(), key: Some(7) }).await, Told::Applied);
        assert_eq!(next.in_memory(0).await.on_hand(), 10 - 1 - 2 + 1 - 3);
        assert_eq!(next.ask(&Ask { deed: batch, key: Some(7) }).await, Told::Again);
        assert_eq!(next.journal().shared().keys.len(), 2, "the batch, and the one beside it");
    }

    /// P8: whatever fails while a batch with a refused and an applied line is under way, no line that is in the ledger is said to
    /// have changed nothing.
    async fn no_line_is_said_to_have_changed_nothing_that_did(kind: StrategyKind) {
        for nth in 2..12 {
            let service = Service::new(kind).await;
            service.ask(&Ask { deed: Deed::Create(0, 10), key: None }).await;
            service.disk.fail(Fault::nth(Call::Sync, nth, ErrorKind::Other));
            for batch in 0..10_u128 {
                let deed = Deed::Each(vec![(0, -1), (0, -5_000), (0, -1)]);
                let before = service.in_memory(0).await.version();
                let answered = service.store.execute(command(&deed, Some(batch))).await;
                let changed = service.in_memory(0).await.version() - before;
                let lines = match answered.map(|answered| answered.outcome) {
                    Ok(crate::store::Outcome::Each(lines)) => lines,
                    Ok(other) => panic!("{other:?}"),
                    Err(not_done) => {
                        assert!(changed == 0 || not_done.applied == WasApplied::Unknown, "{not_done:?}: {changed}");
                        continue;
                    }
                };
                let may_have = |line: &&crate::store::LineOutcome| match line {
                    crate::store::LineOutcome::Judged(judged) => judged.is_ok(),
                    crate::store::LineOutcome::NotDone(not_done) => not_done.applied == WasApplied::Unknown,
                    crate::store::LineOutcome::Written(_) => false,
                };
                assert!(lines.iter().filter(may_have).count() as u64 >= changed, "{lines:?}: {changed}");
            }
        }
    }
}

/// P7, P8: who waits for a refusal to be stored when the journal fails is told; nobody waits for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stores_a_refusal_while_the_journal_fails_is_told() {
    let service = Service::new(StrategyKind::Atomic).await;
    service.ask(&Ask { deed: Deed::Create(0, 1), key: None }).await;
    let (entered, enters) = tokio::sync::oneshot::channel();
    let (goes_on, go_on) = std::sync::mpsc::channel::<()>();
    let held = parking_lot::Mutex::new((Some(entered), go_on));
    service.disk.at(Call::Sync, 1, move |_| {
        let mut held = held.lock();
        if let Some(entered) = held.0.take() {
            let _ = entered.send(());
        }
        let _ = held.1.recv();
    });
    service.disk.fail(Fault::next(Call::Sync, ErrorKind::Other));
    let asks = Arc::clone(&service);
    let first = tokio::spawn(async move { asks.ask(&Ask { deed: Deed::Adjust(0, 1), key: None }).await });
    enters.await.expect("the sync that is to fail has begun");
    // Handed over while the writer is at that sync: it never takes them.
    let books = &service.store.0.books;
    let refusal = Refusal { reason: Reason::NotFound, found: Level::ABSENT };
    let stored = Stored::Refused(vec![RefusedLevel { key: key(0), line: 0, refusal }]);
    let begin = |number| Idempotency { once: once(number, &Deed::Read(0)), version_1: None };
    let Ok(Begun::Fresh(claim)) = books.begin(&begin(1)).await else { panic!("a new key") };
    let early = books.store(RecordKind::Refused, claim, &stored).await.expect("a slot");
    let Ok(Begun::Fresh(claim)) = books.begin(&begin(2)).await else { panic!("a new key") };
    let permit = books.permit(RecordKind::Refused, Said::default(), Some(claim)).await.expect("a slot");
    drop(goes_on);
    service.journal().failed().await;
    // And one whose slot was given out before.
    let late = permit.store(&stored);
    let watchdog = std::time::Duration::from_secs(20);
    let early =
        tokio::time::timeout(watchdog, books.told(early, WasApplied::No)).await.expect("who waits is told");
    assert!(early.is_err());
    assert!(tokio::time::timeout(watchdog, late).await.expect("who comes late is told").is_err());
    assert!(matches!(first.await.expect("a task"), Told::NotDone(_)));
}

/// P8: what a key is answered with is what is in the ledger.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_outcome_of_a_key_is_that_of_its_record() {
    let service = Service::new(StrategyKind::RwLock).await;
    let ask = Ask { deed: Deed::Many(vec![(0, 3), (1, 4)]), key: Some(5) };
    assert_eq!(service.ask(&ask).await, Told::Applied);
    service.ask(&Ask { deed: Deed::Delete(0), key: None }).await;
    assert_eq!(service.ask(&ask).await, Told::Again);
    let shown = service.shown();
    let Outcome::Changed(levels) = &shown.outcomes[&5] else { panic!("a change") };
    let truth = Truth::of(&service.disk.only_synced());
    let ledger: Vec<_> = truth.movements()[..2]
        .iter()
        .map(|movement| (movement.key.text().to_owned(), movement.after))
        .collect();
    assert_eq!(*levels, ledger);
    assert_eq!(levels[0].0, text(0));
    let journal: &Journal = service.journal();
    assert_eq!(journal.shared().keys.len(), 1);
}
