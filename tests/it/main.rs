//! The integration tests: one binary, so that it links once. Each module says which promises (P1 to P11) it tests.

mod support;

mod cancellation;
mod conformance;
mod histories;
mod house;
mod lock_timeout;
mod properties;
mod stampede;
