//! The client that watches the event stream from the first change on, and takes it up in each life where it was when the last one ended; of several replicas,
//! each time at the next.
//!
//! It also takes the whole stock now and then, with the place in the stream that this names: so the two can be joined in the end.

use std::sync::Arc;
use std::time::Duration;

use history::{Seen, Stock};
use tokio::time::{Instant, timeout_at};

use super::access::{Gate, Traffic, Up};
use super::told::{Change, Feed, Snapshot, Told};
use super::walk::Walk;
use crate::catalogue::Catalogue;
use crate::client::events::{Event, Events, Head, Movement};
use crate::client::{Client, Failure};

/// How often the whole stock is taken.
const SNAPSHOTS_MAX: usize = 25;

/// The longest it takes to be told the rest, when nothing changes any more.
const REST_MAX: Duration = Duration::from_secs(30);

/// One who watches.
#[derive(Debug)]
pub struct Watcher {
    gate: Gate,
    catalogue: Arc<Catalogue>,
    prefix: String,
    feed: Feed,
    snapshot_in: u32,
}

impl Watcher {
    /// One who has been told nothing yet, and is to be told everything after a place.
    pub fn new(gate: Gate, catalogue: Arc<Catalogue>, prefix: String, begins: &str) -> Self {
        let feed = Feed { begins: begins.into(), ..Feed::default() };
        Self { gate, catalogue, prefix, feed, snapshot_in: 0 }
    }

    /// Watches until the clients come to their end; [`Watcher::rest`] is to follow.
    pub async fn work(mut self) -> Self {
        while let Some(up) = self.gate.up().await {
            if up.traffic == Traffic::Rest {
                break;
            }
            let going_on = match self.watch(&up).await {
                Ok(()) => {
                    self.gate.go_on();
                    self.gate.pause().await
                }
                Err(failure) => {
                    self.note(&failure);
                    self.gate.next_life().await
                }
            };
            if !going_on {
                break;
            }
        }
        self
    }

    /// Is told what is left, until every level is at the last there is to say of it; nothing changes any more.
    pub async fn rest(mut self, client: &Client, last: &[Option<Seen>]) -> Feed {
        let until = Instant::now() + REST_MAX;
        let mut behind: Vec<u64> = last.iter().map(|last| last.map_or(0, |last| last.version)).collect();
        self.feed.told.iter().for_each(|told| catch_up(&mut behind, told.change));
        while is_behind(&behind) && Instant::now() < until {
            match timeout_at(until, self.hear(client, &mut behind)).await {
                Ok(Err(failure)) if failure.is_breach() => {
                    self.note(&failure);
                    break;
                }
                // Whoever did not answer may, and a stream that has ended may go on.
                Ok(_) => self.gate.pause().await,
                Err(_) => break,
            };
        }
        self.feed
    }

    /// One stream, to its end or until nothing is behind.
    async fn hear(&mut self, client: &Client, behind: &mut [u64]) -> Result<(), Failure> {
        let mut events = client.events(self.last()).await?;
        self.feed.streams += 1;
        while is_behind(behind) {
            let Some(event) = events.next().await? else { break };
            self.take(event);
            catch_up(behind, self.feed.told.last().and_then(|told| told.change));
        }
        Ok(())
    }

    /// One stream, to its end or that of the life's traffic.
    async fn watch(&mut self, up: &Up) -> Result<(), Failure> {
        let mut events = up.client.events(self.last()).await?;
        self.feed.streams += 1;
        if self.snapshot_in == 0 && self.feed.snapshots.len() < SNAPSHOTS_MAX {
            self.snapshot(&up.client).await?;
            self.snapshot_in = 2;
        }
        self.snapshot_in = self.snapshot_in.saturating_sub(1);
        loop {
            tokio::select! {
                biased;
                event = events.next() => match event? {
                    Some(event) => self.take(event),
                    None => return Ok(()),
                },
                may_go_on = self.gate.changed() => {
                    if !may_go_on || !self.gate.is_at(up.life) {
                        return self.drain(events).await;
                    }
                }
            }
        }
    }

    /// What has come already of a stream whose server is gone.
    async fn drain(&mut self, mut events: Events) -> Result<(), Failure> {
        let until = Instant::now() + Duration::from_millis(50);
        while let Ok(event) = timeout_at(until, events.next()).await {
            match event? {
                Some(event) => self.take(event),
                None => break,
            }
        }
        Ok(())
    }

