//! How honest sides play about a sparse update and what it lost: from the files that it follows
//! from, each side its own.

use super::{names, pieces};
use crate::verdict::dispute::{Below, Claimed, Move, Place, Shown};
use engine_trace::{
    dispute::{Answer, Question},
    sparse::{CHUNK_VALUES, Chunk, chunk_bytes, has_encoding, lost, sum},
    tree::{Opening, PIECE_BYTES},
    update::difference,
};
use protocol::BlobId;

/// Values of a piece of a file.
const PIECE_VALUES: usize = 256;

/// What a sparse update follows from, as files, and the blob that it is in.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// How much of what was lost before counts.
    pub decay: f32,
    /// The checkpoint's weights.
    pub before: Vec<u8>,
    /// The unit's last weights.
    pub after: Vec<u8>,
    /// What updates lost before; nothing where that is zeros.
    pub lost: Option<Vec<u8>>,
    /// The unit's blob.
    pub blob: Vec<u8>,
    /// The first byte of its update.
    pub update_byte: u64,
}

impl Exchange {
    /// The challenger's complaint: the first chunk that is not what it follows from, or else, if
    /// its miner bound another file than this of what the update lost, that. Nothing if all is
    /// right.
    #[must_use]
    pub fn complaint(&self, bound: Option<BlobId>) -> Option<Move> {
        let values = self.values();
        let mut chunks = (0..).zip(values.chunks(CHUNK_VALUES));
        let is_wrong = |(index, values): &(u32, &[f32])| {
            let own = Chunk::of(values).encode(values.len());
            let can_be_sent = values.iter().copied().all(has_encoding);
            !can_be_sent || self.bytes(*index, values.len()) != Some(&own)
        };
        if let Some((chunk, values)) = chunks.find(is_wrong) {
            let blob = self.pieces(chunk, values.len());
            return Some(Move::Chunk(Box::new(Claimed { chunk, blob })));
        }
        let own = BlobId::of(&self.left());
        bound.filter(|bound| *bound != own).map(|_| Move::Feedback)
    }
    /// What the miner answers, which bound `kept` as what its update lost.
    #[must_use]
    pub fn answer(&self, place: &Place, kept: &[u8]) -> Option<Move> {
        match place {
            Place::Chunk {
                chunk,
                sent,
                values: None,
            } => {
                let values = self.values();
                let own = values.chunks(CHUNK_VALUES).nth(*chunk as usize)?;
                let at = |(index, _): &(u16, i8)| own.get(usize::from(*index));
                let sent = sent.values.iter().map(at);
                let sent = sent.map(|value| value.map(|value| value.to_bits()));
                sent.collect::<Option<_>>().map(Move::Values)
            }
            Place::Feedback {
                span,
                below: Below::Due,
                ..
            } => Some(Move::Answer(if span.is_piece() {
                Answer::Piece(span.of(kept).to_vec())
            } else {
                Answer::Names(names(kept, *span))
            })),
            Place::Chunk { .. }
            | Place::Feedback { .. }
            | Place::Steps
            | Place::Complaint
            | Place::Step { .. }
            | Place::Over { .. }
            | Place::Plan
            | Place::Part { .. }
            | Place::Walk { .. }
            | Place::Group(_)
            | Place::Norm(_)
            | Place::Token { .. } => None,
        }
    }
    /// What the challenger shows; nothing if all is right.
    #[must_use]
    pub fn question(&self, place: &Place) -> Option<Move> {
        match place {
            Place::Chunk {
                chunk,
                sent,
                values: Some(stated),
            } => {
                let values = self.values();
                let own = values.chunks(CHUNK_VALUES).nth(*chunk as usize)?;
                let stated: Vec<f32> = stated.iter().copied().map(f32::from_bits).collect();
                let mut pairs = (0..).zip(own.iter().copied());
                let (index, _) = pairs.find(|pair| !sent.allows(own.len(), &stated, *pair))?;
                let first = (*chunk as usize).checked_mul(CHUNK_VALUES)?;
                let at = first.checked_add(usize::from(index))?;
                Some(Move::Value(Box::new(self.shown(index, at, Vec::new()))))
            }
            Place::Feedback {
                span,
                below: Below::Names(shown),
                ..
            } => {
                let own = names(&self.left(), *span);
                let first = own
                    .iter()
                    .zip(shown)
                    .position(|(own, shown)| own != shown)?;
                let first = u16::try_from(first).ok()?;
                Some(Move::Question(Question::First(first)))
            }
            Place::Feedback {
                span,
                below: Below::Piece(shown),
                ..
            } => {
                let left = self.left();
                let mut pairs = (0..).zip(span.of(&left).chunks(4).zip(shown.chunks(4)));
                let (index, _) = pairs.find(|(_, (own, shown))| own != shown)?;
                let first = usize::try_from(span.start).ok()?.checked_div(4)?;
                let at = first.checked_add(usize::from(index))?;
                let chunk = at.checked_div(CHUNK_VALUES)?;
                let values_count = self.values().chunks(CHUNK_VALUES).nth(chunk)?.len();
                let blob = self.pieces(u32::try_from(chunk).ok()?, values_count);
                Some(Move::Value(Box::new(self.shown(index, at, blob))))
            }
            Place::Chunk { .. }
            | Place::Feedback { .. }
            | Place::Steps
            | Place::Complaint
            | Place::Step { .. }
            | Place::Over { .. }
            | Place::Plan
            | Place::Part { .. }
            | Place::Walk { .. }
            | Place::Group(_)
            | Place::Norm(_)
            | Place::Token { .. } => None,
        }
    }

