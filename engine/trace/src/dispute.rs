//! A dispute about one step, or one part of a reinforcement unit, down to one multiplication.
//!
//! Both sides know what the step started from, and what the *defendant* says it ended with. The
//! *challenger* says it ended elsewhere. In turns, the defendant shows more and more of ever less
//! of its trace, and the challenger points to the first thing in it that is wrong:
//!
//! ```text
//! the table's name ─▶ names below ─▶ … ─▶ a piece ─▶ the first tensor with another name
//!                     names below ─▶ … ─▶ a piece ─▶ the first other number
//!                     values of its fold ─▶ … ─▶ one step
//! names of the tensors that it reads ─▶ the numbers, shown by the challenger
//! ```
//!
//! What the operands are, the defendant's own names of earlier tensors say. The referee
//! computes one step of a fold, or one map, and knows who lied: no vote, no trust, no model.
//!
//! An honest defendant cannot lose: whatever is pointed to, what it gave is what the operation
//! gives. An honest challenger cannot lose: it points to the first difference, so that all before
//! is the same in its own trace, which it can therefore show. Time is kept by who holds the game.
//! A number of the batch is not computed from others; the referee leaves it to who knows the task.
//!
//! Pure: no clock, no chance. The state is small, and all moves are checked.
//!
//! Spec: trace §3

mod players;
mod show;
mod words;

pub use players::{answer, entries_with, question};
pub use words::{
    Answer, Claim, File, Number, Operation, Outcome, Question, Refused, Side, Stage, Stretch,
    VALUES_COUNT_MAX, loss_name,
};

use crate::define::Defined;
use crate::program::{Kind, Program, Tensor};
use crate::tree::{Name, Opening, Span};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use show::Known;

/// Most tensors of the table that one operation reads.
pub const READ_TENSORS_COUNT_MAX: usize = 8;
/// Bytes of a name in the table.
const NAME_BYTES: u64 = 32;

/// A dispute about one step.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Dispute {
    /// What it is about.
    pub claim: Claim,
    /// The table's name, once the defendant gave it.
    pub table: Option<Name>,
    /// Where it is.
    pub stage: Stage,
}

