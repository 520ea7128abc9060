//! `loadtest calibrate`

use serde::Serialize;

use super::{command_line, fail};
use crate::calibrate::{self, Ceiling, SHARE_MAX};
use crate::cli::CalibrateArgs;
use crate::exit::Exit;
use crate::interrupt::Stop;
use crate::measure::machine::Machine;
use crate::output;
use crate::report::VERSION;
use crate::report::document::{Better, Document};

/// The report; its members are the JSON.
#[derive(Debug, Serialize)]
struct Report {
    format: &'static str,
    loadtest_version: &'static str,
    command: String,
    machine: Machine,
    client: String,
    concurrency: u32,
    ceiling: Ceiling,
    exit_code: u8,
}

/// Measures what the generator can do, and tells it.
pub(super) async fn calibrate(args: CalibrateArgs, stop: &Stop) -> Exit {
    let machine = Machine::here();
    let ceiling = match calibrate::ceiling(args.client, false, args.concurrency, args.duration, stop).await {
        Ok(ceiling) => ceiling,
        Err(error) => return fail(error),
    };
    let exit = if stop.requested() { Exit::Interrupted } else { Exit::Ok };
    let report = Report {
        format: "loadtest-calibrate/1",
        loadtest_version: VERSION,
        command: command_line(),
        machine,
        client: args.client.to_string(),
        concurrency: args.concurrency,
        ceiling,
        exit_code: exit.code(),
    };
    match output::publish(args.out.as_ref(), &report.document(), &report) {
        Ok(()) => exit,
        Err(error) => fail(error),
    }
}

impl Report {
    fn document(&self) -> Document {
        let Ceiling { requests_per_s, cpu_us_per_request } = self.ceiling;
        let cpu = cpu_us_per_request.map(|cpu| format!(", {cpu:.1} us of CPU time each")).unwrap_or_default();
        let mut document = Document::new("What the generator can do");
        document.line(format!(
            "Ceiling: {requests_per_s:.0} requests a second ({}, {} connections){cpu}",
            self.client, self.concurrency
        ));
        document.line(format!("Machine: {}", self.machine));
        document.line(format!(
            "Up to {:.0} a second a run measures the server; past that, itself as well. `run` measures this by itself, or takes \
             it: --ceiling {requests_per_s:.0}",
            requests_per_s * SHARE_MAX
        ));
        document.figure("ceiling", "1/s", requests_per_s, Better::Higher);
        if let Some(cpu) = cpu_us_per_request {
            document.figure("CPU a request", "us", cpu, Better::Lower);
        }
        document
    }
}
