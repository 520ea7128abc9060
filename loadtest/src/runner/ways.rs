//! The ways of one client to a service: one to each of its replicas, of which it goes its own until that leads nowhere.
//!
//! With one server there is nothing to choose: what a client sends is what it always sent. Over several replicas each write that
//! takes an idempotency key has one, since all of them keep one account of keys. A call goes on to the next replica in turn
//!
//! * if there was no connection at all: nothing of it was sent;
//! * if nobody knows what became of it, and it has a key: under that it takes effect once, wherever it is asked again.
//!
//! That goes round once at most, so that it ends where it began: what is in doubt at one replica is settled there though all the others
//! are gone. Whoever has gone on stays there. Anything else is never sent twice.
//!
//! A client may choose by what it asks for instead ([`Route::Sku`]): then each call begins at the replica of its first sku, and goes on from there.

use std::sync::Arc;
use std::time::Duration;

use history::Outcome;

use crate::client::plain::{Link, Paths};
use crate::client::replicas::{Route, of_sku, own};
use crate::client::{Answer, Call, Client, Failure, IdempotencyKey, Judgement, Outcomes};
use crate::schedule::Clock;
use crate::workload::fresh_run_id;

/// How many numbers of keys a client has to itself. Those of its faults are in the lower half ([`crate::client::faults`]), these in the upper.
const NUMBERS_OF_CLIENT: u64 = 1 << 40;

/// How many numbers of keys a call has to itself: one for each line of a batch.
const NUMBERS_OF_CALL: u64 = 1 << 14;

/// The ways of one client.
#[derive(Debug)]
pub struct Ways {
    /// In the order of the command line; never none.
    all: Vec<Way>,
    /// The one that it goes.
    at: usize,
    route: Route,
    /// Makes the keys of its writes; nothing if these have none.
    keys: Option<Keys>,
}

/// The way to one replica.
#[derive(Debug)]
struct Way {
    client: Arc<Client>,
    /// A connection of its own, in place of the pool's.
    link: Option<Link>,
    traffic: Traffic,
}

/// What was asked of one replica.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests, each attempt for itself.
    pub sent: u64,
    /// Of these, those that were answered, whatever the answer was.
    pub answered: u64,
    /// Of those that were not, or whose answer left open what had become of them: how many had clients that went on to the next
    /// replica.
    pub went_on: u64,
}

/// Makes idempotency keys that nobody else uses.
#[derive(Debug)]
struct Keys {
    name: String,
    made: u64,
    /// The number, within the history, of the next key under which there is more than one attempt.
    number: u64,
}

impl Ways {
    /// Of the client with this number, to these replicas: it begins with its own.
    pub fn new(id: u32, replicas: Vec<Arc<Client>>) -> Self {
        let takes_keys =
            |client: &Arc<Client>| client.described().is_none_or(|target| target.can_replay().is_ok());
        let keys = (replicas.len() > 1 && replicas.iter().all(takes_keys)).then(|| Keys::of(id));
        let at = own(id, replicas.len());
        let way = |client| Way { client, link: None, traffic: Traffic::default() };
        Self { all: replicas.into_iter().map(way).collect(), at, route: Route::Client, keys }
    }

    /// From now on it chooses like that.
    pub fn choose_by(&mut self, route: Route) {
        self.route = route;
    }

    /// Turns to the replica where a call is to be asked for.
    pub fn choose(&mut self, call: &Call) {
        if self.all.len() == 1 || self.route == Route::Client {
            return;
        }
        let Some(first) = call.keys().first().copied() else { return };
        self.at = of_sku(&self.client().catalogue().entry(first).sku, self.all.len());
    }

    /// The same ways, with connections of their own in place of the pools'.
    #[must_use]
    pub fn on(self, links: impl IntoIterator<Item = Link>) -> Self {
        let with = |(way, link)| Way { link: Some(link), ..way };
        Self { all: self.all.into_iter().zip(links).map(with).collect(), ..self }
    }

