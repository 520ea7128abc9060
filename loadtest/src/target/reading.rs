//! Reading an answer as a description says: where a number stands, and which rules fit.
//!
//! The body is parsed as JSON only if something asks for it, and once.

use std::cell::OnceCell;

use hyper::header::{HeaderName, HeaderValue};
use serde_json::Value;

use crate::client::Answer;

/// An answer that is being read.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    answer: &'a Answer,
    json: OnceCell<Option<Value>>,
}

/// Where an answer tells a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A JSON pointer (RFC 6901) into the body.
    Pointer(String),
    /// A header, in quotes and with a `W/` or without.
    Header(HeaderName),
    /// The whole body.
    Body,
}

/// A place that there is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no place: use a JSON pointer such as \"/stock/quantity\", \"header:NAME\", or \"body\" if that is all of it"
)]
pub(super) struct PlaceError(String);

/// What has to be so for a rule to fit; whatever is left out is not asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Rule {
    /// The status.
    pub(super) status: Option<u16>,
    /// What stands in the body, by JSON pointer.
    pub(super) body: Vec<(String, Value)>,
    /// Headers and their values.
    pub(super) headers: Vec<(HeaderName, String)>,
    /// Text anywhere in the body.
    pub(super) contains: Option<String>,
}

impl<'a> Reading<'a> {
    /// Of an answer.
    pub(super) fn new(answer: &'a Answer) -> Self {
        Self { answer, json: OnceCell::new() }
    }

    /// Its status.
    pub(super) fn status(&self) -> u16 {
        self.answer.status
    }

    /// The beginning of its body, for people.
    pub(super) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.answer.body).chars().take(300).collect()
    }

    /// The number at a place, or what is wrong with it.
    pub(super) fn number(&self, place: &Place) -> Result<i64, String> {
        match place {
            Place::Pointer(pointer) => {
                let value = self.at(pointer).ok_or_else(|| format!("there is nothing at {pointer}"))?;
                whole(value).ok_or_else(|| format!("{value} at {pointer} is no whole number"))
            }
            Place::Header(name) => {
                let text = self.header(name).ok_or_else(|| format!("there is no header {name}"))?;
                let bare = text.trim_start_matches("W/").trim_matches('"');
                bare.parse().map_err(|_| format!("`{text}` in header {name} is no whole number"))
            }
            Place::Body => {
                let text = std::str::from_utf8(&self.answer.body).unwrap_or_default().trim();
                text.parse().map_err(|_| "the body is no whole number".to_owned())
            }
        }
    }

    /// Whether all that a rule asks for is so.
    pub(super) fn fits(&self, rule: &Rule) -> bool {
        rule.status.is_none_or(|status| status == self.answer.status)
            && rule.headers.iter().all(|(name, wanted)| self.header(name) == Some(wanted))
            && rule.contains.as_ref().is_none_or(|text| self.contains(text))
            && rule.body.iter().all(|(pointer, wanted)| self.at(pointer) == Some(wanted))
    }

    fn at(&self, pointer: &str) -> Option<&Value> {
        let json = self.json.get_or_init(|| serde_json::from_slice(&self.answer.body).ok());
        json.as_ref()?.pointer(pointer)
    }

    fn header(&self, name: &HeaderName) -> Option<&str> {
        self.answer.headers.get(name).map(HeaderValue::to_str)?.ok()
    }

    fn contains(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.answer.body).contains(text)
    }
}

/// A whole number, however JSON spells it: `3`, `3.0` or `"3"`.
fn whole(value: &Value) -> Option<i64> {
    /// Beyond it not every whole number is one of floating point.
    const EXACT_MAX: f64 = (1u64 << 53) as f64;
    if let Some(text) = value.as_str() {
        return text.parse().ok();
    }
    let exact = |number: &f64| number.fract() == 0.0 && number.abs() <= EXACT_MAX;
    #[expect(clippy::cast_possible_truncation, reason = "whole, and within what is exact")]
    value.as_i64().or_else(|| value.as_f64().filter(exact).map(|number| number as i64))
}

