//! The least that a load generator can cost: a bare hyper client that sends the requests of `loadtest run` and looks at
//! nothing but their status. It records nothing, parses nothing, measures no latency and proves nothing. `loadtest run --client
//! hyper` is compared with it:
//!
//! ```text
//! cargo run --release -p loadtest --example minimal_hyper -- http://127.0.0.1:8080 SECONDS CONNECTIONS
//! loadtest run http://127.0.0.1:8080 --client hyper --mix adjust=63,read=20,batch=5,independent=3,transfer=5 ...
//! ```
//!
//! As there: one thread and runtime for each core, connections dealt out in turn, requests drawn beforehand from the seed.

use std::error::Error;
use std::io::Write;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST, IF_NONE_MATCH};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use loadtest::catalogue::Catalogue;
use loadtest::client::Call;
use loadtest::client::body::body;
use loadtest::measure::process::own_cpu_time;
use loadtest::workload::{Keys, Spec, fresh_run_id};
use tokio::net::TcpStream;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The default mix without what depends on earlier answers.
const MIX: &str = "adjust=63,read=20,batch=5,independent=3,transfer=5";

/// Requests of one connection, sent round and round.
const TAPE: usize = 4_096;

/// Before anything is counted.
const WARMUP: Duration = Duration::from_millis(500);

type Failure = Box<dyn Error + Send + Sync>;

/// A request, ready but for its clone.
struct Step {
    method: Method,
    uri: Uri,
    body: Bytes,
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, seconds, connections] = &arguments[..] else {
        return Err("usage: minimal_hyper URL SECONDS CONNECTIONS".into());
    };
    let address: Arc<str> = url.trim_start_matches("http://").trim_end_matches('/').into();
    let (duration, connections): (Duration, u32) =
        (Duration::from_secs_f64(seconds.parse()?), connections.parse()?);
    let spec = Spec { skus: 100, keys: Keys::Zipf(1.0), mix: MIX.parse()?, opening_stock: 50, seed: 7 };
    let catalogue = Arc::new(spec.catalogue(&format!("mh-{}-", fresh_run_id())));
    open(&address, &spec, &catalogue)?;

    let threads = std::thread::available_parallelism()?.get();
    let barrier = Arc::new(Barrier::new(threads + 1));
    let workers: Vec<_> = (0..threads)
        .map(|thread| {
            let own = (0..connections).filter(|id| *id as usize % threads == thread);
            let tapes: Vec<Vec<Step>> = own.map(|id| tape(&spec, &catalogue, id)).collect();
            let (address, barrier) = (Arc::clone(&address), Arc::clone(&barrier));
            std::thread::spawn(move || work(&address, tapes, duration, &barrier))
        })
        .collect();
    barrier.wait();
    let (start, cpu_before) = (Instant::now(), own_cpu_time().unwrap_or_default());
    let mut requests = 0;
    for worker in workers {
        requests += worker.join().map_err(|_| "a worker panicked")??;
    }
    let cpu = own_cpu_time().unwrap_or_default().saturating_sub(cpu_before);
    let per_s = f64::from(requests) / start.elapsed().as_secs_f64();
    let cpu_us = cpu.as_secs_f64() * 1e6 / f64::from(requests);
    writeln!(
        std::io::stdout(),
        "{requests} requests, {per_s:.0} a second, {cpu_us:.2} us of CPU time a request"
    )?;
    Ok(())
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Opens the levels, as a run does.
fn open(address: &Arc<str>, spec: &Spec, catalogue: &Catalogue) -> Result<(), Failure> {
    runtime()?.block_on(async {
        let mut sender = connect(address).await?;
        for call in spec.opening() {
            let step = step(&call, catalogue);
            let mut request = request(&step, address)?;
            request.headers_mut().insert(IF_NONE_MATCH, "*".parse()?);
            exchange(&mut sender, request).await?;
        }
        Ok(())
    })
}

fn tape(spec: &Spec, catalogue: &Catalogue, client: u32) -> Vec<Step> {
    let mut generator = spec.generator(1, client);
    (0..TAPE).map(|_| step(&generator.next_call(), catalogue)).collect()
}

fn step(call: &Call, catalogue: &Catalogue) -> Step {
    let (method, path) = match call {
        Call::Read(key) => (Method::GET, catalogue.entry(*key).stock_path.as_str()),
        Call::Create { key, .. } => (Method::PUT, catalogue.entry(*key).stock_path.as_str()),
        Call::Adjust(change) => (Method::POST, catalogue.entry(change.key).adjust_path.as_str()),
        Call::Transfer(_) => (Method::POST, "/v1/transfers"),
        _ => (Method::POST, "/v1/adjustments"),
    };
    let uri = path.parse().unwrap_or_default();
    Step { method, uri, body: body(call, catalogue).into() }
}

/// One thread: its connections, and how many requests they sent after the warm-up.
fn work(
    address: &Arc<str>,
    tapes: Vec<Vec<Step>>,
    duration: Duration,
    barrier: &Barrier,
) -> Result<u32, Failure> {
    runtime()?.block_on(async {
        let mut connections = Vec::new();
        for tape in tapes {
            connections.push((connect(address).await?, tape));
        }
        let (warm, begin) = tokio::sync::watch::channel(false);
        let tasks: Vec<_> = connections
            .into_iter()
            .map(|(sender, tape)| {
                tokio::spawn(send(Arc::clone(address), sender, tape, duration, begin.clone()))
            })
            .collect();
        tokio::time::sleep(WARMUP).await;
        barrier.wait();
        warm.send_replace(true);
        let mut requests = 0;
        for task in tasks {
            requests += task.await??;
        }
        Ok(requests)
    })
}

async fn send(
    address: Arc<str>,
    mut sender: SendRequest<Full<Bytes>>,
    tape: Vec<Step>,
    duration: Duration,
    begin: tokio::sync::watch::Receiver<bool>,
) -> Result<u32, Failure> {
    let (mut requests, mut ends) = (0, None);
    for step in tape.iter().cycle() {
        exchange(&mut sender, request(step, &address)?).await?;
        match ends {
            None if *begin.borrow() => ends = Some(Instant::now() + duration),
            None => {}
            Some(ends) if Instant::now() >= ends => break,
            Some(_) => requests += 1,
        }
    }
    Ok(requests)
}

async fn connect(address: &Arc<str>) -> Result<SendRequest<Full<Bytes>>, Failure> {
    let stream = TcpStream::connect(&**address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

fn request(step: &Step, address: &Arc<str>) -> Result<Request<Full<Bytes>>, Failure> {
    let builder =
        Request::builder().method(step.method.clone()).uri(step.uri.clone()).header(HOST, &**address);
    let builder =
        if step.body.is_empty() { builder } else { builder.header(CONTENT_TYPE, "application/json") };
    Ok(builder.body(Full::new(step.body.clone()))?)
}

async fn exchange(
    sender: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<(), Failure> {
    sender.ready().await?;
    let response = sender.send_request(request).await?;
    if response.status().is_server_error() {
        return Err(format!("the server answered {}", response.status()).into());
    }
    response.into_body().collect().await?;
    Ok(())
}
