//! What a webhook was told over all lives, and whether that is what the ledger says: each movement at least once, in the order of the ledger,
//! word for word, and signed.
//!
//! It judges only what was taken: who refuses a message has to be told again.

use std::collections::{HashMap, HashSet};
use std::fmt;

use blake3::Hash;
use hyper::HeaderMap;
use hyper::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use standardwebhooks::{HEADER_WEBHOOK_ID, Webhook as Signer};

use super::counts::Examples;
use super::heir::Succession;
use crate::client::events::{Head, Movement};

/// Everything that was delivered.
#[derive(Debug, Default)]
pub struct Delivered {
    /// What was taken, by the number of the movement.
    taken: HashMap<u64, Hash>,
    /// The last of the ledger that was taken.
    newest: u64,
    messages: u64,
    refused: u64,
    cut_off: u64,
    repeated: u64,
    out_of_order: Examples,
    differing: Examples,
    unsigned: Examples,
    breaches: Examples,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// It is taken.
    Take,
    /// It is answered with an error.
    Refuse,
    /// It is not answered.
    CutOff,
}

/// A movement of the ledger.
#[derive(Debug, Clone)]
pub struct Entry {
    seq: u64,
    words: Hash,
    text: Box<str>,
}

/// What all that comes to.
#[derive(Debug, Clone, Default, Serialize)]
pub struct WebhookAudit {
    /// Movements of the ledger since the webhook was made.
    pub ledger: usize,
    /// Movements that were taken.
    pub told: usize,
    /// Messages that were taken.
    pub messages: u64,
    /// Messages that were answered with an error, on purpose.
    pub refused: u64,
    /// Messages that were not answered, on purpose.
    pub cut_off: u64,
    /// Movements that were told again after they had been taken, which they may be.
    pub repeated: u64,
    /// Movements of the ledger that were never taken.
    pub missing: Examples,
    /// Movements of the ledger whose number is not the one after that of the movement before: what is in neither can't be missed.
    pub gaps: Examples,
    /// Movements that were told for the first time after later ones.
    pub out_of_order: Examples,
    /// Movements that were told otherwise than the ledger has them, or than before.
    pub differing: Examples,
    /// Messages without a signature that fits.
    pub unsigned: Examples,
    /// Messages outside the contract.
    pub breaches: Examples,
    /// Movements that were still to be told when nothing changed any more.
    pub rest: usize,
    /// How long it took to be told these, in milliseconds.
    pub rest_ms: f64,
    /// What came of killing who tells it, of several replicas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub succession: Option<Succession>,
    /// Why nothing more came, if not everything did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stalled: Option<String>,
    /// Why the ledger is not known, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
    /// Why the webhook could not be deleted, if it could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<String>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl Entry {
    /// A movement as the ledger tells it.
    pub fn new(text: &RawValue) -> Result<Self, serde_json::Error> {
        let movement: Movement = serde_json::from_str(text.get())?;
        let words = blake3::hash(text.get().as_bytes());
        Ok(Self { seq: movement.seq, words, text: describe(&movement).into() })
    }

    /// Its number.
    pub fn seq(&self) -> u64 {
        self.seq
    }
}

