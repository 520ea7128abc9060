//! Tests of recorded histories and their checkers, in one binary.

mod agreement;
mod files;
mod independent;
mod levels;
mod logs;
mod model;
mod planted;
mod sometimes;
mod support;
mod systematic;
mod transactions;
mod unknowns;
mod unversioned;
mod verdicts;
