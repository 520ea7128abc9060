//! The machine that figures were taken on, so that nobody compares those of two.

use std::fmt;
use std::fs;

use serde::{Deserialize, Serialize};

/// Where a measurement ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor, as it calls itself.
    pub processor: String,
    /// Cores this process may use.
    pub cores: usize,
    /// What tells it from others of its kind, derived from `/etc/machine-id` and not to be turned back; absent where there is none.
    #[serde(default)]
    pub id: Option<String>,
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
            id: fs::read_to_string("/etc/machine-id").ok().as_deref().and_then(hidden),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            load_average: load.and_then(|load| load.split(' ').next()?.parse().ok()),
        }
    }
}

impl Machine {
    /// Whether figures of the two may be compared. Where one does not know its id, kind and size have to do.
    pub fn is_same(&self, other: &Self) -> bool {
        let ids = self.id.as_ref().zip(other.id.as_ref());
        self.processor == other.processor
            && self.cores == other.cores
            && ids.is_none_or(|(own, other)| own == other)
    }
}

/// The id of a machine is to be kept from others (machine-id(5)): what is told is a hash under a name of our own.
fn hidden(id: &str) -> Option<String> {
    let id = id.trim();
    (!id.is_empty()).then(|| {
        let derived = blake3::derive_key("inventory loadtest 2026 machine id", id.as_bytes());
        blake3::Hash::from_bytes(derived).to_hex()[..16].to_owned()
    })
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
    fn machines_are_told_apart_without_telling_which_they_are() {
        let machine = |cores, id: Option<&str>| Machine {
            processor: "Some CPU".to_owned(),
            cores,
            id: id.and_then(hidden),
            load_average: None,
        };
        assert!(machine(2, Some("a\n")).is_same(&machine(2, Some("a"))));
        assert!(!machine(2, Some("a")).is_same(&machine(2, Some("b"))));
        assert!(machine(2, Some("a")).is_same(&machine(2, None)) && machine(2, Some("")).id.is_none());
        assert!(!machine(2, None).is_same(&machine(4, None)));
        assert!(!hidden("0123456789abcdef").unwrap().contains("0123"));
    }

    #[test]
    fn the_processor_is_read_where_it_is_told() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Some  CPU @ 2.50GHz\nmodel name\t: another\n";
        assert_eq!(processor(cpuinfo).as_deref(), Some("Some CPU @ 2.50GHz"));
        assert_eq!(processor("processor : 0"), None);
        assert!(Machine::here().cores > 0);
    }
}