impl Delivered {
    /// The number of the last movement of the ledger that was taken; 0 for none.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// How many messages were taken.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// How many movements were taken.
    pub fn len(&self) -> usize {
        self.taken.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    /// A message came, and this becomes of it.
    pub fn message(&mut self, signer: &Signer, headers: &HeaderMap, body: &[u8], reply: Reply) {
        let id = || String::from_utf8_lossy(headers.get(HEADER_WEBHOOK_ID).map_or(b"", |id| id.as_bytes()));
        // Whether it is taken or not, and whatever else is wrong with it.
        if let Err(error) = signer.verify(body, headers) {
            self.unsigned.add(|| format!("message {:?}: {error}", id()));
        }
        if headers.get(CONTENT_TYPE).is_none_or(|kind| kind != "application/json") {
            self.breaches.add(|| format!("message {:?} is not application/json", id()));
        }
        match reply {
            Reply::Take => self.messages += 1,
            Reply::Refuse => return self.refused += 1,
            Reply::CutOff => return self.cut_off += 1,
        }
        match batch(body) {
            Ok(items) => items.into_iter().for_each(|item| self.take(item)),
            Err(wrong) => self.breaches.add(|| format!("message {:?}: {wrong}", id())),
        }
    }

    /// Judges what was taken by the ledger, as it is when the run changes nothing any more. What others have added since need not have been told, but may.
    pub fn audit(self, ledger: &[Entry], later: &[Entry]) -> WebhookAudit {
        let Self { taken, messages, refused, cut_off, repeated, out_of_order, .. } = self;
        let Self { mut differing, unsigned, breaches, .. } = self;
        let mut missing = Examples::default();
        let mut known = 0;
        for (number, Entry { seq, words, text }) in ledger.iter().chain(later).enumerate() {
            match taken.get(seq) {
                None if number < ledger.len() => missing.add(|| text.to_string()),
                None => {}
                Some(told) => {
                    known += 1;
                    if told != words {
                        differing.add(|| format!("{text} was told in other words"));
                    }
                }
            }
        }
        if known < taken.len() {
            let there: HashSet<u64> = ledger.iter().chain(later).map(Entry::seq).collect();
            let first = taken.keys().filter(|seq| !there.contains(seq)).min().copied().unwrap_or_default();
            differing.merge(Examples {
                count: (taken.len() - known) as u64,
                first: Some(format!("movement {first}, which the ledger does not have")),
            });
        }
        let gaps = gaps(ledger.iter().chain(later));
        let (ledger, told) = (ledger.len(), taken.len());
        WebhookAudit {
            ledger,
            told,
            messages,
            refused,
            cut_off,
            repeated,
            missing,
            gaps,
            out_of_order,
            differing,
            unsigned,
            breaches,
            ..WebhookAudit::default()
        }
    }

    fn take(&mut self, item: &RawValue) {
        // A stock may be shared: the run sets no marks, and those of others are in no ledger.
        if serde_json::from_str(item.get()).is_ok_and(|head: Head| head.is_alert()) {
            return;
        }
        let movement: Movement = match serde_json::from_str(item.get()) {
            Ok(movement) => movement,
            Err(error) => return self.breaches.add(|| format!("{item}: {error}")),
        };
        let words = blake3::hash(item.get().as_bytes());
        if let Some(before) = self.taken.get(&movement.seq) {
            self.repeated += 1;
            if *before != words {
                self.differing.add(|| format!("{} was told again in other words", describe(&movement)));
            }
            return;
        }
        if movement.seq < self.newest {
            let newest = self.newest;
            self.out_of_order.add(|| format!("{} after movement {newest}", describe(&movement)));
        }
        self.newest = self.newest.max(movement.seq);
        self.taken.insert(movement.seq, words);
    }
}

impl WebhookAudit {
    /// Whether everything was told, in order, as it is, and signed; and told on when who did so was killed.
    pub fn is_sound(&self) -> bool {
        let Self { missing, gaps, out_of_order, differing, unsigned, succession, .. } = self;
        let is_orphaned = succession.as_ref().is_some_and(Succession::is_broken);
        !is_orphaned
            && [missing, gaps, out_of_order, differing, unsigned].iter().all(|examples| examples.count == 0)
    }
}

impl fmt::Display for WebhookAudit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ledger, told, messages, refused, cut_off, repeated, rest, rest_ms, .. } = self;
        let Self { missing, gaps, out_of_order, differing, unsigned, .. } = self;
        write!(
            f,
            "Webhook: {told} of {ledger} movements told, in {messages} messages taken ({refused} refused, {cut_off} cut off on purpose); {} \
             missing, {} out of order, {} differing, {} badly signed, {} gaps in the ledger; {repeated} told again; the last {rest} took {:.1} s",
            missing.count,
            out_of_order.count,
            differing.count,
            unsigned.count,
            gaps.count,
            rest_ms / 1e3
        )?;
        self.succession.as_ref().map_or(Ok(()), |succession| write!(f, "; {succession}"))
    }
}

