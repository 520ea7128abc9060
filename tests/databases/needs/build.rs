//! Looks for the database servers when the tests are compiled: only then can a test be marked as ignored. It installs nothing and starts nothing.
//!
//! It looks again as soon as something may have come or gone: a server that was found, or any folder where one might come to be.

#[path = "../src/found.rs"]
mod found;

use std::env;
use std::path::Path;

/// What says whether the tests need their databases: `required`, or unset.
const VARIABLE: &str = "INVENTORY_TEST_DATABASES";

fn main() {
    println!("cargo::rustc-check-cfg=cfg(no_postgres, no_redis)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../src/found.rs");
    let looked_for =
        [("no_postgres", found::initdb(), "postgresql"), ("no_redis", found::redis(), "redis-server")];
    let mut missing = Vec::new();
    for (missed, found, package) in looked_for {
        if let Some(program) = found {
            println!("cargo::rerun-if-changed={}", program.display());
        } else {
            println!("cargo::rustc-cfg={missed}");
            missing.push(package);
        }
    }
    if missing.is_empty() {
        return;
    }
    // A path that is not there would count as changed each time: so only folders that are.
    println!("cargo::rerun-if-env-changed=PATH");
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    let path = env::var_os("PATH").unwrap_or_default();
    let versions = Path::new(found::VERSIONS).to_owned();
    for folder in env::split_paths(&path).chain([versions]).filter(|folder| folder.is_dir()) {
        println!("cargo::rerun-if-changed={}", folder.display());
    }
    let missing = missing.join(" ");
    match env::var(VARIABLE).unwrap_or_default().as_str() {
        "" => {}
        "required" => {
            println!("cargo::error=tests need what is not here: `apt-get install {missing}` brings it");
        }
        // A demand that is misspelt must not pass for none.
        other => println!("cargo::error={VARIABLE} is `{other}`: it may be `required`, or unset"),
    }
}
