//! The load generator: drives a running inventory service over the wire and proves that no update was lost.
//!
//! Where things are, in reading order:
//!
//! * [`cli`] is the command line; [`commands`] does what it says; [`exit`] is what the exit codes mean.
//! * [`catalogue`] names the stock levels of one run; [`workload`] decides what to ask of them, from a seed;
//!   [`schedule`] decides when.
//! * [`target`] is any inventory that is not ours, by its description.
//! * [`client`] turns one call into one HTTP request, and its answer into what the history may believe.
//! * [`runner`] is a run: open the levels, warm up, measure, read everything back, clean up.
//! * [`calibrate`] measures what the generator itself can do.
//! * [`measure`] turns samples into percentiles; [`threshold`] bounds them; [`verdict`] turns the recorded history into pass or fail.
//! * [`replay`] drives the orders of a real shop; [`compare`] starts one server per strategy and ranks them.
//! * [`inproc`] measures the strategies in this process, without HTTP in the way.
//! * [`sweep`] raises the concurrency, in this process and over HTTP, and fits a law of scalability.
//! * [`crash`] kills a server again and again, or its replicas, or the database under them, and sees what was kept.
//! * [`cluster`] is a PostgreSQL of our own, for [`crash`] to kill.
//! * [`shop`] keeps shop: reservations, orders and returns, of a server that runs or is killed again and again.
//! * [`selftest`] tries the checks on what is wrong on purpose.
//! * [`statistics`] tells a difference from noise, for [`compare`].
//! * [`report`] writes text, JSON, HTML and more from one document; [`output`] is the only place that prints, but for
//!   [`progress`] and the [`view`] of a run.
//!
//! What speaks to a server never uses the service's own types: it has its own for what goes over the wire, so that a
//! mistake in the service's cannot hide itself here. Only [`inproc`] links the service, for its strategies.

pub mod calibrate;
pub mod catalogue;
pub mod cli;
pub mod client;
pub mod cluster;
pub mod commands;
pub mod compare;
pub mod crash;
pub mod exit;
pub mod inproc;
pub mod interrupt;
pub mod measure;
pub mod output;
pub mod progress;
pub mod replay;
pub mod report;
pub mod runner;
pub mod schedule;
pub mod selftest;
pub mod shop;
pub mod statistics;
pub mod sweep;
pub mod target;
pub mod threshold;
pub mod verdict;
pub mod view;
pub mod workload;
