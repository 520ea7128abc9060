//! From a call to the request that a description makes of it.

use std::sync::atomic::Ordering;

use hyper::Request;
use hyper::header::HeaderValue;

use super::Target;
use super::template::{Slot, Values};
use crate::catalogue::Catalogue;
use crate::client::{Call, IdempotencyKey};

impl Target {
    /// The request for a call, with a path in place of the whole address. With a `key` it is the same request each time;
    /// without, a description that names `{key}` is given a new one.
    pub fn request(
        &self,
        call: &Call,
        catalogue: &Catalogue,
        key: Option<&IdempotencyKey>,
    ) -> Request<Vec<u8>> {
        let operation = self.operation(call);
        let key = match key {
            Some(key) => key.text().to_owned(),
            None if operation.names(Slot::Key) => self.fresh_key(),
            None => String::new(),
        };
        let values = Values { key: &key, ..self.values(call, catalogue) };
        let body = operation.body.as_ref().map(|body| body.render(&values)).unwrap_or_default();
        let mut request = Request::new(body.into_bytes());
        *request.method_mut() = operation.method.clone();
        // Whatever is filled in is percent-encoded, and the rest was tried when the description was read.
        *request.uri_mut() = operation.path.render(&values).parse().unwrap_or_default();
        for (name, value) in &operation.headers {
            if let Ok(value) = HeaderValue::try_from(value.render(&values)) {
                request.headers_mut().insert(name.clone(), value);
            }
        }
        request
    }

    fn fresh_key(&self) -> String {
        // Relaxed: that no number comes twice is all that is asked of it.
        format!("{}-{}", self.run, self.keys.fetch_add(1, Ordering::Relaxed))
    }

    fn values<'a>(&self, call: &Call, catalogue: &'a Catalogue) -> Values<'a> {
        let of = |key| {
            let entry = catalogue.entry(key);
            Values { sku: &entry.sku, location: &entry.location, ..Values::default() }
        };
        match call {
            Call::Read(key) | Call::Delete(key) => of(*key),
            Call::Create { key, on_hand } => Values { quantity: *on_hand, ..of(*key) },
            Call::Count { key, on_hand, if_version } => {
                // As the target counts versions, which is from 0 or from 1.
                let version = if_version.unwrap_or_default().saturating_add_signed(self.first_version - 1);
                Values { quantity: *on_hand, version, ..of(*key) }
            }
            Call::Adjust(change) => {
                Values { delta: change.delta, quantity: change.delta.unsigned_abs(), ..of(change.key) }
            }
            Call::Transfer(moves) => moves.first().map_or_else(Values::default, |line| {
                let (from, to) = (catalogue.entry(line.from), catalogue.entry(line.to));
                let (from, to) =
                    if self.has_locations { (&from.location, &to.location) } else { (&from.sku, &to.sku) };
                Values { from, to, quantity: u64::from(line.quantity), ..of(line.from) }
            }),
            Call::Batch(_) | Call::Independent(_) | Call::Query(_) => Values::default(),
        }
    }
}
