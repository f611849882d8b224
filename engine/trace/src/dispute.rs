//! A dispute about one step, or one part of a reinforcement unit, down to one multiplication.
//!
//! Both sides know what the step started from, and what the *defendant* says it ended with. The
//! *challenger* says it ended elsewhere. In turns, the defendant shows more and more of ever less
//! of its trace, and the challenger points to the first thing in it that is wrong:
//!
//! ```text
//! names below the table's ─▶ names below ─▶ … ─▶ a piece ─▶ the first tensor with another name
//!                            names below ─▶ … ─▶ a piece ─▶ the first other number
//!                            values of its fold ─▶ … ─▶ one step
//! the numbers that it reads ─▶ one of them, shown by the challenger
//! ```
//!
//! The referee computes one step of a fold, or one map, of the numbers that the defendant says. If
//! they do not give what it said, it lied. Otherwise one of them is another than it was in the
//! tensor that the defendant itself had named, about whose name both agree, and the challenger
//! shows that one. So whatever an operation reads, one piece is shown: no vote, no trust, no model.
//!
//! An honest defendant cannot lose: whatever is pointed to, what it gave is what the operation
//! gives, and what it reads is what it named. An honest challenger cannot lose: it points to the
//! first difference, so that all before is the same in its own trace, and as what the operation
//! gives is another, so is something that it reads. Time is kept by who holds the game.
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
    Agreed, Answer, Claim, File, Number, OPERANDS_COUNT_MAX, Operation, Outcome, Question, Refused,
    Shown, Side, Stage, Stretch, VALUES_COUNT_MAX, loss_name,
};

use crate::define::Defined;
use crate::program::{Kind, Program, Tensor};
use crate::tree::{Name, Span};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use show::{Stated, named};

/// Bytes of a name in the table.
const NAME_BYTES: u64 = 32;

/// A dispute about one step.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Dispute {
    /// What it is about.
    pub claim: Claim,
    /// The table's name, once the defendant gave what is below it.
    pub table: Option<Name>,
    /// What of the table both agree about.
    pub agreed: Agreed,
    /// Where it is.
    pub stage: Stage,
}

