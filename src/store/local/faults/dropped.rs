//! Idempotency keys whose record has left with the oldest part of the log, before they were found to have run out (P8).

use super::for_each_strategy;
use super::script::Deed;
use super::service::{Service, command, once, text};
use crate::journal::keys::Taken;
use crate::journal::record::RecordKind;
use crate::journal::stored::{BatchLine, Stored};
use crate::stock::{Level, Reason, Refusal};
use crate::store::local::books::Begun;
use crate::store::{Idempotency, LineOutcome, NotDone, Outcome, Store as _, WasApplied, Why};
use crate::strategy::StrategyKind;

for_each_strategy! {
    /// P8: such a key has run out, and is as good as new; one whose record is there answers as before.
    async fn a_key_whose_record_was_dropped_is_as_good_as_new(kind: StrategyKind) {
        let service = Service::new(kind).await;
        let (many, each) = (Deed::Many(vec![(0, 1)]), Deed::Each(vec![(0, 1), (1, 1)]));
        let execute = |deed: &Deed, key| service.store.execute(command(deed, key));
        execute(&Deed::Create(0, 5), None).await.expect("a level");
        execute(&Deed::Create(1, 5), None).await.expect("a level");
        for again in [false, true] {
            assert_eq!(execute(&many, Some(1)).await.expect("its outcome").replayed, again);
            assert_eq!(execute(&each, Some(2)).await.expect("its outcome").replayed, again);
        }
        let (log, keys) = (&service.journal().shared().log, &service.journal().shared().keys);
        while log.segments().len() < 3 {
            execute(&many, None).await.expect("a change");
        }
        assert!(!execute(&many, Some(3)).await.expect("its outcome").replayed);
        let last = log.segments().last().expect("a segment").header.base;
        assert!(keys_before(keys, last) >= 2, "both were used before the last segment began");
        log.take_before(last);
        for again in [false, true] {
            assert_eq!(execute(&many, Some(1)).await.expect("no failure").replayed, again);
            assert_eq!(execute(&each, Some(2)).await.expect("no failure").replayed, again);
            assert!(execute(&many, Some(3)).await.expect("its outcome").replayed);
        }
        assert_eq!(keys_before(keys, last), 0);
    }
}

fn keys_before(keys: &crate::journal::keys::Keys, position: u64) -> usize {
    let mut before = 0;
    keys.walk(|key, at| before += usize::from(at < position && keys.get(key) == Some(Taken::At(at))));
    before
}

/// Where the last change of a level is.
fn place(service: &Service, level: usize) -> u64 {
    let heads = &service.journal().shared().heads;
    let key = text(level);
    heads.get(&key, heads.hash(&key)).expect("a level").position
}

for_each_strategy! {
    /// P8: of a batch that was carried through long after it began, some lines may have left the log. It is not carried out again: of those
    /// lines it is said that they were, of the others what came of them. It is no failure.
    async fn a_batch_some_of_whose_lines_were_dropped_says_so(kind: StrategyKind) {
        let service = Service::new(kind).await;
        let execute = |deed: &Deed, key| service.store.execute(command(deed, key));
        execute(&Deed::Create(0, 5), None).await.expect("a level");
        execute(&Deed::Create(1, 5), None).await.expect("a level");
        let log = &service.journal().shared().log;
        // As a batch records it that was cut short by a crash after its first line, and carried through a day later.
        let old = place(&service, 0);
        while log.segments().len() < 3 {
            execute(&Deed::Adjust(0, 1), None).await.expect("a change");
        }
        execute(&Deed::Adjust(1, 1), None).await.expect("a change");
        let young = place(&service, 1);
        let refusal = Refusal { reason: Reason::NotFound, found: Level::ABSENT };
        let lines = vec![BatchLine::At(old), BatchLine::At(young), BatchLine::Refused(refusal)];
        let each = Deed::Each(vec![(0, 1), (1, 1), (2, 1)]);
        let books = &service.store.0.books;
        let idempotency = Idempotency { once: once(3, &each), version_1: None };
        let Begun::Fresh(claim) = books.begin(&idempotency).await.expect("a key") else { panic!("a fresh one") };
        let stored = books.store(RecordKind::Batch, claim, &Stored::Batch(lines)).await.expect("a slot");
        books.told(stored, WasApplied::No).await.expect("it is on disk");
        log.take_before(log.at_position(young).expect("it is there").header.base);
        let in_memory = (service.in_memory(0).await, service.in_memory(1).await);
        for _ in 0..2 {
            let answered = execute(&each, Some(3)).await.expect("no failure");
            let Outcome::Each(lines) = answered.outcome else { panic!("a batch") };
            assert!(answered.replayed);
            assert_eq!(lines[0], LineOutcome::NotDone(NotDone::unknown(Why::OutcomeDropped)));
            let LineOutcome::Judged(Ok(applied)) = lines[1] else { panic!("{:?}", lines[1]) };
            assert_eq!(applied.after, in_memory.1);
            assert_eq!(lines[2], LineOutcome::Judged(Err(refusal)));
        }
        assert_eq!((service.in_memory(0).await, service.in_memory(1).await), in_memory);
    }
}
