//! A real GPU against the CPU engine: equal bits.
//!
//! Without a GPU, or without the feature `cuda`, every test says that it is skipped; with
//! `REQUIRE_GPU=1` it fails:
//!
//! ```text
//! REQUIRE_GPU=1 cargo test --release -p engine --features cuda --test cuda_gpu
//! ```
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

use engine::cuda::{self, Gpu, Unusable};
use std::sync::OnceLock;

#[path = "cuda/kernels.rs"]
mod kernels;
#[path = "cuda/large.rs"]
mod large;
#[path = "cuda/models.rs"]
mod models;
#[path = "cuda/product.rs"]
mod product;
#[path = "cuda/values.rs"]
mod values;
#[path = "cuda/whole.rs"]
mod whole;

/// The GPU of this machine, if it has one.
fn gpus() -> Vec<Gpu> {
    static GPU: OnceLock<Result<Gpu, Unusable>> = OnceLock::new();
    match GPU.get_or_init(|| cuda::open(0)) {
        Ok(gpu) => vec![gpu.clone()],
        Err(reason) if std::env::var_os("REQUIRE_GPU").is_some() => panic!("{reason}"),
        Err(reason) => {
            eprintln!("skipped: {reason}");
            Vec::new()
        }
    }
}
