//! One write on its way: the same call under the same key, sent again until it is answered for good.
//!
//! All its attempts are one operation of the history, which begins when the first is sent and ends when the answer is
//! there. That is what makes exact checking possible: with a key there are no two ways in which it can have gone.

use reqwest::Request;

use crate::client::answer::{Outcomes, judge};
use crate::client::failure::{CONTRACT_BREACH, NO_CONNECTION};
use crate::client::{Answer, Call, Client, Failure, IdempotencyKey, Judgement};
use history::Outcome;

/// How often an answer outside the contract is followed by one more attempt.
const BREACHES_MAX: u32 = 5;

/// A write on its way.
#[derive(Debug, Clone)]
pub struct Errand {
    /// What is asked.
    pub call: Call,
    /// The key of every attempt.
    pub key: IdempotencyKey,
    /// When the first attempt was sent.
    pub first_sent_ns: u64,
    /// Whether an attempt may have taken effect although nobody answered.
    pub in_doubt: bool,
    breaches: u32,
}

/// What an answer was on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wire {
    /// The status.
    pub status: u16,
    /// Whether it was marked as the stored answer to an earlier attempt.
    pub replayed: bool,
    /// The body.
    pub body: Vec<u8>,
}

/// How one attempt went.
#[derive(Debug)]
pub enum Attempt {
    /// It was answered for good: applied, or refused for the state of the stock.
    Final {
        /// The outcome of the call, or of each line.
        outcomes: Outcomes,
        /// The answer itself.
        wire: Wire,
    },
    /// It may have taken effect: ask again.
    Doubt,
    /// It did not take effect, this time: ask again in a moment.
    NotNow,
    /// Nobody listens: ask the next life.
    NoServer,
    /// The server will not have it, or answers what nobody understands, however often it is asked.
    Rejected,
}

impl Errand {
    /// A write that is about to be sent for the first time.
    pub fn new(call: Call, key: IdempotencyKey, now_ns: u64) -> Self {
        Self { call, key, first_sent_ns: now_ns, in_doubt: false, breaches: 0 }
    }

    /// The request, the same each time.
    pub fn request(&self, client: &Client) -> Request {
        client.prepare_keyed(&self.call, &self.key)
    }

    /// The request in words, for messages.
    pub fn describe(&self, client: &Client) -> String {
        let request = self.request(client);
        let body = request.body().and_then(|body| body.as_bytes()).unwrap_or_default();
        let (path, body) = (request.url().path(), String::from_utf8_lossy(body));
        format!("{} {path} {body} with key {}", request.method(), self.key)
    }

    /// Judges the answer to an attempt, or the lack of one. The judgement is for counting.
    pub fn judge(&mut self, client: &Client, reply: Result<Answer, Failure>) -> (Attempt, Judgement) {
        let wire = reply.as_ref().ok().map(|answer| Wire {
            status: answer.status,
            replayed: answer.replayed,
            body: answer.body.clone(),
        });
        let judgement = judge(&self.call, client.catalogue(), reply);
        let attempt = self.attempt(&judgement, wire);
        self.in_doubt |= matches!(attempt, Attempt::Doubt);
        (attempt, judgement)
    }

    /// What remains of it when it is given up: nobody knows, unless it certainly never happened.
    pub fn left(&self) -> Outcome {
        if self.in_doubt { Outcome::Unknown } else { Outcome::NotApplied }
    }

    fn attempt(&mut self, judgement: &Judgement, wire: Option<Wire>) -> Attempt {
        let kind = judgement.failure.as_ref().map_or("", |failure| failure.kind.as_ref());
        if kind == CONTRACT_BREACH {
            self.breaches += 1;
            self.in_doubt |= judgement.outcomes == Outcomes::Whole(Outcome::Unknown);
        }
        let status = wire.as_ref().map(|wire| wire.status);
        match (&judgement.outcomes, wire) {
            (outcomes, Some(wire)) if is_final(outcomes) => {
                Attempt::Final { outcomes: outcomes.clone(), wire }
            }
            _ if self.breaches >= BREACHES_MAX => Attempt::Rejected,
            // Some lines are done and others are not: they are in the answer to the next attempt.
            (Outcomes::Lines(_) | Outcomes::Whole(Outcome::Unknown), _) => Attempt::Doubt,
            _ if kind == NO_CONNECTION => Attempt::NoServer,
            _ if is_passing(status, kind) => Attempt::NotNow,
            _ => Attempt::Rejected,
        }
    }
}

/// Whether the outcome stays as it is, however often the call is sent again under its key.
fn is_final(outcomes: &Outcomes) -> bool {
    let is_final = |outcome: &Outcome| matches!(outcome, Outcome::Applied(_) | Outcome::Refused(_));
    match outcomes {
        Outcomes::Whole(outcome) => is_final(outcome),
        Outcomes::Lines(outcomes) => outcomes.iter().all(is_final),
    }
}

