//! Chance from a seed: the stream of BLAKE3.

/// A stream of numbers.
pub(super) struct Random(blake3::OutputReader);

impl Random {
    /// The stream of a seed.
    pub(super) fn new(seed: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes());
        Self(hasher.finalize_xof())
    }
    /// A number.
    pub(super) fn number(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }
    /// Bytes.
    pub(super) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill(&mut bytes);
        bytes
    }
    /// A number below a limit.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.number() % limit
    }
    /// A position.
    pub(super) fn index(&mut self, count: usize) -> usize {
        usize::try_from(self.below(count as u64)).unwrap()
    }
    /// True in this many of a hundred cases.
    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
    /// One of several.
    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.index(items.len())]
    }
    /// Any order.
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.index(last + 1);
            items.swap(last, other);
        }
    }
}
