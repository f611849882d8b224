//! Arithmetic whose bits do not depend on the machine.
//!
//! Three rules make every number reproducible, and everything above this module is built from
//! them only:
//!
//! 1. a matrix product element is the left fold of `fma(a[k], b[k], acc)` over ascending `k`
//!    (`gemm`, and `panels` for activations);
//! 2. a reduction adds 16 strided lanes and then a fixed tree (`reduce`);
//! 3. exp, log, sin and cos are polynomials of IEEE operations written here ([`elementary`]).
//!
//! [`cpu`] chooses among three instruction sets that all obey them.

pub mod cpu;
pub use engine_trace::elementary;
pub(crate) mod elementwise;
pub(crate) mod gemm;
mod lines;
pub(crate) mod panels;
pub(crate) mod parallel;
mod pool;
pub(crate) mod reduce;
pub(crate) mod threads;
pub(crate) mod tile;
mod transpose;

pub use gemm::MatrixProduct;
