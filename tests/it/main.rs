//! The integration tests: one binary, so that it links once. Each module says which promises (P1 to P11) it tests.

mod support;

mod cancellation;
mod cli;
mod conformance;
mod contract;
mod deploy;
mod durability;
mod histories;
mod house;
mod http;
mod lock_timeout;
mod mutants;
mod proof;
mod properties;
mod readme;
mod replicas;
mod stampede;
