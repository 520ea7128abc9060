//! A server program for the tests of `compare`: the fake service behind the command line of the real one.

use std::io::Write;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[path = "../tests/e2e/fake.rs"]
#[expect(dead_code, reason = "the tests use the other faults")]
mod fake;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |wanted: &str| arguments.iter().any(|argument| argument == wanted);
    let mut out = std::io::stdout();
    if has("strategies") {
        let list = r#"[{"name":"honest","correct":true},{"name":"racy","correct":false},{"name":"tame","correct":false}]"#;
        return writeln!(out, "{list}");
    }
    if has("broken") {
        return Err(std::io::Error::other("this strategy is broken"));
    }
    let fault = if has("racy") { fake::Fault::LostUpdate } else { fake::Fault::None };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(out, "http://{}", listener.local_addr()?)?;
    out.flush()?;
    let mut terminate = signal(SignalKind::terminate())?;
    let shutdown = async move {
        terminate.recv().await;
    };
    axum::serve(listener, fake::router(fault)).with_graceful_shutdown(shutdown).await
}
