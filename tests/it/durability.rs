//! Crashes of the real server, and requests that are repeated (P7, P8): killed with `SIGKILL`, started again over what it left.

mod full_disk;
mod formats;
mod idempotency;
mod recovering;
mod restarts;
