//! The machine that figures were taken on, so that nobody compares those of two.

use std::fmt;
use std::fs;

use serde::Serialize;

/// Where a measurement ran.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Machine {
    /// The processor, as it calls itself.
    pub processor: String,
    /// Cores this process may use.
    pub cores: usize,
    /// Processes that were running or waiting to, over the last minute before the start: how quiet it was.
    pub load_average: Option<f64>,
}

impl Machine {
    /// This machine, now. What it does not tell is left open.
    pub fn here() -> Self {
        let load = fs::read_to_string("/proc/loadavg").ok();
        Self {
            processor: fs::read_to_string("/proc/cpuinfo")
                .ok()
                .as_deref()
                .and_then(processor)
                .unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            load_average: load.and_then(|load| load.split(' ').next()?.parse().ok()),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.processor.is_empty() { "processor not told" } else { &self.processor };
        write!(f, "{name}, {} cores", self.cores)?;
        self.load_average.map_or(Ok(()), |load| write!(f, ", load average {load:.1} before the start"))
    }
}

fn processor(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_read_where_it_is_told() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Some  CPU @ 2.50GHz\nmodel name\t: another\n";
        assert_eq!(processor(cpuinfo).as_deref(), Some("Some CPU @ 2.50GHz"));
        assert_eq!(processor("processor : 0"), None);
        assert!(Machine::here().cores > 0);
    }
}
