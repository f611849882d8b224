//! The exact engine: the same bits on every machine.
