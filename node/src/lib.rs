//! Wires: the cairn binary.
