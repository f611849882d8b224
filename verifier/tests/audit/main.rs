//! Audits seen from outside: honest work passes with zeros, every cheat is caught by the check
//! that is meant for it, and hostile bytes are judged like any others.
#![allow(clippy::unwrap_used, reason = "tests")]

mod checkpoints;
mod feedback;
mod gradients;
mod hostile;
mod rollouts;
mod scene;
mod tolerant;
mod traces;
