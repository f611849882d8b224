//! The tree inside a BLAKE3 hash: names of parts of a file, and a piece shown against the name of
//! the whole.
//!
//! BLAKE3 hashes pieces of 1 KiB (its "chunks") and joins the names of neighbours, two at a time;
//! the left part is always a power of two. So a file's hash already is the root of a tree over its
//! pieces, and showing one of them takes its bytes and one name a level.

use blake3::hazmat::{
    ContextKey, HasherExt, Mode, hash_derive_key_context, left_subtree_len,
    merge_subtrees_non_root, merge_subtrees_root,
};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Bytes of a piece.
pub const PIECE_BYTES: u64 = 1024;
/// Most levels that one turn of a dispute goes down.
pub const LEVELS: u32 = 5;

/// The name of a part of a file: a chaining value, or the hash of the whole.
pub type Name = [u8; 32];

/// How a file is hashed. The tree is the same; names are others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hashing {
    /// As it is: tensors, tables, states.
    Plain,
    /// Under a tag, in the mode for deriving keys: what leaves of rollouts bind.
    Tagged(ContextKey),
}

impl Hashing {
    /// Under this tag.
    #[must_use]
    pub fn tagged(tag: &str) -> Self {
        Self::Tagged(hash_derive_key_context(tag))
    }
    const fn mode(&self) -> Mode<'_> {
        match self {
            Self::Plain => Mode::Hash,
            Self::Tagged(key) => Mode::DeriveKeyMaterial(key),
        }
    }
    fn hasher(&self) -> blake3::Hasher {
        match self {
            Self::Plain => blake3::Hasher::new(),
            Self::Tagged(key) => blake3::Hasher::new_from_context_key(key),
        }
    }
}

/// A part of a file that has a name: whole pieces from its start, which the tree joins.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Span {
    /// First byte.
    pub start: u64,
    /// Bytes, at least 1 but in an empty file.
    pub length: u64,
    /// Whether it is the whole file, whose name is its hash.
    pub is_whole: bool,
}

impl Span {
    /// A file of so many bytes.
    #[must_use]
    pub const fn file(length: u64) -> Self {
        Self {
            start: 0,
            length,
            is_whole: true,
        }
    }
    /// Whether it is one piece.
    #[must_use]
    pub const fn is_piece(&self) -> bool {
        self.length <= PIECE_BYTES
    }
    /// Whether a byte of the file is in it.
    #[must_use]
    pub const fn holds(&self, byte: u64) -> bool {
        byte >= self.start && byte - self.start < self.length
    }
    /// The two spans whose names give its own; nothing of a piece.
    #[must_use]
    pub fn halves(self) -> Option<(Self, Self)> {
        if self.is_piece() {
            return None;
        }
        let left = left_subtree_len(self.length);
        let part = |start, length| Self {
            start,
            length,
            is_whole: false,
        };
        let right = part(self.start + left, self.length - left);
        Some((part(self.start, left), right))
    }
    /// Levels of its tree.
    #[must_use]
    pub const fn depth(self) -> u32 {
        let pieces = self.length.div_ceil(PIECE_BYTES);
        pieces.next_power_of_two().trailing_zeros()
    }
    /// The spans that one turn shows, in order: as few levels below as still lead to a piece in as
    /// few turns as [`LEVELS`] a turn would, evenly, for a level more is twice as many names.
    #[must_use]
    pub fn below(self) -> Vec<Self> {
        let depth = self.depth();
        let turns = depth.div_ceil(LEVELS).max(1);
        let mut spans = vec![self];
        for _ in 0..depth.div_ceil(turns) {
            let halves = |span: Self| match span.halves() {
                Some((left, right)) => vec![left, right],
                None => vec![span],
            };
            spans = spans.into_iter().flat_map(halves).collect();
        }
        spans
    }
    /// Its name by its bytes, which are as many as it has.
    #[must_use]
    pub fn name(self, bytes: &[u8]) -> Name {
        self.name_in(&Hashing::Plain, bytes)
    }
    /// Its name in a file that is hashed in a way.
    fn name_in(self, hashing: &Hashing, bytes: &[u8]) -> Name {
        let mut hasher = hashing.hasher();
        if self.is_whole {
            return *hasher.update(bytes).finalize().as_bytes();
        }
        hasher.set_input_offset(self.start);
        hasher.update(bytes);
        hasher.finalize_non_root()
    }
    /// Its name by the names of the spans below; nothing if they are not as many.
    #[must_use]
    pub fn joined(self, names: &[Name]) -> Option<Name> {
        let spans = self.below();
        if self.is_piece() || names.len() != spans.len() {
            return None;
        }
        let mut known = spans.into_iter().zip(names.iter().copied()).peekable();
        self.join(&mut known)
    }
    fn join(self, known: &mut Known<'_>) -> Option<Name> {
        if known.peek().is_some_and(|(span, _)| *span == self) {
            return known.next().map(|(_, name)| name);
        }
        let (left, right) = self.halves()?;
        let (left, right) = (left.join(known)?, right.join(known)?);
        Some(self.merged(&Hashing::Plain, &left, &right))
    }
    fn merged(self, hashing: &Hashing, left: &Name, right: &Name) -> Name {
        if self.is_whole {
            merge_subtrees_root(left, right, hashing.mode()).into()
        } else {
            merge_subtrees_non_root(left, right, hashing.mode())
        }
    }
    /// Its bytes in the file's.
    #[must_use]
    pub fn of(self, file: &[u8]) -> &[u8] {
        let start = usize::try_from(self.start).unwrap_or(usize::MAX);
        let length = usize::try_from(self.length).unwrap_or(usize::MAX);
        let end = start.saturating_add(length).min(file.len());
        file.get(start..end).unwrap_or_default()
    }
}

