//! What is deployed, and what is promised of it, can be relied on: units, manifests and configurations are read by what will read them, name
//! nothing that is not there, and SECURITY.md names tests that are.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::support::checker::{KUBECTL, NGINX, SYSTEMD_ANALYZE};

const UNIT: &str = include_str!("../../deploy/systemd/inventory.service");
const SECURITY: &str = include_str!("../../SECURITY.md");
const COMPOSE: &str = include_str!("../../docker-compose.yml");
const BALANCER: &str = include_str!("../../deploy/nginx-replicas.conf");

/// systemd has nothing to say against the unit, and would against one that is wrong.
#[test]
fn systemd_takes_the_unit() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("inventory.service");
    let path = path.to_str().expect("a path");
    let verify = |unit: &str| {
        fs::write(path, unit.replace("/usr/local/bin/inventory", env!("CARGO_BIN_EXE_inventory")))
            .expect("a file");
        SYSTEMD_ANALYZE.complaints(&["verify", path], "")
    };
    let Some(said) = verify(UNIT) else { return };
    assert!(!said.contains("inventory.service"), "{said}");
    let wrong =
        verify(&UNIT.replace("ProtectSystem=strict", "ProtectSystem=sometimes")).expect("it was here");
    assert!(wrong.contains("protect system"), "it does look: {wrong}");
}

/// The manifests are put together as they are applied, and the selectors, which are written nowhere else, are in them.
#[test]
fn the_manifests_are_put_together() {
    let Some(cluster) = KUBECTL.output(&["kustomize", "deploy/kubernetes"]) else { return };
    for kind in ["StatefulSet", "Service", "PodDisruptionBudget", "NetworkPolicy"] {
        assert!(cluster.contains(&format!("kind: {kind}\n")), "{kind}");
    }
    for empty in ["matchLabels: {}", "  selector: {}", "spec:\n  podSelector: {}"] {
        assert!(!cluster.contains(empty), "an empty selector selects everything: {cluster}");
    }
    let monitoring = KUBECTL.output(&["kustomize", "deploy/kubernetes/monitoring"]).expect("it was here");
    assert!(monitoring.contains("kind: ServiceMonitor\n"));
}

/// nginx has nothing to say against what stands before the replicas, and would against what is wrong. Their names are known where they run alone,
/// so here they are addresses.
#[test]
fn nginx_takes_what_stands_before_the_replicas() {
    let folder = TempDir::new().expect("a folder");
    let place = format!("{}/", folder.path().display());
    let path = folder.path().join("nginx.conf");
    let path = path.to_str().expect("a path");
    let verify = |configuration: &str| {
        let here = configuration.replace("/tmp/", &place).replace("server replica-", "server 127.0.0.");
        fs::write(path, here).expect("a file");
        NGINX.complaints(&["-t", "-c", path, "-e", "stderr"], "")
    };
    let Some(said) = verify(BALANCER) else { return };
    assert!(said.contains("test is successful"), "{said}");
    let wrong = verify(&BALANCER.replace("split_clients ", "spill_clients ")).expect("it was here");
    assert!(wrong.contains("unknown directive \"spill_clients\""), "it does look: {wrong}");
}

/// Whoever nginx sends requests to is a service of docker-compose.yml.
#[test]
fn whoever_is_balanced_is_there() {
    let named = BALANCER.lines().filter_map(|line| line.trim().strip_prefix("server ")?.split_once(':'));
    let replicas: Vec<&str> = named.map(|(name, _)| name).collect();
    assert!(replicas.len() > 1, "{replicas:?}");
    for replica in replicas {
        assert!(COMPOSE.contains(&format!("\n  {replica}:\n")), "{replica}");
    }
}

/// Whatever docker-compose.yml mounts of this project is there: of what is not, docker makes an empty folder.
#[test]
fn what_is_mounted_is_there() {
    let mounts = COMPOSE.lines().filter_map(|line| line.trim().strip_prefix("- ./")?.split_once(':'));
    let mut mounted = 0;
    for (path, _) in mounts {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists(), "{path}");
        mounted += 1;
    }
    assert!(mounted > 4, "{mounted}");
}

/// Whatever a unit, a manifest or docker-compose.yml sets, the service knows.
#[test]
fn no_variable_is_set_that_nobody_reads() {
    let help = super::cli::printed(&["serve", "--help"]);
    let mut named = 0;
    for file in files("deploy").chain([Path::new(env!("CARGO_MANIFEST_DIR")).join("docker-compose.yml")]) {
        let text = fs::read_to_string(&file).expect("a text");
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        for variable in words.filter(|word| word.starts_with("INVENTORY_")) {
            // How many cores compose gives a container.
            if variable != "INVENTORY_CPUS" {
                assert!(help.contains(&format!("[env: {variable}=")), "{variable}, in {}", file.display());
                named += 1;
            }
        }
    }
    assert!(named > 10, "{named}");
}

/// Each test that SECURITY.md names as proof is there.
#[test]
fn what_is_defended_is_tested() {
    let rows =
        SECURITY.lines().filter(|line| line.starts_with("| ")).skip_while(|line| !line.contains("| test |"));
    let sources: String =
        ["tests", "src", "fuzz/decoders"].into_iter().flat_map(files).map(|file| source(&file)).collect();
    let mut attacks = 0;
    for row in rows.skip(2) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let tests: Vec<&str> = cells.last().expect("cells").split('`').skip(1).step_by(2).collect();
        assert!(cells.len() == 3 && !tests.is_empty(), "{row}");
        for test in tests {
            assert!(sources.contains(&format!("fn {test}(")), "there is no test {test}: {row}");
        }
        attacks += 1;
    }
    assert!(attacks > 20, "{attacks}");
}

fn source(file: &Path) -> String {
    let is_source = file.extension().is_some_and(|extension| extension == "rs");
    if is_source { fs::read_to_string(file).expect("a source") } else { String::new() }
}

/// All files in that folder of the project.
fn files(folder: &str) -> impl Iterator<Item = std::path::PathBuf> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.into_iter()
}
