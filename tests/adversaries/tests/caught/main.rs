//! Every adversary before the production verifier: which check finds it.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../../../../verifier/tests/audit/scene.rs"]
#[allow(dead_code, reason = "the verifier's own tests use the rest")]
mod scene;

mod auditors;
mod gradients;
mod names;
mod rollouts;
