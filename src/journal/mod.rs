//! The durable log: acknowledged means on disk, once, in order.
pub mod check;
pub mod disk;
pub mod group;
pub mod heads;
pub mod history;
pub mod keys;
pub mod log;
pub mod marks;
pub mod record;
pub mod recovery;
pub mod retention;
pub mod scan;
pub mod segment;
pub mod snapshot;
#[cfg(test)]
pub(crate) mod testing;
pub mod verify;
pub mod watermark;
