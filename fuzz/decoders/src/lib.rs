//! What a decoder must hold for any bytes: one function a decoder, which takes bytes, and panics where something does not hold.
//!
//! - [`bodies`]: the JSON of requests. [`requests`]: whole requests, through routes and middleware. [`parts`]: what stands in heads, paths and
//!   parameters.
//! - [`records`]: the forms of the log, one at a time. [`logs`]: a data directory, and what recovery makes of it. [`snapshots`]: one
//!   snapshot. All three know [`seal`], which makes the checksums right: else nothing would get past them.
//! - [`imports`]: lines of CSV and JSON. [`histories`]: the files of `loadtest`. [`key_files`]: the file of keys.
//!
//! Two call them: the fuzz targets in `fuzz/fuzz_targets`, and `tests/corpus.rs`, which runs every input of `fuzz/corpus` at each
//! `cargo test`. So a function here is fast, does the same for the same bytes, and opens no file and no socket.

pub mod bodies;
pub mod histories;
pub mod imports;
pub mod key_files;
pub mod logs;
pub mod parts;
pub mod records;
pub mod requests;
pub mod seal;
pub mod snapshots;
mod told;

/// A target: its name, which is that of its corpus, and what must hold of any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 9] = [
    ("bodies", bodies::hold),
    ("histories", histories::hold),
    ("imports", imports::hold),
    ("key_files", key_files::hold),
    ("logs", logs::hold),
    ("parts", parts::hold),
    ("records", records::hold),
    ("requests", requests::hold),
    ("snapshots", snapshots::hold),
];
