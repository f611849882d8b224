//! Buffers that begin on a cache line, so that no vector of theirs lies across two.

/// Values of a cache line.
pub(super) const LINE: usize = 16;

/// Values of which the first lies on a cache line.
///
/// A clone holds the same values, wherever they come to lie until it next grows: the position of
/// the first one costs time, never a bit.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    data: Vec<f32>,
    start: usize,
}

impl Lines {
    /// Makes room for `length` values; what they hold is stale.
    pub(super) fn reserve(&mut self, length: usize) {
        if self.data.len() < length + LINE {
            self.data.resize(length + LINE, 0.0);
            let address = self.data.as_ptr();
            self.start = address.align_offset(LINE * size_of::<f32>()).min(LINE);
        }
    }

    /// All values there is room for.
    pub(super) fn get(&self) -> &[f32] {
        &self.data[self.start..]
    }

    /// All values there is room for, to be written.
    pub(super) fn get_mut(&mut self) -> &mut [f32] {
        &mut self.data[self.start..]
    }
}
