//! Which crate may use which: read from `cargo metadata`, compared with the picture.

use crate::{fault::Fault, tree::Tree};
use serde_json::Value;
use std::process::Command;

/// A crate and all of ours that it may name, in the order of ARCHITECTURE.md.
const ARROWS: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("governance", &["protocol"]),
    ("ledger-tree", &["protocol"]),
    (
        "ledger-state",
        &[
            "protocol",
            "governance",
            "ledger-tree",
            "engine-trace",
            "environment",
        ],
    ),
    ("ledger-store", &["protocol", "ledger-state"]),
    ("ledger-consensus", &["protocol"]),
    (
        "light-client",
        &["protocol", "ledger-tree", "ledger-consensus"],
    ),
    (
        "ledger-evidence",
        &[
            "protocol",
            "governance",
            "ledger-tree",
            "ledger-state",
            "light-client",
        ],
    ),
    ("network", &["protocol"]),
    ("engine-trace", &[]),
    ("engine", &["engine-trace"]),
    ("engine-bench", &["engine"]),
    ("engine-worker", &["engine"]),
    ("environment", &[]),
    ("miner", &["protocol", "engine", "environment"]),
    ("verifier", &["protocol", "engine", "environment", "miner"]),
    (
        "adversaries",
        &[
            "protocol",
            "governance",
            "ledger-state",
            "engine",
            "engine-worker",
            "environment",
            "miner",
            "verifier",
        ],
    ),
    ("explorer", &[]),
    (
        "node",
        &[
            "protocol",
            "governance",
            "ledger-state",
            "ledger-store",
            "ledger-tree",
            "ledger-consensus",
            "light-client",
            "ledger-evidence",
            "network",
            "engine",
            "engine-trace",
            "engine-worker",
            "environment",
            "miner",
            "verifier",
            "adversaries",
            "explorer",
        ],
    ),
    (
        "ledger-bench",
        &[
            "protocol",
            "governance",
            "ledger-state",
            "ledger-store",
            "ledger-tree",
            "ledger-consensus",
        ],
    ),
    (
        "tests-decoders",
        &[
            "protocol",
            "governance",
            "ledger-tree",
            "ledger-state",
            "ledger-consensus",
            "light-client",
            "ledger-evidence",
            "network",
            "engine",
            "engine-trace",
        ],
    ),
    ("tests-links", &[]),
    (
        "tests-sim",
        &[
            "protocol",
            "governance",
            "ledger-consensus",
            "ledger-state",
            "ledger-store",
            "network",
            "node",
        ],
    ),
    (
        "tests-torture",
        &[
            "protocol",
            "ledger-consensus",
            "ledger-state",
            "ledger-store",
            "node",
        ],
    ),
    (
        "tests",
        &[
            "protocol",
            "governance",
            "ledger-state",
            "ledger-store",
            "ledger-consensus",
            "network",
            "engine",
            "environment",
            "miner",
            "verifier",
            "adversaries",
            "explorer",
            "node",
        ],
    ),
];

/// Part of a foreign package's name, and the only crates of ours that may name such packages.
const SEAMS: &[(&str, &[&str])] = &[
    ("malachite", &["ledger-consensus"]),
    ("libp2p", &["ledger-consensus", "network"]),
    ("sled", &["ledger-store"]),
    ("redb", &["ledger-store"]),
];

/// Arrows that the picture does not have, and libraries named outside their seam.
pub(crate) fn faults(tree: &Tree) -> Vec<Fault> {
    let metadata = metadata(tree);
    let packages = metadata["packages"].as_array().unwrap();
    let ours: Vec<&str> = packages
        .iter()
        .map(|package| text(&package["name"]))
        .collect();
    let mut faults = Vec::new();
    for package in packages {
        let name = text(&package["name"]);
        let root = format!("{}/", tree.root.display());
        let manifest = text(&package["manifest_path"]).trim_start_matches(&root);
        let Some((_, allowed)) = ARROWS.iter().find(|(arrow, _)| *arrow == name) else {
            let rule = format!("crate {name} has no arrows in tests/tidy/arrows.rs");
            faults.push(Fault::of(manifest, rule));
            continue;
        };
        for dependency in package["dependencies"].as_array().unwrap() {
            let needed = text(&dependency["name"]);
            let line = line_naming(tree, manifest, needed, &dependency["rename"]);
            if ours.contains(&needed) && !allowed.contains(&needed) {
                let rule = format!("{name} may not use {needed}; the arrows allow {allowed:?}");
                faults.push(Fault::at(manifest, line, rule));
            }
            for (foreign, owners) in SEAMS {
                if needed.contains(foreign) && !owners.contains(&name) {
                    let rule = format!("{name} may not name {needed}; only {owners:?} may");
                    faults.push(Fault::at(manifest, line, rule));
                }
            }
        }
    }
    faults
}

/// The workspace's own packages, without the network.
fn metadata(tree: &Tree) -> Value {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .current_dir(&tree.root)
        .output()
        .expect("cargo metadata runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata failed: {stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// The manifest's line that names the dependency, by its own name or its renamed one.
fn line_naming(tree: &Tree, manifest: &str, needed: &str, rename: &Value) -> usize {
    let key = rename.as_str().unwrap_or(needed);
    tree.file(manifest)
        .and_then(|file| file.lines().find(|(_, line)| line.starts_with(key)))
        .map_or(1, |(line, _)| line)
}
