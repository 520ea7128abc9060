//! What the bodies of requests may say, for those that say something else: the same as their types take, which a test holds
//! together.

use super::alerts::AlertRequest;
use super::chores::{BackupRequest, backup_name};
use super::orders::{OrderRequest, ReturnRequest};
use super::requests::{
    AdjustRequest, AdjustmentsRequest, Line, LooseAdjustmentsRequest, PutRequest, TransfersRequest,
};
use super::reservations::{CommitRequest, ExtendRequest, ReleaseRequest, ReserveRequest};
use super::stock_query::StockQueryRequest;
use super::webhooks::{BATCH_MAX, SecretRequest, WebhookRequest};
use crate::alerts::Event;
use crate::json::{Field, Needed, Shape, Shaped};
use crate::outgoing::url::Url;
use crate::stock::order::PRIORITY_MAX;
use crate::stock::reservation::{TTL_SECONDS_MAX, TTL_SECONDS_MIN};
use crate::stock::{Location, QUANTITY_MAX, REASON_CHARS_MAX, REFERENCE_CHARS_MAX, Sku};
use crate::webhooks::Secret;

const UNITS_MAX: i64 = QUANTITY_MAX.cast_signed();
const DELTA: Field =
    always("delta", Shape::Integer { min: -UNITS_MAX, max: UNITS_MAX, but_zero: true, why: "" });
const SKU: Field = always("sku", Shape::Text(sku));
const REASON: Field = optional("reason", Shape::Text(reason));
const REFERENCE: Field = optional("reference", Shape::Text(reference));
const MODE: Field =
    Field { name: "mode", needed: Needed::Defaulted, shape: Shape::Choice(&["atomic", "independent"]) };
const IF_MISSING: Field =
    Field { name: "if_missing", needed: Needed::Defaulted, shape: Shape::Choice(&["refuse", "create"]) };

const fn always(name: &'static str, shape: Shape) -> Field {
    Field { name, needed: Needed::Always, shape }
}

const fn optional(name: &'static str, shape: Shape) -> Field {
    Field { name, needed: Needed::Optional, shape }
}

const PUT: &[Field] = &[always("on_hand", Shape::integer(0, UNITS_MAX)), REASON, REFERENCE];
const ALERT: &[Field] = &[always("low_at", Shape::integer(0, UNITS_MAX))];
const ADJUST: &[Field] = &[DELTA, IF_MISSING, REASON, REFERENCE];
const LINE: &[Field] = &[SKU, optional("location", Shape::Text(location)), DELTA, IF_MISSING];
const ADJUSTMENTS: &[Field] = &[MODE, always("lines", Shape::Lines(&Shape::Object(LINE))), REASON, REFERENCE];
const LOOSE: &[Field] = &[MODE, always("lines", Shape::Lines(&Shape::Any)), REASON, REFERENCE];
const MOVE: &[Field] = &[
    SKU,
    always("from", Shape::Text(location)),
    always("to", Shape::Text(location)),
    always("quantity", Shape::integer(1, UNITS_MAX)),
];
const TRANSFERS: &[Field] = &[always("lines", Shape::Lines(&Shape::Object(MOVE))), REASON, REFERENCE];
const TTL_MAX: i64 = TTL_SECONDS_MAX.cast_signed();
const TTL: Field = optional("ttl_seconds", Shape::integer(TTL_SECONDS_MIN.cast_signed(), TTL_MAX));
const UNITS: &[Field] =
    &[SKU, optional("location", Shape::Text(location)), always("quantity", Shape::integer(1, UNITS_MAX))];
const RESERVE: &[Field] = &[always("lines", Shape::Lines(&Shape::Object(UNITS))), TTL, REASON, REFERENCE];
const COMMIT: &[Field] = &[optional("lines", Shape::Lines(&Shape::Object(UNITS))), REASON, REFERENCE];
const RELEASE: &[Field] = &[REASON, REFERENCE];
const EXTEND: &[Field] = &[TTL, REASON, REFERENCE];
const ORDER: &[Field] = &[
    always("lines", Shape::Lines(&Shape::Object(UNITS))),
    optional("priority", Shape::integer(0, PRIORITY_MAX as i64)),
    Field { name: "backorder", needed: Needed::Defaulted, shape: Shape::Boolean },
    REASON,
    REFERENCE,
];
const RETURNED: &[Field] = &[
    SKU,
    optional("location", Shape::Text(location)),
    always("quantity", Shape::integer(1, UNITS_MAX)),
    optional("to", Shape::Text(location)),
];
const RETURN: &[Field] = &[optional("lines", Shape::Lines(&Shape::Object(RETURNED))), REASON, REFERENCE];
const KEY: &[Field] = &[SKU, optional("location", Shape::Text(location))];
const QUERY: &[Field] = &[
    always("keys", Shape::Lines(&Shape::Object(KEY))),
    Field { name: "consistent", needed: Needed::Defaulted, shape: Shape::Boolean },
];
const BACKUP: &[Field] = &[always("name", Shape::Text(backup))];

