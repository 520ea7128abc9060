//! Crashes of the real server, and requests that are repeated (P7, P8): killed with `SIGKILL`, started again over what it left.

mod formats;
mod full_disk;
mod idempotency;
mod recovering;
mod restarts;
