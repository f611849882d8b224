//! Every history of a small world: what can happen to two proposals that want the same, and to the
//! hand-over, in any order. The states are those of the rules themselves; nothing is modelled twice
//! but what is asserted. `cargo test -p governance model -- --nocapture` tells how many there are.

mod handover;
mod lifecycle;
