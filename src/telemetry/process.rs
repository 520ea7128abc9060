//! What the system says of this process, under the names that Prometheus' client libraries have for it, so that dashboards know them.
//!
//! Read from `/proc` when somebody asks, which costs a request nothing. What cannot be read, as on other systems than Linux, is left out,
//! never shown as 0.

use std::fs;

use rustix::process::{Resource, getrlimit};

use super::Exposition;
use super::exposition::Number;

/// Ticks a second in `/proc`: Linux shows its times in 1/100 s on all but two dead architectures, whatever its own clock does.
const TICKS_PER_SECOND: f64 = 100.0;

/// Appends the samples.
pub fn expose(text: &mut Exposition) {
    let stat = Stat::read();
    if let Some(seconds) = stat.as_ref().and_then(Stat::cpu_seconds) {
        let name = "process_cpu_seconds_total";
        text.counter(name, "Total user and system CPU time spent in seconds.");
        text.sample(name, &[], seconds);
    }
    if let Some(seconds) = stat.as_ref().and_then(Stat::start_time_seconds) {
        gauge(
            text,
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds.",
            seconds,
        );
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for (field, unit, name, help) in [
        ("VmRSS:", 1024, "process_resident_memory_bytes", "Resident memory size in bytes."),
        ("VmSize:", 1024, "process_virtual_memory_bytes", "Virtual memory size in bytes."),
        ("Threads:", 1, "process_threads", "Number of OS threads in the process."),
    ] {
        if let Some(value) = number_after(&status, field) {
            gauge(text, name, help, value * unit);
        }
    }
    if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
        // One is that of the folder that is being read.
        let open = descriptors.count().saturating_sub(1);
        gauge(text, "process_open_fds", "Number of open file descriptors.", open);
    }
    if let Some(max) = getrlimit(Resource::Nofile).current {
        gauge(text, "process_max_fds", "Maximum number of open file descriptors.", max);
    }
}

fn gauge(text: &mut Exposition, name: &str, help: &str, value: impl Into<Number>) {
    text.gauge(name, help);
    text.sample(name, &[], value);
}

/// The fields of `/proc/self/stat` from the third on (see `proc_pid_stat(5)`): the second is a name that may hold anything, in parentheses.
struct Stat(String);

impl Stat {
    fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let (_, fields) = stat.rsplit_once(')')?;
        Some(Self(fields.to_owned()))
    }

    /// A field by its number in the manual, as seconds.
    fn seconds(&self, number: usize) -> Option<f64> {
        let ticks: u64 = self.0.split_ascii_whitespace().nth(number.checked_sub(3)?)?.parse().ok()?;
        Some(ticks as f64 / TICKS_PER_SECOND)
    }

    fn cpu_seconds(&self) -> Option<f64> {
        Some(self.seconds(14)? + self.seconds(15)?)
    }

    /// The system says how long after its own start the process was started.
    fn start_time_seconds(&self) -> Option<f64> {
        let system = fs::read_to_string("/proc/stat").ok()?;
        Some(number_after(&system, "btime ")? as f64 + self.seconds(22)?)
    }
}

/// The number behind that word at the beginning of a line.
fn number_after(text: &str, word: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(word))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::telemetry::text::Format;

    #[test]
    fn everything_is_there_and_plausible() {
        let mut text = Exposition::default();
        expose(&mut text);
        let text = text.to_text(Format::Prometheus);
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
            line.unwrap_or_else(|| panic!("{name} is missing: {text}")).parse().expect("a number")
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs_f64();
        // The system's start is told in whole seconds.
        assert!((now - 86_400.0..=now + 1.0).contains(&value("process_start_time_seconds")), "{text}");
        assert!(value("process_cpu_seconds_total") < 86_400.0);
        assert!(value("process_resident_memory_bytes") > 100_000.0);
        assert!(value("process_virtual_memory_bytes") >= value("process_resident_memory_bytes"));
        assert!(value("process_threads") >= 2.0, "the test's and the runner's");
        assert!(value("process_open_fds") >= 1.0 && value("process_open_fds") <= value("process_max_fds"));
    }
}