    async fn snapshot(&mut self, client: &Client) -> Result<(), Failure> {
        let streamed = client.export().await?;
        if streamed.status != 200 || streamed.cut_off.is_some() {
            return Ok(());
        }
        let Some(id) = streamed.event_cursor else {
            self.feed.breaches.add(|| "an export that names no place in the stream".to_owned());
            return Ok(());
        };
        let catalogue = Arc::clone(&self.catalogue);
        let mut walk = Walk::new(&catalogue, 0..u32::try_from(catalogue.len()).unwrap_or(u32::MAX));
        match walk.lines(&streamed.body, &self.prefix) {
            Ok(()) => {
                self.feed.snapshots.push(Snapshot { id: id.into(), levels: walk.stretch(true).shown });
            }
            Err(breach) => self.feed.breaches.add(|| format!("an export: {breach}")),
        }
        Ok(())
    }

    fn take(&mut self, event: Event) {
        let Event { id, data } = &event;
        let head: Head = match serde_json::from_str(data) {
            Ok(head) => head,
            Err(error) => return self.feed.breaches.add(|| format!("{data}: {error}")),
        };
        // A stock may be shared: what others do there is not judged.
        if head.sku.starts_with(&self.prefix) {
            self.take_own(event);
        } else {
            self.feed.told.push(Told { id: id.as_str().into(), change: None });
        }
    }

    fn take_own(&mut self, event: Event) {
        let movement: Movement = match serde_json::from_str(&event.data) {
            Ok(movement) => movement,
            Err(error) => return self.feed.breaches.add(|| format!("{}: {error}", event.data)),
        };
        let Some(key) = self.catalogue.find(&movement.sku, &movement.location) else {
            return self.feed.breaches.add(|| format!("{}, which is of no level of the run", event.data));
        };
        let stock = match movement.kind.as_str() {
            "deleted" => Stock::Absent,
            _ => Stock::Level { on_hand: movement.after.on_hand, reserved: movement.after.reserved },
        };
        let seen = Seen { key, version: movement.version, stock };
        let change = Some(Change { seq: movement.seq, seen });
        self.feed.told.push(Told { id: event.id.into(), change });
    }

    fn last(&self) -> &str {
        self.feed.told.last().map_or(&self.feed.begins, |told| &told.id)
    }

    fn note(&mut self, failure: &Failure) {
        if failure.is_breach() {
            self.feed.breaches.add(|| failure.example.clone());
        }
    }
}

fn is_behind(behind: &[u64]) -> bool {
    behind.iter().any(|version| *version > 0)
}

fn catch_up(behind: &mut [u64], change: Option<Change>) {
    let Some(Change { seen, .. }) = change else { return };
    let version = &mut behind[seen.key.0 as usize];
    if seen.version >= *version {
        *version = 0;
    }
}

#[cfg(test)]
mod tests {
    use history::Key;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::sync::watch;

    use super::super::access::Access;
    use super::*;
    use crate::client::Options;

    const UNREADY: &str =
        "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    const GONE: &str = "HTTP/1.1 410 Gone\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";

    fn event(version: u64) -> String {
        let units = format!(r#"{{"on_hand":{version},"reserved":0}}"#);
        format!(
            r#"data: {{"seq":{version},"kind":"adjusted","sku":"a","location":"main","after":{units},"version":{version}}}"#
        )
    }

    /// What somebody is told who is at version 2 of a level in the end, where each connection is answered by one of these; an empty one is reset.
    async fn told(answers: Vec<String>) -> Feed {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                if !answer.is_empty() {
                    assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0, "it asks");
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            }
        });
        let catalogue = Arc::new(Catalogue::new(vec![("a".to_owned(), "main".to_owned())]));
        let options = Options { connections: 1, timeout: Duration::from_secs(5) };
        let client = Client::new(&base, Arc::clone(&catalogue), options).unwrap();
        let gate = Gate::new(&watch::Sender::new(Access::Over), 0);
        let watcher = Watcher::new(gate, catalogue, "a".to_owned(), "0");
        let stock = Stock::Level { on_hand: 2, reserved: 0 };
        watcher.rest(&client, &[Some(Seen { key: Key(0), version: 2, stock })]).await
    }

    #[tokio::test]
    async fn the_rest_is_told_by_who_did_not_answer_at_once_or_ended_the_stream() {
        let stream = |events: &[u64]| {
            let events = events.iter().map(|version| format!("id: {version}\n{}\n\n", event(*version)));
            STREAM.to_owned() + &events.collect::<String>()
        };
        let answers = vec![UNREADY.to_owned(), String::new(), stream(&[]), stream(&[1]), stream(&[2])];
        let feed = told(answers).await;
        assert_eq!((feed.told.len(), feed.streams, feed.breaches.count), (2, 3, 0), "{feed:?}");
    }

    #[tokio::test]
    async fn an_answer_outside_the_contract_is_a_finding_and_the_end() {
        let feed = told(vec![GONE.to_owned()]).await;
        assert_eq!((feed.told.len(), feed.streams, feed.breaches.count), (0, 0, 1), "{feed:?}");
    }
}
