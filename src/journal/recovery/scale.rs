//! How long a start takes, and how much memory: ten million movements of a million levels. Run by hand, in release, one after
//! the other, each in its own process, with `JOURNAL_SCALE_DIR` naming a folder:
//! `cargo test --release --lib journal::recovery::scale::write -- --ignored`, then `...::read`.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use super::*;
use crate::journal::disk::Folder;
use crate::journal::holds::AllFound;
use crate::journal::testing::{self, Writer};

const LEVELS: u64 = 1_000_000;
const MOVEMENTS: u64 = 10_000_000;
const PER_GROUP: u64 = 500;
/// The snapshot that the second start loads covers this part of the log.
const SNAPSHOT_AFTER: u64 = 9_000_000;

fn disk() -> (PathBuf, Arc<dyn Disk>) {
    let path = PathBuf::from(std::env::var("JOURNAL_SCALE_DIR").expect("JOURNAL_SCALE_DIR names a folder"));
    (path.clone(), Arc::new(Folder::open_or_create(&path).unwrap()))
}

fn memory_mib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}

#[test]
#[ignore = "writes a gigabyte"]
fn write() {
    let mut writer = Writer::new(disk().1, 64 * 1024 * 1024);
    writer.tells = false;
    writer.syncs = false;
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for movement in 0..MOVEMENTS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let level = if movement < LEVELS { movement } else { random % LEVELS };
        writer.add(&format!("sku-{level:07} main"), 1);
        if movement % PER_GROUP == PER_GROUP - 1 {
            writer.time_ms += 1;
            writer.commit();
        }
        if movement + 1 == SNAPSHOT_AFTER {
            let began = Instant::now();
            let (heads, keys, watermark) = (&writer.heads, &writer.keys, &writer.watermark);
            let disk = writer.disk.as_ref();
            let written = testing::snapshot(disk, heads, keys, watermark, &AtomicBool::new(false)).unwrap();
            println!(
                "snapshot: {:?} for {} levels, {} MiB",
                began.elapsed(),
                written.levels,
                written.bytes >> 20
            );
            disk.rename(&snapshot::name(written.start.position), "aside").unwrap();
        }
    }
}

#[test]
#[ignore = "reads a gigabyte"]
fn read() {
    let (path, disk) = disk();
    let options = Options { now_ms: 2_000_000, key_retention: Duration::from_hours(24) };
    let before = memory_mib("VmRSS");
    let alone = recover(&disk, &options, &|_| {}).unwrap();
    println!("log alone: {:?}", alone.report);
    println!("memory: {before} MiB before, {} after, {} at most", memory_mib("VmRSS"), memory_mib("VmHWM"));
    let began = Instant::now();
    let stop = AtomicBool::new(false);
    let heads = &alone.heads;
    let level = |key: &crate::stock::StockKey| {
        Ok(heads.get(key.text(), heads.hash(key.text())).map(|head| head.level))
    };
    let live = crate::journal::verify::Live { level: &level, changing: false };
    let verified =
        crate::journal::verify::verify(disk.as_ref(), &alone.log, alone.end, live, &stop, &|_| {}).unwrap();
    println!("verify: {:?}, {} problems", began.elapsed(), verified.problems_total);
    drop(alone);
    // The name is in the file: found by the header's position.
    let mut position = [0; 8];
    disk.open("aside").unwrap().read_exact_at(&mut position, 16).unwrap();
    let name = snapshot::name(u64::from_le_bytes(position));
    std::fs::copy(path.join("aside"), path.join(&name)).unwrap();
    let (heads, keys) = (Heads::new(), Keys::new());
    let began = Instant::now();
    snapshot::load(
        disk.as_ref(),
        &name,
        &heads,
        &keys,
        &mut AllFound::default(),
        &mut orders::AllFound::default(),
    )
    .unwrap();
    println!("snapshot alone: {:?}", began.elapsed());
    drop((heads, keys));
    let with = recover(&disk, &options, &|_| {}).unwrap();
    println!("snapshot and a tenth of the log: {:?}", with.report);
    std::fs::remove_file(path.join(&name)).unwrap();
}
