//! How honest sides play about the update of a reinforcement unit: from the sum that it ends with.

use super::{blocks, pieces};
use crate::verdict::dispute::{Block, Move, Norm, Place};
use engine_trace::{
    clip::{block, index_of, lanes, values_at},
    dispute::Question,
    tree::{Opening, PIECE_BYTES},
};

/// Bytes of the values of a block, which are a piece of the sum.
const BLOCK_BYTES: usize = 1024;

/// What the update of a reinforcement unit follows from, and the blob that it is in.
#[derive(Clone, Debug)]
pub struct Clipped {
    /// The sum that the unit ends with, as its file.
    pub sum: Vec<u8>,
    /// The unit's blob.
    pub blob: Vec<u8>,
    /// The first byte of its update.
    pub update_byte: u64,
}

impl Clipped {
    /// The challenger's complaint: the first block that is not what the sum gives. Nothing if all
    /// are.
    #[must_use]
    pub fn complaint(&self) -> Option<Move> {
        let lanes = lanes(&self.values());
        let own = self.sum.chunks(BLOCK_BYTES);
        let own = own.map(|piece| block(piece, &lanes));
        let sent = blocks(&self.blob, self.update_byte)?;
        let mut differing = (0_u32..)
            .zip(own.zip(sent))
            .filter_map(|(index, (own, at))| {
                let (start, sent) = at;
                (own.as_deref() != Some(sent)).then_some((index, start, sent))
            });
        let (index, start, sent) = differing.next()?;
        let end = start.saturating_add(sent.len() as u64);
        let byte = u64::from(index).saturating_mul(PIECE_BYTES);
        Some(Move::Block(Box::new(Block {
            block: index,
            blob: pieces(&self.blob, start..end),
            sum: Opening::of(&self.sum, byte),
        })))
    }
    /// What the miner says.
    #[must_use]
    pub fn answer(&self, place: &Place) -> Option<Move> {
        let Place::Norm(norm) = place else {
            return None;
        };
        match norm {
            Norm::Lanes { .. } => Some(Move::Sums(lanes(&self.values()).to_vec())),
            Norm::Fold { lane, stretch } => {
                let values = values_at(&self.values(), usize::from(*lane), &stretch.cuts());
                Some(Move::Sums(values))
            }
            Norm::Wrong { .. } | Norm::Cut { .. } | Norm::Square { .. } => None,
        }
    }
    /// What the challenger points to, or shows; nothing if all is right.
    #[must_use]
    pub fn question(&self, place: &Place) -> Option<Move> {
        let Place::Norm(norm) = place else {
            return None;
        };
        match norm {
            Norm::Wrong { lanes: stated } => {
                let own = lanes(&self.values());
                let differs = own.iter().zip(stated).position(|(own, said)| own != said)?;
                Some(first(differs))
            }
            Norm::Cut {
                lane,
                stretch,
                values,
            } => {
                let own = values_at(&self.values(), usize::from(*lane), &stretch.cuts());
                let differs = own.iter().zip(values).position(|(own, said)| own != said);
                Some(first(differs.unwrap_or(values.len())))
            }
            Norm::Square { lane, stretch } => {
                let index = index_of((*lane).into(), stretch.from);
                let sum = Opening::of(&self.sum, index.saturating_mul(4));
                Some(Move::Square(Box::new(sum)))
            }
            Norm::Lanes { .. } | Norm::Fold { .. } => None,
        }
    }

    fn values(&self) -> Vec<f32> {
        let (values, _) = self.sum.as_chunks::<4>();
        values.iter().copied().map(f32::from_le_bytes).collect()
    }
}

fn first(at: usize) -> Move {
    Move::Question(Question::First(u16::try_from(at).unwrap_or(u16::MAX)))
}
