//! Many replicas over one database: what one process promises (P1 to P12), they promise together.
//!
//! - `together`: several stores of one database, as their own process would have them. `kills`: the real servers, killed, and their database too.
//! - `lock`: why the lock of a partition is a statement of its own. `refused`: what a start refuses.

mod kills;
mod lock;
mod refused;
mod together;
