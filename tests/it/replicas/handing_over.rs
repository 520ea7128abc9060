//! Who tells a webhook, of several replicas that could: one at a time, and another when that one stops, dies or is cut off (P12).

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use inventory::store::{AnyStore, Keeping, Leases};
use inventory::webhooks::WebhookConfig;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_postgres::NoTls;

use super::hooks::{Services, config, moves, seq, started};
use super::kills::{Replica, durable};
use super::network::until_ready;
use crate::support::app::WATCHDOG;
use crate::support::app::receiver::{Receiver, Reply};
use crate::support::store::open_replica;

/// What a receiver of all movements may see: each message is the one after the one before, or begins anew further back. Of two who send at once one would
/// be ahead of the other, and tell what is next for him and not for who reads.
#[derive(Debug, Default)]
struct Told {
    last: u64,
    newest: u64,
    begun_anew: usize,
}

impl Told {
    fn hears(&mut self, seq: u64) {
        assert!(seq <= self.last + 1, "{seq} after {}: {self:?}", self.last);
        self.begun_anew += usize::from(seq <= self.last);
        self.last = seq;
        self.newest = self.newest.max(seq);
    }

    /// Hears until it has been told of that movement.
    async fn hears_up_to(&mut self, receiver: &mut Receiver, newest: u64) {
        while self.newest < newest {
            self.hears(seq(&receiver.next().await));
        }
    }
}

fn leases(store: &AnyStore) -> &(impl Leases + 'static) {
    store.leases().expect("it is shared")
}

/// A lease is had by one, for a time; and who has lost it neither has it back nor moves what is left in it.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_is_had_by_one() {
    const LONG: Duration = Duration::from_hours(1);
    let server = databases::postgres();
    let database = server.database().expect("a database");
    let mut stores = Vec::new();
    for _ in 0..3 {
        stores.push(Arc::new(open_replica(&database.url(), Keeping::default()).await));
    }
    let mut claim = 0;
    for round in 0..20 {
        let name = format!("lease {round}");
        let mut takers = JoinSet::new();
        for taker in 0..9 {
            claim += 1;
            let (store, name, claim) = (Arc::clone(&stores[taker % 3]), name.clone(), claim);
            let time = Duration::from_millis(30);
            takers.spawn(async move {
                (claim, leases(&store).take(&name, claim, time).await.expect("an answer").is_some())
            });
        }
        let had: Vec<_> = takers.join_all().await.into_iter().filter(|(_, has)| *has).collect();
        // Where the takers took their time the first had lost it by then.
        let Some((holder, _)) = had.first() else { panic!("somebody has it") };
        let _may_be_over = leases(&stores[0]).renew(&name, *holder, LONG / 1_000_000, b"one".to_vec()).await;
        claim += 1;
        let left = loop {
            if let Some(left) = leases(&stores[1]).take(&name, claim, LONG).await.expect("an answer") {
                break left;
            }
        };
        assert!(left.is_none() || left.as_deref() == Some(b"one"), "{left:?}");
        assert!(leases(&stores[2]).is_held(&name, claim).await.expect("an answer"));
        assert!(!leases(&stores[2]).is_held(&name, *holder).await.expect("an answer"));
        let late = leases(&stores[0]).renew(&name, *holder, LONG, b"late".to_vec()).await;
        assert!(!late.expect("an answer"), "it is not his any more");
        leases(&stores[0]).give_back(&name, *holder, b"late".to_vec()).await.expect("an answer");
        leases(&stores[0]).end(&name, *holder).await.expect("an answer");
        assert_eq!(leases(&stores[2]).take(&name, claim + 1, LONG).await.expect("an answer"), None);
        assert!(leases(&stores[1]).renew(&name, claim, LONG, b"two".to_vec()).await.expect("an answer"));
        leases(&stores[1]).give_back(&name, claim, b"three".to_vec()).await.expect("an answer");
        assert!(!leases(&stores[1]).renew(&name, claim, LONG, b"late".to_vec()).await.expect("an answer"));
        claim += 1;
        let next = leases(&stores[2]).take(&name, claim, LONG).await.expect("an answer");
        assert_eq!(next, Some(Some(b"three".to_vec())));
        leases(&stores[2]).end(&name, claim).await.expect("an answer");
    }
    assert_eq!(leases(&stores[0]).leases().await.expect("an answer"), []);
}

