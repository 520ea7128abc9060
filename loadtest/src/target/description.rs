//! A target description as it is written, in TOML: its shape only. What it means, and what is wrong with it beyond its
//! shape, is for [`super::compile`]. `docs/targets.md` has it in words.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use toml::Spanned;

/// A whole description.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Description {
    pub(super) name: Spanned<String>,
    pub(super) ready: Option<Spanned<String>>,
    pub(super) first_version: Option<Spanned<u64>>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    pub(super) not_applied: Rules,
    #[serde(default)]
    pub(super) unknown: Rules,
    pub(super) create: Option<Spanned<Table>>,
    pub(super) read: Option<Spanned<Table>>,
    pub(super) adjust: Option<Spanned<Table>>,
    pub(super) take: Option<Spanned<Table>>,
    pub(super) give: Option<Spanned<Table>>,
    pub(super) transfer: Option<Spanned<Table>>,
    pub(super) count: Option<Spanned<Table>>,
    pub(super) count_if_version: Option<Spanned<Table>>,
    pub(super) remove: Option<Spanned<Table>>,
}

/// Rules under one key.
pub(super) type Rules = Vec<Spanned<RuleText>>;

/// One operation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    pub(super) request: Spanned<String>,
    pub(super) body: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Spanned<String>>,
    pub(super) applied: Spanned<Rules>,
    #[serde(default)]
    pub(super) refused: Rules,
    #[serde(default)]
    pub(super) missing: Rules,
    #[serde(default)]
    pub(super) exists: Rules,
    #[serde(default)]
    pub(super) stale: Rules,
    #[serde(default)]
    pub(super) not_applied: Rules,
    #[serde(default)]
    pub(super) unknown: Rules,
    pub(super) quantity: Option<Spanned<Places>>,
    pub(super) version: Option<Spanned<Places>>,
    pub(super) refused_version: Option<Spanned<String>>,
    pub(super) available: Option<Spanned<String>>,
    pub(super) creates: Option<Spanned<bool>>,
}

/// A status, or a table of what has to be so.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct RuleText {
    pub(super) status: Option<u16>,
    pub(super) body: BTreeMap<String, Value>,
    pub(super) header: BTreeMap<String, String>,
    pub(super) contains: Option<String>,
}

/// The same as a table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleTable {
    status: Option<u16>,
    #[serde(default)]
    body: BTreeMap<String, Value>,
    #[serde(default)]
    header: BTreeMap<String, String>,
    contains: Option<String>,
}

/// Where a number is told: of one level, or of both that a transfer changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Places {
    One(String),
    Both { from: String, to: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BothTable {
    from: String,
    to: String,
}

impl<'de> Deserialize<'de> for RuleText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rule;
        impl<'de> Visitor<'de> for Rule {
            type Value = RuleText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a status such as 409, or a table of status, body, header and contains")
            }

            fn visit_i64<E: Error>(self, status: i64) -> Result<RuleText, E> {
                let status =
                    u16::try_from(status).map_err(|_| E::custom(format!("{status} is no status")))?;
                Ok(RuleText { status: Some(status), ..RuleText::default() })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RuleText, A::Error> {
                let RuleTable { status, body, header, contains } =
                    Deserialize::deserialize(MapAccessDeserializer::new(map))?;
                Ok(RuleText { status, body, header, contains })
            }
        }
        deserializer.deserialize_any(Rule)
    }
}

impl<'de> Deserialize<'de> for Places {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Where;
        impl<'de> Visitor<'de> for Where {
            type Value = Places;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a place such as \"/quantity\"; for a transfer { from = \"...\", to = \"...\" }")
            }

            fn visit_str<E: Error>(self, place: &str) -> Result<Places, E> {
                Ok(Places::One(place.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Places, A::Error> {
                let BothTable { from, to } = Deserialize::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Places::Both { from, to })
            }
        }
        deserializer.deserialize_any(Where)
    }
}
