//! The bodies of webhooks.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fields::Text;
use super::{EventName, time};
use crate::alerts::Event;
use crate::http::problem::{FieldError, Problem};
use crate::json::Whole;
use crate::outgoing::url::Url;
use crate::stock::{Location, Sku};
use crate::webhooks::filter::Filter;
use crate::webhooks::hook::HookState;
use crate::webhooks::{Asked, Attempt, HookView, Secret};

/// The most movements that one message tells of.
pub(super) const BATCH_MAX: u64 = 100;

/// Where to tell of what happens, and of what.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookRequest<'a> {
    /// Where messages are posted to: `https`, or `http`.
    #[serde(borrow)]
    #[schema(value_type = String, max_length = 2048, example = "https://shop.example/stock-changed")]
    url: Text<'a>,
    /// Only movements of these kinds; of all, where it is left out.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Vec<EventName>>, min_items = 1, example = json!(["adjusted", "stock.low"]))]
    events: Option<Vec<Text<'a>>>,
    /// Only movements of this sku.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 64)]
    sku: Option<Text<'a>>,
    /// Only movements at this location.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 32)]
    location: Option<Text<'a>>,
    /// What is to sign the messages: `whsec_` and 24 to 64 bytes in base64. One is made where it is left out.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 94)]
    secret: Option<Text<'a>>,
    /// How many movements a message tells of at most. 1, or left out: each movement has a message of its own.
    #[serde(default)]
    #[schema(value_type = Option<u8>, minimum = 1, maximum = 100, example = 1)]
    batch: Option<Whole<100>>,
}

/// A secret to sign with from now on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretRequest<'a> {
    /// `whsec_` and 24 to 64 bytes in base64. One is made where it is left out.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 94)]
    secret: Option<Text<'a>>,
}

/// A webhook, and how it does.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookAnswer {
    /// Its name: a UUID; names sort by the time of their making.
    #[schema(example = "0193a6f0-5b7c-7c3a-9d1e-3f6a2b8c4d5e")]
    id: String,
    /// Where messages are posted to.
    #[schema(example = "https://shop.example/stock-changed")]
    url: String,
    /// Only movements of these kinds; absent where it is all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<EventName>>)]
    events: Option<Vec<&'static str>>,
    /// Only movements of this sku.
    #[serde(skip_serializing_if = "Option::is_none")]
    sku: Option<String>,
    /// Only movements at this location.
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    /// How many movements a message tells of at most.
    #[schema(example = 1)]
    batch: usize,
    /// When it was made (RFC 3339, UTC).
    #[schema(example = "2026-11-22T14:05:00.123Z")]
    created_at: String,
    /// How it does.
    state: WebhookStateAnswer,
    /// The place in the ledger up to which it has been told: `after` of `/v1/events` goes on there.
    position: String,
    /// How many movements there are after that.
    #[schema(example = 0)]
    behind: u64,
    /// Since when attempts have failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failing_since: Option<String>,
    /// How many have, in a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    /// What came of the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    /// When the next is made; absent while one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_at: Option<String>,
    /// Since when nothing is sent any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_at: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_reason: Option<String>,
    /// Movements of which it cannot be told any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    gap: Option<GapAnswer>,
    /// What has become of the place it was at, if a backup was restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
    /// What signs its messages: in the answer to the request that made it, and in no other.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret: Option<String>,
    /// Until when the secret before that signs as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    old_secret_until: Option<String>,
}

/// Movements that are past the retention, after one number and before another.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct GapAnswer {
    /// The last of which it was told.
    after: u64,
    /// The oldest that is kept.
    oldest: u64,
}

/// How a webhook does.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum WebhookStateAnswer {
    /// It is told of what happens.
    Active,
    /// It is being told that movements are past the retention of which it was not told.
    Gap,
    /// The last attempt failed, and is made again.
    Failing,
    /// Nothing is sent any more, until it is enabled.
    Disabled,
}

/// Every webhook there is.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhooksAnswer {
    /// The webhooks, in the order in which they were made.
    pub items: Vec<WebhookAnswer>,
}

/// What came of a ping.
#[derive(Debug, Serialize, ToSchema)]
pub struct PingAnswer {
    /// The status of the receiver's answer, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 204)]
    status: Option<u16>,
    /// Why there was none, or why it is no success.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// How long it took, in milliseconds.
    #[schema(example = 12)]
    duration_ms: u64,
}

