//! An earlier run as the baseline: its rounds are the other side of every comparison, which are not paired then.
//!
//! What was otherwise different between the two runs is in every ratio, and no test can take it out again. So whatever is known
//! to be different is a reason to refuse.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::contender::{Role, then};
use super::judge::Sample;
use super::report::{Circumstances, FORMAT};
use super::server::Storage;
use crate::measure::machine::Machine;
use crate::report::run::WorkloadReport;

/// What decides a workload, beside its seed, by its names in `workload`.
const WORKLOAD: [&str; 8] =
    ["skus", "keys", "mix", "opening_stock", "concurrency", "warmup_ms", "duration_ms", "requests"];

/// Why a file is no baseline.
#[derive(Debug, thiserror::Error)]
pub enum EarlierError {
    /// It cannot be read.
    #[error("{path} cannot be read: {source}")]
    Unreadable {
        /// Which file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no report of a comparison.
    #[error("{path} is no report of `loadtest compare --out json=FILE` in the format {FORMAT}: {problem}")]
    NoReport {
        /// Which file.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// It has nothing to compare with.
    #[error("{path} has no rounds of {wanted}; it has {there}")]
    NothingThere {
        /// Which file.
        path: String,
        /// What is asked for.
        wanted: String,
        /// What there is.
        there: String,
    },
    /// It was made under other circumstances.
    #[error(
        "{path} was made under other circumstances, so its figures say nothing about these: {differences}; --force to compare all the same"
    )]
    Different {
        /// Which file.
        path: String,
        /// What differs.
        differences: String,
    },
}

/// As much of an earlier report as is needed.
#[derive(Debug, Deserialize)]
pub struct Earlier {
    #[serde(skip)]
    path: PathBuf,
    command: String,
    machine: Machine,
    storage: Storage,
    data_filesystem: Option<String>,
    server_arguments: Vec<String>,
    workload: BTreeMap<String, Value>,
    rate: Option<EarlierRate>,
    turns: Vec<EarlierTurn>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct EarlierRate {
    per_s: f64,
}

#[derive(Debug, Deserialize)]
struct EarlierTurn {
    contender: String,
    role: Role,
    round: u32,
    throughput_per_s: f64,
    cpu_us_per_request: Option<f64>,
    paced: Option<EarlierPaced>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct EarlierPaced {
    latency: EarlierLatency,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct EarlierLatency {
    p50_us: f64,
    p99_us: f64,
}

/// The earlier run, in a report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BaselineFile {
    /// The file.
    pub path: String,
    /// The command line that made it.
    pub command: String,
    /// What is known to have been different, and was let pass with `--force`.
    pub differences: Vec<String>,
}

impl Earlier {
    /// Reads a report.
    pub fn read(path: &Path) -> Result<Self, EarlierError> {
        let name = path.display().to_string();
        let no_report = |problem: String| EarlierError::NoReport { path: name.clone(), problem };
        let text =
            std::fs::read(path).map_err(|source| EarlierError::Unreadable { path: name.clone(), source })?;
        let value: Value = serde_json::from_slice(&text).map_err(|error| no_report(error.to_string()))?;
        let format = value.get("format").and_then(Value::as_str).unwrap_or("none");
        if format != FORMAT {
            return Err(no_report(format!("its format is {format}")));
        }
        let earlier: Self = serde_json::from_value(value).map_err(|error| no_report(error.to_string()))?;
        Ok(Self { path: path.to_owned(), ..earlier })
    }

