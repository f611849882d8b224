//! Text to pre-train on: slices drawn by seed, and a part kept for validation.

use std::sync::LazyLock;

use crate::{Chance, Split, tokens_of};

/// The last sixteenth of a corpus is its validation part.
const HELD_OUT_ONE_IN: usize = 16;

/// A text, divided into a training part and a validation part.
#[derive(Debug, Clone, Copy)]
pub struct Corpus {
    name: &'static str,
    hash: [u8; 32],
    train: &'static [u8],
    held_out: &'static [u8],
}

static SHAKESPEARE: LazyLock<Corpus> =
    LazyLock::new(|| Corpus::new("shakespeare", include_bytes!("../data/shakespeare.txt")));

impl Corpus {
    /// Eight plays, public domain, about one MiB of ASCII. Origin: `data/README.md`.
    #[must_use]
    pub fn shakespeare() -> &'static Self {
        &SHAKESPEARE
    }

    /// The corpus with this hash, if there is one.
    #[must_use]
    pub fn by_hash(hash: &[u8; 32]) -> Option<&'static Self> {
        Some(Self::shakespeare()).filter(|corpus| corpus.hash == *hash)
    }

    /// The corpus with this name, if there is one.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Self> {
        Some(Self::shakespeare()).filter(|corpus| corpus.name == name)
    }

    fn new(name: &'static str, text: &'static [u8]) -> Self {
        let held_out_bytes = text.len().checked_div(HELD_OUT_ONE_IN).unwrap_or(0);
        let (train, held_out) = text.split_at(text.len().saturating_sub(held_out_bytes));
        Self {
            name,
            hash: *blake3::hash(text).as_bytes(),
            train,
            held_out,
        }
    }

    /// The name, e.g. `shakespeare`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The plain BLAKE3 hash of the text, which names the corpus on the chain.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// All bytes of one part.
    #[must_use]
    pub fn part(&self, split: Split) -> &'static [u8] {
        match split {
            Split::Train => self.train,
            Split::HeldOut => self.held_out,
        }
    }

    /// The slice of a seed: `length_bytes` consecutive bytes of a part, at a position drawn by the
    /// seed. A part shorter than `length_bytes` is given whole.
    #[must_use]
    pub fn slice(&self, seed: &[u8; 32], length_bytes: usize, split: Split) -> &'static [u8] {
        let part = self.part(split);
        let length_bytes = length_bytes.min(part.len());
        let last_start = part.len().saturating_sub(length_bytes);
        let start_count = u64::try_from(last_start)
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        let mut chance = Chance::new("cairn corpus slice v1", &self.hash, seed);
        let start = usize::try_from(chance.below(start_count)).unwrap_or(0);
        let end = start.saturating_add(length_bytes);
        part.get(start..end).unwrap_or_default()
    }

    /// The slice of a seed, as tokens.
    #[must_use]
    pub fn tokens(&self, seed: &[u8; 32], length_tokens: usize, split: Split) -> Vec<u32> {
        tokens_of(self.slice(seed, length_tokens, split))
    }

    /// The validation part cut into consecutive rows of `length_tokens`, without a short last row:
    /// the fixed set on which every checkpoint is evaluated.
    pub fn validation_rows(&self, length_tokens: usize) -> impl Iterator<Item = Vec<u32>> + use<> {
        self.held_out
            .chunks_exact(length_tokens.max(1))
            .map(tokens_of)
    }
}