    /// How often a call may go on to the next: once round, if there is another.
    pub fn detours(&self) -> usize {
        if self.all.len() > 1 { self.all.len() } else { 0 }
    }

    /// The number of the replica that it asks.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The replica that it asks.
    pub fn client(&self) -> &Arc<Client> {
        &self.all[self.at].client
    }

    /// From now on it asks that one.
    pub fn turn_to(&mut self, replica: usize) {
        self.at = replica % self.all.len();
    }

    /// From now on it asks the next one, if there is another.
    pub fn go_on(&mut self) {
        if self.all.len() > 1 {
            self.all[self.at].traffic.went_on += 1;
            self.turn_to(self.at + 1);
        }
    }

    /// The key that a call is made under.
    pub fn key(&mut self, call: &Call) -> Option<IdempotencyKey> {
        self.keys.as_mut().filter(|_| call.takes_key())?.make()
    }

    /// The number of a key under which there is more than one attempt, for the history.
    pub fn number(&mut self) -> u64 {
        self.keys.as_mut().map_or(0, Keys::number)
    }

    /// Makes a call of the replica that it asks: when it was sent, and what was answered.
    pub async fn send(
        &mut self,
        call: &Call,
        key: Option<&IdempotencyKey>,
        clock: Clock,
    ) -> (u64, Result<Answer, Failure>) {
        let Way { client, link, .. } = &mut self.all[self.at];
        let (invoked_ns, reply) = match link {
            Some(link) => {
                let request = link.prepare(call, key);
                (clock.now_ns(), link.send(request).await)
            }
            None => {
                let request = match key {
                    Some(key) => client.prepare_keyed(call, key),
                    None => client.prepare(call),
                };
                (clock.now_ns(), client.send(request).await)
            }
        };
        self.count_in(&reply);
        (invoked_ns, reply)
    }

    /// Counts a request to the replica that it asks, whoever sent it.
    pub fn count_in(&mut self, reply: &Result<Answer, Failure>) {
        let traffic = &mut self.all[self.at].traffic;
        traffic.sent += 1;
        traffic.answered += u64::from(reply.is_ok());
    }

    /// What was asked of each replica since the last time.
    pub fn take_traffic(&mut self) -> impl Iterator<Item = Traffic> {
        self.all.iter_mut().map(|way| std::mem::take(&mut way.traffic))
    }
}

/// Whether a call is to be made at the next replica as well.
pub fn leads_nowhere(judgement: &Judgement, has_key: bool) -> bool {
    let Some(failure) = &judgement.failure else { return false };
    let is_unknown = judgement.outcomes == Outcomes::Whole(Outcome::Unknown);
    // What does not fit the contract is an answer, and told as it is.
    failure.is_unsent() || (has_key && is_unknown && !failure.is_breach())
}

/// A link to each replica, for one client.
pub fn links(replicas: &[(Arc<Client>, Arc<Paths>)], timeout: Duration) -> impl Iterator<Item = Link> {
    replicas.iter().map(move |(client, paths)| Link::new(Arc::clone(client), Arc::clone(paths), timeout))
}

impl Traffic {
    /// Takes in what another client asked of the same replica.
    pub fn merge(&mut self, other: Self) {
        self.sent += other.sent;
        self.answered += other.answered;
        self.went_on += other.went_on;
    }
}

impl Keys {
    fn of(client: u32) -> Self {
        let number = u64::from(client) * NUMBERS_OF_CLIENT + NUMBERS_OF_CLIENT / 2;
        Self { name: format!("lt-{}-{client}", fresh_run_id()), made: 0, number }
    }

    fn make(&mut self) -> Option<IdempotencyKey> {
        self.made += 1;
        // Letters, digits and dashes make a key.
        IdempotencyKey::quoted(&format!("{}-{}", self.name, self.made)).ok()
    }

    fn number(&mut self) -> u64 {
        self.number += NUMBERS_OF_CALL;
        self.number
    }
}

