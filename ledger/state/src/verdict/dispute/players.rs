//! How honest sides play: the miner by what it had bound, a challenger by what it computed itself.
//! The game about one step they play by [`engine_trace::dispute`]'s own players.

mod exchange;
mod norm;
mod part;

pub use exchange::Exchange;
pub use norm::Clipped;
pub use part::{Part, Rollout};

use super::{Dispute, Move, Proof, Steps, Taken};
use engine_trace::{
    tree::{Name, Opening, PIECE_BYTES, Span},
    update::{BLOCK_VALUES, SCALE_BYTES, block, difference},
};
use protocol::gradient::{Payload, State};
use std::ops::Range;

/// The miner's first move: where these inner steps of its unit led, by the states after each but
/// the last, and the pieces of its blob with their losses.
#[must_use]
pub fn steps(states: Vec<State>, inner_steps: Range<u32>, blob: &[u8]) -> Move {
    let losses = Payload::loss_byte(inner_steps.start)..Payload::loss_byte(inner_steps.end);
    Move::Steps(Steps {
        states,
        losses: pieces(blob, losses),
    })
}

/// The challenger's complaint about the steps, by what it found of each: the first that is wrong.
/// Nothing if all are right.
#[must_use]
pub fn complaint(dispute: &Dispute, own: &[Taken]) -> Option<Move> {
    let mut pairs = dispute.steps.iter().zip(own);
    let index = pairs.position(|(shown, own)| shown != own)?;
    Some(Move::Wrong(u32::try_from(index).ok()?))
}

/// The challenger's complaint about the update in a blob, which begins at this byte of it and must
/// be that of weights before and after, as their files: the first block that is wrong. Nothing if
/// all are right.
#[must_use]
pub fn update(blob: &[u8], update_byte: u64, (before, after): (&[u8], &[u8])) -> Option<Move> {
    let values = |file: &[u8], index: usize| -> Vec<u8> {
        let mut pieces = file.chunks(BLOCK_VALUES.saturating_mul(4));
        pieces.nth(index).unwrap_or_default().to_vec()
    };
    let is_wrong = |(index, (_, claimed)): &(usize, (u64, &[u8]))| {
        let values = difference(&values(before, *index), &values(after, *index));
        block(&values).as_deref() != Some(*claimed)
    };
    let mut blocks = blocks(blob, update_byte)?.enumerate();
    let (index, (start, claimed)) = blocks.find(is_wrong)?;
    let index = u32::try_from(index).ok()?;
    let byte = u64::from(index).saturating_mul(PIECE_BYTES);
    Some(Move::Update(Box::new(Proof {
        block: index,
        blob: pieces(blob, start..start.saturating_add(claimed.len() as u64)),
        before: Opening::of(before, byte),
        after: Opening::of(after, byte),
    })))
}

/// The blocks of the dense update in a blob, each with the byte at which it begins; nothing where
/// the blob is too short for an update.
pub(super) fn blocks(blob: &[u8], update_byte: u64) -> Option<impl Iterator<Item = (u64, &[u8])>> {
    let at = usize::try_from(update_byte).ok()?;
    let block_bytes = BLOCK_VALUES.saturating_add(SCALE_BYTES);
    let starts = (update_byte..).step_by(block_bytes);
    Some(starts.zip(blob.get(at..)?.chunks(block_bytes)))
}

/// The pieces of a file that hold some of its bytes.
pub(super) fn pieces(file: &[u8], bytes: Range<u64>) -> Vec<Opening> {
    let piece = |byte: u64| byte.checked_div(PIECE_BYTES).unwrap_or(0);
    (piece(bytes.start)..=piece(bytes.end.saturating_sub(1)))
        .map(|piece| Opening::of(file, piece.saturating_mul(PIECE_BYTES)))
        .collect()
}

/// The names of the spans below one of a file.
pub(super) fn names(file: &[u8], span: Span) -> Vec<Name> {
    let spans = span.below().into_iter();
    spans.map(|span| span.name(span.of(file))).collect()
}
