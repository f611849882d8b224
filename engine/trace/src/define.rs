//! What every number of a program is.
//!
//! The formulas of arithmetic §4 and §7, one number at a time. A number is *given*, or a *map* of a
//! few numbers of earlier tensors, or a *fold*: from a start, steps that each read a few numbers.
//! The definitions ask a [`Source`] for what they read, so the same lines compute a trace, find out
//! what a number depends on, and check it against shown bytes.

mod backward;
mod forward;
mod reinforce;
mod update;

use crate::program::{Kind, Program, Tensor, single, word};
use crate::rows::{Run, Sequence};
use std::collections::BTreeSet;
use std::ops::Range;

/// Where the numbers of earlier tensors come from.
pub trait Source {
    /// One number, widened to f64; nothing if it is not to be had.
    fn number(&mut self, tensor: Tensor, index: u64) -> Option<f64>;
}

/// How a number comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defined {
    /// From outside: weights, moments and sums before, and the batch.
    Given,
    /// At once.
    Map,
    /// In so many steps, in order.
    Fold(u64),
    /// In a way that follows from an entry of the plan which was not shown.
    Unknown,
}

/// Lanes of a reduction (arithmetic §2).
pub(crate) const LANES: u64 = LANES_COUNT as u64;
/// The same, to count arrays with.
pub const LANES_COUNT: usize = 16;

/// Elements that a lane of a reduction of `length` elements takes in.
pub(crate) const fn lane_length(length: u64, lane: u64) -> u64 {
    (length + LANES - 1).saturating_sub(lane) / LANES
}

/// Reads numbers of the part and block of the number that is defined.
pub(crate) struct Reader<'a> {
    pub(crate) program: &'a Program,
    pub(crate) tensor: Tensor,
    source: &'a mut dyn Source,
}

impl Reader<'_> {
    fn from(&mut self, part: usize, layer: u32, kind: Kind, index: u64) -> Option<f64> {
        self.source.number(Tensor { part, layer, kind }, index)
    }
    /// Of this part and block.
    pub(crate) fn at(&mut self, kind: Kind, index: u64) -> Option<f32> {
        let Tensor { part, layer, .. } = self.tensor;
        self.from(part, layer, kind, index).map(single)
    }
    /// Of this part, once a part.
    pub(crate) fn of_part(&mut self, kind: Kind, index: u64) -> Option<f32> {
        self.from(self.tensor.part, 0, kind, index).map(single)
    }
    /// Of another block of this part.
    pub(crate) fn of_layer(&mut self, layer: u32, kind: Kind, index: u64) -> Option<f32> {
        self.from(self.tensor.part, layer, kind, index).map(single)
    }
    /// Once a step.
    pub(crate) fn of_step(&mut self, kind: Kind, index: u64) -> Option<f32> {
        self.from(0, 0, kind, index).map(single)
    }
    pub(crate) fn double(&mut self, part: usize, kind: Kind, index: u64) -> Option<f64> {
        self.from(part, 0, kind, index)
    }
    /// The token of a row.
    pub(crate) fn token(&mut self, row: u64) -> Option<u64> {
        let tokens = self.program.tokens(self.tensor);
        let number = self.source.number(tokens, row)?;
        Some(word(number).into())
    }
    /// The token that a row is to predict, if it is to predict one.
    pub(crate) fn target(&mut self, row: u64) -> Option<Option<u64>> {
        if self.program.part().is_none() {
            let target = self.from(self.tensor.part, 0, Kind::Targets, row)?;
            return Some(Some(word(target).into()));
        }
        if self.sequence(row)?.is_none() {
            return Some(None);
        }
        self.token(row + 1).map(Some)
    }
    /// The sequence of a row that predicts a token of a response, and nothing for other rows;
    /// nothing at all of a row whose sequence is not known.
    pub(crate) fn sequence(&self, row: u64) -> Option<Option<Sequence>> {
        let found = self.program.part()?.sequences.of_row(row)?;
        let predicting = found.filter(|(sequence, position)| sequence.predicts(*position));
        Some(predicting.map(|(sequence, _)| sequence))
    }
    pub(crate) fn weight(&mut self, place: u64) -> Option<f32> {
        let weights = self.program.weights(self.tensor);
        self.source.number(weights, place).map(single)
    }
    /// What the gradient of a tensor of this block held before this part: +0 before the first.
    pub(crate) fn before(&mut self, kind: Kind, index: u64) -> Option<f32> {
        let tensor = Tensor {
            kind,
            ..self.tensor
        };
        match self.program.gradient_before(tensor) {
            None => Some(0.0),
            Some((before, first)) => self.source.number(before, first + index).map(single),
        }
    }
    /// The tree over the lanes of a row.
    pub(crate) fn tree(&mut self, kind: Kind, row: u64) -> Option<f32> {
        let mut lanes = [0.0_f32; LANES_COUNT];
        for (lane, at) in lanes.iter_mut().zip(row * LANES..) {
            *lane = self.at(kind, at)?;
        }
        Some(joined(lanes))
    }
}