#[cfg(test)]
mod tests {
    use history::Key;

    use super::*;
    use crate::client::failure::{CONNECTION_LOST, Doubt, NO_CONNECTION, TIMEOUT};
    use crate::client::{Change, Options};

    const SALE: Call = Call::Adjust(Change { key: Key(0), delta: -1 });

    fn ways(id: u32, replicas: usize) -> Ways {
        let options = Options { connections: 1, timeout: Duration::from_secs(1) };
        let client = |port| Client::new(&format!("http://127.0.0.1:{port}"), Arc::default(), options);
        Ways::new(id, (1..=replicas).map(|port| Arc::new(client(port).expect("an address"))).collect())
    }

    fn failed(call: &Call, kind: &'static str, doubt: Doubt) -> Judgement {
        Judgement::failed(call, Failure { kind: kind.into(), example: String::new(), doubt })
    }

    #[test]
    fn a_client_begins_with_its_own_replica_and_goes_on_in_turn() {
        for (id, first) in [(0, 0), (1, 1), (2, 2), (3, 0), (7, 1)] {
            let mut ways = ways(id, 3);
            assert_eq!((ways.at(), ways.client().base().port()), (first, u16::try_from(first + 1).ok()));
            ways.go_on();
            assert_eq!(ways.at(), (first + 1) % 3);
            ways.go_on();
            ways.go_on();
            assert_eq!(ways.at(), first, "after the last comes the first");
            assert_eq!(ways.take_traffic().map(|traffic| traffic.went_on).sum::<u64>(), 3);
            assert_eq!(ways.take_traffic().map(|traffic| traffic.went_on).sum::<u64>(), 0);
        }
    }

    #[test]
    fn with_one_server_nothing_has_a_key_and_there_is_nowhere_to_go() {
        let mut one = ways(5, 1);
        assert_eq!((one.key(&SALE), one.at(), one.detours()), (None, 0, 0));
        one.go_on();
        assert_eq!((one.at(), one.take_traffic().next()), (0, Some(Traffic::default())));
    }

    #[test]
    fn over_several_each_write_that_takes_a_key_has_one_of_its_own() {
        let (mut one, mut other) = (ways(0, 2), ways(1, 2));
        assert_eq!(one.detours(), 2, "there and back");
        let mut keys = vec![one.key(&SALE), one.key(&SALE), other.key(&SALE)];
        assert!(keys.iter().all(Option::is_some));
        keys.dedup();
        assert_eq!(keys.len(), 3, "{keys:?}");
        assert_eq!((one.key(&Call::Read(Key(0))), one.key(&Call::Delete(Key(0)))), (None, None));
        // All lines of the largest batch have numbers of their own.
        assert!(one.number() + NUMBERS_OF_CALL <= one.number() && one.number() < other.number());
    }

    #[test]
    fn only_what_was_not_sent_or_is_in_doubt_under_a_key_is_made_at_the_next() {
        let unsent = |call: &Call| failed(call, NO_CONNECTION, Doubt::NotApplied);
        for has_key in [true, false] {
            assert!(leads_nowhere(&unsent(&SALE), has_key));
            assert!(leads_nowhere(&unsent(&Call::Read(Key(0))), has_key));
            for kind in [CONNECTION_LOST, TIMEOUT, "503 request-timeout"] {
                assert_eq!(leads_nowhere(&failed(&SALE, kind, Doubt::Unknown), has_key), has_key, "{kind}");
            }
            // It was answered: shed, or with something that is no answer.
            assert!(!leads_nowhere(&failed(&SALE, "503 contention", Doubt::NotApplied), has_key));
            let breach = Failure::breach(Doubt::Unknown, String::new());
            assert!(!leads_nowhere(&Judgement::failed(&SALE, breach), has_key));
            assert!(!leads_nowhere(&Judgement::whole(Outcome::NotApplied), has_key));
        }
    }
}
