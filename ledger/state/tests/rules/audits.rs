//! Audits: one auditor first, everyone if it rejects or is silent, and what follows.

mod everyone;
mod one;
mod rates;
mod secrecy;
