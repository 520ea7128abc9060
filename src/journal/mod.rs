//! The durable log: acknowledged means on disk, once, in order.
pub mod disk;
pub mod group;
pub mod heads;
pub mod keys;
pub mod log;
pub mod record;
pub mod segment;
pub mod watermark;
