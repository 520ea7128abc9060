//! The program from outside: its exit codes and what it says, against a fake service with and without faults.
//!
//! Each test runs the built binary against a server on a port of its own. Runs end by a number of requests, never by
//! a clock, and nothing is asserted about time.

mod bank;
mod compare;
mod crash;
mod crash_replicas;
mod ends;
mod fake;
mod faults;
mod flash_sale;
mod hostile;
mod inproc;
mod keys;
mod replay;
mod replicas;
mod reports;
mod run;
mod selftest;
mod shop;
mod sometimes;
mod targets;
mod view;

use std::process::Output;

use fake::Fault;

/// A command of the program, with its output.
fn loadtest(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_loadtest");
    std::process::Command::new(program).args(arguments).output().expect("the program runs")
}

/// A fake service in a thread of its own, until the test ends.
fn serve(fault: Fault) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("as the runtime wants it");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            axum::serve(listener, fake::router(fault)).await
        })
    });
    format!("http://{address}")
}

/// What it printed.
fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Asserts the exit code, and shows everything if it is another one.
#[track_caller]
fn assert_exit(output: &Output, code: i32) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{}\n{errors}", stdout(output));
}
