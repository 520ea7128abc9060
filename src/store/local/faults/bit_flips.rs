//! One bit flips, anywhere on the disk (P7): it is harmless, or it is told; never is another state shown for the true one.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::image::{Everything, everything, recover};
use super::reservations::reserve;
use super::script::{Ask, Deed, Script};
use super::service::{Service, Told};
use crate::journal::disk::faulty::FaultyDisk;
use crate::journal::group::{self, HEADER_BYTES, SECTOR};
use crate::journal::{control, segment, snapshot};
use crate::store::{Command, Store as _};
use crate::strategy::StrategyKind;

/// Flips in each part of each kind of file.
const FLIPS_PER_PART: usize = 60;

/// A part of a file: what it is, in which file, and which bytes.
#[derive(Debug, Clone)]
struct Part {
    name: &'static str,
    file: String,
    bytes: Range<usize>,
}

/// A disk with several segments, two snapshots and a last segment that is not sealed: as a kill, and as a clean stop leaves it.
async fn written() -> [FaultyDisk; 2] {
    let service = Service::new(StrategyKind::Mutex).await;
    let mut script = Script::new(11, 0..6, 0..60);
    service.ask(&Ask { deed: Deed::Many(vec![(6, 99), (7, 99)]), key: None }).await;
    for asked in 0..160 {
        let told = service.ask(&script.next()).await;
        assert!(!matches!(told, Told::NotDone(_)), "{told:?}");
        if asked % 20 == 5 {
            let asked = reserve(&[(6, 2), (7, 1)], Duration::from_hours(1));
            service.store.execute(Command::new(asked)).await.expect("it is judged");
        }
        if asked == 60 || asked == 110 {
            let shared = service.journal().shared();
            let disk = service.disk.disk();
            let stop = AtomicBool::new(false);
            snapshot::write(
                &*disk,
                Some(shared.control.identity()),
                &snapshot::Walked {
                    heads: &shared.heads,
                    keys: &shared.keys,
                    holds: &shared.holds,
                    orders: &shared.orders,
                    caught_up: &|| true,
                },
                &shared.watermark,
                &stop,
            )
            .expect("room");
        }
    }
    let killed = service.disk.process_killed();
    tokio::task::block_in_place(|| service.journal().close());
    [killed, service.disk.process_killed()]
}

/// Every part of every file.
fn parts(disk: &FaultyDisk) -> Vec<Part> {
    let mut parts = Vec::new();
    for (file, bytes) in disk.content() {
        let mut add = |name, bytes: Range<usize>| {
            if !bytes.is_empty() {
                parts.push(Part { name, file: file.clone(), bytes });
            }
        };
        if segment::base_of(&file).is_some() {
            parts_of_segment(&bytes, &mut add);
        } else if file.ends_with(".snapshot") {
            parts_of_snapshot(&bytes, &mut add);
        } else if file == control::NAME {
            add("control file", 0..bytes.len());
        } else {
            add("the file being prepared", 0..bytes.len());
        }
    }
    parts
}

