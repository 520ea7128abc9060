//! Movements that are older than they are to be kept leave, the oldest first; whoever reads is shown what is there, or told that it is gone, and never
//! a gap (P12).

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use databases::Database;
use inventory::stock::StockKey;
use inventory::store::Why;
use inventory::store::ledger::From;
use inventory::store::{
    AnyStore, Chores as _, Command, HistoryError, Keeping, Moment, Movement, MovementCursor, MovementFilter,
    MovementPage, MovementQuery, Seq, Store as _,
};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use super::moving::{migrate, store_verified, verified};
use crate::support::app::WATCHDOG;
use crate::support::proxy::{Fault, Proxy, Way};
use crate::support::stock::{adjust, create, key};
use crate::support::store::{changed, open_replica};

/// A replica that was there before anything was dropped, and whoever looks at the tables.
struct Shop {
    database: Database,
    before: AnyStore,
    tables: Client,
    ledger: Vec<Movement>,
}

const SKUS: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

impl Shop {
    /// Seven levels: `a` is changed in the beginning alone, `g` comes at the end, the others are changed all the time.
    async fn open() -> Self {
        let database = databases::postgres().database().expect("a database");
        let before = open_replica(&database.url(), Keeping::default()).await;
        let (tables, connection) = tokio_postgres::connect(&database.url(), NoTls).await.expect("a database");
        tokio::spawn(connection);
        let mut shop = Self { database, before, tables, ledger: Vec::new() };
        for sku in &SKUS[..6] {
            shop.change(sku, create(1_000)).await;
        }
        for round in 0..30 {
            for sku in &SKUS[1..6] {
                shop.change(sku, adjust(-1)).await;
            }
            if round == 25 {
                shop.change("g", create(5)).await;
            }
            // So the ledger is in the order of rounds, and what leaves is of all levels.
            shop.before.feed_caught_up().await.expect("it is looked at");
        }
        shop.ledger = all(&shop.before, From::Seq(Seq::new(0))).await;
        assert_eq!(shop.ledger.len(), 6 + 30 * 5 + 1);
        shop
    }

    async fn change(&self, sku: &str, change: inventory::stock::Change) {
        let made = self.before.execute(Command::change(key(sku), change)).await.expect("it is judged");
        changed(made).expect("it is possible");
    }

    /// From here on these were made long ago.
    async fn age(&self, numbers: std::ops::Range<usize>) {
        let old = "UPDATE inventory.movement SET time_ms = 1 WHERE sku = $1 AND version = $2";
        for movement in &self.ledger[numbers] {
            let version = movement.after.version().cast_signed();
            let aged = self.tables.execute(old, &[&movement.key.sku(), &version]).await;
            assert_eq!(aged.expect("a row"), 1);
        }
    }