impl Dispute {
    /// A dispute that begins.
    #[must_use]
    pub const fn new(claim: Claim) -> Self {
        Self {
            claim,
            table: None,
            stage: Stage::Table,
        }
    }
    /// Who owes a move; nobody when it is over.
    #[must_use]
    pub const fn turn(&self) -> Option<Side> {
        match self.stage {
            Stage::Table | Stage::Below { .. } | Stage::Fold { .. } | Stage::Entries { .. } => {
                Some(Side::Defendant)
            }
            Stage::Which
            | Stage::Choose { .. }
            | Stage::Pick { .. }
            | Stage::Cut { .. }
            | Stage::Ask { .. }
            | Stage::Show { .. } => Some(Side::Challenger),
            Stage::Over(_) => None,
        }
    }
    /// How it ended, if it did.
    #[must_use]
    pub const fn outcome(&self) -> Option<Outcome> {
        match self.stage {
            Stage::Over(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// Takes a move of the defendant.
    ///
    /// # Errors
    /// A move that is not due, or shows something else than was named; nothing changes then.
    pub fn answer(&mut self, program: &Program, answer: &Answer) -> Result<(), Refused> {
        self.stage = match (&self.stage, answer) {
            (Stage::Table, Answer::Table(name)) => {
                self.table = Some(*name);
                Stage::Which
            }
            (&Stage::Below { file, span, name }, Answer::Names(names)) if !span.is_piece() => {
                count(names.len(), span.below().len() as u64)?;
                if span.joined(names) != Some(name) {
                    return Err(Refused::Name);
                }
                Stage::Choose {
                    file,
                    span,
                    names: names.clone(),
                }
            }
            (&Stage::Below { file, span, name }, Answer::Piece(bytes)) if span.is_piece() => {
                count(bytes.len(), span.length)?;
                if span.name(bytes) != name {
                    return Err(Refused::Name);
                }
                Stage::Pick {
                    file,
                    span,
                    bytes: bytes.clone(),
                }
            }
            (&Stage::Fold { number, stretch }, Answer::Values(values)) => {
                let width = tensor_at(program, number.place as usize)
                    .kind
                    .encoding()
                    .width();
                count(values.len(), stretch.cuts().len() as u64 * width)?;
                let width = usize::try_from(width).unwrap_or(1);
                Stage::Cut {
                    number,
                    stretch,
                    values: values.chunks(width).map(bits_of).collect(),
                }
            }
            (
                Stage::Entries {
                    number,
                    operation,
                    places,
                },
                Answer::Entries(entries),
            ) => Stage::Show {
                number: *number,
                operation: *operation,
                names: self.named(program, places, entries)?,
            },
            _ => return Err(Refused::NotDue),
        };
        Ok(())
    }

    /// Takes a move of the challenger.
    ///
    /// # Errors
    /// A move that is not due, points beyond what was shown, or does not show what is read;
    /// nothing changes then.
    pub fn question(&mut self, program: &Program, question: &Question) -> Result<(), Refused> {
        self.stage = match (&self.stage, question) {
            (Stage::Which, Question::Table) => self.table_below(program)?,
            (Stage::Which, Question::Result(index)) => self.result(program, *index)?,
            (Stage::Choose { file, span, names }, Question::First(first)) => {
                let index = within(*first, names.len())?;
                Stage::Below {
                    file: *file,
                    span: span.below()[index],
                    name: names[index],
                }
            }
            (Stage::Pick { file, span, bytes }, Question::First(first)) => {
                picked(program, *file, (*span, bytes), *first)?
            }
            (
                Stage::Cut {
                    number,
                    stretch,
                    values,
                },
                Question::First(first),
            ) => {
                let index = within(*first, values.len() + 1)?;
                folded(*number, stretch.part(index, values))
            }
            (&Stage::Ask { number, operation }, Question::Ask(places)) => {
                asked(program, (number, operation), places)?
            }
            (
                Stage::Show {
                    number,
                    operation,
                    names,
                },
                Question::Show(pieces),
            ) => {
                let known = Known::new(program, (&self.claim, names), pieces);
                let known = known.ok_or(Refused::NotShown)?;
                Stage::Over(judged(known, *number, *operation)?)
            }
            _ => return Err(Refused::NotDue),
        };
        Ok(())
    }

    fn table_below(&self, program: &Program) -> Result<Stage, Refused> {
        Ok(Stage::Below {
            file: File::Table,
            span: Span::file(table_bytes(program)),
            name: self.table.ok_or(Refused::NotDue)?,
        })
    }

    fn result(&self, program: &Program, index: u8) -> Result<Stage, Refused> {
        let results = &self.claim.results;
        let name = results.get(usize::from(index)).copied().flatten();
        let name = name.ok_or(Refused::Unclaimed { index })?;
        Ok(tensor_below(
            program,
            program.table().end + usize::from(index),
            name,
        ))
    }

    /// The names of tensors in pieces of the table.
    fn named(
        &self,
        program: &Program,
        places: &[u32],
        entries: &[Opening],
    ) -> Result<Vec<(u32, Name)>, Refused> {
        let table = self.table.ok_or(Refused::NotDue)?;
        let length = table_bytes(program);
        if !entries.iter().all(|entry| entry.opens(&table, length)) {
            return Err(Refused::Name);
        }
        let name = |place: &u32| {
            let index = (*place as usize).checked_sub(program.table().start)?;
            let byte = index as u64 * NAME_BYTES;
            let entry = entries
                .iter()
                .find_map(|entry| entry.bytes_at(byte, NAME_BYTES))?;
            Some((*place, entry.try_into().ok()?))
        };
        places
            .iter()
            .map(name)
            .collect::<Option<_>>()
            .ok_or(Refused::NotShown)
    }
}

/// What follows when the challenger has said which tensors are read.
fn asked(
    program: &Program,
    (number, operation): (Number, Operation),
    places: &[u32],
) -> Result<Stage, Refused> {
    let table = program.table();
    let known = places
        .iter()
        .all(|place| table.contains(&(*place as usize)));
    if !known || !places.is_sorted_by(|a, b| a < b) || places.len() > READ_TENSORS_COUNT_MAX {
        return Err(Refused::NotShown);
    }
    Ok(if places.is_empty() {
        Stage::Show {
            number,
            operation,
            names: Vec::new(),
        }
    } else {
        Stage::Entries {
            number,
            operation,
            places: places.to_vec(),
        }
    })
}

fn judged(mut known: Known<'_>, number: Number, operation: Operation) -> Result<Outcome, Refused> {
    let computed = known.computed(number, operation).ok_or(Refused::NotShown)?;
    let claimed = operation.claimed();
    Ok(if computed == claimed {
        Outcome::ChallengerLied { number, claimed }
    } else {
        Outcome::DefendantLied {
            number,
            claimed,
            computed,
        }
    })
}

/// Bytes of the table of a program.
fn table_bytes(program: &Program) -> u64 {
    program.table().len() as u64 * NAME_BYTES
}

fn tensor_below(program: &Program, place: usize, name: Name) -> Stage {
    Stage::Below {
        file: File::Tensor(u32::try_from(place).unwrap_or(u32::MAX)),
        span: Span::file(program.bytes(tensor_at(program, place))),
        name,
    }
}

/// The tensor at a place, which is one of the program's.
fn tensor_at(program: &Program, place: usize) -> Tensor {
    let missing = Tensor {
        part: 0,
        layer: 0,
        kind: Kind::LossMicro,
    };
    program.tensors().get(place).copied().unwrap_or(missing)
}

/// What an entry of a piece leads to: a tensor of the table, or how a number comes about.
fn picked(
    program: &Program,
    file: File,
    (span, bytes): (Span, &[u8]),
    first: u16,
) -> Result<Stage, Refused> {
    let File::Tensor(place) = file else {
        let (entries, _) = bytes.as_chunks::<32>();
        let index = within(first, entries.len())?;
        let before = usize::try_from(span.start / NAME_BYTES).unwrap_or(usize::MAX);
        let place = program
            .table()
            .start
            .saturating_add(before)
            .saturating_add(index);
        return Ok(tensor_below(program, place, entries[index]));
    };
    let tensor = tensor_at(program, place as usize);
    let width = tensor.kind.encoding().width();
    let index = within(first, bytes.len() / usize::try_from(width).unwrap_or(1))? as u64;
    let start = usize::try_from(index * width).unwrap_or(usize::MAX);
    let own = &bytes[start..start + usize::try_from(width).unwrap_or(0)];
    let claimed = bits_of(own);
    let number = number_in(program, file, span, first).ok_or(Refused::NotDue)?;
    let ask = |operation| Stage::Ask { number, operation };
    Ok(match program.defined(tensor, number.index) {
        Defined::Unknown => return Err(Refused::NotShown),
        Defined::Given => Stage::Over(Outcome::Batch { number, claimed }),
        Defined::Map => ask(Operation::Map(claimed)),
        Defined::Fold(0) => ask(Operation::Start(claimed)),
        Defined::Fold(steps) => {
            let stretch = Stretch {
                from: 0,
                to: steps,
                before: None,
                after: claimed,
            };
            folded(number, stretch)
        }
    })
}

/// The number that an entry of a piece of a tensor is; nothing of the table's.
fn number_in(program: &Program, file: File, span: Span, first: u16) -> Option<Number> {
    let File::Tensor(place) = file else {
        return None;
    };
    let width = tensor_at(program, place as usize).kind.encoding().width();
    let index = span.start / width + u64::from(first);
    Some(Number { place, index })
}

/// A stretch of one step is computed; a longer one is cut.
const fn folded(number: Number, stretch: Stretch) -> Stage {
    if stretch.to - stretch.from > 1 {
        return Stage::Fold { number, stretch };
    }
    Stage::Ask {
        number,
        operation: Operation::Step(stretch),
    }
}

/// Little-endian bytes, at most 8, as a number.
fn bits_of(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |bits, byte| bits << 8 | u64::from(*byte))
}

const fn count(found: usize, needed: u64) -> Result<(), Refused> {
    let found = found as u64;
    if found == needed {
        return Ok(());
    }
    Err(Refused::Count { found, needed })
}

fn within(first: u16, count: usize) -> Result<usize, Refused> {
    let index = usize::from(first);
    if index < count {
        return Ok(index);
    }
    Err(Refused::Index {
        index: index as u64,
        count: count as u64,
    })
}

#[cfg(test)]
mod tests;