    /// Its strategies, by name, without controls.
    pub fn strategies(&self) -> Vec<String> {
        let mut names: Vec<String> = self.own_turns().map(|turn| turn.contender.clone()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The rate at which it measured latency: it has to be the same now.
    pub fn rate_per_s(&self) -> Option<f64> {
        self.rate.map(|rate| rate.per_s)
    }

    /// The seed of its first round: with the same one, rounds have the same tapes.
    pub fn seed(&self) -> Option<u64> {
        self.workload.get("seed")?.as_u64()
    }

    /// Rounds of the strategy that has the fewest of those wanted, all of which it has.
    pub fn rounds(&self, wanted: &[String]) -> usize {
        let count = |name: &String| self.own_turns().filter(|turn| turn.contender == *name).count();
        wanted.iter().map(count).filter(|rounds| *rounds > 0).min().unwrap_or(0)
    }

    /// Makes sure that there is something to compare with.
    pub fn require(&self, wanted: &[String]) -> Result<(), EarlierError> {
        if self.rounds(wanted) > 0 {
            return Ok(());
        }
        let (path, wanted) = (self.path.display().to_string(), wanted.join(", "));
        Err(EarlierError::NothingThere { path, wanted, there: self.strategies().join(", ") })
    }

    /// Its figures, under labels of their own.
    pub fn samples(&self) -> Vec<Sample> {
        let sample = |turn: &EarlierTurn| {
            let latency = turn.paced.map(|paced| paced.latency);
            let figures = [
                turn.cpu_us_per_request,
                Some(turn.throughput_per_s),
                latency.map(|latency| latency.p50_us),
                latency.map(|latency| latency.p99_us),
            ];
            let is_figure = |value: &f64| *value > 0.0 && value.is_finite();
            Sample {
                contender: then(&turn.contender),
                round: turn.round,
                figures: figures.map(|figure| figure.filter(is_figure)),
            }
        };
        self.own_turns().map(sample).collect()
    }

    /// What is known to be different now: nothing, or a reason to refuse.
    pub fn differences(&self, now: &Circumstances, workload: &WorkloadReport) -> Vec<String> {
        let mut differences = Vec::new();
        if !self.machine.is_same(&now.machine) {
            differences.push(format!("another machine ({}; now {})", self.machine, now.machine));
        }
        let filesystem = now.data.as_ref().and_then(|(_, filesystem)| filesystem.clone());
        let mut pairs = vec![
            ("storage", json!(self.storage), json!(now.storage)),
            ("file system", json!(self.data_filesystem), json!(filesystem)),
            ("arguments of serve", json!(self.server_arguments), json!(now.server_arguments)),
            ("rate", json!(self.rate_per_s()), json!(now.rate.map(|rate| rate.per_s))),
        ];
        let workload = json!(workload);
        let of = |value: Option<&Value>| value.cloned().unwrap_or_default();
        pairs.extend(WORKLOAD.map(|name| (name, of(self.workload.get(name)), of(workload.get(name)))));
        let different = pairs.into_iter().filter(|(_, then, here)| then != here);
        differences.extend(different.map(|(what, then, here)| format!("{what} ({then} then, {here} now)")));
        differences
    }

    /// Refuses what is different, unless that is forced.
    pub fn accept(
        &self,
        now: &Circumstances,
        workload: &WorkloadReport,
        force: bool,
    ) -> Result<BaselineFile, EarlierError> {
        let differences = self.differences(now, workload);
        let path = self.path.display().to_string();
        if !force && !differences.is_empty() {
            return Err(EarlierError::Different { path, differences: differences.join("; ") });
        }
        Ok(BaselineFile { path, command: self.command.clone(), differences })
    }

    fn own_turns(&self) -> impl Iterator<Item = &EarlierTurn> {
        self.turns.iter().filter(|turn| matches!(turn.role, Role::Baseline | Role::Candidate))
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Rate;
    use super::*;

    fn workload() -> WorkloadReport {
        WorkloadReport {
            seed: 7,
            prefix: String::new(),
            skus: 5,
            keys: "uniform".to_owned(),
            mix: "adjust=1".to_owned(),
            opening_stock: 50,
            concurrency: 32,
            warmup_ms: 10,
            duration_ms: Some(300),
            requests: None,
            timeout_ms: 10_000,
            rate: None,
            arrivals: None,
            dispatch: None,
            client: "reqwest".to_owned(),
        }
    }

    fn now() -> Circumstances {
        Circumstances {
            machine: Machine {
                processor: "Some CPU".to_owned(),
                cores: 2,
                id: None,
                load_average: Some(0.5),
            },
            servers: Vec::new(),
            storage: Storage::Durable,
            data: Some(("/tmp".to_owned(), Some("ext4".to_owned()))),
            server_arguments: Vec::new(),
            rate: Some(Rate { per_s: 100.0, calibrated_per_s: None, fraction: None }),
            gate: None,
            rounds: 6,
            baseline_file: None,
        }
    }

    fn file(change: impl Fn(&mut Value)) -> Result<Earlier, EarlierError> {
        let turn = |contender: &str, role: &str, round: u32| {
            json!({"contender": contender, "role": role, "round": round, "throughput_per_s": 100.0,
                "cpu_us_per_request": null, "paced": {"latency": {"p50_us": 5.0, "p99_us": 0.0}}})
        };
        let mut report = json!({
            "format": FORMAT, "command": "loadtest compare", "machine": now().machine, "storage": "durable",
            "data_filesystem": "ext4", "server_arguments": [], "workload": workload(), "rate": {"per_s": 100.0},
            "turns": [turn("mutex", "baseline", 1), turn("atomic", "candidate", 1), turn("mutex", "baseline", 2),
                turn("mutex (A/A)", "copy", 1)],
        });
        change(&mut report);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("then.json");
        std::fs::write(&path, report.to_string()).unwrap();
        Earlier::read(&path)
    }

    #[test]
    fn rounds_of_strategies_are_taken_and_controls_are_not() {
        let earlier = file(|_| {}).unwrap();
        assert_eq!(earlier.strategies(), ["atomic", "mutex"]);
        let both = ["mutex".to_owned(), "atomic".to_owned(), "new".to_owned()];
        assert_eq!((earlier.rounds(&both), earlier.rounds(&both[..1]), earlier.seed()), (1, 2, Some(7)));
        let samples = earlier.samples();
        assert_eq!(samples.len(), 3);
        assert_eq!(samples[2].contender, "mutex (then)");
        assert_eq!(samples[2].figures, [None, Some(100.0), Some(5.0), None], "0 is no figure");
        let error = earlier.require(&["new".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("no rounds of new; it has atomic, mutex"), "{error}");
    }

    #[test]
    fn whatever_is_different_is_named_and_refused_unless_forced() {
        let refused = |change: fn(&mut Value)| {
            let earlier = file(change).unwrap();
            let forced = earlier.accept(&now(), &workload(), true).unwrap();
            let error = earlier.accept(&now(), &workload(), false).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains("--force") && error.contains(&forced.differences.join("; ")), "{error}");
            forced.differences
        };
        assert_eq!(file(|_| {}).unwrap().differences(&now(), &workload()), [""; 0]);
        assert!(refused(|report| report["machine"]["cores"] = 64.into())[0].starts_with("another machine"));
        assert_eq!(
            refused(|report| report["storage"] = "ephemeral".into()),
            [r#"storage ("ephemeral" then, "durable" now)"#]
        );
        assert_eq!(refused(|report| report["workload"]["skus"] = 9.into()), ["skus (9 then, 5 now)"]);
        assert_eq!(refused(|report| report["rate"] = Value::Null), ["rate (null then, 100.0 now)"]);
        assert_eq!(refused(|report| report["data_filesystem"] = "tmpfs".into()).len(), 1);
        // Tapes and load of the machine may differ: they are noise, not circumstances.
        let same = file(|report| {
            report["workload"]["seed"] = 8.into();
            report["machine"]["load_average"] = 9.0.into();
        });
        assert!(same.unwrap().accept(&now(), &workload(), false).is_ok());
    }

    #[test]
    fn what_is_no_report_is_told() {
        let told = |earlier: Result<Earlier, EarlierError>| earlier.map(|_| ()).unwrap_err().to_string();
        let error = told(file(|report| report["format"] = "loadtest-compare/1".into()));
        assert!(error.contains("its format is loadtest-compare/1"), "{error}");
        assert!(told(file(|report| *report = json!([]))).contains("its format is none"));
        assert!(told(Earlier::read(Path::new("/nowhere.json"))).contains("cannot be read"));
    }
}
