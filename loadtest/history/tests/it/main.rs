//! Tests of recorded histories and their checkers, in one binary.

mod agreement;
mod attempts;
mod files;
mod independent;
mod levels;
mod logs;
mod minimal;
mod model;
mod planted;
mod snapshots;
mod sometimes;
mod support;
mod systematic;
mod ties;
mod transactions;
mod unknowns;
mod unversioned;
mod verdicts;
