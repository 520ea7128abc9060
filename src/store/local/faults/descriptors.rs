//! A log of many segments, and few files that may be open (P7, P8, P10).

use std::io::ErrorKind;
use std::sync::Arc;

use super::image::Image;
use super::script::{Ask, Deed};
use super::service::{Service, Told, config};
use crate::journal::control;
use crate::journal::disk::faulty::{Call, Fault, FaultyDisk};
use crate::journal::disk::pool::Pool;
use crate::store::ledger::From;
use crate::store::{HistoryError, MovementFilter, MovementQuery, NotDone, Store as _, WasApplied, Why};
use crate::strategy::StrategyKind;

/// Of the pool.
const OPEN_MAX: usize = 4;
/// Those, the segment in use, the next one, and the spare of the control file.
const FILES_MAX: usize = OPEN_MAX + 3;
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

/// Changes that may have to wait, until there are so many segments; returns how many were turned away.
async fn refused_until(service: &Service, count: usize) -> u64 {
    let mut refused = 0;
    while segments(service) < count {
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
    refused
}

/// How many movements all pages of the ledger have.
async fn movements(service: &Service) -> Result<usize, HistoryError> {
    let (mut from, mut count) = (From::Oldest, 0);
    loop {
        let query = MovementQuery::After { from, filter: MovementFilter::default(), limit: 1_000 };
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
    assert!(refused_until(&service, 18).await > 0, "it was met");
    disk.heal();
    assert_eq!(service.ask(&keyed).await, Told::Again);
    let all = service.journal().shared().watermark.end().next_seq - 1;
    assert_eq!(movements(&service).await.map(|count| count as u64), Ok(all));
    Image::of(&disk.only_synced()).expect("a log").assert_holds(&service.shown());
}

/// P10: where the next segment was prepared, all that is needed to begin it is there: neither descriptors nor room that others took
/// meanwhile keep a change waiting that was let in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_that_was_prepared_is_begun_without_a_descriptor_and_without_room() {
    for is_full in [false, true] {
        let disk = FaultyDisk::new();
        let service = over(&disk).await;
        change_until(&service, 2).await;
        // The next change of a name is that of the prepared segment.
        disk.at(Call::Rename, 1, move |disk| {
            if is_full {
                disk.set_room(Some(0));
            } else {
                disk.fail(none_left(Call::Create).for_good());
            }
        });
        change_until(&service, 3).await;
        disk.heal();
        disk.set_room(None);
        // The one after that could not be prepared, perhaps, and it is not looked again at once.
        refused_until(&service, 6).await;
        let image = Image::of(&disk.only_synced()).expect("a log");
        image.assert_holds(&service.shown());
    }
}

/// P7, P10: where the file `control` cannot be written for want of descriptors, it is waited for like room, and that is no failure; who
/// ends the service meanwhile is told what is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_want_of_descriptors_for_the_control_file_is_waited_out() {
    for ends in [false, true] {
        let disk = FaultyDisk::new();
        disk.fail(none_left(Call::Create).on(control::TEMPORARY).for_good());
        let service = over(&disk).await;
        let one = Ask { deed: Deed::Many(vec![(0, 1)]), key: None };
        let told = service.ask(&one).await;
        let waits = matches!(told, Told::NotDone(NotDone { why: Why::Unwritten { .. }, .. }));
        assert!(waits, "{told:?}");
        let journal = service.journal();
        if ends {
            service.store.shut_down().await;
            let failed = journal.shared().watermark.failed().expect("a change is lost");
            assert!(failed.reason.contains("1 records"), "{failed:?}");
            continue;
        }
        disk.heal();
        while service.ask(&one).await != Told::Applied {
            assert_eq!(journal.shared().watermark.failed(), None);
            tokio::task::yield_now().await;
        }
        assert_eq!(Image::of(&disk.only_synced()).expect("a log").next_seq, 3);
    }
}
