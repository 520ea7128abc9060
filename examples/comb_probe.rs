//! Probe: throughput, CPU, tail and spread between threads of strategies and variants of combining.
#![allow(missing_docs, clippy::all, clippy::pedantic, clippy::print_stdout, clippy::unwrap_used, clippy::allow_attributes_without_reason, clippy::allow_attributes)]
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use inventory::stock::*;
use inventory::strategy::combining::{Combining, shard::Tuning};
use inventory::strategy::*;

fn now<T>(f: impl Future<Output = T>) -> T {
    match pin!(f).poll(&mut Context::from_waker(Waker::noop())) { Poll::Ready(t) => t, _ => panic!() }
}
fn ledger() -> Ledger { Ledger::new(Arc::new(KeyIndex::default())) }
fn cpu() -> f64 {
    let t = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    t.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}
struct Rng(u64);
impl Rng { fn next(&mut self) -> u64 { self.0 ^= self.0 << 13; self.0 ^= self.0 >> 7; self.0 ^= self.0 << 17; self.0 } }

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mix { Single, Few, Zipf, Uniform, Lines, HotLines, HotRead }

fn run<S: Strategy<()>>(name: &str, s: S, mix: Mix, threads: usize, dur: Duration, think: u32) {
    let n = match mix { Mix::Single | Mix::HotRead => 1, Mix::Few => 4, _ => 2000 };
    let keys: Vec<StockKey> = (0..n).map(|i| StockKey::new(Sku::parse(&format!("sku-{i:05}")).unwrap(), Location::DEFAULT)).collect();
    let adj = |d| Change::unconditional(Operation::Adjust { delta: d, if_missing: IfMissing::Refuse });
    for k in &keys { now(s.apply(k, Change::unconditional(Operation::Create { on_hand: Quantity::new(1_000_000_000).unwrap() }), ())).unwrap(); }
    // zipf 1.2 table
    let w: Vec<f64> = (1..=n).scan(0.0, |a, r| { *a += (r as f64).powf(-1.2); Some(*a) }).collect();
    let total = *w.last().unwrap();
    let barrier = Barrier::new(threads + 1);
    let mut all: Vec<(u64, Vec<u32>, f64)> = vec![];
    
    let t0 = std::thread::scope(|sc| {
        let hs: Vec<_> = (0..threads).map(|t| { let (s, keys, w, barrier) = (&s, &keys, &w, &barrier); sc.spawn(move || {
            let mut rng = Rng(0x9E3779B97F4A7C15 ^ (t as u64 + 1) * 0xD1B54A32D192ED03);
            let pick = |rng: &mut Rng| match mix {
                Mix::Zipf | Mix::HotLines => { let x = (rng.next() >> 11) as f64 / (1u64 << 53) as f64 * total; w.partition_point(|a| *a < x).min(n - 1) }
                _ => (rng.next() >> 16) as usize % n };
            let steps: Vec<usize> = (0..4096).map(|_| pick(&mut rng)).collect();
            let txs: Vec<Arc<Transaction>> = if matches!(mix, Mix::Lines | Mix::HotLines) { (0..512).map(|_| Arc::new(Transaction::new((0..5).map(|i| (keys[pick(&mut rng)].clone(), adj(if (i + t) % 2 == 0 { 1 } else { -1 }))).collect()).unwrap())).collect() } else { vec![] };
            let mut lat = Vec::with_capacity(1 << 16);
            let c0 = cpu(); barrier.wait();
            let start = Instant::now();
            let (mut ops, mut i) = (0u64, 0usize);
            'o: loop {
                for k in 0..32 {
                    i = (i + 1) & 4095;
                    let t1 = if k == 0 { Some(Instant::now()) } else { None };
                    if let Some(t1) = t1 { if t1 - start >= dur { break 'o; } }
                    if txs.is_empty() {
                        if mix == Mix::HotRead && i % 10 != 0 { now(Strategy::<()>::read(s, &keys[0])).unwrap(); }
                        else { let _ = now(s.apply(&keys[steps[i]], adj(if i & 1 == 0 { 1 } else { -1 }), ())); }
                    } else { let _ = now(s.transact(&txs[i & 511], ())); }
                    if let Some(t1) = t1 { lat.push(t1.elapsed().as_nanos().min(u32::MAX as u128) as u32); }
                    for _ in 0..think { std::hint::spin_loop(); }
                    ops += 1;
                }
            }
            (ops, lat, cpu() - c0)
        })}).collect();
        barrier.wait();
        let t0 = Instant::now();
        all = hs.into_iter().map(|h| h.join().unwrap()).collect();
        t0.elapsed().as_secs_f64()
    });
    let (c0, c1) = (0.0, all.iter().map(|a| a.2).sum::<f64>());
    let ops: u64 = all.iter().map(|a| a.0).sum();
    let (min, max) = (all.iter().map(|a| a.0).min().unwrap(), all.iter().map(|a| a.0).max().unwrap());
    let mut lat: Vec<u32> = all.into_iter().flat_map(|a| a.1).collect();
    lat.sort_unstable();
    let q = |p: f64| lat[((lat.len() - 1) as f64 * p) as usize];
    let rep = Strategy::<()>::contention(&s);
    println!("{name},{mix:?},{threads},{:.0},{:.1},{:.2},{:.3},{},{},{},{},{:.2}", ops as f64 / t0, (c1 - c0) * 1e9 / ops as f64, (c1 - c0) / t0, max as f64 / min.max(1) as f64, q(0.5), q(0.99), q(0.999), q(1.0), rep.contended as f64 * 100.0 / rep.acquisitions.max(1) as f64);
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let mixes: Vec<Mix> = args[1].split(',').map(|m| match m { "single" => Mix::Single, "few" => Mix::Few, "zipf" => Mix::Zipf, "uniform" => Mix::Uniform, "lines" => Mix::Lines, "hotlines" => Mix::HotLines, _ => Mix::HotRead }).collect();
    let threads: Vec<usize> = args[2].split(',').map(|t| t.parse().unwrap()).collect();
    let dur = Duration::from_millis(args[3].parse().unwrap());
    let subjects: Vec<&str> = args[4].split(',').collect();
    let think: u32 = args.get(5).map_or(0, |t| t.parse().unwrap());
    for &mix in &mixes { for &t in &threads { for &sub in &subjects {
        if let Some(v) = sub.strip_prefix("c:") {
            // c:wait:looks:passes:shards:slots
            let v: Vec<u32> = v.split(':').map(|x| x.parse().unwrap()).collect();
            let tuning = Tuning { wait: v[0], looks: v[1], passes: v[2], slots: v[4] as usize };
            run(sub, Combining::tuned(StrategyConfig::default(), ledger(), tuning, v[3]), mix, t, dur, think);
        } else {
            run(sub, AnyStrategy::new(sub.parse().unwrap(), StrategyConfig::default(), ledger()), mix, t, dur, think);
        }
    }}}
}
