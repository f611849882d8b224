//! Sparse updates: a chunk that is not what it follows from, and what it is said to lose.
//!
//! A chunk of 4096 values is too much to be shown. But a wrong one is wrong about a value of its
//! own: the miner says which values it sends, from which scale and codes follow at once, and then
//! one of them is another, or one that is not sent is larger. A value is computed from one of each
//! file: weights before and after, and what updates lost before.
//!
//! What an update lost is in a file that only its miner need have. It shows the names below its
//! name, and so on down to a piece, and the challenger follows the first that is another; in the
//! piece it shows a value that was not lost, which is the same value less what is sent of it.

use super::{
    Below, Claimed, Operation, Place, Refused, Shown,
    step::Task,
    update::{bytes, update_byte},
};
use engine_trace::{
    schedule::of_micro,
    sparse::{CHUNK_VALUES, Chunk, chunk_bytes, has_encoding, lost as left, sum},
    tree::{Name, Opening, PIECE_BYTES, Span},
    update::difference,
};

/// Bytes of a value.
const VALUE_BYTES: u64 = 4;
/// Values of a piece of a file.
const PIECE_VALUES: u64 = PIECE_BYTES / VALUE_BYTES;

/// What a move leads to: where the dispute goes on, or the operation that decides it.
pub(super) type Led = Result<Place, Operation>;

/// The challenger points to a chunk.
pub(super) fn claimed(task: &Task, claimed: &Claimed) -> Result<Led, Refused> {
    let chunk = claimed.chunk;
    // Bytes that are no chunk are not what any values give.
    Ok(match sent(task, chunk, &claimed.blob)? {
        Some(sent) => Ok(Place::Chunk {
            chunk,
            sent,
            values: None,
        }),
        None => Err(Operation::Chunk {
            chunk,
            is_right: false,
        }),
    })
}

/// The miner says which values a chunk sends.
pub(super) fn stated(chunk: u32, sent: &Chunk, values: Vec<u32>) -> Result<Led, Refused> {
    let (found, needed) = (values.len(), sent.values.len());
    if found != needed {
        return Err(Refused::Values { found, needed });
    }
    let indices = sent.values.iter().map(|(index, _)| *index);
    let pairs: Vec<(u16, f32)> = indices.zip(floats(&values)).collect();
    if Chunk::chosen(&pairs).as_ref() != Some(sent) {
        let is_right = false;
        return Ok(Err(Operation::Chunk { chunk, is_right }));
    }
    Ok(Ok(Place::Chunk {
        chunk,
        sent: sent.clone(),
        values: Some(values),
    }))
}

/// The challenger shows a value of a chunk.
pub(super) fn value(
    task: &Task,
    (chunk, sent): (u32, &Chunk),
    values: &[u32],
    shown: &Shown,
) -> Result<Operation, Refused> {
    if !shown.blob.is_empty() {
        return Err(Refused::Piece);
    }
    let values_count = chunk_values(task, chunk)?;
    let index = first_value(chunk).saturating_add(within(shown.index, values_count)?);
    let value = computed(task, index, shown)?;
    let values: Vec<f32> = floats(values).collect();
    Ok(Operation::Value {
        index,
        computed: value.to_bits(),
        is_right: sent.allows(values_count, &values, (shown.index, value)),
    })
}

/// The challenger says that what the miner bound is not what the update lost.
pub(super) fn feedback(task: &Task) -> Result<Place, Refused> {
    let bound = task.bound_feedback().ok_or(Refused::NotDue)?;
    Ok(Place::Feedback {
        span: Span::file(file_bytes(task)),
        name: *bound.as_bytes(),
        below: Below::Due,
    })
}

