//! Which rows of a pass belong together.
//!
//! Sequences of different lengths lie end to end as rows; nothing is padded. A *segment* is a run
//! of rows of one sequence. A segment may continue a parent: its rows stand after the parent's and
//! attend to them, so the samples of a group compute their prompt once.

/// A run of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Index of the first row.
    pub(crate) first: usize,
    /// Number of rows.
    pub(crate) length: usize,
}

/// Rows of one sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Its own rows.
    pub(crate) own: Span,
    /// The rows it continues; of length 0 for a sequence of its own.
    pub(crate) parent: Span,
}

impl Segment {
    /// Rows that the last row attends to.
    pub(crate) fn total(&self) -> usize {
        self.parent.length + self.own.length
    }
}

/// The rows of a pass.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    segments: Vec<Segment>,
    positions: Vec<usize>,
}

impl Rows {
    /// Forgets all rows.
    pub(crate) fn clear(&mut self) {
        self.segments.clear();
        self.positions.clear();
    }

    /// Appends a segment of `length` rows that continues segment `parent`; returns its index.
    pub(crate) fn push(&mut self, length: usize, parent: Option<usize>) -> usize {
        let first = self.positions.len();
        let parent = parent.map_or(Span { first, length: 0 }, |index| self.segments[index].own);
        self.positions.extend(parent.length..parent.length + length);
        let own = Span { first, length };
        self.segments.push(Segment { own, parent });
        self.segments.len() - 1
    }

    /// Appends one row at `position` of a sequence whose keys and values are in a cache.
    pub(crate) fn push_cached(&mut self, position: usize) {
        self.positions.push(position);
    }

    /// All segments, in the order of their rows.
    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The position of every row in its sequence.
    pub(crate) fn positions(&self) -> &[usize] {
        &self.positions
    }

    /// The number of rows.
    pub(crate) fn count(&self) -> usize {
        self.positions.len()
    }
}