/// Lane `j` takes in lane `j + 8`, `j + 4`, `j + 2`, `j + 1`.
pub(crate) fn joined<T: Copy + std::ops::Add<Output = T>>(mut lanes: [T; LANES_COUNT]) -> T {
    for width in [8, 4, 2, 1] {
        for lane in 0..width {
            lanes[lane] = lanes[lane] + lanes[lane + width];
        }
    }
    lanes[0]
}

impl Program {
    /// How number `index` of a tensor comes about.
    #[must_use]
    pub fn defined(&self, tensor: Tensor, index: u64) -> Defined {
        match tensor.kind {
            Kind::Weights
            | Kind::FirstMoment
            | Kind::SecondMoment
            | Kind::Tokens
            | Kind::Targets
            | Kind::BehaviourWeights
            | Kind::SumBefore => Defined::Given,
            Kind::RowWeights if self.step().is_some() => Defined::Given,
            kind => {
                let Some(at) = At::new(self, tensor, index) else {
                    return Defined::Unknown;
                };
                let folds = forward::folds(self, kind, at)
                    .or_else(|| backward::folds(self, kind, at))
                    .or_else(|| update::folds(self, kind, at));
                folds.map_or(Defined::Map, Defined::Fold)
            }
        }
    }
    /// Which of the known sequences of a reinforcement part the definition of a number asks about,
    /// with one step of its fold; each once.
    pub(crate) fn asks(&self, tensor: Tensor, index: u64, step: Option<u64>) -> BTreeSet<usize> {
        let given = self.defined(tensor, index) == Defined::Given;
        let Some(part) = self.part().filter(|_| !given) else {
            return BTreeSet::new();
        };
        let sequences = &part.sequences;
        let own = if tensor.kind.is_square() {
            sequences.index_of_cell(index / self.model().heads_count)
        } else {
            let row = At::row_of(self, tensor, index);
            row.and_then(|(row, heads)| sequences.index_of_row(row / heads))
        };
        let step = step.filter(|_| tensor.kind == Kind::Loss);
        let step = step.and_then(|row| sequences.index_of_row(row));
        own.into_iter().chain(step).collect()
    }
    /// The value of a map; nothing if something it reads is not to be had.
    pub fn map(&self, tensor: Tensor, index: u64, source: &mut dyn Source) -> Option<f64> {
        let (at, mut reader) = self.reader(tensor, index, source)?;
        forward::map(&mut reader, at)
            .or_else(|| backward::map(&mut reader, at))
            .or_else(|| reinforce::map(&mut reader, at))
            .or_else(|| update::map(&mut reader, at))?
    }
    /// What a fold starts from.
    pub fn start(&self, tensor: Tensor, index: u64, source: &mut dyn Source) -> Option<f64> {
        let (at, mut reader) = self.reader(tensor, index, source)?;
        match tensor.kind {
            Kind::ScoreMax | Kind::LogitMax => Some(f64::NEG_INFINITY),
            kind if backward::accumulates(kind) => backward::start(&mut reader, at),
            _ => Some(0.0),
        }
    }
    /// What a fold that has come to `value` comes to in these steps.
    pub fn steps_of(
        &self,
        (tensor, index): (Tensor, u64),
        steps: Range<u64>,
        value: f64,
        source: &mut dyn Source,
    ) -> Option<f64> {
        let (at, mut reader) = self.reader(tensor, index, source)?;
        let mut value = value;
        for k in steps {
            value = reinforce::step(&mut reader, k, value)
                .or_else(|| forward::step(&mut reader, at, k, value))
                .or_else(|| backward::step(&mut reader, at, k, value))
                .or_else(|| update::step(&mut reader, at, k, value))??;
        }
        Some(value)
    }

