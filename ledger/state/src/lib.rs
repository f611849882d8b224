//! Rules: the pure state machine.
