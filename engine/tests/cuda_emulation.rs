//! The kernels' source, run on the host, against the formulas of spec/arithmetic.md and against
//! the CPU engine: equal bits.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "emulator/driver.rs"]
mod emulator;

#[path = "cuda_emulation/device.rs"]
mod device;
#[path = "cuda_emulation/models.rs"]
mod models;
#[path = "cuda_emulation/product.rs"]
mod product;
#[path = "cuda_emulation/values.rs"]
mod values;
#[path = "cuda_emulation/whole.rs"]
mod whole;
