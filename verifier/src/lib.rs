//! Judges: re-executes sampled units and aggregates checkpoints.
