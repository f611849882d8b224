//! The way through `cust` to the driver, against a driver that is emulated.
//!
//! A test starts itself again with the emulated `libcuda.so.1` in the library path: the program is
//! the same, and finds a GPU. All but the assembler of NVIDIA's driver is then the real thing.
#![cfg(all(feature = "cuda", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "tests")]

use engine::cuda::{self, DriverError};
use engine::trainer::pseudo_gradient;
use engine::{GenerationOptions, Sampling, generate};
use models::{batches, continuations, families, inner_options, model, threads};
use std::process::Command;

#[expect(dead_code, reason = "only the compilation is used here")]
#[path = "emulator/driver.rs"]
mod emulator;
#[expect(dead_code, reason = "models for other tests")]
#[path = "cuda/models.rs"]
mod models;
#[expect(dead_code, reason = "values for other tests")]
#[path = "cuda/values.rs"]
mod values;

const CHILD: &str = "EMULATED_DRIVER";

#[test]
fn a_program_that_finds_a_driver_computes_on_it() {
    if std::env::var_os(CHILD).is_some() {
        return on_the_emulated_driver();
    }
    let library = emulator::compile("emulated_driver.cpp");
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(library, folder.path().join("libcuda.so.1")).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_program_that_finds_a_driver_computes_on_it"])
        .env("LD_LIBRARY_PATH", folder.path())
        .env(CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
}

fn on_the_emulated_driver() {
    let gpu = cuda::open(0).unwrap();
    assert_eq!(gpu.name(), "emulated driver");
    let config = families().remove(0);
    let model = model(&config);
    let expected = pseudo_gradient(&model, batches(&config), &inner_options(), &threads()).unwrap();
    let options = GenerationOptions {
        sampling: Sampling::Gumbel { temperature: 0.7 },
        tokens_max: 10,
        eos: 3,
    };
    let requests = continuations(&config);
    let generations = generate(&model, &requests, &options, &threads()).unwrap();
    // From threads that have never met the driver.
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let found = gpu.pseudo_gradient(&model, batches(&config), &inner_options());
                assert_eq!(found.unwrap(), expected);
                let found = gpu.generate(&model, &requests, &options).unwrap();
                assert_eq!(found, generations);
            });
        }
    });
    let missing = gpu.driver().launch(cuda::Launch {
        kernel: "no such kernel",
        grid: [1, 1, 1],
        threads: 1,
        arguments: &[],
    });
    let DriverError { reason, .. } = missing.unwrap_err();
    assert_eq!(reason, "there is no kernel no such kernel");
    let absent = cuda::open(1).unwrap_err().to_string();
    assert_eq!(absent, "InvalidDevice");
}

#[test]
fn a_program_without_a_driver_says_so() {
    if std::env::var_os(CHILD).is_none() && cuda::open(0).is_err() {
        let reason = cuda::open(0).unwrap_err().to_string();
        assert_eq!(reason, "libcuda.so.1 not found");
    }
}
