//! One question, until it is answered.
//!
//! Every question is sent again and again, under its key if it changes anything, so whom it is sent to matters to nobody. Of a service of
//! several replicas each client asks its own; if there is no connection, or nobody knows what became of the question, it asks the next
//! one in turn, and goes on there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use history::shop::{Answer, Ask, Told};
use reqwest::StatusCode;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::Plan;
use super::names::Names;
use super::wire::{self, Meaning, Request};
use crate::client::credential;
use crate::client::key::REPLAYED_HEADER;
use crate::client::replicas::own;
use crate::crash::outage::Outages;

/// Until a question is sent again that nobody answered, or that was turned away.
const PAUSE: Duration = Duration::from_millis(5);

/// Where a server is, while there is one.
pub type Door = watch::Receiver<Option<Arc<str>>>;

/// The doors to a service, one for each replica and never none, and how many questions were answered behind each.
#[derive(Debug)]
struct Doors(Vec<(Door, AtomicU64)>);

/// Asks for one client after the other; cheap to clone.
#[derive(Debug, Clone)]
pub struct Desk {
    http: reqwest::Client,
    doors: Arc<Doors>,
    /// The number of the door that it goes to; past the last one comes the first.
    at: Arc<AtomicUsize>,
    names: Arc<Names>,
    start: Instant,
    give_up: Duration,
    /// What it meets while the database is away.
    outages: Arc<Outages>,
    /// A question was given up: the server does not answer any more, and nobody waits as long again.
    is_given_up: Arc<AtomicBool>,
}

/// What it took to have an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effort {
    /// Attempts that got no answer, or were turned away for now.
    pub again: u64,
    /// Attempts that may have been carried out, and of which nobody was told.
    pub in_doubt: u64,
}

/// A question and its answer, and what it took.
#[derive(Debug)]
pub struct Asked {
    /// For the books.
    pub told: Told,
    /// What it took.
    pub effort: Effort,
    /// An answer that does not fit the contract.
    pub breach: Option<String>,
}

/// What came of one attempt.
enum Attempt {
    Answer {
        answer: Answer,
        /// Whether it is that of an earlier attempt.
        replayed: bool,
    },
    /// It is to be sent again: elsewhere, if there is another door.
    Again {
        in_doubt: bool,
        elsewhere: bool,
    },
    Breach(String),
}

