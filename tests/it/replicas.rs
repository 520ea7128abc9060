//! Many replicas over one database: what one process promises (P1 to P12), they promise together.
//!
//! - `together`: several stores of one database, as their own process would have them. `histories`: what their clients saw, judged by the checker.
//! - `kills`: the real servers, killed, and their database too. `failover`: another database takes over.
//! - `commits`: connections that are lost at a commit. `network`: one that says nothing, or is not there. `errors`: what the database fails with.
//! - `files`: what is imported, exported and verified, by HTTP and by the commands. `verified`: what a verification finds, and what it does not.
//! - `moving`: to a database, and back.
//! - `hooks`, `handing_over`: webhooks of several replicas, and who tells them. `alerts`: marks, set at one and counting at all.
//! - `lock`: why the lock of a partition is a statement of its own. `refused`: what a start refuses. `upgrades`: tables of other versions.
//! - `trimmed`: what has grown too old. `retention`: movements that leave.

mod alerts;
mod commits;
mod errors;
mod failover;
mod files;
mod handing_over;
mod histories;
mod hooks;
mod kills;
mod lock;
mod moving;
mod network;
mod refused;
mod retention;
mod together;
mod trimmed;
mod upgrades;
mod verified;
