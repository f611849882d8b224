//! The kernels' source, run on the host, against the formulas of spec/arithmetic.md and against
//! the CPU engine: equal bits.
#![allow(clippy::unwrap_used, reason = "tests")]

use emulator::{Emulator, Order};
use engine::cuda::Gpu;

#[path = "emulator/driver.rs"]
mod emulator;

#[path = "cuda/device.rs"]
mod device;
#[path = "cuda/kernels.rs"]
mod kernels;
#[path = "cuda/models.rs"]
mod models;
#[path = "cuda/product.rs"]
mod product;
#[path = "cuda/values.rs"]
mod values;
#[path = "cuda/whole.rs"]
mod whole;

/// Both orders of threads: a forgotten barrier shows in one of them. One device has plenty of
/// memory, the other so little that every computation is cut into many.
fn gpus() -> Vec<Gpu> {
    let devices = [(Order::Upwards, 1 << 32), (Order::Downwards, 1 << 16)];
    let open = |(order, bytes)| Gpu::with_driver(Emulator::new(order, bytes));
    devices.map(open).to_vec()
}
