//! A log of many segments, and few files that may be open (P7, P8, P10).

use std::io::ErrorKind;
use std::sync::Arc;

use super::image::Image;
use super::script::{Ask, Deed};
use super::service::{Service, Told, config};
use crate::journal::disk::faulty::{Call, Fault, FaultyDisk};
use crate::journal::disk::pool::Pool;
use crate::store::query::From;
use crate::store::{HistoryError, MovementQuery, NotDone, Store as _, WasApplied, Why};
use crate::strategy::StrategyKind;

/// Of the pool.
const OPEN_MAX: usize = 4;
/// Those, the segment in use, and the next one.
const FILES_MAX: usize = OPEN_MAX + 2;
/// Too many files are open: the process's own limit.
const EMFILE: i32 = 24;

async fn over(disk: &FaultyDisk) -> Arc<Service> {
    let pool = Arc::new(Pool::new(disk.disk(), OPEN_MAX));
    Service::open_through(StrategyKind::Atomic, disk, pool, &config()).await.expect("a log")
}

fn segments(service: &Service) -> usize {
    service.journal().shared().log.segments().len()
}

async fn change_until(service: &Service, count: usize) {
    while segments(service) < count {
        let many = Deed::Many((0..40).map(|level| (level, 1)).collect());
        assert_eq!(service.ask(&Ask { deed: many, key: None }).await, Told::Applied);
    }
}

/// How many movements all pages of the ledger have.
async fn movements(service: &Service) -> Result<usize, HistoryError> {
    let (mut from, mut count) = (From::Oldest, 0);
    loop {
        let query = MovementQuery::After { from, sku: None, location: None, limit: 1_000 };
        let page = service.store.movements(query).await?;
        count += page.movements.len();
        match page.next {
            Some(next) => from = From::Cursor(next),
            None => return Ok(count),
        }
    }
}

fn none_left(call: Call) -> Fault {
    Fault::next(call, ErrorKind::Other).raw(EMFILE)
}

/// P10: however many segments there are, few are open, also after a start; and all of them are read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_log_has_few_files_open() {
    let disk = FaultyDisk::new();
    let mut service = over(&disk).await;
    let keyed = Ask { deed: Deed::Many(vec![(0, 1)]), key: Some(1) };
    assert_eq!(service.ask(&keyed).await, Told::Applied);
    for count in [20, 40] {
        change_until(&service, count).await;
        let all = service.journal().shared().watermark.end().next_seq - 1;
        assert_eq!(movements(&service).await.map(|count| count as u64), Ok(all));
        assert_eq!(service.ask(&keyed).await, Told::Again);
        assert!(disk.open_files() <= FILES_MAX, "{}", disk.open_files());
        let shown = service.shown();
        service.store.shut_down().await;
        drop(service);
        assert_eq!(disk.open_files(), 0, "nothing is left open");
        service = over(&disk).await;
        assert!(disk.open_files() <= FILES_MAX, "{}", disk.open_files());
        Image::of(&disk.only_synced()).expect("a log").assert_holds(&shown);
    }
}

/// P7, P8, P10: where no file can be opened, who asks for what is in an old one is told so; changes go on, nothing is forgotten, and
/// the service lives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_want_of_descriptors_is_told_to_whoever_asks_for_an_old_file_and_ends_nothing() {
    let disk = FaultyDisk::new();
    let service = over(&disk).await;
    let keyed = Ask { deed: Deed::Many(vec![(0, 1)]), key: Some(1) };
    assert_eq!(service.ask(&keyed).await, Told::Applied);
    change_until(&service, 12).await;
    disk.fail(none_left(Call::Open).for_good());
    let told = |applied| NotDone { why: Why::TooManyFiles, applied };
    assert_eq!(movements(&service).await, Err(told(WasApplied::No).into()));
    assert_eq!(service.ask(&keyed).await, Told::NotDone(told(WasApplied::Unknown)));
    change_until(&service, 15).await;
    // Nor can the next segment be made, for a while.
    disk.fail(none_left(Call::Create));
    let mut refused = 0;
    while segments(&service) < 18 {
        match service
            .ask(&Ask { deed: Deed::Many((0..40).map(|level| (level, 1)).collect()), key: None })
            .await
        {
            Told::Applied => {}
            Told::NotDone(NotDone { why: Why::DiskFull { .. } | Why::Unwritten { .. }, .. }) => refused += 1,
            other => panic!("{other:?}"),
        }
        tokio::task::yield_now().await;
    }
    assert!(refused > 0, "it was met");
    disk.heal();
    assert_eq!(service.ask(&keyed).await, Told::Again);
    let all = service.journal().shared().watermark.end().next_seq - 1;
    assert_eq!(movements(&service).await.map(|count| count as u64), Ok(all));
    Image::of(&disk.only_synced()).expect("a log").assert_holds(&service.shown());
}