impl WebhookRequest<'_> {
    /// What is asked for, checked.
    pub fn asked(&self) -> Result<Asked, Problem> {
        let mut errors = Errors(Vec::new());
        let url = errors.take("/url", Some(&self.url), Url::parse);
        let sku = errors.take("/sku", self.sku.as_ref(), |sku| Sku::parse(sku).map(|sku| sku.to_string()));
        let location = errors.take("/location", self.location.as_ref(), |location| {
            Location::parse(location).map(|location| location.to_string())
        });
        let secret = errors.take("/secret", self.secret.as_ref(), Secret::parse);
        let events = self.events.as_ref().map(|events| {
            let named = |(index, name): (usize, &Text<'_>)| {
                errors.take(&format!("/events/{index}"), Some(name), Event::named)
            };
            events.iter().enumerate().filter_map(named).collect::<Vec<_>>()
        });
        if events.as_ref().is_some_and(|events| events.is_empty() && errors.0.is_empty()) {
            errors.add("/events", "must name at least one; leave it out for all".to_owned());
        }
        let batch = self.batch.map_or(1, |Whole(batch)| batch);
        if batch == 0 {
            errors.add("/batch", format!("must be an integer from 1 to {BATCH_MAX}"));
        }
        match url {
            Some(url) if errors.0.is_empty() => {
                let batch = usize::try_from(batch).unwrap_or(1);
                Ok(Asked { url, filter: Filter { events, sku, location }, batch, secret })
            }
            _ => Err(Problem::fields(errors.0)),
        }
    }
}

impl SecretRequest<'_> {
    /// The secret, if one is given.
    pub fn secret(&self) -> Result<Option<Secret>, Problem> {
        let secret = self.secret.as_ref().map(|Text(secret)| Secret::parse(secret));
        secret.transpose().map_err(|wrong| Problem::field("/secret", wrong))
    }
}

/// What is wrong with fields.
struct Errors(Vec<FieldError>);

impl Errors {
    fn take<T, E: ToString>(
        &mut self,
        pointer: &str,
        text: Option<&Text<'_>>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match parse(&text?.0) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.add(pointer, wrong.to_string());
                None
            }
        }
    }

    fn add(&mut self, pointer: &str, detail: String) {
        self.0.push(FieldError { pointer: Some(pointer.to_owned()), parameter: None, line: None, detail });
    }
}

impl WebhookAnswer {
    /// A webhook, as it is told; and its secret, to who had it made.
    pub fn new(view: HookView, secret: Option<&Secret>) -> Self {
        let HookView { id, url, filter, batch, created_ms, state, failing, disabled, gap, .. } = view;
        let (disabled_at, disabled_reason) =
            disabled.map(|disabled| (time(disabled.at_ms), disabled.reason)).unzip();
        let events = filter.events.map(|events| events.into_iter().map(Event::name).collect());
        Self {
            id: id.to_string(),
            url,
            events,
            sku: filter.sku,
            location: filter.location,
            batch,
            created_at: time(created_ms),
            state: state.into(),
            position: view.position.to_string(),
            behind: view.behind,
            failing_since: failing.as_ref().map(|failing| time(failing.since_ms)),
            attempts: failing.as_ref().map(|failing| failing.attempts),
            next_attempt_at: failing.as_ref().and_then(|failing| failing.next_attempt_ms).map(time),
            last_error: failing.map(|failing| failing.last_error),
            disabled_at,
            disabled_reason,
            gap: gap.map(|(after, oldest)| GapAnswer { after: after.number(), oldest: oldest.number() }),
            notice: view.notice,
            secret: secret.map(|secret| secret.reveal().to_owned()),
            old_secret_until: view.old_secret_until_ms.map(time),
        }
    }
}

impl PingAnswer {
    /// What came of an attempt.
    pub fn new(attempt: Attempt) -> Self {
        let Attempt { status, error, duration, retry_after: _ } = attempt;
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self { status, error, duration_ms: ms(duration) }
    }
}

impl From<HookState> for WebhookStateAnswer {
    fn from(state: HookState) -> Self {
        match state {
            HookState::Active => Self::Active,
            HookState::Gap => Self::Gap,
            HookState::Failing => Self::Failing,
            HookState::Disabled => Self::Disabled,
        }
    }
}
