//! Tests of recorded histories and their checkers, in one binary.

mod agreement;
mod attempts;
mod books;
mod figures;
mod files;
mod independent;
mod levels;
mod logs;
mod malformed;
mod minimal;
mod model;
mod planted;
mod plants;
mod sampling;
mod snapshots;
mod sometimes;
mod support;
mod systematic;
mod ties;
mod told;
mod transactions;
mod unknowns;
mod unversioned;
mod verdicts;
