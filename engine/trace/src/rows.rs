//! Rows of a part: one a token, sequence after sequence, all of one length or each of its own.
//!
//! Attention has for each query head of each row as many numbers as its sequence has tokens. A
//! sequence of `T` tokens so has `T²` **cells** a head, and where its numbers of attention begin
//! follows from the cells of those before it.

use crate::model::Part;

/// Where a sequence lies in its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Its first row.
    pub(crate) first: u64,
    /// Its tokens.
    pub(crate) length: u64,
    /// Cells of the sequences before it.
    pub(crate) cells: u64,
}

impl Run {
    /// What there is instead of a sequence where there is none.
    pub(crate) const NONE: Self = Self {
        first: 0,
        length: 1,
        cells: 0,
    };
}

/// A prompt and the response to it, in a part of a reinforcement unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sequence {
    /// Tokens of the prompt; at least 1.
    pub prompt_count: u64,
    /// Tokens of the response.
    pub response_count: u64,
    /// By how much the response is better than others to its prompt; nothing where not all of them
    /// are known.
    pub advantage: Option<f32>,
}

impl Sequence {
    /// Tokens of both.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.prompt_count + self.response_count
    }
    /// Whether the row at this position predicts a token of the response.
    pub(crate) const fn predicts(&self, position: u64) -> bool {
        position + 1 >= self.prompt_count && position + 1 < self.length()
    }
}

/// The sequences of a part of a reinforcement unit: all of them, or those that were shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sequences {
    sequences: Vec<Sequence>,
    runs: Vec<Run>,
    /// Rows and cells of all sequences, where these are some of them.
    extent: Option<(u64, u64)>,
}

impl Sequences {
    /// These sequences, in order.
    #[must_use]
    pub fn new(sequences: Vec<Sequence>) -> Self {
        let mut next = (0, 0);
        let run = |sequence: &Sequence| {
            let ((first, cells), length) = (next, sequence.length());
            next = (first + length, cells + length * length);
            Run {
                first,
                length,
                cells,
            }
        };
        let runs = sequences.iter().map(run).collect();
        Self {
            sequences,
            runs,
            extent: None,
        }
    }
    /// Some of the sequences of a part that has so many rows and cells, each with its first row and
    /// the cells before it, ascending.
    pub(crate) fn some(extent: (u64, u64), shown: Vec<((u64, u64), Sequence)>) -> Self {
        let run = |&((first, cells), sequence): &((u64, u64), Sequence)| Run {
            first,
            length: sequence.length(),
            cells,
        };
        Self {
            runs: shown.iter().map(run).collect(),
            sequences: shown.into_iter().map(|(_, sequence)| sequence).collect(),
            extent: Some(extent),
        }
    }
    /// Those that are known.
    #[must_use]
    pub fn as_slice(&self) -> &[Sequence] {
        &self.sequences
    }
    /// Rows and cells.
    fn extent(&self) -> (u64, u64) {
        let last = self.runs.last().map_or((0, 0), |run| {
            (run.first + run.length, run.cells + run.length * run.length)
        });
        self.extent.unwrap_or(last)
    }
    /// The sequence of a row, and the row's position in it; nothing beyond the last, and nothing at
    /// all of a row whose sequence is not known.
    pub(crate) fn of_row(&self, row: u64) -> Option<Option<(Sequence, u64)>> {
        match self.index_of_row(row) {
            Some(index) => Some(Some((self.sequences[index], row - self.runs[index].first))),
            None => self.extent.is_none().then_some(None),
        }
    }
    /// Which of the known sequences a row is of.
    pub(crate) fn index_of_row(&self, row: u64) -> Option<usize> {
        let index = self.runs.partition_point(|run| run.first <= row);
        let index = index.checked_sub(1)?;
        let run = self.runs[index];
        let position = row.checked_sub(run.first)?;
        (position < run.length).then_some(index)
    }
    /// Which of the known sequences a cell is of.
    pub(crate) fn index_of_cell(&self, cell: u64) -> Option<usize> {
        let index = self.runs.partition_point(|run| run.cells <= cell);
        let index = index.checked_sub(1)?;
        let run = self.runs[index];
        // Of a plan that is none, cells need not ascend.
        let position = cell.checked_sub(run.cells)?;
        (position < run.length * run.length).then_some(index)
    }
    /// The run of a known sequence; instead of one, where all are known, that of none.
    fn run(&self, index: Option<usize>) -> Option<Run> {
        let none = self.extent.is_none().then_some(Run::NONE);
        index.map(|index| self.runs[index]).or(none)
    }
}

/// The rows of a part.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rows<'a> {
    /// Of sequences of one length.
    Equal(Part),
    /// Of sequences of any lengths.
    Ragged(&'a Sequences),
}

