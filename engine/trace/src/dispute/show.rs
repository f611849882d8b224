//! What an operation reads, shown against the names that the defendant gave.

use super::{Claim, Number, Operation, bits_of, tensor_at};
use crate::define::Source;
use crate::program::{Program, Tensor};
use crate::tree::{Name, Opening};

/// Numbers that were shown, each in a piece of a tensor whose name is known.
pub(super) struct Known<'a> {
    program: &'a Program,
    claim: &'a Claim,
    pieces: Vec<(Tensor, &'a Opening)>,
}

impl<'a> Known<'a> {
    /// Checks every piece against its tensor's name; nothing if one is not of it.
    pub(super) fn new(
        program: &'a Program,
        (claim, names): (&'a Claim, &[(u32, Name)]),
        pieces: &'a [(u32, Opening)],
    ) -> Option<Self> {
        let pieces = pieces.iter().map(|(place, opening)| {
            let tensor = *program.tensors().get(*place as usize)?;
            let name = name(program, (claim, names), *place)?;
            let is_it = opening.opens(&name, program.bytes(tensor));
            is_it.then_some((tensor, opening))
        });
        Some(Self {
            program,
            claim,
            pieces: pieces.collect::<Option<_>>()?,
        })
    }

    /// Bits that the operation gives; nothing if something it reads is not shown.
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

/// The name of a tensor: known before, claimed, or from the defendant's table.
fn name(program: &Program, (claim, names): (&Claim, &[(u32, Name)]), place: u32) -> Option<Name> {
    let between = program.table();
    let index = place as usize;
    if let Some(result) = index.checked_sub(between.end) {
        return *claim.results.get(result)?;
    }
    if index >= between.start {
        let mut names = names.iter();
        return names
            .find(|(other, _)| *other == place)
            .map(|(_, name)| *name);
    }
    *claim.given.get(index)?
}

impl Source for Known<'_> {
    fn number(&mut self, tensor: Tensor, index: u64) -> Option<f64> {
        if index >= self.program.length(tensor) {
            return None;
        }
        let given = self.claim.given.get(self.program.place(tensor)?);
        if given.is_some_and(Option::is_none) {
            return Some(0.0);
        }
        let encoding = tensor.kind.encoding();
        let mut pieces = self.pieces.iter().filter(|(other, _)| *other == tensor);
        let width = encoding.width();
        let bytes = pieces.find_map(|(_, piece)| piece.bytes_at(index * width, width))?;
        encoding.decode(bytes)
    }
}
