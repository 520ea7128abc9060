//! What the server says of itself in `GET /v1/status`: its strategy, and how contended it was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use crate::client::Client;

/// What the server says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerStatus {
    /// The name of its strategy.
    pub strategy: Option<String>,
    /// Its contention counters since it started, as far as they are whole numbers.
    pub contention: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Status {
    strategy: String,
    contention: Option<BTreeMap<String, Value>>,
}

impl ServerStatus {
    /// Asks the server, if it is one of this service's. A server without the page has nothing to tell, which is no error.
    pub async fn of(client: &Client) -> Self {
        if client.described().is_some() {
            return Self::default();
        }
        let Ok(answer) = client.get("/v1/status").await else { return Self::default() };
        if answer.status == 200 { Self::parse(&answer.body) } else { Self::default() }
    }

    /// What all replicas of a service say together, as far as each answers; of one server all that it says.
    pub async fn of_all(replicas: &[Arc<Client>]) -> Self {
        if let [only] = replicas {
            return Self::of(only).await;
        }
        let mut told = Vec::with_capacity(replicas.len());
        for replica in replicas {
            told.push(Self::of(replica).await);
        }
        Self::together(told)
    }

    /// The names of all strategies, and no counters: each replica counts what came its own way, one that ends takes its share along, and
    /// means and maxima do not add up. So what they have together is not known, rather than what one of them has.
    fn together(told: Vec<Self>) -> Self {
        let strategies: BTreeSet<String> = told.into_iter().filter_map(|status| status.strategy).collect();
        let names: Vec<String> = strategies.into_iter().collect();
        Self { strategy: (!names.is_empty()).then(|| names.join(", ")), contention: BTreeMap::new() }
    }

    /// Whether the server told of contention at all. One that did not may well have had it.
    pub fn tells_contention(&self) -> bool {
        !self.contention.is_empty()
    }

    /// The counters' growth since an earlier status. What is no counter (a mean, a maximum) is told as it is.
    pub fn since(&self, earlier: &Self) -> BTreeMap<String, u64> {
        let grown = |(name, value): (&String, &u64)| {
            let before =
                earlier.contention.get(name).copied().filter(|_| Self::is_counter(name)).unwrap_or(0);
            (name.clone(), value.saturating_sub(before))
        };
        self.contention.iter().map(grown).collect()
    }

    /// Whether what has this name only grows, as the names of means and maxima say that they do not.
    pub fn is_counter(name: &str) -> bool {
        !name.ends_with("_mean") && !name.ends_with("_max")
    }

    fn parse(body: &[u8]) -> Self {
        let Ok(Status { strategy, contention }) = serde_json::from_slice(body) else {
            return Self::default();
        };
        let whole = |(name, value): (String, Value)| value.as_u64().map(|value| (name, value));
        let contention = contention.unwrap_or_default().into_iter().filter_map(whole).collect();
        Self { strategy: Some(strategy), contention }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_taken_as_they_come_and_subtracted() {
        let body =
            br#"{"strategy":"mutex","contention":{"acquisitions":10,"waits":[1],"contended":3,"hold_ns_mean":80}}"#;
        let before = ServerStatus::parse(body);
        assert_eq!(before.strategy.as_deref(), Some("mutex"));
        let mut after = before.clone();
        after.contention.insert("acquisitions".into(), 25);
        let grown = after.since(&before);
        assert_eq!((grown["acquisitions"], grown["contended"]), (15, 0));
        assert_eq!(grown["hold_ns_mean"], 80);
        assert!(!grown.contains_key("waits"));
    }

    #[test]
    fn of_several_replicas_only_what_is_true_of_all_is_told() {
        let says = |strategy: &str, waits| ServerStatus {
            strategy: Some(strategy.to_owned()),
            contention: [("contended".to_owned(), waits)].into(),
        };
        let together = |told: &[ServerStatus]| ServerStatus::together(told.to_vec());
        let same = together(&[says("mutex", 3), ServerStatus::default(), says("mutex", 9)]);
        assert_eq!((same.strategy.as_deref(), same.tells_contention()), (Some("mutex"), false));
        let differing = together(&[says("mutex", 3), says("atomic", 9)]);
        assert_eq!(differing.strategy.as_deref(), Some("atomic, mutex"));
        assert_eq!(together(&[]), ServerStatus::default());
    }

    #[test]
    fn a_server_that_says_nothing_is_no_error() {
        assert_eq!(ServerStatus::parse(b"<html>"), ServerStatus::default());
    }
}
