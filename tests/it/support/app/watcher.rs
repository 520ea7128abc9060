//! [`Watcher`]: a client of the event stream, which reads it as the WHATWG says (HTML, 9.2.6): blocks of lines, of which it keeps the last id.

use std::collections::VecDeque;

use serde_json::Value;
use tokio::time::timeout;

use super::answer::Answer;
use super::{Call, WATCHDOG, contract};

/// One who watches.
pub(crate) struct Watcher {
    response: reqwest::Response,
    received: Vec<u8>,
    /// Whole blocks that were not looked at yet.
    blocks: VecDeque<String>,
    /// The last place it was told of.
    pub(crate) at: String,
    /// How many comments it was sent.
    pub(crate) comments: usize,
}

/// Something it was told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) data: Value,
}

impl Call {
    /// Sends it, to be told of events; the answer, if it is another, is held against the document.
    pub(crate) async fn watch(self) -> Result<Watcher, Answer> {
        let mut response = self.request.send().await.expect("an answer");
        if response.status() == 200 {
            assert_eq!(response.headers()["content-type"], "text/event-stream");
            assert_eq!(response.headers()["cache-control"], "no-store");
            let (at, first) =
                (String::new(), response.chunk().await.expect("a body").expect("a first block"));
            let mut watcher =
                Watcher { response, received: first.to_vec(), blocks: VecDeque::new(), at, comments: 0 };
            watcher.split();
            let preamble = watcher.blocks.pop_front().expect("a whole block");
            assert_eq!(watcher.told(&preamble), None, "no event yet: {preamble}");
            assert!(!watcher.at.is_empty(), "the first block names the place: {preamble}");
            return Ok(watcher);
        }
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let answer = Answer { status, headers, body: response.bytes().await.expect("a whole body").to_vec() };
        contract::check(&self.method, &self.path, &answer);
        Err(answer)
    }
}

impl Watcher {
    /// The next event; `None` when the stream is over.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(block) = self.blocks.pop_front() {
                if let Some(event) = self.told(&block) {
                    return Some(event);
                }
            }
            self.receive().await?;
        }
    }

    /// The next events, which must come.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::with_capacity(count);
        for _ in 0..count {
            events.push(self.next().await.expect("the stream goes on"));
        }
        events
    }

    /// Returns after so many comments in all; nothing else may come.
    pub(crate) async fn is_kept_alive(&mut self, comments: usize) {
        while self.comments < comments {
            self.receive().await.expect("the stream goes on");
            while let Some(block) = self.blocks.pop_front() {
                assert_eq!(self.told(&block), None);
            }
        }
    }

    async fn receive(&mut self) -> Option<()> {
        let chunk = timeout(WATCHDOG, self.response.chunk()).await.expect("the stream goes on or ends");
        // A connection that breaks is an end as well.
        self.received.extend_from_slice(&chunk.ok()??);
        self.split();
        Some(())
    }

    fn split(&mut self) {
        while let Some(end) = self.received.windows(2).position(|two| two == b"\n\n") {
            let rest = self.received.split_off(end + 2);
            let block = std::mem::replace(&mut self.received, rest);
            self.blocks.push_back(String::from_utf8(block).expect("UTF-8"));
        }
    }

    /// What a block says, if it is an event.
    fn told(&mut self, block: &str) -> Option<Event> {
        let (mut name, mut data) = (None, None);
        for line in block.lines().filter(|line| !line.is_empty()) {
            match line.split_once(": ").unwrap_or_else(|| (line.trim_end_matches(':'), "")) {
                ("", _) => self.comments += 1,
                ("id", id) => id.clone_into(&mut self.at),
                ("event", event) => name = Some(event.to_owned()),
                ("data", text) => data = Some(serde_json::from_str(text).expect("JSON in one line")),
                ("retry", _) => {}
                other => panic!("{other:?} in {block}"),
            }
        }
        Some(Event { id: self.at.clone(), name: name?, data: data? })
    }
}
