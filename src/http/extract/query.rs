//! [`Query`]: the query string, strictly: a parameter that is not known or comes twice is an error, so that a
//! misspelt filter is not silently no filter.

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::Arc;

use axum::http::Uri;
use percent_encoding::percent_decode_str;

use crate::http::problem::Problem;
use crate::stock::{REASON_CHARS_MAX, REFERENCE_CHARS_MAX, Remark};

/// The parameters of a query string, each of them one of those a route knows.
#[derive(Debug, Default)]
pub struct Query<'a> {
    parameters: Vec<(&'static str, Cow<'a, str>)>,
}

impl<'a> Query<'a> {
    /// The parameters of `uri`, of which only `known` may be there, each once.
    pub fn parse(uri: &'a Uri, known: &[&'static str]) -> Result<Self, Problem> {
        let mut parameters = Vec::new();
        let Some(query) = uri.query() else {
            return Ok(Self { parameters });
        };
        let pieces = query.split('&').filter(|piece| !piece.is_empty());
        for (piece, (name, value)) in pieces.zip(form_urlencoded::parse(query.as_bytes())) {
            let Some(&name) = known.iter().find(|&&known| known == name) else {
                return Err(Problem::parameter(name, unknown(known)));
            };
            if parameters.iter().any(|(earlier, _)| *earlier == name) {
                return Err(Problem::parameter(name, "must be given once"));
            }
            // What is no text would be read as some, the same for all that is none.
            if percent_decode_str(piece).decode_utf8().is_err() {
                return Err(Problem::parameter(name, "must be UTF-8, percent-encoded"));
            }
            parameters.push((name, value));
        }
        Ok(Self { parameters })
    }

    /// The value of a parameter, if it is there.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_ref())
    }
}

impl Query<'_> {
    /// The value of a parameter, as `read` reads it, if it is there.
    pub fn read<'q, T, E: ToString>(
        &'q self,
        name: &'static str,
        read: impl FnOnce(&'q str) -> Result<T, E>,
    ) -> Result<Option<T>, Problem> {
        let value = self.get(name).map(read).transpose();
        value.map_err(|error| Problem::parameter(name, error.to_string()))
    }

    /// What a request without a body says about itself, by the parameters `reason` and `reference`.
    pub fn remark(&self) -> Result<Option<Arc<Remark>>, Problem> {
        let texts = [("reason", REASON_CHARS_MAX), ("reference", REFERENCE_CHARS_MAX)];
        for (name, chars_max) in texts {
            if self.get(name).is_some_and(|text| text.chars().nth(chars_max).is_some()) {
                return Err(Problem::parameter(name, format!("must be at most {chars_max} characters long")));
            }
        }
        let [reason, reference] = texts.map(|(name, _)| self.get(name).unwrap_or_default().to_owned());
        let remark = Remark { reason, reference };
        Ok((remark != Remark::default()).then(|| Arc::new(remark)))
    }

    /// Which page of a list is asked for, by the parameters `limit` and `cursor`.
    pub fn page<C: FromStr<Err: ToString>>(&self) -> Result<Page<C>, Problem> {
        let limit = self.read("limit", |text| {
            let limit = text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
            limit.ok_or_else(|| format!("must be an integer from 1 to {LIMIT_MAX}"))
        })?;
        Ok(Page { limit: limit.unwrap_or(LIMIT_DEFAULT), cursor: self.read("cursor", str::parse)? })
    }
}

/// A page of a list.
#[derive(Debug)]
pub struct Page<C> {
    /// How many items it has at most.
    pub limit: usize,
    /// Where it begins.
    pub cursor: Option<C>,
}

/// How many items a page has at most, unless the request says so.
const LIMIT_DEFAULT: usize = 100;
/// The most it may say.
const LIMIT_MAX: usize = 1_000;

fn unknown(known: &[&str]) -> String {
    match known {
        [] => "is not a parameter of this request, which has none".to_owned(),
        known => format!("is not a parameter of this request, which has {}", known.join(", ")),
    }
}
