//! Idempotency keys whose record has left with the oldest part of the log, before they were found to have run out (P8).

use super::for_each_strategy;
use super::script::Deed;
use super::service::{Service, command};
use crate::journal::keys::Taken;
use crate::store::Store as _;
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