const SECRET: Field = optional("secret", Shape::Text(secret));
const WEBHOOK: &[Field] = &[
    always("url", Shape::Text(url)),
    optional("events", Shape::Lines(&Shape::Text(event))),
    optional("sku", Shape::Text(sku)),
    optional("location", Shape::Text(location)),
    SECRET,
    optional("batch", Shape::integer(1, BATCH_MAX.cast_signed())),
];
const NEW_SECRET: &[Field] = &[SECRET];

impl Shaped for PutRequest<'_> {
    const SHAPE: &'static Shape = &Shape::Object(PUT);
}

impl Shaped for AlertRequest {
    const SHAPE: &'static Shape = &Shape::Object(ALERT);
}

impl Shaped for AdjustRequest<'_> {
    const SHAPE: &'static Shape = &Shape::Object(ADJUST);
}

impl Shaped for Line<'_> {
    const SHAPE: &'static Shape = &Shape::Object(LINE);
}

impl Shaped for AdjustmentsRequest<'_> {
    const SHAPE: &'static Shape = &Shape::Object(ADJUSTMENTS);
}

impl Shaped for LooseAdjustmentsRequest<'_> {
    const SHAPE: &'static Shape = &Shape::Object(LOOSE);
}

impl Shaped for TransfersRequest<'_> {
    const SHAPE: &'static Shape = &Shape::Object(TRANSFERS);
}

impl Shaped for ReserveRequest<'_> {
    const SHAPE: &'static Shape = &Shape::Object(RESERVE);
}

impl Shaped for CommitRequest<'_> {
    const SHAPE: &'static Shape = &Shape::Object(COMMIT);
}

impl Shaped for ReleaseRequest<'_> {
    const SHAPE: &'static Shape = &Shape::Object(RELEASE);
}

impl Shaped for ExtendRequest<'_> {
    const SHAPE: &'static Shape = &Shape::Object(EXTEND);
}

impl Shaped for OrderRequest<'_> {
    const SHAPE: &'static Shape = &Shape::Object(ORDER);
}

impl Shaped for ReturnRequest<'_> {
    const SHAPE: &'static Shape = &Shape::Object(RETURN);
}

impl Shaped for StockQueryRequest<'_> {
    const SHAPE: &'static Shape = &Shape::Object(QUERY);
}

impl Shaped for BackupRequest<'_> {
    const SHAPE: &'static Shape = &Shape::Object(BACKUP);
}

impl Shaped for WebhookRequest<'_> {
    const SHAPE: &'static Shape = &Shape::Object(WEBHOOK);
}

impl Shaped for SecretRequest<'_> {
    const SHAPE: &'static Shape = &Shape::Object(NEW_SECRET);
}

fn url(text: &str) -> Result<(), String> {
    Url::parse(text).map(drop)
}

fn event(text: &str) -> Result<(), String> {
    Event::named(text).map(drop)
}

fn secret(text: &str) -> Result<(), String> {
    Secret::parse(text).map(drop)
}

fn sku(text: &str) -> Result<(), String> {
    Sku::parse(text).map(drop).map_err(|error| error.to_string())
}

fn location(text: &str) -> Result<(), String> {
    Location::parse(text).map(drop).map_err(|error| error.to_string())
}

fn reason(text: &str) -> Result<(), String> {
    at_most(text, REASON_CHARS_MAX)
}

fn reference(text: &str) -> Result<(), String> {
    at_most(text, REFERENCE_CHARS_MAX)
}

fn at_most(text: &str, chars_max: usize) -> Result<(), String> {
    match text.chars().nth(chars_max) {
        Some(_) => Err(format!("must be at most {chars_max} characters long")),
        None => Ok(()),
    }
}

