//! Memory: blocks, state and blobs on disk, and an in-memory twin.
