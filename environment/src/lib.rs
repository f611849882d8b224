//! The world: prompts, transcripts, rewards, corpus; deterministic.