type Known<'a> = std::iter::Peekable<std::iter::Zip<std::vec::IntoIter<Span>, Copied<'a>>>;
type Copied<'a> = std::iter::Copied<std::slice::Iter<'a, Name>>;

/// A piece of a file, and what shows that it is one.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Opening {
    /// Index of the piece.
    pub piece: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Names beside the way up from it, the lowest first.
    pub path: Vec<Name>,
}

impl Opening {
    /// Opens the piece that holds a byte.
    #[must_use]
    pub fn of(file: &[u8], byte: u64) -> Self {
        Self::of_in(&Hashing::Plain, file, byte)
    }
    /// Opens the piece that holds a byte of a file that is hashed in a way.
    #[must_use]
    pub fn of_in(hashing: &Hashing, file: &[u8], byte: u64) -> Self {
        Self::below(hashing, file, Span::file(file.len() as u64), byte)
    }
    /// Opens the piece that holds a byte of a part of a file, against the part's name.
    #[must_use]
    pub fn of_span(file: &[u8], span: Span, byte: u64) -> Self {
        Self::below(&Hashing::Plain, file, span, byte)
    }
    fn below(hashing: &Hashing, file: &[u8], span: Span, byte: u64) -> Self {
        let mut span = span;
        let mut path = Vec::new();
        while let Some((left, right)) = span.halves() {
            let (next, beside) = if byte < right.start {
                (left, right)
            } else {
                (right, left)
            };
            path.push(beside.name_in(hashing, beside.of(file)));
            span = next;
        }
        path.reverse();
        Self {
            piece: span.start / PIECE_BYTES,
            bytes: span.of(file).to_vec(),
            path,
        }
    }
    /// Whether it opens a file of this name and length.
    #[must_use]
    pub fn opens(&self, name: &Name, length: u64) -> bool {
        self.opens_in(&Hashing::Plain, name, length)
    }
    /// Whether it opens a file of this name and length that is hashed in a way.
    #[must_use]
    pub fn opens_in(&self, hashing: &Hashing, name: &Name, length: u64) -> bool {
        self.is_below(hashing, name, Span::file(length))
    }
    /// Whether it opens a part of a file that has this name.
    #[must_use]
    pub fn opens_span(&self, name: &Name, span: Span) -> bool {
        self.is_below(&Hashing::Plain, name, span)
    }
    fn is_below(&self, hashing: &Hashing, name: &Name, span: Span) -> bool {
        let byte = self.piece.saturating_mul(PIECE_BYTES);
        let mut spans = vec![span];
        while let Some((left, right)) = spans.last().and_then(|span| span.halves()) {
            spans.push(if byte < right.start { left } else { right });
        }
        let Some(piece) = spans.pop() else {
            return false;
        };
        let is_it = piece.start == byte && piece.length == self.bytes.len() as u64;
        if !is_it || spans.len() != self.path.len() {
            return false;
        }
        let mut own = (piece, piece.name_in(hashing, &self.bytes));
        for (span, beside) in spans.into_iter().rev().zip(&self.path) {
            let is_left = own.0.start == span.start;
            let (left, right) = if is_left {
                (&own.1, beside)
            } else {
                (beside, &own.1)
            };
            own = (span, span.merged(hashing, left, right));
        }
        own.1 == *name
    }
    /// Some of the file's bytes, if they are in the piece.
    #[must_use]
    pub fn bytes_at(&self, start: u64, width: u64) -> Option<&[u8]> {
        let start = start.checked_sub(self.piece.checked_mul(PIECE_BYTES)?)?;
        let start = usize::try_from(start).ok()?;
        let width = usize::try_from(width).ok()?;
        self.bytes.get(start..start.checked_add(width)?)
    }
}

#[cfg(test)]
mod tests;
