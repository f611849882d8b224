//! A block of the update that is not what the weights give: shown at once, for it is computed from
//! one piece of the weights before and one of those after.

use super::{Proof, Refused, step::Task};
use engine_trace::{
    tree::{Opening, PIECE_BYTES},
    update::{BLOCK_VALUES, SCALE_BYTES, block},
};
use protocol::gradient::Payload;

/// Whether the block that a proof is about is what the weights give.
///
/// # Errors
/// A proof that shows something else than the files that are disputed.
pub(super) fn is_right(task: &Task, proof: &Proof) -> Result<bool, Refused> {
    let length = task.parameters_count();
    let values_before = u64::from(proof.block).saturating_mul(BLOCK_VALUES as u64);
    if values_before >= length {
        return Err(Refused::Index {
            index: proof.block.into(),
            count: length.div_ceil(BLOCK_VALUES as u64),
        });
    }
    let last = task.last_weights().ok_or(Refused::Piece)?;
    let files = [(task.weights, &proof.before), (last, &proof.after)];
    let [before, after] = files.map(|(name, opening)| {
        let is_piece = opening.piece == u64::from(proof.block);
        let opens = is_piece && opening.opens(name.as_bytes(), length.saturating_mul(4));
        opens.then_some(&opening.bytes[..]).ok_or(Refused::Piece)
    });
    let computed = computed(before?, after?);
    let claimed = block_bytes(task, proof.block, before?.len(), &proof.blob)?;
    Ok(computed.is_some_and(|computed| computed == claimed))
}

/// The bytes of a block of the blob's dense update, which comes from so many bytes of a file.
///
/// # Errors
/// As [`bytes`].
pub(super) fn block_bytes(
    task: &Task,
    block: u32,
    file_bytes: usize,
    blob: &[Opening],
) -> Result<Vec<u8>, Refused> {
    let count = (file_bytes / 4).saturating_add(SCALE_BYTES) as u64;
    let start = update_byte(task)
        .saturating_add(u64::from(block).saturating_mul((BLOCK_VALUES + SCALE_BYTES) as u64));
    bytes(task, blob, start, count)
}

/// Bytes of the blob that is disputed, from pieces of it.
///
/// # Errors
/// A piece that is missing, or not of the blob.
pub(super) fn bytes(
    task: &Task,
    pieces: &[Opening],
    start: u64,
    count: u64,
) -> Result<Vec<u8>, Refused> {
    let blob = &task.commitment;
    let opens = |piece: &Opening| piece.opens(blob.blob.as_bytes(), blob.blob_bytes);
    if !pieces.iter().all(opens) {
        return Err(Refused::Piece);
    }
    let byte = |at| {
        let byte = pieces.iter().find_map(|piece| piece.bytes_at(at, 1));
        byte.and_then(|byte| byte.first())
            .copied()
            .ok_or(Refused::Piece)
    };
    (start..start.saturating_add(count)).map(byte).collect()
}

/// Bytes of the blob before the update.
pub(super) fn update_byte(task: &Task) -> u64 {
    let segments = task.segments();
    Payload::update_byte(segments.all().end, segments.count())
}

fn computed(before: &[u8], after: &[u8]) -> Option<Vec<u8>> {
    block(&engine_trace::update::difference(before, after))
}

/// A block is a piece of the weights.
const _: () = assert!(BLOCK_VALUES as u64 * 4 == PIECE_BYTES);