fn parts_of_segment(bytes: &[u8], add: &mut impl FnMut(&'static str, Range<usize>)) {
    add("segment header", 0..112);
    add("segment header's padding", 112..SECTOR);
    let mut at = SECTOR;
    while let Ok(header) = bytes.get(at..).ok_or(()).and_then(|rest| group::read_header(rest).map_err(drop)) {
        let (body, end) = (at + HEADER_BYTES, at + group::size(header.body_len));
        add("group header", at..body);
        add("records", body..body + header.body_len);
        add("group's padding", body + header.body_len..end);
        at = end;
    }
    let is_sealed = bytes.get(at..).is_some_and(segment::is_footer);
    add(if is_sealed { "footer" } else { "unused end" }, at..bytes.len());
}

fn parts_of_snapshot(bytes: &[u8], add: &mut impl FnMut(&'static str, Range<usize>)) {
    add("snapshot header", 0..120);
    let mut at = 120;
    while at < bytes.len() {
        let body_len = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().expect("four bytes")) as usize;
        let name = [
            "snapshot levels",
            "snapshot keys",
            "snapshot marks",
            "snapshot trailer",
            "snapshot chunks",
            "snapshot reservations",
        ];
        add("snapshot block head", at..at + 48);
        add(name[usize::from(bytes[at]) - 1], at + 48..at + 48 + body_len);
        at += 48 + body_len;
    }
}

/// P7: 60 flips in each part of each kind of file. After each: everything that can be asked is answered as before, or the
/// damage is told. After a kill, only what hits the very last group may be taken for an unfinished commit, which is told too;
/// after a clean stop, nothing may.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_is_harmless_or_told() {
    let [killed, closed] = written().await;
    let told = after_each_flip(&killed, true);
    assert!(told["last group"][0] == 0 && told["last group"][2] > 0);
    assert!(told["records"][1] > 0 && told["unused end"][0] + told["unused end"][2] == FLIPS_PER_PART);
    let told = after_each_flip(&closed, false);
    assert_eq!(told["last group"], [0, FLIPS_PER_PART, 0]);
    assert_eq!(told["control file"], [0, FLIPS_PER_PART, 0]);
}

/// How often it was harmless, told, and cut, of each part.
fn after_each_flip(disk: &FaultyDisk, may_cut: bool) -> BTreeMap<&'static str, [usize; 3]> {
    let (whole, recovered) = everything(recover(disk)).expect("nothing is damaged yet");
    assert!(recovered.report.snapshot.is_some() && recovered.report.warnings.is_empty());
    let mut all = parts(disk);
    let last_group = all.iter().rfind(|part| part.name == "group header").expect("a group").clone();
    let last_body = all.iter().rfind(|part| part.name == "records").expect("a group").bytes.clone();
    all.push(Part {
        name: "last group",
        file: last_group.file.clone(),
        bytes: last_group.bytes.start..last_body.end,
    });
    let names: std::collections::BTreeSet<_> = all.iter().map(|part| part.name).collect();
    assert!(names.len() >= 13, "{names:?}");
    let mut random = Xoshiro256PlusPlus::seed_from_u64(4);
    let mut told: BTreeMap<&'static str, [usize; 3]> = BTreeMap::new();
    for name in names {
        let places: Vec<&Part> = all.iter().filter(|part| part.name == name).collect();
        for _ in 0..FLIPS_PER_PART {
            let part = places[random.random_range(0..places.len())];
            let bit = random.random_range(part.bytes.start * 8..part.bytes.end * 8);
            let flipped = disk.process_killed();
            flipped.flip_bit(&part.file, bit);
            let in_last = may_cut && part.file == last_group.file && bit / 8 >= last_group.bytes.start;
            told.entry(name).or_default()
                [judge(&whole, &flipped, in_last, &format!("{part:?} bit {bit}"))] += 1;
        }
    }
    println!("harmless, told, cut: {told:#?}");
    told
}

/// 0 if it was harmless, 1 if it was told, 2 if the last group was cut, and that was told.
fn judge(whole: &Everything, flipped: &FaultyDisk, in_last: bool, what: &str) -> usize {
    match everything(recover(flipped)) {
        Err(error) => {
            assert!(!error.is_empty());
            1
        }
        Ok((found, recovered)) if found == *whole => {
            // A snapshot that was passed over, a footer that was rebuilt: an operator is told.
            usize::from(!recovered.report.warnings.is_empty())
        }
        Ok((found, recovered)) => {
            let cut = recovered.report.cut.as_ref();
            assert!(
                in_last && cut.is_some(),
                "{what}: another state, and nobody was told: {:?}",
                recovered.report
            );
            assert_eq!(found.movements[..], whole.movements[..found.movements.len()], "{what}");
            let cut = cut.expect("as was just seen");
            assert_eq!(cut.seq, recovered.end.next_seq, "{what}");
            2
        }
    }
}
