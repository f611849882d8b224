//! The kernels' source and the PTX beside it belong together.
//!
//! `kernels.lock` names both by hash, so that a change of one without the other fails everywhere,
//! without any tool. Where clang-14 is installed, the PTX is made once more from the source and
//! must have the same bytes. After a change of the source:
//!
//! ```text
//! UPDATE_PTX=1 cargo test -p engine --test cuda_ptx
//! ```
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// PTX for Turing and later; every operation as it is written.
const FLAGS: &[&str] = &[
    "-x",
    "cuda",
    "--cuda-device-only",
    "--cuda-gpu-arch=sm_75",
    "-nocudainc",
    "-nocudalib",
    "-std=c++17",
    "-O3",
    "-ffp-contract=off",
    "-Wall",
    "-Werror",
    "-S",
];
const COMPILER: &str = "clang-14";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cuda/kernels")
}

fn ptx() -> String {
    fs::read_to_string(folder().join("kernels.ptx")).unwrap()
}

/// The lines of the lock: hashes of the sources, names and contents, and of the PTX.
fn lock() -> String {
    let mut sources: Vec<PathBuf> = folder()
        .read_dir()
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|end| end == "cu" || end == "cuh")
        })
        .collect();
    sources.sort();
    let mut hasher = blake3::Hasher::new();
    for path in &sources {
        let text = fs::read(path).unwrap();
        hasher.update(path.file_name().unwrap().as_encoded_bytes());
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(&text);
    }
    let ptx = blake3::hash(ptx().as_bytes());
    format!("sources {}\nptx {ptx}\n", hasher.finalize())
}

/// Compiles the source; `None` without the compiler.
fn emit() -> Option<String> {
    let version = Command::new(COMPILER).arg("--version").output().ok()?;
    assert!(version.status.success());
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("kernels.ptx");
    let output = Command::new(COMPILER)
        .args(FLAGS)
        .arg("-o")
        .arg(&file)
        .arg("kernels.cu")
        .current_dir(folder())
        .output()
        .unwrap();
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{messages}");
    Some(fs::read_to_string(file).unwrap())
}

#[test]
fn the_source_gives_the_ptx_beside_it() {
    let update = std::env::var_os("UPDATE_PTX").is_some();
    match emit() {
        Some(emitted) if update => {
            fs::write(folder().join("kernels.ptx"), emitted).unwrap();
            fs::write(folder().join("kernels.lock"), lock()).unwrap();
        }
        Some(emitted) => assert!(emitted == ptx(), "kernels.ptx is not what kernels.cu gives"),
        None if update => panic!("{COMPILER} is not installed"),
        None => eprintln!("skipped: {COMPILER} is not installed"),
    }
    let locked = fs::read_to_string(folder().join("kernels.lock")).unwrap();
    assert_eq!(
        lock(),
        locked,
        "source and PTX are not those of kernels.lock"
    );
}

#[test]
fn the_ptx_rounds_every_operation_and_flushes_nothing() {
    let ptx = ptx();
    for line in ptx.lines() {
        let Some(operation) = line.split_whitespace().next() else {
            continue;
        };
        let parts: Vec<&str> = operation.split('.').collect();
        let float = parts.iter().any(|part| matches!(*part, "f32" | "f64"));
        let rounds = matches!(
            parts[0],
            "add" | "sub" | "mul" | "fma" | "div" | "sqrt" | "mad"
        );
        assert!(!(float && rounds) || parts[1] == "rn", "{line}");
        assert!(
            !parts.contains(&"ftz") && !parts.contains(&"approx"),
            "{line}"
        );
        assert!(!(float && matches!(parts[0], "atom" | "red")), "{line}");
        assert!(
            !matches!(parts[0], "ex2" | "lg2" | "sin" | "cos" | "rsqrt"),
            "{line}"
        );
    }
    // Nothing was asked of a library of anyone's.
    assert!(!ptx.contains("__nv_") && !ptx.contains(".extern"));
    assert!(ptx.contains(".target sm_75"));
}
