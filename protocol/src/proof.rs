//! Proofs: checkable evidence about computation. Spec: 03-proof.

pub mod toploc;
