//! Traces and metrics, pushed to an OpenTelemetry collector: OTLP over HTTP, in protobuf (<https://opentelemetry.io/docs/specs/otlp/>).
//!
//! Built from the messages alone (`opentelemetry-proto`), not on the SDK: its instruments count for themselves, in maps behind locks, and take no
//! histogram that was counted elsewhere, so `/metrics` and what is pushed would be counted twice and could differ; and for one kind of span, made whole where a request ends,
//! its processor, context and propagators are more than the queue that is here. What is left is to write messages and to send them, which is the same for both.
//!
//! - [`settings`]: what the variables say ([`variables`] how one is read). [`exporter`]: what is sent when. [`traces`], [`metrics`], [`resource`]: the messages.
//! - [`sender`]: one message on its way, and again if it may be; it complains once a minute.
//!
//! Nobody who asks the service for something waits for any of it.

mod exporter;
mod metrics;
mod resource;
mod sender;
mod settings;
mod traces;
mod variables;

pub use self::exporter::{Exporter, Gather};
pub use self::settings::{OtlpSettings, TracesSettings};
pub use self::variables::WrongVariable;
