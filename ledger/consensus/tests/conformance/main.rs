//! One suite for every engine: the same application, the same promises.
#![allow(clippy::unwrap_used, reason = "tests")]

mod ledger;
mod solo;
#[cfg(feature = "stock")]
mod stock;