/// P12: of a replica that stops another takes over at once, and what was taken is not told again.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stops_hands_over_what_was_taken() {
    // Whoever is not handed it would wait for longer than the test does.
    let config = WebhookConfig { lease: WATCHDOG * 3, ..config() };
    let mut services = Services::start(3, config).await;
    let mut receiver = Receiver::start().await;
    services.hook(0, &receiver.url, &json!({})).await;
    let mut told = Told::default();
    for left in (1..3).rev() {
        for _ in 0..10 {
            let made = services.moves(left).await;
            told.hears_up_to(&mut receiver, made).await;
        }
        let stops = Arc::into_inner(services.apps.remove(0)).expect("nobody else has it");
        stops.end().await;
    }
    let made = services.moves(0).await;
    told.hears_up_to(&mut receiver, made).await;
    assert_eq!(told.begun_anew, 0, "{told:?}");
}

/// P12: replicas are killed while one of them tells a hook; every movement is told, in order, whoever is left.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_sender_is_taken_over() {
    let database = durable();
    let allow = ["--webhook-allow", "127.0.0.0/8"];
    let mut replicas = Vec::new();
    for _ in 0..3 {
        let replica = Replica::start_with(&database.url(), &allow);
        replica.until_ready(true).await;
        replicas.push(replica);
    }
    let client = reqwest::Client::new();
    let post = async |url: String, body: Value| -> Value {
        let answer = client.post(url).json(&body).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.status());
        answer.json().await.expect("JSON")
    };
    let mut receiver = Receiver::start().await;
    let made = post(format!("{}/v1/webhooks", replicas[0].url), json!({ "url": receiver.url })).await;
    let secret = made["secret"].as_str().expect("a secret").to_owned();
    let (mut told, mut moves) = (Told::default(), 0);
    while let Some(mut replica) = (replicas.len() > 1).then(|| replicas.remove(0)) {
        for round in 0..40 {
            let at = if round % 2 == 0 { &replica } else { &replicas[round % replicas.len()] };
            let change = json!({ "delta": 1, "if_missing": "create" });
            post(format!("{}/v1/stock/A/adjust", at.url), change).await;
            moves += 1;
        }
        // Some were told, some were not, and what was told may not have been written down.
        let some = moves - 25;
        told.hears_up_to(&mut receiver, some).await;
        replica.kill();
    }
    while told.newest < moves {
        let delivery = receiver.next().await;
        delivery.verified(&secret);
        told.hears(seq(&delivery));
    }
    assert!(told.begun_anew <= 2, "once for each that was killed: {told:?}");
    // The last one has all to itself.
    let path = format!("{}/v1/webhooks/{}", replicas[0].url, made["id"].as_str().expect("an id"));
    assert_eq!(client.delete(path).send().await.expect("an answer").status(), 204);
}

/// Connections to the database are cut at whatever they are at, for a time in which leases are lost and taken many times: never do two tell a hook.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_do_two_tell_a_hook() {
    let config = WebhookConfig { lease: Duration::from_millis(120), ..config() };
    let services = Services::start(3, config).await;
    let services = Arc::new(services);
    let mut receiver = Receiver::start().await;
    services.hook(0, &receiver.url, &json!({})).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let mut saboteur = tokio::spawn({
        let url = services.database.url();
        async move {
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("a database");
            tokio::spawn(connection);
            // For longer than a lease nobody can renew one, nor ask whether he has it.
            let stall =
                "BEGIN; LOCK TABLE inventory.lease IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(0.2); COMMIT";
            let kill = "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity \
                WHERE datname = current_database() AND application_name = 'inventory' \
                ORDER BY random() LIMIT 3) few";
            let holders = "SELECT holder::text FROM inventory.lease";
            let mut all = HashSet::new();
            for round in 0_u32..12 {
                let sabotage = if round.is_multiple_of(2) { stall } else { kill };
                client.batch_execute(sabotage).await.expect("it is done");
                tokio::time::sleep(Duration::from_millis(300)).await;
                // Whoever takes a lease has another claim than anybody before.
                let rows = client.query(holders, &[]).await.expect("an answer");
                all.extend(rows.iter().map(|row| row.get::<_, String>(0)));
            }
            all.len()
        }
    });
    let writer = tokio::spawn({
        let (services, is_over) = (Arc::clone(&services), Arc::clone(&is_over));
        async move {
            let change = json!({ "delta": 1, "if_missing": "create" });
            for replica in (0..3).cycle() {
                // It may be told that nobody knows: the ledger says how many there were.
                let _answer = services.apps[replica].post("/v1/stock/A/adjust", &change).await;
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
            }
        }
    });
    let mut told = Told::default();
    let holders = loop {
        tokio::select! {
            delivery = receiver.next() => told.hears(seq(&delivery)),
            holders = &mut saboteur => break holders.expect("no panic"),
        }
    };
    is_over.store(true, Ordering::SeqCst);
    writer.await.expect("no panic");
    let last = services.moves(0).await;
    told.hears_up_to(&mut receiver, last).await;
    assert!(holders > 3, "it was taken over: {told:?}");
}