/// The challenger shows a value of the piece of what the update is said to have lost.
pub(super) fn lost(
    task: &Task,
    (span, piece): (Span, &[u8]),
    shown: &Shown,
) -> Result<Operation, Refused> {
    let (values, _) = piece.as_chunks::<4>();
    let in_piece = within(shown.index, values.len())?;
    let claimed = values.get(usize::from(shown.index)).ok_or(Refused::Piece)?;
    let claimed = u32::from_le_bytes(*claimed);
    let before = span.start.checked_div(VALUE_BYTES).unwrap_or(0);
    let index = before.saturating_add(in_piece);
    let value = computed(task, index, shown)?;
    let (chunk, in_chunk) = place(index);
    // What has no encoding is lost by no update.
    let sent = sent(task, chunk, &shown.blob)?.filter(|_| has_encoding(value));
    let computed = sent.map_or(!claimed, |sent| left(value, sent.at(in_chunk)).to_bits());
    Ok(Operation::Lost {
        index,
        claimed,
        computed,
    })
}

/// A value that is compressed, from a piece of each file that it follows from.
fn computed(task: &Task, index: u64, shown: &Shown) -> Result<f32, Refused> {
    let piece = index.checked_div(PIECE_VALUES).unwrap_or(0);
    let value = |name: &Name, opening: &Opening| {
        let opens = opening.piece == piece && opening.opens(name, file_bytes(task));
        let bytes = opening.bytes_at(index.saturating_mul(VALUE_BYTES), VALUE_BYTES);
        let bytes = bytes.filter(|_| opens).and_then(<[u8]>::as_array::<4>);
        bytes.copied().ok_or(Refused::Piece)
    };
    let last = task.last_weights().ok_or(Refused::Piece)?;
    let before = value(task.weights.as_bytes(), &shown.before)?;
    let after = value(last.as_bytes(), &shown.after)?;
    let lost = match (task.feedback, &shown.lost) {
        (Some(name), Some(opening)) => value(name.as_bytes(), opening)?,
        (None, None) => [0; 4],
        (Some(_), None) | (None, Some(_)) => return Err(Refused::Piece),
    };
    let lost = f32::from_le_bytes(lost);
    let new = difference(&before, &after).first().copied();
    let new = new.ok_or(Refused::Piece)?;
    let decay = task.feedback_decay().ok_or(Refused::NotDue)?;
    Ok(sum(of_micro(decay.get()), lost, new))
}

/// What a chunk of the blob's update sends; nothing if its bytes are no chunk.
fn sent(task: &Task, chunk: u32, blob: &[Opening]) -> Result<Option<Chunk>, Refused> {
    let values_count = chunk_values(task, chunk)?;
    let before = u64::from(chunk).saturating_mul(chunk_bytes(CHUNK_VALUES) as u64);
    let start = update_byte(task).saturating_add(before);
    let bytes = bytes(task, blob, start, chunk_bytes(values_count) as u64)?;
    Ok(Chunk::decode(&bytes, values_count).ok())
}

/// How many values a chunk has.
fn chunk_values(task: &Task, chunk: u32) -> Result<usize, Refused> {
    let length = task.parameters_count();
    let left = length
        .checked_sub(first_value(chunk))
        .filter(|left| *left > 0);
    let left = left.ok_or(Refused::Index {
        index: chunk.into(),
        count: length.div_ceil(CHUNK_VALUES as u64),
    })?;
    Ok(usize::try_from(left).map_or(CHUNK_VALUES, |left| left.min(CHUNK_VALUES)))
}

fn first_value(chunk: u32) -> u64 {
    u64::from(chunk).saturating_mul(CHUNK_VALUES as u64)
}

/// The chunk that a value is in, and its index there.
fn place(index: u64) -> (u32, u16) {
    let values = CHUNK_VALUES as u64;
    let chunk = index.checked_div(values).unwrap_or(0);
    let in_chunk = index.checked_rem(values).unwrap_or(0);
    let chunk = u32::try_from(chunk).unwrap_or(u32::MAX);
    (chunk, u16::try_from(in_chunk).unwrap_or(u16::MAX))
}

fn within(index: u16, count: usize) -> Result<u64, Refused> {
    let (index, count) = (u64::from(index), count as u64);
    if index < count {
        return Ok(index);
    }
    Err(Refused::Index { index, count })
}

fn floats(bits: &[u32]) -> impl Iterator<Item = f32> {
    bits.iter().copied().map(f32::from_bits)
}

/// Bytes of a file of as many values as the model has.
fn file_bytes(task: &Task) -> u64 {
    task.parameters_count().saturating_mul(VALUE_BYTES)
}
