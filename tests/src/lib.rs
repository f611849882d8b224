//! Whole-system tests: scenarios, adversaries, tidy.
