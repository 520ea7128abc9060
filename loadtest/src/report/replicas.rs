//! What was asked of each replica of a service, for the reports of what drives several at once. It says nothing of one server, of which
//! the rest of a report tells.

use serde::Serialize;

use super::document::Document;
use crate::client::Replicas;
use crate::runner::ways::Traffic;

/// One replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplicaReport {
    /// Its address.
    pub url: String,
    /// Requests that were sent to it, each attempt for itself.
    pub sent: u64,
    /// Of these, those that were answered, whatever the answer was.
    pub answered: u64,
    /// Requests whose clients went on to the next replica, since there was no connection, or nobody knew what had become of them.
    pub went_on: u64,
}

/// Of each replica; nothing if there is one server.
pub fn of(replicas: &Replicas, traffic: &[Traffic]) -> Vec<ReplicaReport> {
    if replicas.urls().len() == 1 {
        return Vec::new();
    }
    let report = |(url, traffic): (&String, &Traffic)| {
        let Traffic { sent, answered, went_on } = *traffic;
        ReplicaReport { url: url.clone(), sent, answered, went_on }
    };
    replicas.urls().iter().zip(traffic).map(report).collect()
}

/// As a part of a document: a line for each.
pub fn tell(document: &mut Document, replicas: &[ReplicaReport]) {
    for ReplicaReport { url, sent, answered, went_on } in replicas {
        document.line(format!(
            "Replica {url}: {sent} requests sent, {answered} answered; {went_on} went on to the next one"
        ));
    }
}

/// That a replica took no part, if one did not: the load was that of the others, and of this one nothing was found out.
pub fn silent(replicas: &[ReplicaReport]) -> Option<String> {
    let silent: Vec<&str> =
        replicas.iter().filter(|replica| replica.answered == 0).map(|replica| &*replica.url).collect();
    (!silent.is_empty()).then(|| told_silent(&silent))
}

/// That these replicas answered nothing, in words.
pub fn told_silent(urls: &[&str]) -> String {
    let urls = urls.join(" and ");
    format!(
        "nothing was answered by {urls}, so this was not the load that was asked for; are they there, and asked enough?"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two(answered: u64) -> Vec<ReplicaReport> {
        let replicas: Replicas = "http://a:1,http://b:1".parse().expect("addresses");
        let traffic = |answered| Traffic { sent: 5, answered, went_on: 5 - answered };
        of(&replicas, &[traffic(5), traffic(answered)])
    }

    #[test]
    fn each_replica_is_told_by_its_address() {
        let mut document = Document::new("");
        tell(&mut document, &two(3));
        let text = format!("{:?}", document.blocks);
        for line in [
            "Replica http://a:1: 5 requests sent, 5 answered; 0 went on to the next one",
            "Replica http://b:1: 5 requests sent, 3 answered; 2 went on to the next one",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert_eq!(of(&Replicas::one("http://a:1"), &[Traffic::default()]), []);
    }

    #[test]
    fn a_replica_that_answers_nothing_is_named() {
        assert_eq!(silent(&two(1)), None);
        assert!(silent(&two(0)).is_some_and(|told| told.starts_with("nothing was answered by http://b:1, ")));
        assert_eq!(silent(&[]), None);
    }
}