impl Place {
    /// As it is written in a description.
    pub(super) fn parse(text: &str) -> Result<Self, PlaceError> {
        let wrong = || PlaceError(text.to_owned());
        match text.strip_prefix("header:") {
            Some(name) => name.parse().map(Self::Header).map_err(|_| wrong()),
            None if text == "body" => Ok(Self::Body),
            None if text.starts_with('/') => Ok(Self::Pointer(text.to_owned())),
            None => Err(wrong()),
        }
    }
}

impl Rule {
    /// How much it asks for: a rule that asks for more is tried first.
    pub(super) fn weight(&self) -> usize {
        usize::from(self.status.is_some())
            + self.body.len()
            + self.headers.len()
            + usize::from(self.contains.is_some())
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderMap;
    use serde_json::json;

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        let headers = HeaderMap::from_iter([
            ("etag".parse().unwrap(), HeaderValue::from_static("W/\"12\"")),
            ("x-stock".parse().unwrap(), HeaderValue::from_static("7")),
        ]);
        Answer { status, etag: None, replayed: false, headers, body: body.into() }
    }

    fn number(body: &str, place: &str) -> Result<i64, String> {
        Reading::new(&answer(200, body)).number(&Place::parse(place).unwrap())
    }

    #[test]
    fn a_number_is_found_wherever_a_description_says() {
        assert_eq!(number(r#"{"a":[{"n":5}]}"#, "/a/0/n"), Ok(5));
        for (text, told) in [("3.0", 3), ("\"3\"", 3), ("-3", -3), ("1e3", 1_000)] {
            assert_eq!(number(&format!(r#"{{"n":{text}}}"#), "/n"), Ok(told), "{text}");
        }
        assert_eq!(number("", "header:x-stock"), Ok(7));
        assert_eq!(number("", "header:ETag"), Ok(12));
        assert_eq!(number(" 42\n", "body"), Ok(42));
    }

    #[test]
    fn what_is_no_number_is_said_to_be_none() {
        for (body, place) in [
            ("garbage", "/n"),
            ("{}", "/n"),
            (r#"{"n":3.5}"#, "/n"),
            (r#"{"n":null}"#, "/n"),
            (r#"{"n":99999999999999999999}"#, "/n"),
            ("", "header:x-none"),
            ("", "body"),
        ] {
            assert!(number(body, place).is_err(), "{body} {place}");
        }
        // Deeper than anybody needs: refused, not followed.
        assert!(number(&"[".repeat(1_000_000), "/0").is_err());
        for wrong in ["", "quantity", "header:", "header:a b"] {
            assert!(Place::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_rule_fits_if_all_it_asks_for_is_so() {
        let answer = answer(409, r#"{"error":"out-of-stock","more":1}"#);
        let reading = Reading::new(&answer);
        let rule = Rule { status: Some(409), ..Rule::default() };
        assert!(reading.fits(&rule));
        let body = vec![("/error".to_owned(), json!("out-of-stock"))];
        let both = Rule { body, ..rule.clone() };
        assert!(reading.fits(&both) && both.weight() > rule.weight());
        let other = Rule { body: vec![("/error".to_owned(), json!("gone"))], ..rule.clone() };
        assert!(!reading.fits(&other));
        let header = vec![("x-stock".parse().unwrap(), "7".to_owned())];
        assert!(reading.fits(&Rule { headers: header.clone(), ..rule.clone() }));
        assert!(!reading.fits(&Rule { status: Some(404), headers: header, ..Rule::default() }));
        assert!(reading.fits(&Rule { contains: Some("out-of".to_owned()), ..Rule::default() }));
        assert!(!reading.fits(&Rule { contains: Some("in stock".to_owned()), ..rule }));
    }
}