    /// A replica that keeps movements for an hour, once it has dropped so many.
    async fn dropped(&self, count: usize) -> AnyStore {
        let keeping = Keeping { retain_age: Some(Duration::from_hours(1)), ..Keeping::default() };
        let after = open_replica(&self.database.url(), keeping).await;
        let begins = "SELECT last FROM inventory.run WHERE p = -1 ORDER BY last DESC LIMIT 1";
        let dropped = async {
            let count = i64::try_from(count).expect("a few");
            loop {
                let row = self.tables.query_opt(begins, &[]).await.expect("an answer");
                let last = row.map_or(0, |row| row.get(0));
                if last == count {
                    return;
                }
                assert!(last < count, "{last} are gone, and {count} are old");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(WATCHDOG, dropped).await.expect("they are dropped");
        after
    }
}

async fn page(store: &AnyStore, from: From, limit: usize) -> Result<MovementPage, HistoryError> {
    let filter = MovementFilter::default();
    store.movements(MovementQuery::After { from, filter, limit }).await
}

/// The ledger from there on, in pages of 40.
async fn all(store: &AnyStore, from: From) -> Vec<Movement> {
    let (mut all, mut from) = (Vec::new(), from);
    loop {
        let MovementPage { movements, next, .. } = page(store, from, 40).await.expect("a page");
        all.extend(movements);
        let Some(next) = next else { return all };
        from = From::Cursor(next);
    }
}

async fn try_level_page(
    store: &AnyStore,
    key: &StockKey,
    cursor: Option<MovementCursor>,
    limit: usize,
) -> Result<MovementPage, HistoryError> {
    let filter = MovementFilter::default();
    store.movements(MovementQuery::OfLevel { key: key.clone(), cursor, filter, limit }).await
}

async fn level_page(
    store: &AnyStore,
    key: &StockKey,
    cursor: Option<MovementCursor>,
    limit: usize,
) -> MovementPage {
    try_level_page(store, key, cursor, limit).await.expect("a page")
}

/// The place in its partition that a cursor leads to, as it says.
fn position(cursor: MovementCursor) -> u64 {
    let bytes = URL_SAFE_NO_PAD.decode(cursor.to_string()).expect("it is read as it is written");
    u64::from_be_bytes(*bytes.first_chunk().expect("a place"))
}

/// A cursor that leads there, to the movement before that version.
fn leading_to(position: u64, version: u64) -> MovementCursor {
    let bytes = [position.to_be_bytes(), version.to_be_bytes()].concat();
    URL_SAFE_NO_PAD.encode(bytes).parse().expect("a cursor")
}

/// The history of a level, newest first, and whether it ends where something was dropped.
async fn history(store: &AnyStore, key: &StockKey, limit: usize) -> (Vec<Movement>, bool) {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let MovementPage { movements, next, compacted, .. } = level_page(store, key, cursor, limit).await;
        all.extend(movements);
        assert!(next.is_none() || !compacted, "it goes on, and does not");
        if next.is_none() {
            return (all, compacted);
        }
        cursor = next;
    }
}

fn assert_gone<T: std::fmt::Debug>(asked: &Result<T, HistoryError>, oldest: usize) {
    let first = u64::try_from(oldest).expect("a few");
    assert!(
        matches!(asked, Err(HistoryError::Compacted { oldest }) if oldest.number() == first),
        "{asked:?}"
    );
}

/// What is asked of a store of whose ledger the first so many movements are gone.
async fn assert_begins_after(count: usize, shop: &Shop, store: &AnyStore) {
    let (gone, kept) = shop.ledger.split_at(count);
    let seq = |number: usize| Seq::new(u64::try_from(number).expect("a few"));
    assert_gone(&page(store, From::Seq(seq(0)), 10).await, count + 1);
    assert_gone(&page(store, From::Seq(seq(count - 1)), 10).await, count + 1);
    assert_eq!(all(store, From::Seq(seq(count))).await, kept);
    assert_eq!(all(store, From::Oldest).await, kept);
    let mut last_gone: BTreeMap<&str, &Movement> = BTreeMap::new();
    for movement in gone {
        last_gone.insert(movement.key.sku(), movement);
    }
    for sku in SKUS {
        let of_it = |all: &[Movement]| -> Vec<Movement> {
            all.iter().rev().filter(|movement| movement.key.sku() == sku).cloned().collect()
        };
        for limit in [1, 3, 1_000] {
            let (there, is_cut) = history(store, &key(sku), limit).await;
            assert_eq!((there, is_cut), (of_it(kept), last_gone.contains_key(sku)), "{sku}, {limit} at once");
        }
        let now = store.read(&key(sku)).await.expect("a level");
        let at = async |number| store.level_at(&key(sku), Moment::Seq(seq(number))).await;
        assert_gone(&at(count - 1).await, count + 1);
        let all = shop.ledger.len();
        match of_it(kept).first() {
            Some(newest) => {
                assert_eq!((at(all).await.expect("it is kept"), now), (newest.after, newest.after), "{sku}");
            }
            None => assert_gone(&at(all).await, count + 1),
        }
        let long_ago = store.level_at(&key(sku), Moment::Time(2)).await;
        if last_gone.contains_key(sku) {
            assert_gone(&long_ago, count + 1);
        } else {
            assert!(!long_ago.expect("it is known not to have been").exists(), "{sku}");
        }
    }
}

#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_older_than_it_is_to_be_kept_leaves() {
    let mut shop = Shop::open().await;
    // Somebody who read the newest one, and goes on when what comes before is gone.
    let early = level_page(&shop.before, &key("b"), None, 30).await.next.expect("there is more");
    shop.age(0..70).await;
    let after = shop.dropped(70).await;
    // The first that one asks which knows nothing of it yet: of a level that was made later.
    assert_gone(&shop.before.level_at(&key("g"), Moment::Seq(Seq::new(5))).await, 71);
    for store in [&shop.before, &after] {
        assert_begins_after(70, &shop, store).await;
        let late = level_page(store, &key("b"), Some(early), 30).await;
        assert!(late.movements.is_empty() && late.compacted && late.next.is_none(), "{late:?}");
        // One of the store that this stock came from, say: it leads to where something else was, and what it is for is there.
        let position = position(early);
        for (position, version) in [(position, 31), (0, 31), (0, 1), (position + 1_000_000, 1)] {
            let page = try_level_page(store, &key("b"), Some(leading_to(position, version)), 30).await;
            assert!(matches!(page, Err(HistoryError::Cursor(_))), "{position}, {version}: {page:?}");
        }
        let report = store.verify().await.expect("it is looked at");
        assert_eq!((report.findings_total, report.movements), (0, 87), "{:?}", report.findings);
    }
    // Life goes on, also of what has no history any more, and more of it leaves.
    for sku in SKUS {
        shop.change(sku, adjust(-1)).await;
    }
    shop.ledger = [&shop.ledger[..70], &all(&after, From::Oldest).await].concat();
    assert_eq!(shop.ledger.len(), 157 + 7);
    shop.age(70..160).await;
    after.shut_down().await;
    let after = shop.dropped(160).await;
    for store in [&shop.before, &after] {
        assert_begins_after(160, &shop, store).await;
        let report = store.verify().await.expect("it is looked at");
        assert_eq!((report.findings_total, report.movements), (0, 4), "{:?}", report.findings);
    }
}

