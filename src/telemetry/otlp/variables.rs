//! [`Variables`]: the standard variables of OpenTelemetry, each read strictly: what is wrong is told with the name of the variable, and without its
//! value where that may be a secret (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>).

use std::ffi::OsString;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use thiserror::Error;

use crate::outgoing::url::Url;

/// A variable says what cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{variable}: {wrong}")]
pub struct WrongVariable {
    variable: String,
    wrong: String,
}

/// Where variables are looked up. One that is empty is none, as the specification has it.
pub(super) struct Variables<'a>(pub(super) &'a dyn Fn(&str) -> Option<OsString>);

impl Variables<'_> {
    pub(super) fn text(&self, variable: &str) -> Result<Option<String>, WrongVariable> {
        match (self.0)(variable).filter(|value| !value.is_empty()).map(OsString::into_string) {
            None => Ok(None),
            Some(Ok(text)) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
            Some(Err(_)) => Err(wrong(variable, "it must be UTF-8")),
        }
    }

    /// The first of them that says anything, and what.
    pub(super) fn first(&self, variables: &[String]) -> Result<Option<(String, String)>, WrongVariable> {
        for variable in variables {
            if let Some(text) = self.text(variable)? {
                return Ok(Some((variable.clone(), text)));
            }
        }
        Ok(None)
    }

    /// One of these words, whatever their case.
    pub(super) fn word<'w>(
        &self,
        variable: &str,
        words: &[&'w str],
    ) -> Result<Option<&'w str>, WrongVariable> {
        let Some(text) = self.text(variable)? else { return Ok(None) };
        let word = words.iter().find(|word| word.eq_ignore_ascii_case(&text)).copied();
        let unknown = || wrong(variable, format!("{text:?} is none of {}", words.join(", ")));
        word.map(Some).ok_or_else(unknown)
    }

    pub(super) fn number(
        &self,
        variable: &str,
        default: u64,
        range: RangeInclusive<u64>,
    ) -> Result<u64, WrongVariable> {
        let Some(text) = self.text(variable)? else { return Ok(default) };
        number(variable, &text, range)
    }

    pub(super) fn millis(
        &self,
        variable: &str,
        default: Duration,
        range: RangeInclusive<u64>,
    ) -> Result<Duration, WrongVariable> {
        let default = u64::try_from(default.as_millis()).unwrap_or(u64::MAX);
        self.number(variable, default, range).map(Duration::from_millis)
    }
}

pub(super) fn wrong(variable: &str, wrong: impl Display) -> WrongVariable {
    WrongVariable { variable: variable.to_owned(), wrong: wrong.to_string() }
}

pub(super) fn number(variable: &str, text: &str, range: RangeInclusive<u64>) -> Result<u64, WrongVariable> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    let (least, most) = range.into_inner();
    number.ok_or_else(|| wrong(variable, format!("{text:?} is no number from {least} to {most}")))
}

/// It may have a secret in it, though it should not: so it is not repeated.
pub(super) fn url(variable: &str, text: &str) -> Result<Url, WrongVariable> {
    Url::parse(text).map_err(|error| wrong(variable, error))
}

/// `name=value`, with commas between them, and what is special in a value encoded as in a URL. They are secrets: none is repeated, here or by `Debug`.
pub(super) fn headers(variable: &str, text: &str) -> Result<HeaderMap, WrongVariable> {
    let mut headers = HeaderMap::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| wrong(variable, "it must be name=value, or several with commas between them"))?;
        let name = HeaderName::from_bytes(name.trim().as_bytes())
            .map_err(|_| wrong(variable, "a name in it is none of a header"))?;
        let value: Vec<u8> = percent_decode_str(value.trim()).collect();
        let mut value = HeaderValue::from_bytes(&value)
            .map_err(|_| wrong(variable, format!("the value of {name} is none of a header")))?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

/// `name=value`, with commas between them; encoded likewise, and no secrets.
pub(super) fn pairs(variable: &str, text: &str) -> Result<Vec<(String, String)>, WrongVariable> {
    let mut pairs = Vec::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) =
            pair.split_once('=').ok_or_else(|| wrong(variable, format!("{pair:?} is not name=value")))?;
        let value = percent_decode_str(value.trim()).decode_utf8();
        let value =
            value.map_err(|_| wrong(variable, format!("the value of {} is no UTF-8", name.trim())))?;
        pairs.push((name.trim().to_owned(), value.into_owned()));
    }
    Ok(pairs)
}
