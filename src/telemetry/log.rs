//! [`LogWriter`]: the log's way out, which neither ends nor stalls who logs.
//!
//! Standard error may be a pipe that is full, or whose reader has gone away. Whoever logs puts a line into a bounded queue and goes on;
//! a thread writes it. What finds the queue full, or cannot be written, is lost and counted ([`lines_lost`]); whatever comes later
//! is tried again. Before the process ends, [`flush`] waits for what is queued, but not for ever.
//!
//! tracing-appender does nearly this, but prints to standard output, which panics where that is closed, if its queue is full at the end.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Lines in the queue; as many again may be on their way out of it.
const LINES_MAX: usize = 8_192;

/// How long the end of the process waits for what is queued.
pub const FLUSH_MAX: Duration = Duration::from_secs(1);

/// Where lines go. Clones share one queue.
#[derive(Debug, Clone)]
pub struct LogWriter(Arc<Queue>);

#[derive(Debug, Default)]
struct Queue {
    lines: Mutex<Lines>,
    /// There is a line.
    queued: Condvar,
    /// There is none, and none is being written.
    written: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    queued: VecDeque<Vec<u8>>,
    writing: bool,
}

/// That of the process, if it has one.
static OF_PROCESS: OnceLock<LogWriter> = OnceLock::new();

static LOST: AtomicU64 = AtomicU64::new(0);

/// Lines of the log that were lost since the process started.
pub fn lines_lost() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// The log of this process on standard error, which [`flush`] and [`write_line`] are about. Its thread starts with the first call.
pub fn to_stderr() -> io::Result<LogWriter> {
    if let Some(writer) = OF_PROCESS.get() {
        return Ok(writer.clone());
    }
    let writer = LogWriter::start(io::stderr())?;
    Ok(OF_PROCESS.get_or_init(|| writer).clone())
}

/// Waits until what was logged is written, for [`FLUSH_MAX`] at most: before the process ends, in whatever way.
pub fn flush() {
    if let Some(writer) = OF_PROCESS.get() {
        writer.flush(FLUSH_MAX);
    }
}

/// Writes a line to standard error, after what was logged. It may be lost, as any other; that is not the caller's to deal with.
pub fn write_line(line: &str) {
    let line = format!("{line}\n").into_bytes();
    match OF_PROCESS.get() {
        Some(writer) => {
            writer.push(line);
            writer.flush(FLUSH_MAX);
        }
        None => count_lost(&io::stderr().write_all(&line)),
    }
}

impl LogWriter {
    /// Starts a thread that writes to `out`. It ends with the process.
    fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let writer = Self(Arc::default());
        let queue = Arc::clone(&writer.0);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || queue.write_to(out))?;
        Ok(writer)
    }

    fn push(&self, line: Vec<u8>) {
        let mut lines = self.0.lines.lock();
        if lines.queued.len() >= LINES_MAX {
            LOST.fetch_add(1, Ordering::Relaxed);
            return;
        }
        lines.queued.push_back(line);
        drop(lines);
        self.0.queued.notify_one();
    }

    /// Whether all is written, after a wait for it.
    fn flush(&self, at_most: Duration) -> bool {
        let deadline = Instant::now() + at_most;
        let mut lines = self.0.lines.lock();
        let is_done = |lines: &Lines| lines.queued.is_empty() && !lines.writing;
        while !is_done(&lines) {
            if self.0.written.wait_until(&mut lines, deadline).timed_out() {
                return is_done(&lines);
            }
        }
        true
    }
}

impl Queue {
    fn write_to(&self, mut out: impl Write) {
        let mut lines = self.lines.lock();
        loop {
            let taken = std::mem::take(&mut lines.queued);
            lines.writing = !taken.is_empty();
            if taken.is_empty() {
                self.written.notify_all();
                self.queued.wait(&mut lines);
                continue;
            }
            drop(lines);
            for line in taken {
                count_lost(&out.write_all(&line));
            }
            lines = self.lines.lock();
            lines.writing = false;
        }
    }
}

/// One event is one call, which never fails.
impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn count_lost(written: &io::Result<()>) {
    if written.is_err() {
        LOST.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Writes what it is allowed to, one line per permission; fails once nobody allows anything any more.
    struct Reluctant {
        allowed: mpsc::Receiver<()>,
        written: Arc<Mutex<Vec<String>>>,
    }

    impl Write for Reluctant {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.allowed.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            self.written.lock().push(String::from_utf8_lossy(line).into_owned());
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// P10: nobody waits for a reader that reads nothing; what is queued is bounded, the rest is counted; what could be written was, in
    /// order; and a reader that goes away costs lines, and nothing else.
    #[test]
    fn who_logs_never_waits_and_what_is_lost_is_counted() {
        let (allow, allowed) = mpsc::channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let mut writer =
            LogWriter::start(Reluctant { allowed, written: Arc::clone(&written) }).expect("a thread");
        let before = lines_lost();
        let lines = 3 * LINES_MAX;
        for number in 0..lines {
            writer.write_all(format!("{number}\n").as_bytes()).expect("it never fails");
        }
        assert!(!writer.flush(Duration::ZERO), "nothing was read");
        let lost = lines_lost() - before;
        assert!((LINES_MAX as u64..=2 * LINES_MAX as u64).contains(&lost), "{lost} of {lines}");
        for _ in 0..10 {
            allow.send(()).expect("it reads");
        }
        drop(allow);
        assert!(writer.flush(Duration::from_mins(1)), "whoever cannot write goes on");
        let expected: Vec<String> = (0..10).map(|number| format!("{number}\n")).collect();
        assert_eq!(*written.lock(), expected);
        assert_eq!(lines_lost() - before, lines as u64 - 10);
    }
}
