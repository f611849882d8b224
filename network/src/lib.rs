//! Carries: gossip, discovery and verified blob transfer over libp2p.
