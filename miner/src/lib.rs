//! Does: executes units of work.
