//! A client that lists and exports as fast as it can, to see what a kill then takes back.
//!
//! What it looks at varies, since a server may wait for the one and not for the other. Half of its walks are listings of
//! a single level that comes and goes: nothing else has to be on disk before they are answered. The others are of all
//! such levels, in pages of any length, or of the whole run, listed or exported.

use std::ops::Range;
use std::sync::Arc;

use history::{Key, Outcome, Record, Request, Seen, Stock};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::access::{Gate, Traffic, Up};
use super::board::{Board, Missing, Outset};
use super::haul::Haul;
use super::sights::{Shown, View};
use super::walk::{Breach, Stretch, Walk};
use crate::catalogue::Catalogue;
use crate::client::Failure;
use crate::client::failure::{Doubt, NO_CONNECTION};

/// Levels a page, at most: small enough that a walk through a run has several pages.
const PAGE_MAX: u32 = 25;

/// Everything that decides what a lister looks at.
#[derive(Debug)]
pub struct Watch {
    /// The number of the client.
    pub id: u32,
    /// The beginning of every sku of the run.
    pub prefix: String,
    /// The keys of the levels that come and go.
    pub comings: Range<u32>,
    /// The beginning of their skus.
    pub comings_prefix: String,
    /// The seed of what it draws.
    pub seed: u64,
    /// The most records it keeps.
    pub records_max: usize,
}

/// One client that lists and exports.
#[derive(Debug)]
pub struct Lister {
    watch: Watch,
    board: Arc<Board>,
    catalogue: Arc<Catalogue>,
    gate: Gate,
    rng: Xoshiro256PlusPlus,
    /// The version at which it saw each level last; 0 for not at all. What it sees again is no news.
    last: Vec<u64>,
    haul: Haul,
}

/// What a walk is of.
enum Tour {
    Listing { prefix: String, range: Range<u32>, limit: u32 },
    Export { range: Range<u32> },
}

/// Why a walk ended before its end.
enum Stop {
    /// Nothing more was answered.
    CutOff(Failure),
    /// What was answered is no walk.
    Breach(Breach),
}

impl Lister {
    /// A client that has seen nothing yet.
    pub fn new(watch: Watch, board: Arc<Board>, catalogue: Arc<Catalogue>, gate: Gate) -> Self {
        let rng = Xoshiro256PlusPlus::seed_from_u64(watch.seed);
        let last = vec![0; catalogue.len()];
        Self { watch, board, catalogue, gate, rng, last, haul: Haul::default() }
    }

    /// Looks until there is nothing new to see; answers what it saw.
    pub async fn work(mut self) -> Haul {
        while let Some(up) = self.gate.up().await {
            let is_full = self.haul.records.len() >= self.watch.records_max;
            let going_on = match up.traffic {
                Traffic::All | Traffic::Hush if !is_full => self.look(&up).await,
                Traffic::All | Traffic::Hush | Traffic::Retries => self.gate.changed().await,
                Traffic::Rest => false,
            };
            if !going_on {
                break;
            }
        }
        self.haul
    }

    fn draw(&mut self, traffic: Traffic) -> Tour {
        let Watch { prefix, comings, comings_prefix, .. } = &self.watch;
        let all = 0..u32::try_from(self.catalogue.len()).unwrap_or(u32::MAX);
        let limit = self.rng.random_range(1..=PAGE_MAX);
        if traffic == Traffic::Hush {
            return Tour::Export { range: all };
        }
        match self.rng.random_range(0..8) {
            0..4 if !comings.is_empty() => {
                let key = self.rng.random_range(comings.clone());
                let prefix = self.catalogue.entry(Key(key)).sku.clone();
                Tour::Listing { prefix, range: key..key + 1, limit }
            }
            4 | 5 => Tour::Listing { prefix: comings_prefix.clone(), range: comings.clone(), limit },
            6 => Tour::Listing { prefix: prefix.clone(), range: all, limit },
            _ => Tour::Export { range: all },
        }
    }

    async fn look(&mut self, up: &Up) -> bool {
        let tour = self.draw(up.traffic);
        let view = match &tour {
            Tour::Listing { .. } => View::Listing,
            Tour::Export { .. } => View::Export,
        };
        let ended = match tour {
            Tour::Listing { prefix, range, limit } => self.list(up, &prefix, range, limit).await,
            Tour::Export { range } => self.export(up, range).await,
        };
        let failure = match ended {
            Ok(()) => return true,
            Err(Stop::CutOff(failure)) => failure,
            Err(Stop::Breach(breach)) => {
                Failure::breach(Doubt::NotApplied, format!("{} answered {breach}", view.name()))
            }
        };
        self.haul.tally.fail(&failure);
        up.stint.outages.failed();
        if failure.kind == NO_CONNECTION { self.gate.next_life().await } else { self.gate.pause().await }
    }