/// Between a replica and its database, until that is cut: then nothing comes through either way, and nobody is told.
struct Wire {
    folder: TempDir,
    is_cut: watch::Sender<bool>,
}

/// The folder of the socket that an address of a database names.
fn folder_of(url: &str) -> &str {
    url.split("host=").nth(1).and_then(|rest| rest.split('&').next()).expect("a folder")
}

impl Wire {
    /// Before the database at that address.
    fn before(url: &str) -> Self {
        Self::to(Path::new(folder_of(url)).join(".s.PGSQL.5432"))
    }

    /// Its address, through this.
    fn through(&self, url: &str) -> String {
        url.replace(folder_of(url), self.folder.path().to_str().expect("UTF-8"))
    }

    fn to(socket: PathBuf) -> Self {
        let folder = TempDir::new().expect("a folder");
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).expect("a socket");
        let is_cut = watch::Sender::new(false);
        let cut = is_cut.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&socket).await.expect("the database");
                let ((from, to), (back, forth)) = (client.into_split(), server.into_split());
                tokio::spawn(carry(from, forth, cut.subscribe()));
                tokio::spawn(carry(back, to, cut.subscribe()));
            }
        });
        Self { folder, is_cut }
    }
}

async fn carry(
    mut from: tokio::net::unix::OwnedReadHalf,
    mut to: tokio::net::unix::OwnedWriteHalf,
    mut is_cut: watch::Receiver<bool>,
) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if is_cut.wait_for(|is_cut| !is_cut).await.is_err() || to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

/// P12: a sender that is cut off from the database, and not from the receiver, stops before another takes over; and when it is connected again, it does not
/// go on with what it was at.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_that_is_cut_off_stops_before_another_begins() {
    let mut services = Services::start(1, config()).await;
    let url = services.database.url();
    let wire = Wire::before(&url);
    let cut_off = Arc::new(started(&wire.through(&url), config()).await);
    services.apps.insert(0, Arc::clone(&cut_off));
    let mut receiver = Receiver::start().await;
    services.hook(0, &receiver.url, &json!({})).await;
    let mut told = Told::default();
    for round in 0..3 {
        for _ in 0..20 {
            services.moves(1).await;
        }
        let some = told.newest + 5;
        told.hears_up_to(&mut receiver, some).await;
        wire.is_cut.send_replace(true);
        let made = services.moves(1).await;
        // By whoever is left, which may be a while after the other could not.
        told.hears_up_to(&mut receiver, made).await;
        wire.is_cut.send_replace(false);
        let made = services.moves(1).await;
        told.hears_up_to(&mut receiver, made).await;
        assert!(told.begun_anew <= round + 1, "{told:?}");
    }
}

/// A sender that is told 410 while it is cut off from the database cannot say so, and is none by the time it can: whether a hook is disabled is found out by who tells
/// it. So it is told by the next, and is active at all.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_sender_found_out_and_could_not_say_is_forgotten() {
    let database = databases::postgres().database().expect("a database");
    let wire = Wire::before(&database.url());
    let cut_off = started(&wire.through(&database.url()), config()).await;
    let mut receiver = Receiver::start().await;
    let goes_on = Arc::new(Notify::new());
    receiver.answer([Reply::Later(Arc::clone(&goes_on), 410)]);
    let made = cut_off.post("/v1/webhooks", &json!({ "url": receiver.url })).await;
    let path = made.assert_status(201).header("location").to_owned();
    moves(&cut_off).await;
    assert_eq!(seq(&receiver.next().await), 1);

    let other = started(&database.url(), config()).await;
    wire.is_cut.send_replace(true);
    goes_on.notify_one();
    assert_eq!(seq(&receiver.next().await), 1, "it is told by the other");
    moves(&other).await;
    assert_eq!(seq(&receiver.next().await), 2);

    wire.is_cut.send_replace(false);
    until_ready(&cut_off, true).await;
    // The other one changes it, and so the first has to say what it knows.
    let secret = other.post(&format!("{path}/secret"), &json!({})).await;
    assert_eq!(secret.status / 100, 2, "{}", secret.text());
    for app in [&other, &cut_off] {
        let is_active = async {
            while app.get(&path).await.assert_status(200).at("/state") != "active" {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(WATCHDOG, is_active).await.expect("it is told");
    }
    moves(&cut_off).await;
    assert_eq!(seq(&receiver.next().await), 3);
}