impl Rows<'_> {
    /// How many.
    pub(crate) fn count(self) -> u64 {
        match self {
            Self::Equal(part) => part.rows_count(),
            Self::Ragged(sequences) => sequences.extent().0,
        }
    }
    /// Rows and columns of what has, for so many heads of each row, a number for each token of
    /// the sequence; of one column where rows differ in their number.
    pub(crate) fn square(self, heads_count: u64) -> (u64, u64) {
        match self {
            Self::Equal(part) => (part.rows_count() * heads_count, part.length),
            Self::Ragged(sequences) => (sequences.extent().1 * heads_count, 1),
        }
    }
    /// The sequence that a row is of; nothing of one that is not known.
    pub(crate) fn run_of_row(self, row: u64) -> Option<Run> {
        match self {
            Self::Equal(part) => Some(run_of(part, row / part.length.max(1))),
            Self::Ragged(sequences) => sequences.run(sequences.index_of_row(row)),
        }
    }
    /// The sequence that a cell is of; nothing of one that is not known.
    pub(crate) fn run_of_cell(self, cell: u64) -> Option<Run> {
        match self {
            Self::Equal(part) => Some(run_of(part, cell / (part.length * part.length).max(1))),
            Self::Ragged(sequences) => sequences.run(sequences.index_of_cell(cell)),
        }
    }
}

/// Where sequence `index` of a part of equal ones lies.
fn run_of(part: Part, index: u64) -> Run {
    let length = part.length.max(1);
    Run {
        first: index * length,
        length,
        cells: index * length * length,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequences(lengths: &[(u64, u64)]) -> Sequences {
        let sequence = |&(prompt_count, response_count): &(u64, u64)| Sequence {
            prompt_count,
            response_count,
            advantage: Some(0.0),
        };
        Sequences::new(lengths.iter().map(sequence).collect())
    }

    #[test]
    fn equal_rows_are_ragged_ones_of_one_length() {
        let part = Part {
            sequences_count: 5,
            length: 7,
        };
        let ragged = sequences(&[(3, 4); 5]);
        let (equal, ragged) = (Rows::Equal(part), Rows::Ragged(&ragged));
        assert_eq!(equal.count(), ragged.count());
        assert_eq!(equal.square(3), (5 * 7 * 3, 7));
        assert_eq!(ragged.square(3), (5 * 7 * 7 * 3, 1));
        for row in 0..equal.count() {
            assert_eq!(equal.run_of_row(row), ragged.run_of_row(row), "row {row}");
        }
        for cell in 0..5 * 7 * 7 {
            assert_eq!(
                equal.run_of_cell(cell),
                ragged.run_of_cell(cell),
                "cell {cell}"
            );
        }
    }

    #[test]
    fn every_row_and_cell_is_of_one_sequence_and_only_response_tokens_are_predicted() {
        let lengths = [(1, 1), (4, 3), (2, 0), (1, 6), (5, 1)];
        let sequences = sequences(&lengths);
        let rows = Rows::Ragged(&sequences);
        let (mut row, mut cell) = (0, 0);
        for (prompt_count, response_count) in lengths {
            let length = prompt_count + response_count;
            let run = Run {
                first: row,
                length,
                cells: cell,
            };
            for position in 0..length {
                assert_eq!(rows.run_of_row(row + position), Some(run));
                let found = sequences.of_row(row + position).flatten();
                let (sequence, found) = found.expect("a row of it");
                assert_eq!(found, position);
                let predicts = (prompt_count - 1..length - 1).contains(&position);
                assert_eq!(sequence.predicts(position), predicts, "{run:?} {position}");
            }
            assert_eq!(rows.run_of_cell(cell), Some(run));
            assert_eq!(rows.run_of_cell(cell + length * length - 1), Some(run));
            (row, cell) = (row + length, cell + length * length);
        }
        assert_eq!((rows.count(), rows.square(2)), (row, (2 * cell, 1)));
        assert_eq!(sequences.of_row(row), Some(None));
    }

    #[test]
    fn no_sequences_have_no_rows() {
        let sequences = sequences(&[]);
        let rows = Rows::Ragged(&sequences);
        assert_eq!((rows.count(), rows.square(4)), (0, (0, 1)));
        assert_eq!(rows.run_of_row(0), Some(Run::NONE));
        assert_eq!(sequences.of_row(0), Some(None));
    }

    #[test]
    fn of_sequences_that_were_not_shown_nothing_is_known_but_how_many_rows_all_have() {
        let all = sequences(&[(1, 1), (4, 3), (2, 0), (1, 6)]);
        let sequence = all.as_slice()[1];
        let some = Sequences::some((18, 4 + 49 + 4 + 49), vec![((2, 4), sequence)]);
        let (all, rows) = (Rows::Ragged(&all), Rows::Ragged(&some));
        assert_eq!((rows.count(), rows.square(2)), (all.count(), all.square(2)));
        for row in 0..20 {
            let is_shown = (2..9).contains(&row);
            let run = is_shown.then(|| all.run_of_row(row)).flatten();
            assert_eq!(rows.run_of_row(row), run, "row {row}");
            let found = is_shown.then(|| Some((sequence, row - 2)));
            assert_eq!(some.of_row(row), found, "row {row}");
        }
        for cell in 0..108 {
            let run = (4..53).contains(&cell).then(|| all.run_of_cell(cell));
            assert_eq!(rows.run_of_cell(cell), run.flatten(), "cell {cell}");
        }
    }
}
