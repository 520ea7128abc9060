//! Small shops for the load generator to judge: services that are not ours, over databases that are real.
//!
//! Each keeps items and how many there are of each, tells no versions, and comes in four ways. [`Way::Atomic`], [`Way::Locked`] and [`Way::Recorded`] are right.
//! [`Way::Naive`] is the bug that people write, as they write it: it passes every test that asks one thing at a time.
//!
//! Where things are, in reading order:
//!
//! * [`shop`] is what a shop can be asked, and what it says if it is not done.
//! * [`http`] is that over HTTP, on purpose unlike the API of the inventory service.
//! * [`postgres`] and [`redis`] are the shops; their programs are `shop-postgres` and `shop-redis`.
//! * [`program`] is what these programs have in common.

pub mod http;
pub mod postgres;
pub mod program;
pub mod redis;
pub mod shop;

pub use shop::{Denial, Shop, Way};