    /// What is compressed.
    #[must_use]
    pub fn values(&self) -> Vec<f32> {
        let new = difference(&self.before, &self.after).into_iter();
        let lost = self.lost.as_deref().unwrap_or_default();
        let (lost, _) = lost.as_chunks::<4>();
        let lost = lost.iter().copied().map(f32::from_le_bytes);
        let lost = lost.chain(std::iter::repeat(0.0));
        new.zip(lost)
            .map(|(new, lost)| sum(self.decay, lost, new))
            .collect()
    }
    /// The file of what the update in the blob loses.
    #[must_use]
    pub fn left(&self) -> Vec<u8> {
        let values = self.values();
        let chunks = (0..).zip(values.chunks(CHUNK_VALUES));
        let of_chunk = |(index, values): (u32, &[f32])| {
            let bytes = self.bytes(index, values.len()).unwrap_or_default();
            let sent = Chunk::decode(bytes, values.len());
            let sent = |index| sent.as_ref().map_or(0.0, |sent| sent.at(index));
            let pairs = (0..).zip(values.iter().copied());
            let left = pairs.map(|(index, value)| lost(value, sent(index)));
            left.flat_map(f32::to_le_bytes).collect::<Vec<u8>>()
        };
        chunks.flat_map(of_chunk).collect()
    }

    /// A chunk's bytes in the blob, and where they are.
    fn bytes(&self, chunk: u32, values_count: usize) -> Option<&[u8]> {
        let (start, end) = self.place(chunk, values_count);
        let [start, end] = [start, end].map(|byte| usize::try_from(byte).unwrap_or(usize::MAX));
        self.blob.get(start..end)
    }
    fn place(&self, chunk: u32, values_count: usize) -> (u64, u64) {
        let before = u64::from(chunk).saturating_mul(chunk_bytes(CHUNK_VALUES) as u64);
        let start = self.update_byte.saturating_add(before);
        (
            start,
            start.saturating_add(chunk_bytes(values_count) as u64),
        )
    }
    fn pieces(&self, chunk: u32, values_count: usize) -> Vec<Opening> {
        let (start, end) = self.place(chunk, values_count);
        pieces(&self.blob, start..end)
    }
    fn shown(&self, index: u16, at: usize, blob: Vec<Opening>) -> Shown {
        let piece = at.checked_div(PIECE_VALUES).unwrap_or(0) as u64;
        let open = |file: &[u8]| Opening::of(file, piece.saturating_mul(PIECE_BYTES));
        Shown {
            index,
            before: open(&self.before),
            after: open(&self.after),
            lost: self.lost.as_deref().map(open),
            blob,
        }
    }
}