impl Dispute {
    /// A dispute that begins.
    #[must_use]
    pub fn new(claim: Claim) -> Self {
        Self {
            claim,
            table: None,
            agreed: Agreed::default(),
            stage: Stage::Table,
        }
    }
    /// Who owes a move; nobody when it is over.
    #[must_use]
    pub const fn turn(&self) -> Option<Side> {
        match self.stage {
            Stage::Table | Stage::Below { .. } | Stage::Fold { .. } | Stage::Read { .. } => {
                Some(Side::Defendant)
            }
            Stage::Which { .. }
            | Stage::Choose { .. }
            | Stage::Pick { .. }
            | Stage::Cut { .. }
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
            (Stage::Table, Answer::Table(names)) => {
                let span = table_span(program);
                count(names.len(), span.below().len() as u64)?;
                self.table = joined(span, names);
                Stage::Which {
                    names: names.clone(),
                }
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
            (&Stage::Read { number, operation }, Answer::Operands(operands)) => {
                if operands.len() > OPERANDS_COUNT_MAX {
                    let found = operands.len() as u64;
                    let needed = OPERANDS_COUNT_MAX as u64;
                    return Err(Refused::Count { found, needed });
                }
                Stage::Show {
                    number,
                    operation,
                    operands: operands.clone(),
                }
            }
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
        let mut agreed = Agreed::default();
        self.stage = match (&self.stage, question) {
            (Stage::Which { names }, Question::First(first)) => {
                let table = (File::Table, table_span(program));
                chosen(table, names, *first, &mut agreed)?
            }
            (Stage::Which { .. }, Question::Result(index)) => {
                let name = self.table.ok_or(Refused::NotDue)?;
                agreed.spans.push((table_span(program), name));
                self.result(program, *index)?
            }
            (Stage::Choose { file, span, names }, Question::First(first)) => {
                chosen((*file, *span), names, *first, &mut agreed)?
            }
            (Stage::Pick { file, span, bytes }, Question::First(first)) => {
                let stage = picked(program, *file, (*span, bytes), *first)?;
                if *file == File::Table {
                    agreed.entries = before(program, (*span, bytes), *first);
                }
                stage
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
            (
                Stage::Show {
                    number,
                    operation,
                    operands,
                },
                Question::Show(shown),
            ) => {
                let read = (*number, *operation, &operands[..]);
                Stage::Over(self.judged(program, read, shown.as_deref())?)
            }
            _ => return Err(Refused::NotDue),
        };
        self.agreed.spans.append(&mut agreed.spans);
        self.agreed.entries.append(&mut agreed.entries);
        Ok(())
    }

    /// Who lied, by what the defendant says that is read, and what the challenger shows of it.
    fn judged(
        &self,
        program: &Program,
        (number, operation, operands): (Number, Operation, &[u64]),
        shown: Option<&Shown>,
    ) -> Result<Outcome, Refused> {
        let mut stated = Stated::new(program, &self.claim, operands);
        let claimed = operation.claimed();
        let gives = stated.computed(number, operation);
        if let Some(computed) = gives.filter(|computed| *computed != claimed) {
            return Ok(Outcome::DefendantLied {
                number,
                claimed,
                computed,
            });
        }
        // A number that says what is read next may lead beyond a tensor; nothing else is unknown.
        if gives.is_none() && !stated.leads_beyond() {
            return Err(Refused::NotShown);
        }
        let Some(shown) = shown else {
            // They do give what it said.
            gives.ok_or(Refused::NotShown)?;
            return Ok(Outcome::ChallengerLied { number, claimed });
        };
        let read = stated.read(shown.index).ok_or(Refused::NotShown)?;
        let game = (&self.claim, &self.agreed);
        let found = named(program, game, read.number, shown).ok_or(Refused::NotShown)?;
        if found == read.bits {
            gives.ok_or(Refused::NotShown)?;
            return Ok(Outcome::ChallengerLied { number, claimed });
        }
        Ok(Outcome::DefendantLied {
            number: read.number,
            claimed: read.bits,
            computed: found,
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
}

/// The part of a file to which the challenger points by the names below it; of the table, notes
/// those before as agreed.
fn chosen(
    (file, span): (File, Span),
    names: &[Name],
    first: u16,
    agreed: &mut Agreed,
) -> Result<Stage, Refused> {
    let index = within(first, names.len())?;
    let spans = span.below();
    if file == File::Table {
        let known = spans.iter().copied().zip(names.iter().copied());
        agreed.spans = known.take(index).collect();
    }
    Ok(Stage::Below {
        file,
        span: spans[index],
        name: names[index],
    })
}

/// The name of a span by the names below it.
fn joined(span: Span, names: &[Name]) -> Option<Name> {
    if span.is_piece() {
        return names.first().copied();
    }
    span.joined(names)
}

/// The tensors that a piece of the table names before an entry, with their names.
fn before(program: &Program, (span, bytes): (Span, &[u8]), first: u16) -> Vec<(u32, Name)> {
    let (entries, _) = bytes.as_chunks::<32>();
    let start = usize::try_from(span.start / NAME_BYTES).unwrap_or(usize::MAX);
    let start = program.table().start.saturating_add(start);
    let places = u32::try_from(start).unwrap_or(u32::MAX)..;
    let named = places.zip(entries.iter().copied());
    named.take(first.into()).collect()
}

/// The table of a program, as a file.
fn table_span(program: &Program) -> Span {
    Span::file(table_bytes(program))
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
    let read = |operation| Stage::Read { number, operation };
    Ok(match program.defined(tensor, number.index) {
        Defined::Unknown => return Err(Refused::NotShown),
        Defined::Given => Stage::Over(Outcome::Batch { number, claimed }),
        Defined::Map => read(Operation::Map(claimed)),
        Defined::Fold(0) => read(Operation::Start(claimed)),
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
    Stage::Read {
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
