//! The strategies that are wrong on purpose are in no build that anybody serves stock with.

use std::fs;
use std::path::Path;
use std::process::Command;

/// What cargo would build of the service for a release of the whole workspace: with its default features, without `mutants`.
/// Tests have them, through the development dependency of `loadtest`, which is why it has to be asked.
#[test]
fn no_release_has_the_mutants() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tree = |edges: &str| {
        let mut tree = Command::new(env!("CARGO"));
        tree.args(["tree", "--workspace", "--locked", "--offline", "--edges", edges, "--format", "{p} {f}"]);
        let output = tree.current_dir(root).output().expect("cargo runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let has = |tree: &str| {
        let services = tree.lines().filter(|line| line.contains("inventory v"));
        services.map(|line| line.contains("mutants")).reduce(|a, b| a || b).expect("the service is in it")
    };
    assert!(!has(&tree("no-dev")), "a release has the mutants:\n{}", tree("no-dev"));
    assert!(has(&tree("all")), "the tests have them, or they test nothing");
    for file in ["Dockerfile", "docker-compose.yml", "justfile", ".github/workflows/release.yml"] {
        let text = fs::read_to_string(root.join(file)).expect("UTF-8");
        let builds = text.lines().filter(|line| line.contains("cargo build"));
        // The one that is meant.
        let features = builds.map(|line| line.replace("--features inventory/otlp", ""));
        assert_eq!(features.filter(|line| line.contains("features")).count(), 0, "{file}");
    }
}

#[cfg(feature = "mutants")]
mod double_replay {
    //! The one mutant whose bug is not in its strategy, over the wire.

    use axum::http::Method;
    use inventory::strategy::StrategyKind;
    use inventory::strategy::mutants::Mutant;
    use serde_json::json;

    use crate::support::app::TestApp;

    /// P8 is broken: the second answer is the first, and marked as a replay, but the units are taken twice.
    #[tokio::test]
    async fn a_replay_is_told_as_one_and_carried_out_again() {
        for (kind, taken) in [(StrategyKind::Mutant(Mutant::DoubleReplay), 2), (StrategyKind::Mutex, 1)] {
            let app = TestApp::with(kind).ephemeral().start().await;
            app.create("wool", 5).await;
            let ask = async || {
                let call = app.call(Method::POST, "/v1/stock/wool/adjust");
                call.header("Idempotency-Key", "once").json(&json!({ "delta": -1 })).send().await
            };
            let (first, again) = (ask().await, ask().await);
            assert_eq!((again.status, again.text()), (200, first.text()));
            assert_eq!(again.header("idempotent-replayed"), "true");
            assert_eq!(app.level("wool").await, (5 - taken, 1 + taken));
        }
    }
}