/// Where a number is not the one after the last. Which comes first after the place where the webhook began, nobody says; and where what comes next has left with the retention, there is no
/// page, and nothing is judged.
fn gaps<'a>(ledger: impl Iterator<Item = &'a Entry>) -> Examples {
    let mut gaps = Examples::default();
    let mut before = None;
    for Entry { seq, text, .. } in ledger {
        if let Some(before) = before.filter(|before| before + 1 != *seq) {
            gaps.add(|| format!("{text}, right after movement {before}"));
        }
        before = Some(*seq);
    }
    gaps
}

/// The movements of a message of many.
fn batch(body: &[u8]) -> Result<Vec<&RawValue>, String> {
    let Envelope { kind, data } = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if kind != "stock.batch" {
        return Err(format!("the type {kind:?}, of {data}"));
    }
    serde_json::from_str(data.get()).map_err(|error| error.to_string())
}

fn describe(Movement { seq, sku, location, version, .. }: &Movement) -> String {
    format!("movement {seq}, version {version} of {sku} at {location}")
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use serde_json::{Value, json};

    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const OTHER: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    fn movement(seq: u64, on_hand: u64) -> Value {
        let units = json!({ "on_hand": on_hand, "reserved": 0 });
        json!({ "seq": seq, "kind": "adjusted", "sku": "a", "location": "main", "after": units, "version": seq })
    }

    fn entry(seq: u64) -> Entry {
        let text = serde_json::value::to_raw_value(&movement(seq, 10 * seq)).unwrap();
        Entry::new(&text).unwrap()
    }

    fn deliver(to: &mut Delivered, secret: &str, movements: &[Value], reply: Reply) {
        let body = json!({ "type": "stock.batch", "timestamp": "t", "data": movements }).to_string();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let signature = Signer::new(secret).unwrap();
        let signature = signature.sign("m", now.try_into().unwrap(), body.as_bytes()).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(HEADER_WEBHOOK_ID, "m".parse().unwrap());
        headers.insert(standardwebhooks::HEADER_WEBHOOK_TIMESTAMP, now.to_string().parse().unwrap());
        headers.insert(standardwebhooks::HEADER_WEBHOOK_SIGNATURE, signature.parse().unwrap());
        headers.insert(CONTENT_TYPE, "application/json".parse().unwrap());
        to.message(&Signer::new(SECRET).unwrap(), &headers, body.as_bytes(), reply);
    }

    fn of(seqs: &[u64]) -> Vec<Value> {
        seqs.iter().map(|seq| movement(*seq, 10 * seq)).collect()
    }

    /// What a ledger of four movements makes of messages that were taken: missing, out of order, differing, badly signed, outside the contract.
    fn judged(messages: &[&[u64]]) -> [u64; 5] {
        let mut delivered = Delivered::default();
        for seqs in messages {
            deliver(&mut delivered, SECRET, &of(seqs), Reply::Take);
        }
        counts(delivered)
    }

    fn counts(delivered: Delivered) -> [u64; 5] {
        let audit = delivered.audit(&[1, 2, 3, 4].map(entry), &[]);
        let counted =
            [&audit.missing, &audit.out_of_order, &audit.differing, &audit.unsigned, &audit.breaches];
        let counted = counted.map(|examples| examples.count);
        assert_eq!(audit.is_sound(), counted[..4] == [0; 4], "{audit}");
        counted
    }

    #[test]
    fn everything_in_order_is_right_however_often_it_is_told() {
        assert_eq!(judged(&[&[1, 2, 3, 4]]), [0; 5]);
        assert_eq!(judged(&[&[1, 2], &[1, 2, 3], &[3], &[2, 3, 4]]), [0; 5]);
    }

    #[test]
    fn what_is_left_out_or_told_too_late_is_found() {
        for gone in 1..=4 {
            let told: Vec<u64> = (1..=4).filter(|seq| *seq != gone).collect();
            assert_eq!(judged(&[&told]), [1, 0, 0, 0, 0], "without {gone}");
        }
        assert_eq!(judged(&[&[1, 3], &[2], &[4]]), [0, 1, 0, 0, 0]);
        assert_eq!(judged(&[&[4], &[1, 2, 3, 4]]), [0, 3, 0, 0, 0]);
        assert_eq!(judged(&[&[1, 2, 3, 4, 5]]), [0, 0, 1, 0, 0], "the ledger does not have the last");
    }

    #[test]
    fn what_others_added_since_may_be_told_or_not_but_as_it_is() {
        let audit = |last: Value| {
            let mut delivered = Delivered::default();
            let crossed =
                json!({ "kind": "stock.low", "seq": 2, "sku": "b", "location": "main", "version": 2 });
            deliver(&mut delivered, SECRET, &[of(&[1, 2]), vec![crossed, last]].concat(), Reply::Take);
            delivered.audit(&[1, 2].map(entry), &[3, 4].map(entry))
        };
        let sound = audit(movement(3, 30));
        assert_eq!((sound.ledger, sound.told, sound.is_sound(), sound.breaches.count), (2, 3, true, 0));
        assert_eq!(
            [audit(movement(3, 31)), audit(movement(5, 50))].map(|audit| audit.differing.count),
            [1, 1]
        );
    }

    #[test]
    fn what_is_left_out_by_the_ledger_and_the_webhook_alike_is_found() {
        let gaps = |ledger: &[u64], later: &[u64]| {
            let mut delivered = Delivered::default();
            deliver(&mut delivered, SECRET, &of(&[ledger, later].concat()), Reply::Take);
            let entries = |seqs: &[u64]| seqs.iter().copied().map(entry).collect::<Vec<_>>();
            let audit = delivered.audit(&entries(ledger), &entries(later));
            assert_eq!(audit.is_sound(), audit.gaps.count == 0, "{audit}");
            (audit.gaps.count, audit.gaps.first.unwrap_or_default())
        };
        for (ledger, later, wanted) in [
            (&[][..], &[][..], 0),
            (&[7, 8, 9], &[10], 0),
            (&[], &[7, 8], 0),
            (&[7, 9], &[], 1),
            (&[7, 8], &[10, 12], 2),
        ] {
            assert_eq!(gaps(ledger, later).0, wanted, "{ledger:?} {later:?}");
        }
        assert_eq!(gaps(&[7, 9], &[]).1, "movement 9, version 9 of a at main, right after movement 7");
    }

    #[test]
    fn what_is_refused_has_not_been_told() {
        for reply in [Reply::Refuse, Reply::CutOff] {
            let mut delivered = Delivered::default();
            deliver(&mut delivered, SECRET, &of(&[1, 2]), Reply::Take);
            deliver(&mut delivered, SECRET, &of(&[3]), reply);
            deliver(&mut delivered, SECRET, &of(&[4]), Reply::Take);
            assert_eq!(counts(delivered), [1, 0, 0, 0, 0], "{reply:?}");
        }
    }

    #[test]
    fn other_words_than_the_ledgers_are_found() {
        let mut delivered = Delivered::default();
        deliver(&mut delivered, SECRET, &[of(&[1, 2, 3]), vec![movement(4, 41)]].concat(), Reply::Take);
        assert_eq!(counts(delivered), [0, 0, 1, 0, 0]);
        let mut again = Delivered::default();
        deliver(&mut again, SECRET, &of(&[1, 2, 3, 4]), Reply::Take);
        deliver(&mut again, SECRET, &[movement(4, 41)], Reply::Take);
        assert_eq!(counts(again), [0, 0, 1, 0, 0]);
    }

    #[test]
    fn a_signature_that_does_not_fit_is_found_even_on_what_is_refused() {
        for reply in [Reply::Take, Reply::Refuse, Reply::CutOff] {
            let mut delivered = Delivered::default();
            deliver(&mut delivered, OTHER, &of(&[1]), reply);
            deliver(&mut delivered, SECRET, &of(&[1, 2, 3, 4]), Reply::Take);
            assert_eq!(counts(delivered), [0, 0, 0, 1, 0], "{reply:?}");
        }
    }

    #[test]
    fn a_message_that_is_no_batch_of_movements_is_outside_the_contract() {
        for body in ["", r#"{"type":"stock.gap","data":{}}"#, r#"{"type":"stock.batch","data":{}}"#] {
            let mut delivered = Delivered::default();
            delivered.message(&Signer::new(SECRET).unwrap(), &HeaderMap::new(), body.as_bytes(), Reply::Take);
            let audit = delivered.audit(&[], &[]);
            assert_eq!((audit.unsigned.count, audit.breaches.count), (1, 2), "{body}");
        }
    }
}
