//! Nouns: wire types, codec, keys, hashes, amounts, proofs.
