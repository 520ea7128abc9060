//! The shops from outside: their programs, over real databases, asked over HTTP.
//!
//! Where a database is not installed its tests say so and pass; `databases` says how to make them fail instead.

mod endpoints;
mod races;
mod support;
mod verdicts;
