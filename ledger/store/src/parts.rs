//! A state that a store takes in parts.

use std::collections::BTreeSet;

/// A state of which parts are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Which state it is and how it is cut, in the words of who began.
    pub plan: Vec<u8>,
    /// The parts that are there.
    pub parts: BTreeSet<u32>,
}
