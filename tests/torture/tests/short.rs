//! A short run of each torture, with both databases; the long ones are run by hand
//! (BENCHMARKS.md, "The store under fire").
#![allow(clippy::unwrap_used, reason = "tests")]

use std::process::Command;

#[track_caller]
fn endures(arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_torture"))
        .args(arguments)
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{arguments:?}: {out}\n{err}");
}

#[test]
fn no_kill_loses_a_block() {
    endures(&["kills", "--count", "12", "--fresh-every", "6"]);
    endures(&[
        "kills",
        "--count",
        "12",
        "--fresh-every",
        "4",
        "--store",
        "redb",
    ]);
}

#[test]
fn no_full_disk_and_no_damage_loses_a_block_in_silence() {
    endures(&["faults", "--count", "8"]);
}
