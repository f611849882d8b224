//! Proofs made without the activations they claim.

use crate::{Result, chunks::Chunks};
use protocol::proof::toploc::Proof;

/// What a forger knows, and tries. The first 64 chunks are what it saw before.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Forgery {
    /// One constant, the best for what it saw.
    Constant,
    /// The same with its highest coefficient not zero.
    DisguisedConstant,
    /// Typical values at the places where activations are usually large.
    Typical,
    /// The honest proof of another chunk.
    Copied,
}

const SEEN_COUNT: usize = 64;

impl Forgery {
    pub(crate) const ALL: [Self; 4] = [
        Self::Constant,
        Self::DisguisedConstant,
        Self::Typical,
        Self::Copied,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::DisguisedConstant => "disguised-constant",
            Self::Typical => "typical",
            Self::Copied => "copied",
        }
    }

    /// One forged proof for every chunk. Chunks that the forger saw get one as well.
    pub(crate) fn proofs(self, chunks: &Chunks) -> Result<Vec<Vec<u8>>> {
        let honest = chunks.proofs()?;
        let proof = match self {
            Self::Constant => constant(chunks, false),
            Self::DisguisedConstant => constant(chunks, true),
            Self::Typical => typical(chunks)?,
            Self::Copied => {
                let (count, mut copied) = (honest.len(), honest);
                copied.rotate_left(1.min(count));
                return Ok(copied);
            }
        };
        Ok(vec![proof; chunks.count()])
    }
}

/// The 128 largest values of a chunk by place, as the definition says.
fn largest(values: &[u16]) -> Vec<(u32, u16)> {
    let mut points: Vec<(u32, u16)> = (0..).zip(values.iter().copied()).collect();
    points.sort_by_key(|&(index, value)| (std::cmp::Reverse(value & 0x7fff), index));
    points.truncate(128);
    points
}

/// The constant that would have passed the reference's rule for most chunks seen, as a polynomial
/// of 128 coefficients.
fn constant(chunks: &Chunks, disguised: bool) -> Vec<u8> {
    let seen: Vec<Vec<u16>> = (0..SEEN_COUNT.min(chunks.count()))
        .map(|index| {
            largest(chunks.chunk(index))
                .iter()
                .map(|(_, value)| value & 0x7fff)
                .collect()
        })
        .collect();
    let passes = |constant: u16| seen.iter().filter(|chunk| agrees(constant, chunk)).count();
    let candidates = seen
        .iter()
        .flatten()
        .copied()
        .collect::<std::collections::BTreeSet<_>>();
    let best = candidates
        .into_iter()
        .max_by_key(|constant| passes(*constant))
        .unwrap_or(0);
    let mut words = vec![65_497_u16, best];
    words.resize(129, 0);
    if disguised {
        // The highest coefficient is not zero; the values become noise.
        words[128] = 1;
    }
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// The reference's rule, which ignores signs, for a constant.
fn agrees(constant: u16, chunk: &[u16]) -> bool {
    let same = chunk.iter().filter(|value| *value >> 7 == constant >> 7);
    let mut distances: Vec<u16> = same.map(|value| value.abs_diff(constant)).collect();
    distances.sort_unstable();
    let count = distances.len();
    let sum: usize = distances
        .iter()
        .map(|&distance| usize::from(distance))
        .sum();
    chunk.len() - count <= 38 && sum <= 10 * count && distances[count / 2] <= 8
}

/// The median value seen at each of the 128 places that were most often among the largest.
fn typical(chunks: &Chunks) -> Result<Vec<u8>> {
    let mut seen = std::collections::BTreeMap::<u32, Vec<u16>>::new();
    for index in 0..SEEN_COUNT.min(chunks.count()) {
        for (place, value) in largest(chunks.chunk(index)) {
            seen.entry(place).or_default().push(value);
        }
    }
    let mut places: Vec<_> = seen.into_iter().collect();
    places.sort_by_key(|(place, values)| (std::cmp::Reverse(values.len()), *place));
    places.truncate(128);
    let median = |(place, mut values): (u32, Vec<u16>)| {
        values.sort_unstable();
        (place, values[values.len() / 2])
    };
    let points: Vec<_> = places.into_iter().map(median).collect();
    Ok(Proof::from_points(&points)?.to_bytes())
}
