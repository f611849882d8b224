//! What an operation reads: as the defendant says, and as it is in the tensors that it named.

use super::{Agreed, Claim, NAME_BYTES, Number, Operation, Shown, bits_of, tensor_at};
use crate::define::Source;
use crate::program::{Program, Tensor};
use crate::tree::{Name, PIECE_BYTES};

/// A number that was read, and what the defendant says that it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    /// Which number.
    pub(super) number: Number,
    /// Its bits, as its tensor's numbers are written.
    pub(super) bits: u64,
}

/// Numbers as the defendant says them, in the order in which they are read.
pub(super) struct Stated<'a> {
    program: &'a Program,
    claim: &'a Claim,
    operands: std::slice::Iter<'a, u64>,
    read: Vec<Read>,
    leads_beyond: bool,
}

impl<'a> Stated<'a> {
    pub(super) fn new(program: &'a Program, claim: &'a Claim, operands: &'a [u64]) -> Self {
        Self {
            program,
            claim,
            operands: operands.iter(),
            read: Vec::new(),
            leads_beyond: false,
        }
    }
    /// Whether a number was to be read that no tensor has.
    pub(super) const fn leads_beyond(&self) -> bool {
        self.leads_beyond
    }
    /// What was read as this one.
    pub(super) fn read(&self, index: u16) -> Option<Read> {
        self.read.get(usize::from(index)).copied()
    }
    /// Bits that the operation gives; nothing if how the number comes about is not known.
    pub(super) fn computed(&mut self, number: Number, operation: Operation) -> Option<u64> {
        let program = self.program;
        let tensor = tensor_at(program, number.place as usize);
        let encoding = tensor.kind.encoding();
        let value = match operation {
            Operation::Map(_) => program.map(tensor, number.index, self)?,
            Operation::Start(_) => program.start(tensor, number.index, self)?,
            Operation::Step(stretch) => {
                let before = match stretch.before {
                    None => program.start(tensor, number.index, self)?,
                    Some(bits) => {
                        let width = usize::try_from(encoding.width()).ok()?;
                        encoding.decode(&bits.to_le_bytes()[..width])?
                    }
                };
                let steps = stretch.from..stretch.from + 1;
                program.steps_of((tensor, number.index), steps, before, self)?
            }
        };
        Some(bits_of(&encoding.encode(value)))
    }
}

impl Source for Stated<'_> {
    fn number(&mut self, tensor: Tensor, index: u64) -> Option<f64> {
        if index >= self.program.length(tensor) {
            self.leads_beyond = true;
            return None;
        }
        let place = self.program.place(tensor)?;
        // What nobody named is zero, like moments before the first step.
        let given = self.claim.given.get(place);
        if given.is_some_and(Option::is_none) {
            return Some(0.0);
        }
        let bits = self.operands.next().copied().unwrap_or(0);
        // As it is written in its tensor, or it could not be compared with what is there.
        let written = tensor.kind.encoding().encode(f64::from_bits(bits));
        let number = Number {
            place: u32::try_from(place).unwrap_or(u32::MAX),
            index,
        };
        self.read.push(Read {
            number,
            bits: bits_of(&written),
        });
        tensor.kind.encoding().decode(&written)
    }
}

/// The bits of a number in a piece of its tensor that is shown; nothing if the piece is not of the
/// tensor that the defendant named.
pub(super) fn named(
    program: &Program,
    (claim, agreed): (&Claim, &Agreed),
    number: Number,
    shown: &Shown,
) -> Option<u64> {
    let tensor = *program.tensors().get(number.place as usize)?;
    let name = name(program, (claim, agreed), number.place, shown)?;
    let width = tensor.kind.encoding().width();
    let opens = shown.piece.opens(&name, program.bytes(tensor));
    let bytes = shown.piece.bytes_at(number.index * width, width);
    bytes.filter(|_| opens).map(bits_of)
}

/// The name of a tensor: known before, claimed, or in what of the table both agree about.
fn name(
    program: &Program,
    (claim, agreed): (&Claim, &Agreed),
    place: u32,
    shown: &Shown,
) -> Option<Name> {
    let between = program.table();
    let index = place as usize;
    if let Some(result) = index.checked_sub(between.end) {
        return *claim.results.get(result)?;
    }
    let Some(entry) = index.checked_sub(between.start) else {
        return *claim.given.get(index)?;
    };
    let mut entries = agreed.entries.iter();
    if let Some((_, name)) = entries.find(|(other, _)| *other == place) {
        return Some(*name);
    }
    let opening = shown.entry.as_ref()?;
    let start = opening.piece.checked_mul(PIECE_BYTES)?;
    let mut spans = agreed.spans.iter();
    let (span, name) = spans.find(|(span, _)| span.holds(start))?;
    let byte = entry as u64 * NAME_BYTES;
    let opens = opening.opens_span(name, *span);
    let bytes = opening.bytes_at(byte, NAME_BYTES).filter(|_| opens)?;
    bytes.try_into().ok()
}