    fn reader<'a>(
        &'a self,
        tensor: Tensor,
        index: u64,
        source: &'a mut dyn Source,
    ) -> Option<(At, Reader<'a>)> {
        let at = At::new(self, tensor, index)?;
        let reader = Reader {
            program: self,
            tensor,
            source,
        };
        Some((at, reader))
    }
}

/// Where a number is: in its tensor, and in its sequence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    /// Index in the tensor.
    pub(crate) index: u64,
    /// Row of the tensor.
    pub(crate) row: u64,
    /// Column of the tensor.
    pub(crate) column: u64,
    /// The row's token among all of the part, where rows are tokens or heads of tokens.
    pub(crate) token: u64,
    /// The row's head, where rows are heads of tokens.
    pub(crate) head: u64,
    /// Index of the token in its sequence.
    pub(crate) position: u64,
    /// The first token of its sequence.
    pub(crate) first: u64,
    /// Tokens of the sequence.
    pub(crate) length: u64,
    /// Tokens of the part.
    pub(crate) tokens_count: u64,
    /// Index of the sequence's first number in tensors of attention.
    squares: u64,
    /// Query heads.
    heads_count: u64,
}

impl At {
    /// Nothing where it follows from an entry of the plan that was not shown.
    fn new(program: &Program, tensor: Tensor, index: u64) -> Option<Self> {
        let (rows, heads_count) = (program.rows(tensor), program.model().heads_count);
        if tensor.kind.is_square() {
            let run = rows.run_of_cell(index / heads_count)?;
            let inside = index.saturating_sub(run.cells * heads_count);
            let (row, column) = (inside / run.length, inside % run.length);
            let row = run.first * heads_count + row;
            let place = (index, row, column);
            return Some(Self::of(program, tensor, place, (run, heads_count)));
        }
        let (_, columns) = program.shape(tensor);
        let (row, column) = (index / columns, index % columns);
        let (run, heads) = match Self::row_of(program, tensor, index) {
            Some((row, heads)) => (rows.run_of_row(row / heads)?, heads),
            // Of weights, and of what is one number.
            None => (Run::NONE, 1),
        };
        Some(Self::of(
            program,
            tensor,
            (index, row, column),
            (run, heads),
        ))
    }
    /// The row of a number of a tensor that has rows for tokens, and how many each token has.
    fn row_of(program: &Program, tensor: Tensor, index: u64) -> Option<(u64, u64)> {
        let rows = program.rows(tensor);
        let (rows_count, columns) = program.shape_of_rows(tensor.kind, rows)?;
        let heads = (rows_count / rows.count().max(1)).max(1);
        Some((index / columns, heads))
    }
    fn of(
        program: &Program,
        tensor: Tensor,
        (index, row, column): (u64, u64, u64),
        (run, heads): (Run, u64),
    ) -> Self {
        let heads_count = program.model().heads_count;
        let token = row / heads;
        Self {
            index,
            row,
            column,
            token,
            head: row % heads,
            position: token - run.first,
            first: run.first,
            length: run.length,
            tokens_count: program.rows(tensor).count(),
            squares: run.cells * heads_count,
            heads_count,
        }
    }
    /// Index, in tensors of attention, of what a head of this sequence's token `position` has for
    /// its token `column`.
    pub(crate) const fn square(&self, position: u64, head: u64, column: u64) -> u64 {
        self.squares + (position * self.heads_count + head) * self.length + column
    }
}

#[cfg(test)]
mod tests;
