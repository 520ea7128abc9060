//! [`Answer`]: what the service answered, and short words for what it ought to be.

use axum::http::HeaderMap;
use serde_json::Value;

/// One answer, whole.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A header's value; empty where it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("an ASCII header"))
    }

    /// The type of the body, without parameters.
    pub(crate) fn media_type(&self) -> &str {
        self.header("content-type").split(';').next().unwrap_or_default().trim()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The value a JSON pointer leads to; null where there is none.
    pub(crate) fn at(&self, pointer: &str) -> Value {
        self.json().pointer(pointer).cloned().unwrap_or_default()
    }

    pub(crate) fn number(&self, pointer: &str) -> u64 {
        self.at(pointer).as_u64().unwrap_or_else(|| panic!("no number at {pointer}: {}", self.text()))
    }

    /// The number of elements of a list.
    pub(crate) fn count(&self, pointer: &str) -> usize {
        self.at(pointer).as_array().unwrap_or_else(|| panic!("no list at {pointer}: {}", self.text())).len()
    }

    pub(crate) fn assert_status(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    /// A level, its version in the body and in the `ETag`: alone, or, after a restore, with the lineage.
    pub(crate) fn assert_level(&self, status: u16, on_hand: u64, version: u64) -> &Self {
        self.assert_status(status);
        let (tag, first) = (self.header("etag"), format!("\"{version}\""));
        assert!(tag == first || tag.starts_with(&format!("\"{version}-")), "{tag}");
        let stock = ["on_hand", "reserved", "available", "version"];
        let stock = stock.map(|field| self.number(&format!("/{field}")));
        assert_eq!(stock, [on_hand, 0, on_hand, version]);
        self
    }

    /// A problem of that name.
    pub(crate) fn assert_problem(&self, status: u16, name: &str) -> &Self {
        self.assert_status(status);
        assert_eq!(self.media_type(), "application/problem+json");
        assert_eq!(self.at("/type"), format!("/problems/{name}"), "{}", self.text());
        self
    }

    /// `validation-failed`, of exactly these fields of the body.
    pub(crate) fn assert_fields(&self, pointers: &[&str]) -> &Self {
        self.assert_invalid("pointer", pointers)
    }

    /// `validation-failed`, of exactly this parameter.
    pub(crate) fn assert_parameter(&self, name: &str) -> &Self {
        self.assert_invalid("parameter", &[name])
    }

    fn assert_invalid(&self, place: &str, expected: &[&str]) -> &Self {
        self.assert_problem(422, "validation-failed");
        let errors = self.at("/errors");
        let places: Vec<_> = errors.as_array().expect("errors").iter().map(|error| &error[place]).collect();
        assert_eq!(places, expected, "{}", self.text());
        self
    }
}
