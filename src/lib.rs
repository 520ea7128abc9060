//! The inventory service.

pub mod stock;
pub mod strategy;
pub mod telemetry;