/// Where somebody watches, runs are short: they are as many as the movements.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_many_runs_leaves_like_any_other() {
    let mut shop = Shop::open().await;
    for round in 0..600 {
        shop.change(SKUS[round % 7], adjust(1)).await;
        shop.before.feed_caught_up().await.expect("it is looked at");
    }
    shop.ledger = all(&shop.before, From::Oldest).await;
    let runs = shop.tables.query_one("SELECT count(*) FROM inventory.run", &[]).await.expect("a row");
    assert!(runs.get::<_, i64>(0) > 600);
    shop.age(0..755).await;
    let after = shop.dropped(755).await;
    for store in [&shop.before, &after] {
        assert_begins_after(755, &shop, store).await;
        assert_eq!(store.verify().await.expect("it is looked at").findings_total, 0);
    }
}

/// A movement that is missing and was not dropped is damage, and is not told as something that was kept long enough.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_is_not_taken_for_gone() {
    let shop = Shop::open().await;
    shop.age(0..70).await;
    let after = shop.dropped(70).await;
    let remove = "DELETE FROM inventory.movement WHERE sku = $1 AND version = $2";
    // One in the midst of a history, and the newest of another.
    for (sku, version) in [("b", 20_i64), ("g", 1)] {
        assert_eq!(shop.tables.execute(remove, &[&sku, &version]).await.expect("an answer"), 1);
        let page = try_level_page(&after, &key(sku), None, 30).await;
        assert!(
            matches!(&page, Err(HistoryError::NotDone(not_done)) if matches!(not_done.why, Why::Damaged(_))),
            "{page:?}"
        );
        let was = after.level_at(&key(sku), Moment::Time(2)).await;
        assert!(
            matches!(&was, Err(HistoryError::NotDone(not_done)) if matches!(not_done.why, Why::Damaged(_))),
            "{was:?}"
        );
    }
    let page = page(&after, From::Oldest, 1_000).await;
    assert!(
        matches!(&page, Err(HistoryError::NotDone(not_done)) if matches!(not_done.why, Why::Damaged(_))),
        "{page:?}"
    );
}

/// The whole of it may be gone; numbers go on.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_of_which_all_is_old_begins_with_what_comes_next() {
    let shop = Shop::open().await;
    shop.age(0..157).await;
    let after = shop.dropped(157).await;
    assert_eq!(all(&after, From::Oldest).await, []);
    shop.change("a", adjust(-1)).await;
    for store in [&shop.before, &after] {
        let kept = all(store, From::Oldest).await;
        assert_eq!((kept.len(), kept[0].seq.number()), (1, 158));
        assert_gone(&page(store, From::Seq(Seq::new(9)), 10).await, 158);
        assert_eq!(store.verify().await.expect("it is looked at").findings_total, 0);
    }
}

/// What is dropped between two statements of one look is no gap in what is shown.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_while_it_is_dropped_is_told() {
    let shop = Shop::open().await;
    let proxy = Proxy::before(&shop.database).await;
    let reader = open_replica(&proxy.url(), Keeping::default()).await;
    shop.age(0..70).await;
    // It knows which movements come next, and does not have them yet.
    proxy.fails_at("m.seq <= $3 ORDER BY m.seq", Fault::Stall(Way::ToDatabase));
    let reading = page(&reader, From::Seq(Seq::new(0)), 40);
    let dropping = async {
        proxy.has_failed(1).await;
        let after = shop.dropped(70).await;
        proxy.pass();
        after
    };
    let (read, _after) = tokio::join!(reading, dropping);
    // Who waits for too long is told that instead: no gap, either.
    match read {
        Err(HistoryError::NotDone(_)) => assert_gone(&page(&reader, From::Seq(Seq::new(0)), 40).await, 71),
        read => assert_gone(&read, 71),
    }
}

/// What was dropped stays dropped where the stock goes.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_gone_is_gone_after_a_move() {
    let shop = Shop::open().await;
    shop.age(0..70).await;
    shop.dropped(70).await.shut_down().await;
    shop.before.shut_down().await;
    let folder = TempDir::new().expect("a folder");
    let data = folder.path().join("data");
    let there = shop.database.url();
    let elsewhere = databases::postgres().database().expect("a database");
    let moved = tokio::task::spawn_blocking(move || {
        migrate(&there, data.to_str().expect("UTF-8"));
        verified(&data);
        migrate(&there, &elsewhere.url());
        store_verified(&elsewhere.url());
        elsewhere
    });
    let elsewhere = moved.await.expect("it is moved");
    let store = open_replica(&elsewhere.url(), Keeping::default()).await;
    assert_gone(&page(&store, From::Seq(Seq::new(0)), 10).await, 71);
    assert_eq!(all(&store, From::Oldest).await, shop.ledger[70..]);
}
