//! Measuring without disturbing what is measured.
//!
//! A leaf: it imports nothing of the house but how others are reached, and every layer may import it. [`striped`] holds counters that no
//! two threads write, [`histogram`] the log-scale buckets built on them,
//! [`exposition`] all that was counted, [`text`] that as Prometheus reads it, [`spans`] which requests are recorded one by one, `otlp` both as a collector is sent them (a feature), [`log`] the way of log lines to standard error, [`sampler`] the choice of a few of many, [`pace`] how fast a queue has moved lately, [`process`] what the system says of the process. What is counted is decided where it
//! happens; how it is shown is decided in `http`.

pub mod exposition;
pub mod histogram;
pub mod log;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod pace;
pub mod process;
pub mod sampler;
pub mod spans;
pub mod striped;
pub mod text;

pub use exposition::Exposition;
pub use histogram::{Distribution, Histogram};
pub use pace::Pace;
pub use sampler::Sampler;
pub use striped::Striped;
