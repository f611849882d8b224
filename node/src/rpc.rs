//! The HTTP interface: JSON for programs, the page for people. Localhost unless configured.

pub mod client;
pub mod curves;
pub mod fees;
pub mod governance;
pub mod metrics;
pub mod overview;
pub mod overview_build;
pub mod preview;
pub mod proofs;
pub mod query;
mod request;
pub mod server;
pub mod staking;
pub mod sync;
pub mod work;
