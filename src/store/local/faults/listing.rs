//! A page shows nothing that a crash could take back, and leaves nothing out that it could bring back (P7).

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::for_each_strategy;
use super::image::Image;
use super::script::{Ask, Deed};
use super::service::{Service, Told, command, text};
use crate::journal::disk::faulty::Call;
use crate::store::{LevelQuery, Store as _};
use crate::strategy::StrategyKind;

for_each_strategy! {
    /// P7: while a deletion is not on disk, a page that leaves the level out is not given; nor is one that shows what a change
    /// that is not on disk made.
    async fn a_page_waits_for_what_it_leaves_out_and_for_what_it_shows(kind: StrategyKind) {
        for deed in [Deed::Delete(1), Deed::Adjust(1, 3), Deed::Create(2, 7), Deed::Many(vec![(0, 1), (2, 1)])] {
            let service = Service::new(kind).await;
            for level in [0, 1] {
                assert_eq!(service.ask(&Ask { deed: Deed::Create(level, 5), key: None }).await, Told::Applied);
            }
            let (go_on, held) = std::sync::mpsc::channel::<()>();
            let held = parking_lot::Mutex::new(held);
            service.disk.at(Call::Sync, 1, move |_| _ = held.lock().recv());
            let level = if matches!(deed, Deed::Delete(_) | Deed::Adjust(..)) { 1 } else { 2 };
            let before = service.in_memory(level).await.version();
            let (asks, asked) = (Arc::clone(&service), deed.clone());
            let changes = tokio::spawn(async move { asks.store.execute(command(&asked, None)).await });
            while service.in_memory(level).await.version() == before && !changes.is_finished() {
                tokio::task::yield_now().await;
            }
            let query = LevelQuery { sku: None, sku_prefix: "", location: None, after: None, limit: 9 };
            let mut listing = pin!(service.store.list(query));
            // Whatever wakes it, it is not there before the disk is.
            for _ in 0..100 {
                let polled = listing.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                let early = matches!(&polled, Poll::Ready(Ok(page)) if is_settled(&service, page, level));
                assert!(polled.is_pending() || early, "{deed:?}: {polled:?} is not on disk");
                if early {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(go_on);
            changes.await.expect("no panic").expect("the disk goes on");
        }
    }
}

/// Whether a page shows the level as it is on disk: then it need not wait.
fn is_settled(service: &Service, page: &crate::store::LevelPage, level: usize) -> bool {
    let image = Image::of(&service.disk.only_synced()).expect("a whole log");
    let on_disk = image.levels.get(&text(level)).filter(|level| level.exists());
    let shown = page.levels.iter().find(|(key, _)| key.text() == text(level)).map(|(_, level)| level);
    on_disk == shown
}
