//! Blocks, as a proposer or a peer that catches up brings them.

use crate::{Decoder, vectors};
use protocol::block::Block;

pub(crate) const DECODER: Decoder = Decoder {
    name: "block",
    run,
    seeds: || vectors::bytes("block"),
};

fn run(bytes: &[u8]) {
    let Ok(block) = Block::decode(bytes) else {
        return;
    };
    assert_eq!(block.encode(), bytes);
    let (id, chain) = (block.header.id(), block.header.chain);
    if let Ok(verified) = block.verify(chain) {
        assert_eq!(verified.id(), id);
        assert_eq!(verified.to_block().unwrap().encode(), bytes);
    }
}