fn backup(text: &str) -> Result<(), String> {
    backup_name(text)
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;
    use crate::http::dto::Object;
    use crate::http::problem::Problem;
    use crate::json::{faults, read};

    /// Values of every kind, those that are well more often than others.
    fn value() -> impl Strategy<Value = String> {
        let well = prop::sample::select(vec![
            "1",
            "3.0",
            "-2",
            "\"A\"",
            "\"main\"",
            "\"shop\"",
            "\"atomic\"",
            "\"create\"",
        ]);
        let odd = prop::sample::select(vec![
            "0",
            "-0",
            "0.0",
            "-2.0",
            "1.5",
            "1e3",
            "1099511627775",
            "1099511627775.0",
            "1099511627776",
            "99999999999999999999",
            "\"1\"",
            "\"\"",
            "\"a b\"",
            "\"a \"",
            "\"a\\u0000\"",
            "\"a/\u{308}\"",
            "\"\\u0041\"",
            "\".x\"",
            "\"both\"",
            "null",
            "true",
            "false",
            "{}",
            "[]",
            "[1]",
            "\"ääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääää\"",
        ]);
        prop_oneof![3 => well, 1 => odd].prop_map(str::to_owned)
    }

    /// An object: each of the fields mostly there, in any order, and now and then one too many.
    fn object(fields: &'static [&'static str]) -> impl Strategy<Value = String> {
        let entry = |name: &'static str| {
            let value = value().prop_map(move |value| format!("\"{name}\":{value}"));
            prop::option::weighted(0.8, value)
        };
        let entries: Vec<_> = fields.iter().copied().map(entry).collect();
        let extra = prop::option::weighted(
            0.1,
            (prop::sample::select(vec!["delta", "lines", "colour"]), value())
                .prop_map(|(name, value)| format!("\"{name}\":{value}")),
        );
        (entries, extra).prop_map(|(entries, extra)| {
            let entries: Vec<String> = entries.into_iter().flatten().chain(extra).collect();
            format!("{{{}}}", entries.join(", "))
        })
    }

    /// A body whose lines are mostly objects of these fields, and which has those around them.
    fn batch(
        fields: &'static [&'static str],
        around: &'static [&'static str],
    ) -> impl Strategy<Value = String> {
        let line = prop_oneof![9 => object(fields), 1 => value()];
        let lines =
            prop::collection::vec(line, 0..4).prop_map(|lines| format!("\"lines\":[{}]", lines.join(",")));
        (lines, object(around)).prop_map(|(lines, around)| match around.strip_prefix('{') {
            Some("}") | None => format!("{{{lines}}}"),
            Some(around) => format!("{{{lines},{around}"),
        })
    }

    /// What is well has no fault; and what has none is read, or refused for what no single field can tell: nobody is told what the
    /// parser says.
    fn agree<'t, T: Deserialize<'t> + Shaped>(
        text: &'t str,
        plain: &'t OnceLock<String>,
        take: impl FnOnce(T) -> Result<(), Problem>,
    ) -> Result<(), TestCaseError> {
        let told = faults::<Object<T>>(text);
        match read::<Object<T>>(text, plain) {
            Ok(Object(value)) => {
                prop_assert!(take(value).is_err() || told.total == 0, "{}: {:?}", text, told);
            }
            Err(wrong) => {
                prop_assert!(told.total > 0, "{}: {:?}", text, wrong);
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn shapes_are_what_types_take(
            put in object(&["on_hand", "reason", "reference"]),
            adjust in object(&["delta", "if_missing", "reason", "reference"]),
            line in object(&["sku", "location", "delta", "if_missing"]),
            adjustments in batch(&["sku", "location", "delta", "if_missing"], &["mode", "reason", "reference"]),
            transfers in batch(&["sku", "from", "to", "quantity"], &["reason", "reference"]),
            reserve in batch(&["sku", "location", "quantity"], &["ttl_seconds", "reason"]),
            order in batch(&["sku", "location", "quantity"], &["priority", "backorder", "reason"]),
            returned in batch(&["sku", "location", "quantity", "to"], &["reason", "reference"]),
            extend in object(&["ttl_seconds", "reason", "reference"]),
            named in object(&["name"]),
            query in batch(&["sku", "location"], &["consistent"]),
            webhook in object(&["url", "events", "sku", "location", "secret", "batch"]),
        ) {
            agree(&put, &OnceLock::new(), |read: PutRequest<'_>| read.remark().map(drop))?;
            agree(&adjust, &OnceLock::new(), |read: AdjustRequest<'_>| read.remark().map(drop))?;
            agree(&line, &OnceLock::new(), |read: Line<'_>| {
                read.alone(0).map(drop).map_err(|wrong| *wrong.problem)
            })?;
            agree(&adjustments, &OnceLock::new(), |read: AdjustmentsRequest<'_>| {
                read.remark()?;
                read.transaction().map(drop)
            })?;
            agree(&adjustments, &OnceLock::new(), |read: LooseAdjustmentsRequest<'_>| {
                read.remark()?;
                read.each().map(drop)
            })?;
            agree(&transfers, &OnceLock::new(), |read: TransfersRequest<'_>| {
                read.remark()?;
                read.transaction().map(drop)
            })?;
            agree(&reserve, &OnceLock::new(), |read: ReserveRequest<'_>| {
                read.remark()?;
                read.transaction().map(drop)
            })?;
            agree(&reserve, &OnceLock::new(), |read: CommitRequest<'_>| {
                read.remark()?;
                read.lines().map(drop)
            })?;
            agree(&order, &OnceLock::new(), |read: OrderRequest<'_>| {
                read.remark()?;
                read.lines().map(drop)
            })?;
            agree(&returned, &OnceLock::new(), |read: ReturnRequest<'_>| {
                read.remark()?;
                read.lines().map(drop)
            })?;
            agree(&extend, &OnceLock::new(), |read: ExtendRequest<'_>| read.remark().map(drop))?;
            agree(&extend, &OnceLock::new(), |read: ReleaseRequest<'_>| read.remark().map(drop))?;
            let query = query.replace("\"lines\"", "\"keys\"");
            agree(&query, &OnceLock::new(), |read: StockQueryRequest<'_>| read.keys().map(drop))?;
            agree(&webhook, &OnceLock::new(), |read: WebhookRequest<'_>| read.asked().map(drop))?;
            agree(&webhook, &OnceLock::new(), |read: SecretRequest<'_>| read.secret().map(drop))?;
            agree(&named, &OnceLock::new(), |read: BackupRequest<'_>| read.checked_name().map(drop))?;
        }
    }
}
