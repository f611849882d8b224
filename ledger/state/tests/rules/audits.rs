//! Audits: one auditor, three, a committee, everyone; convictions, appeals, fines.

mod appeals;
mod committee;
mod endings;
mod everyone;
mod fines;
mod forfeits;
mod one;
mod panels;
mod rates;
mod secrecy;
mod slashes;
pub(crate) mod sortition;
mod three;
mod tolerant;
mod verdicts;
pub(crate) mod verifiers;