    async fn list(&mut self, up: &Up, prefix: &str, range: Range<u32>, limit: u32) -> Result<(), Stop> {
        let catalogue = Arc::clone(&self.catalogue);
        let (outset, mut walk) = (self.board.outset(), Walk::new(&catalogue, range));
        let mut cursor = None;
        // Each page takes a step, if only past a level that was deleted meanwhile.
        for _ in 0..=catalogue.len() {
            self.haul.counts.requests += 1;
            let answer = up.client.list(prefix, limit, cursor.as_deref()).await.map_err(Stop::CutOff)?;
            if answer.status != 200 {
                return Err(Stop::CutOff(refusal(View::Listing, answer.status)));
            }
            cursor = walk.page(&answer.body).map_err(Stop::Breach)?;
            self.haul.counts.looks.pages += 1;
            self.believe(walk.stretch(cursor.is_none()), &outset, up.life, View::Listing);
            if cursor.is_none() {
                return Ok(());
            }
        }
        Err(Stop::Breach(Breach::Malformed("pages without an end".to_owned())))
    }

    async fn export(&mut self, up: &Up, range: Range<u32>) -> Result<(), Stop> {
        let catalogue = Arc::clone(&self.catalogue);
        let (outset, mut walk) = (self.board.outset(), Walk::new(&catalogue, range));
        self.haul.counts.requests += 1;
        let streamed = up.client.export().await.map_err(Stop::CutOff)?;
        if streamed.status != 200 {
            return Err(Stop::CutOff(refusal(View::Export, streamed.status)));
        }
        walk.lines(&streamed.body, &self.watch.prefix).map_err(Stop::Breach)?;
        self.haul.counts.looks.exports += 1;
        self.haul.counts.looks.exports_cut_off += u64::from(streamed.cut_off.is_some());
        self.believe(walk.stretch(streamed.cut_off.is_none()), &outset, up.life, View::Export);
        streamed.cut_off.map_or(Ok(()), |failure| Err(Stop::CutOff(failure)))
    }

    /// Takes in what a stretch of a walk says. Every level it showed was read once, at some moment of it; so was every one
    /// that was missing, as far as that says anything. What is no news is not kept.
    fn believe(&mut self, stretch: Stretch, outset: &Outset, life: u32, by: View) {
        let missing = stretch.missing(self.watch.comings.clone());
        let arrival = self.board.arrive(outset, &stretch.shown, missing);
        let during = (outset.at_ns, arrival.at_ns);
        // Replicas go on while others end: what is found in a later life than this was asked for after this had come.
        let shown_in = self.gate.life(life);
        self.haul.counts.looks.levels_shown += stretch.shown.len() as u64;
        self.haul.counts.looks.levels_missing += arrival.missing.len() as u64;
        for seen in stretch.shown {
            // A level that is older than was known is worth telling however often it is seen.
            if self.is_news(&seen) || seen.version < outset.told(seen.key) {
                self.haul.sights.find(seen.key, life, seen.version);
                self.haul.sights.show(
                    seen.key,
                    shown_in,
                    Shown { version: seen.version, is_missing: false, by },
                );
                self.keep(seen, during);
            }
        }
        for Missing { key, version, is_early, is_left_out } in arrival.missing {
            self.haul.counts.looks.deletions_early += u64::from(is_early);
            let seen = Seen { key, version, stock: Stock::Absent };
            if is_left_out {
                let name = &self.catalogue.entry(key).sku;
                let at = || format!("{name}, missing from {} in life {life}", by.name());
                self.haul.sights.left_out.add(at);
            } else if self.is_news(&seen) {
                self.haul.sights.show(key, shown_in, Shown { version, is_missing: true, by });
            }
            if self.is_news(&seen) {
                self.keep(seen, during);
            }
        }
    }

    fn is_news(&self, seen: &Seen) -> bool {
        self.last[seen.key.0 as usize] != seen.version
    }

    fn keep(&mut self, seen: Seen, during: (u64, u64)) {
        let (invoked_ns, returned_ns) = during;
        self.last[seen.key.0 as usize] = seen.version;
        let (request, outcome) = (Request::Read(seen.key), Outcome::Read(seen));
        self.haul.records.push(Record {
            client: self.watch.id,
            invoked_ns,
            returned_ns,
            request,
            outcome,
            once: None,
        });
    }
}

/// An answer without levels: the server is not ready, or has no time.
fn refusal(view: View, status: u16) -> Failure {
    let example = format!("{} answered {status}", view.name());
    if (500..600).contains(&status) {
        return Failure { kind: status.to_string().into(), example, doubt: Doubt::NotApplied };
    }
    Failure::breach(Doubt::NotApplied, example)
}