/// Whether the service may think differently in a moment.
pub(super) fn is_passing(status: Option<u16>, kind: &str) -> bool {
    match status {
        None | Some(408 | 429 | 500..=599) => true,
        Some(_) => kind == "409 idempotency-key-in-progress" || kind == CONTRACT_BREACH,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use history::Key;
    use reqwest::header::HeaderMap;
    use serde_json::{Value, json};

    use super::*;
    use crate::catalogue::Catalogue;
    use crate::client::{Change, Options};

    fn client() -> Client {
        let catalogue = Arc::new(Catalogue::new(vec![("a".into(), "main".into())]));
        let options = Options { connections: 1, timeout: Duration::from_secs(1) };
        Client::new("http://127.0.0.1:1", catalogue, options).unwrap()
    }

    fn errand(call: Call) -> Errand {
        Errand::new(call, IdempotencyKey::quoted("k").unwrap(), 1)
    }

    fn answer(status: u16, body: &Value) -> Answer {
        Answer {
            status,
            etag: None,
            replayed: false,
            headers: HeaderMap::new(),
            body: body.to_string().into(),
        }
    }

    fn problem(status: u16, name: &str, applied: Option<&str>) -> Answer {
        let mut problem = json!({ "type": format!("/problems/{name}"), "status": status });
        if let Some(applied) = applied {
            problem["applied"] = json!(applied);
        }
        answer(status, &problem)
    }

    fn attempt(errand: &mut Errand, client: &Client, answer: Answer) -> Attempt {
        errand.judge(client, Ok(answer)).0
    }

    fn level(version: u64) -> Value {
        json!({ "sku": "a", "location": "main", "on_hand": 5, "reserved": 0, "available": 5, "version": version })
    }

    #[test]
    fn an_errand_ends_with_an_answer_about_the_stock_and_not_before() {
        let client = client();
        let mut one = errand(Call::Adjust(Change { key: Key(0), delta: -1 }));
        for (status, name) in [(503, "not-ready"), (503, "overloaded")] {
            let attempt = attempt(&mut one, &client, problem(status, name, Some("no")));
            assert!(matches!(attempt, Attempt::NotNow), "{name}");
        }
        let in_progress = problem(409, "idempotency-key-in-progress", None);
        assert!(matches!(attempt(&mut one, &client, in_progress), Attempt::NotNow));
        assert_eq!(one.left(), Outcome::NotApplied);
        let doubtful = problem(503, "journal-unavailable", Some("unknown"));
        assert!(matches!(attempt(&mut one, &client, doubtful), Attempt::Doubt));
        // What is said of one attempt says nothing about the attempt before it.
        assert!(matches!(attempt(&mut one, &client, problem(503, "not-ready", Some("no"))), Attempt::NotNow));
        assert_eq!(one.left(), Outcome::Unknown);
        assert!(matches!(attempt(&mut one, &client, answer(200, &level(3))), Attempt::Final { .. }));
    }

    #[test]
    fn what_the_server_will_never_take_is_not_asked_for_ever() {
        let client = client();
        let mut one = errand(Call::Adjust(Change { key: Key(0), delta: -1 }));
        let refused = problem(422, "idempotency-key-reused", None);
        assert!(matches!(attempt(&mut one, &client, refused), Attempt::Rejected));
        let gibberish = || answer(200, &json!({ "sku": "a" }));
        for _ in 1..BREACHES_MAX {
            assert!(matches!(attempt(&mut one, &client, gibberish()), Attempt::Doubt));
        }
        assert!(matches!(attempt(&mut one, &client, gibberish()), Attempt::Rejected));
    }

    #[test]
    fn an_independent_batch_is_asked_again_until_every_line_is_answered() {
        let client = client();
        let changes = vec![Change { key: Key(0), delta: 1 }, Change { key: Key(0), delta: 1 }];
        let mut both = errand(Call::Independent(changes));
        let done =
            |version| json!({ "sku": "a", "location": "main", "status": 200, "level": level(version) });
        let shed = json!({ "type": "/problems/contention", "status": 503, "applied": "no" });
        let shed = json!({ "sku": "a", "location": "main", "status": 503, "problem": shed });
        let half = json!({ "results": [done(1), shed], "applied": 1, "refused": 1 });
        assert!(matches!(attempt(&mut both, &client, answer(200, &half)), Attempt::Doubt));
        let whole = json!({ "results": [done(1), done(2)], "applied": 2, "refused": 0 });
        assert!(matches!(attempt(&mut both, &client, answer(200, &whole)), Attempt::Final { .. }));
    }
}