impl Desk {
    /// For the levels of a plan, of a service behind these doors: it goes to the first one.
    pub fn new(plan: &Plan, names: Arc<Names>, doors: Vec<Door>) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder().no_proxy().timeout(plan.timeout);
        let http = http.default_headers(credential::headers()).build()?;
        Ok(Self {
            http,
            doors: Arc::new(Doors(doors.into_iter().map(|door| (door, AtomicU64::new(0))).collect())),
            at: Arc::default(),
            names,
            start: Instant::now(),
            give_up: plan.give_up,
            outages: Arc::clone(&plan.outages),
            is_given_up: Arc::default(),
        })
    }

    /// The same for one client, who begins with a door of its own: clients are dealt out in turn.
    #[must_use]
    pub fn of_client(&self, client: u32) -> Self {
        Self { at: Arc::new(own(client, self.doors.0.len()).into()), ..self.clone() }
    }

    /// The same for each of the doors.
    pub fn of_each(&self) -> impl Iterator<Item = Self> {
        (0..self.doors.0.len()).map(|at| Self { at: Arc::new(at.into()), ..self.clone() })
    }

    /// Where it asks now; empty if there is nobody.
    pub fn address(&self) -> String {
        self.door(self.at.load(Ordering::Relaxed)).0.borrow().as_deref().unwrap_or_default().to_owned()
    }

    /// The doors behind which no question was answered by anybody, by their numbers.
    pub fn silent(&self) -> Vec<usize> {
        let is_silent = |at: &usize| self.door(*at).1.load(Ordering::Relaxed) == 0;
        (0..self.doors.0.len()).filter(is_silent).collect()
    }

    /// Nanoseconds since it was made.
    pub fn now_ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).expect("a run is no centuries")
    }

    /// The levels.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Asks until there is an answer, or it has taken too long. An order waits for its outcome for so many seconds, if any are given.
    pub async fn ask(&self, number: u64, ask: Ask, patience_s: Option<u32>) -> Asked {
        let request = wire::request(&self.names, number, &ask);
        let (begun, mut asked_ns, mut effort) = (Instant::now(), self.now_ns(), Effort::default());
        let is_look = matches!(ask, Ask::Read { .. } | Ask::SeeHold { .. } | Ask::SeeOrder { .. });
        let (answer, breach) = loop {
            let left = self.left(begun);
            // Nobody opens any more, or not in time.
            let Some((at, base)) = self.base(left).await.filter(|_| !left.is_zero()) else {
                self.is_given_up.store(true, Ordering::Relaxed);
                break (Answer::Unknown, None);
            };
            if is_look {
                // What was looked at before, and not told, is no part of the answer.
                asked_ns = self.now_ns();
            }
            let sent_ns = self.outages.now_ns();
            match self.attempt(&base, number, &ask, &request, patience_s).await {
                Attempt::Answer { answer, replayed } => {
                    if !is_look && !replayed && is_change(&answer) {
                        self.outages.acknowledged(sent_ns);
                    }
                    if effort.in_doubt > 0 {
                        self.outages.settled();
                    }
                    self.door(at).1.fetch_add(1, Ordering::Relaxed);
                    break (answer, None);
                }
                Attempt::Breach(breach) => break (Answer::Unknown, Some(breach)),
                Attempt::Again { in_doubt, elsewhere } => {
                    effort.again += 1;
                    self.outages.failed();
                    if in_doubt && !is_look && effort.in_doubt == 0 {
                        self.outages.unknown();
                    }
                    effort.in_doubt += u64::from(in_doubt && !is_look);
                    if elsewhere {
                        self.go_on(at);
                    }
                    sleep(PAUSE).await;
                }
            }
        };
        let answered_ns = if answer == Answer::Unknown { u64::MAX } else { self.now_ns() };
        Asked { told: Told { number, asked_ns, answered_ns, ask, answer }, effort, breach }
    }

    /// Whether a question was never answered in time: nothing is to be expected any more.
    pub fn is_given_up(&self) -> bool {
        self.is_given_up.load(Ordering::Relaxed)
    }

    /// How long something that was begun then is still tried.
    fn left(&self, begun: Instant) -> Duration {
        let left = if self.is_given_up() { Duration::ZERO } else { self.give_up };
        left.saturating_sub(begun.elapsed())
    }

    fn door(&self, at: usize) -> &(Door, AtomicU64) {
        &self.doors.0[at % self.doors.0.len()]
    }

    /// From now on it goes to the door after that one, unless it has gone on already.
    fn go_on(&self, from: usize) {
        // Relaxed: wherever somebody asks, the question is the same. And whoever else found that one shut has gone on for all.
        let _ = self.at.compare_exchange(from, from.wrapping_add(1), Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Where the server is, once there is one, and the number of its door; `None` if there is none in time.
    async fn base(&self, left: Duration) -> Option<(usize, Arc<str>)> {
        let at = self.at.load(Ordering::Relaxed);
        let mut door = self.door(at).0.clone();
        let open = timeout(left, door.wait_for(Option::is_some)).await;
        Some((at, open.ok()?.ok()?.clone()?))
    }

    async fn attempt(
        &self,
        base: &str,
        number: u64,
        ask: &Ask,
        request: &Request,
        patience_s: Option<u32>,
    ) -> Attempt {
        let mut builder = self.http.request(request.method.clone(), format!("{base}{}", request.path));
        if request.method == reqwest::Method::POST {
            builder = builder.header("idempotency-key", self.names.reference(number));
        }
        if let (Ask::Order { .. }, Some(seconds)) = (ask, patience_s) {
            builder = builder.header("prefer", format!("wait={seconds}"));
        }
        if let Some(body) = &request.body {
            builder = builder.json(body);
        }
        let answer = match builder.send().await {
            Ok(answer) => answer,
            Err(error) => return Attempt::Again { in_doubt: !error.is_connect(), elsewhere: true },
        };
        let status = answer.status().as_u16();
        let replayed = answer.headers().get(REPLAYED_HEADER).is_some_and(|value| value == "true");
        let Ok(body) = answer.bytes().await else {
            return Attempt::Again { in_doubt: true, elsewhere: true };
        };
        match wire::meaning(&self.names, ask, status, &body) {
            Ok(Meaning::Answer(answer)) => Attempt::Answer { answer, replayed },
            Ok(Meaning::Again) => {
                let is_unknown = wire::is_unknown(&body);
                Attempt::Again { in_doubt: is_unknown, elsewhere: is_unknown }
            }
            Err(breach) => {
                let shown: String = String::from_utf8_lossy(&body).chars().take(300).collect();
                Attempt::Breach(format!(
                    "{} {} answered {status}: {breach}: {shown}",
                    request.method, request.path
                ))
            }
        }
    }

    /// The status and the body of a page, asked for until there is an answer that stays; `None` if there is none in time.
    pub async fn page(&self, path: &str) -> Option<(u16, Vec<u8>)> {
        let begun = Instant::now();
        while !self.left(begun).is_zero() {
            let (at, base) = self.base(self.left(begun)).await?;
            if let Ok(answer) = self.http.get(format!("{base}{path}")).send().await {
                let status = answer.status();
                let passes = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
                if let (false, Ok(body)) = (passes, answer.bytes().await) {
                    return Some((status.as_u16(), body.to_vec()));
                }
            }
            // A page is the same wherever it is asked for.
            self.go_on(at);
            sleep(PAUSE).await;
        }
        None
    }

    /// Removes a level; whether that was done.
    pub async fn remove(&self, level: usize) -> bool {
        let url = format!("{}/v1/stock/{}", self.address(), self.names.sku(level));
        let answer = self.http.delete(url).header("if-match", "*").send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }
}

/// Whether something was changed, to be so answered.
fn is_change(answer: &Answer) -> bool {
    matches!(answer, Answer::Level(_) | Answer::Hold(_) | Answer::Order(_) | Answer::Cancelled)
}
