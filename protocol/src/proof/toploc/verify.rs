//! Judging proofs against the verifier's own activations.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use super::{Activations, BuildError, Proof, WireError, select};

/// Sign and exponent of a bf16 value.
const EXPONENT_MASK: u16 = 0xff80;
/// The seven stored bits of its mantissa.
const MANTISSA_MASK: u16 = 0x007f;

/// How much disagreement is forgiven in each chunk; consensus parameters, one set for each class of
/// engine. A measured value above its threshold rejects.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
pub struct Thresholds {
    /// Most activations whose sign or exponent may differ.
    pub exponent_mismatches_max: u32,
    /// Largest mean distance between mantissas where sign and exponent agree, in thousandths.
    pub mantissa_mean_thousandths_max: u32,
    /// Largest median distance between those mantissas.
    pub mantissa_median_max: u32,
}

impl Thresholds {
    /// The numbers of the paper's own validator, here with signs counted.
    pub const PAPER: Self = Self {
        exponent_mismatches_max: 38,
        mantissa_mean_thousandths_max: 10_000,
        mantissa_median_max: 8,
    };
}

/// Highest coefficients of which one at least must not be zero, in proofs of more than twice as
/// many points. Random points give so low a degree with probability 65497⁻⁸; a
/// constant, fitted to the
/// typical activation, always does.
const LEADING_COUNT: usize = 8;

/// Under which rule proofs are judged.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
pub enum Rule {
    /// The engine gives the same bits everywhere: the proof must be the verifier's own, byte for
    /// byte.
    Exact,
    /// The engine's bits depend on the machine: every chunk must be within the thresholds.
    Tolerant(Thresholds),
}

/// How far one chunk's proof agrees with the verifier's activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Agreement {
    /// Activations compared.
    pub compared_count: u32,
    /// Those whose sign or exponent differs.
    pub exponent_mismatches: u32,
    /// Distances between the mantissas of the others, if there are others.
    pub mantissa: Option<MantissaDistance>,
}

/// Distances between mantissas, in units of the last place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MantissaDistance {
    /// The mean in thousandths, rounded up.
    pub mean_thousandths: u32,
    /// Element ⌊n/2⌋ of the sorted distances.
    pub median: u32,
}

/// Why proofs are rejected. Each reason has a stable code: [`Rejection::code`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// A proof is not well formed.
    #[error("proof {chunk_index} is malformed: {error}")]
    Malformed {
        /// Which proof.
        chunk_index: usize,
        /// What is wrong with it.
        error: WireError,
    },
    /// Not one proof for each chunk.
    #[error("rollout has {proof_count} proofs; its activations have {chunk_count} chunks")]
    ProofCount {
        /// Proofs given.
        proof_count: usize,
        /// Proofs wanted.
        chunk_count: usize,
    },
    /// A proof over more or fewer activations than the layout says.
    #[error("proof {chunk_index} has {coefficient_count} coefficients; {point_count} are required")]
    CoefficientCount {
        /// Which proof.
        chunk_index: usize,
        /// Coefficients found.
        coefficient_count: usize,
        /// Coefficients wanted.
        point_count: usize,
    },
    /// A modulus under which that many indices cannot be distinct.
    #[error(
        "proof {chunk_index} has modulus {modulus}; {point_count} points need at least as much"
    )]
    Modulus {
        /// Which proof.
        chunk_index: usize,
        /// The modulus found.
        modulus: u16,
        /// Points to keep apart.
        point_count: usize,
    },
    /// A polynomial of lower degree than points of a rollout give: a curve fitted to
    /// what is typical.
    #[error(
        "proof {chunk_index} has degree {degree}; {point_count} points have {degree_min} or more"
    )]
    Degree {
        /// Which proof.
        chunk_index: usize,
        /// The degree found.
        degree: usize,
        /// The lowest degree accepted.
        degree_min: usize,
        /// Points covered.
        point_count: usize,
    },
    /// Activations of which no honest prover could have made a proof.
    #[error("chunk {chunk_index} admits no proof: {error}")]
    Unprovable {
        /// Which chunk.
        chunk_index: usize,
        /// Why.
        error: BuildError,
    },
    /// The proof is not the verifier's own.
    #[error(
        "proof {chunk_index} differs from the recomputed one; {exponent_mismatches} of \
         {compared_count} exponents differ"
    )]
    NotEqual {
        /// Which proof.
        chunk_index: usize,
        /// Activations whose sign or exponent differs.
        exponent_mismatches: u32,
        /// Activations compared.
        compared_count: u32,
    },
    /// Too many signs or exponents differ.
    #[error("chunk {chunk_index} has {measured} exponent mismatches; {threshold} are allowed")]
    ExponentMismatches {
        /// Which chunk.
        chunk_index: usize,
        /// Mismatches found.
        measured: u32,
        /// Mismatches allowed.
        threshold: u32,
    },
    /// Mantissas differ too much on average.
    #[error(
        "chunk {chunk_index} has mean mantissa distance {measured} thousandths; {threshold} are \
         allowed"
    )]
    MantissaMean {
        /// Which chunk.
        chunk_index: usize,
        /// Mean found, in thousandths.
        measured: u32,
        /// Mean allowed, in thousandths.
        threshold: u32,
    },
    /// Mantissas differ too much at the median.
    #[error("chunk {chunk_index} has median mantissa distance {measured}; {threshold} is allowed")]
    MantissaMedian {
        /// Which chunk.
        chunk_index: usize,
        /// Median found.
        measured: u32,
        /// Median allowed.
        threshold: u32,
    },
    /// No sign and exponent agrees, so there is nothing to compare further. Rejected whatever the
    /// thresholds are.
    #[error("chunk {chunk_index} agrees in none of {compared_count} exponents")]
    NothingAgrees {
        /// Which chunk.
        chunk_index: usize,
        /// Activations compared.
        compared_count: u32,
    },
}

impl Rejection {
    /// The reason's stable number, from the specification.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::Malformed { .. } => 1,
            Self::ProofCount { .. } => 2,
            Self::CoefficientCount { .. } => 3,
            Self::Modulus { .. } => 4,
            Self::Unprovable { .. } => 5,
            Self::NotEqual { .. } => 6,
            Self::ExponentMismatches { .. } => 7,
            Self::MantissaMean { .. } => 8,
            Self::MantissaMedian { .. } => 9,
            Self::NothingAgrees { .. } => 10,
            Self::Degree { .. } => 11,
        }
    }
}

/// Judges proofs in wire form. See [`verify()`].
///
/// # Errors
/// The first reason to reject, malformed bytes included.
pub fn verify_bytes<B: AsRef<[u8]>>(
    proofs: &[B],
    activations: &Activations<'_>,
    rule: Rule,
) -> Result<Vec<Agreement>, Rejection> {
    check_proof_count(proofs.len(), activations)?;
    let proofs = proofs
        .iter()
        .enumerate()
        .map(|(chunk_index, bytes)| {
            Proof::from_bytes(bytes.as_ref())
                .map_err(|error| Rejection::Malformed { chunk_index, error })
        })
        .collect::<Result<Vec<_>, _>>()?;
    verify(&proofs, activations, rule)
}

/// Judges the proofs of a rollout against the verifier's own activations for the same tokens, and
/// tells how far each chunk agrees.
///
/// # Errors
/// The first reason to reject.
pub fn verify(
    proofs: &[Proof],
    activations: &Activations<'_>,
    rule: Rule,
) -> Result<Vec<Agreement>, Rejection> {
    check_proof_count(proofs.len(), activations)?;
    let mut selector = select::Selector::new(activations.layout().top_count);
    proofs
        .iter()
        .zip(activations.chunks())
        .enumerate()
        .map(|(chunk_index, (proof, chunk))| {
            let points = selector.largest(chunk);
            check_shape(chunk_index, proof, &points)?;
            match rule {
                Rule::Exact => judge_exact(chunk_index, proof, &points),
                Rule::Tolerant(thresholds) => {
                    check_degree(chunk_index, proof)?;
                    judge_tolerant(chunk_index, compare(proof, &points), thresholds)
                }
            }
        })
        .collect()
}

fn check_proof_count(proof_count: usize, activations: &Activations<'_>) -> Result<(), Rejection> {
    let chunk_count = activations.chunks().len();
    if proof_count != chunk_count {
        return Err(Rejection::ProofCount {
            proof_count,
            chunk_count,
        });
    }
    Ok(())
}

fn check_shape(chunk_index: usize, proof: &Proof, points: &[(u32, u16)]) -> Result<(), Rejection> {
    let (point_count, modulus) = (points.len(), proof.modulus());
    let coefficient_count = proof.coefficients().len();
    if coefficient_count != point_count {
        return Err(Rejection::CoefficientCount {
            chunk_index,
            coefficient_count,
            point_count,
        });
    }
    if usize::from(modulus) < point_count {
        return Err(Rejection::Modulus {
            chunk_index,
            modulus,
            point_count,
        });
    }
    Ok(())
}

/// Rejects fitted curves. Only the tolerant rule needs this: the exact one wants equality.
fn check_degree(chunk_index: usize, proof: &Proof) -> Result<(), Rejection> {
    let point_count = proof.coefficients().len();
    let degree_min = point_count.saturating_sub(LEADING_COUNT);
    let degree = proof
        .coefficients()
        .iter()
        .rposition(|&c| c != 0)
        .unwrap_or(0);
    if degree < degree_min && point_count > 2 * LEADING_COUNT {
        return Err(Rejection::Degree {
            chunk_index,
            degree,
            degree_min,
            point_count,
        });
    }
    Ok(())
}

fn judge_exact(
    chunk_index: usize,
    proof: &Proof,
    points: &[(u32, u16)],
) -> Result<Agreement, Rejection> {
    if !proof
        .is_of(points)
        .map_err(|error| Rejection::Unprovable { chunk_index, error })?
    {
        let Agreement {
            compared_count,
            exponent_mismatches,
            mantissa: _,
        } = compare(proof, points);
        return Err(Rejection::NotEqual {
            chunk_index,
            exponent_mismatches,
            compared_count,
        });
    }
    // The verifier's own polynomial passes through the verifier's own points.
    let mantissa = Some(MantissaDistance {
        mean_thousandths: 0,
        median: 0,
    });
    Ok(Agreement {
        compared_count: count_of(points.len()),
        exponent_mismatches: 0,
        mantissa,
    })
}

fn judge_tolerant(
    chunk_index: usize,
    agreement: Agreement,
    thresholds: Thresholds,
) -> Result<Agreement, Rejection> {
    let Agreement {
        compared_count,
        exponent_mismatches: measured,
        mantissa,
    } = agreement;
    let Thresholds {
        exponent_mismatches_max,
        mantissa_mean_thousandths_max,
        mantissa_median_max,
    } = thresholds;
    if measured > exponent_mismatches_max {
        let threshold = exponent_mismatches_max;
        return Err(Rejection::ExponentMismatches {
            chunk_index,
            measured,
            threshold,
        });
    }
    let Some(MantissaDistance {
        mean_thousandths,
        median,
    }) = mantissa
    else {
        return Err(Rejection::NothingAgrees {
            chunk_index,
            compared_count,
        });
    };
    if mean_thousandths > mantissa_mean_thousandths_max {
        let (measured, threshold) = (mean_thousandths, mantissa_mean_thousandths_max);
        return Err(Rejection::MantissaMean {
            chunk_index,
            measured,
            threshold,
        });
    }
    if median > mantissa_median_max {
        let (measured, threshold) = (median, mantissa_median_max);
        return Err(Rejection::MantissaMedian {
            chunk_index,
            measured,
            threshold,
        });
    }
    Ok(agreement)
}

/// Compares the committed values at the verifier's indices with the verifier's values.
fn compare(proof: &Proof, points: &[(u32, u16)]) -> Agreement {
    let committed = proof.values_at(points.iter().map(|&(index, _)| index));
    let mut distances: Vec<u32> = committed
        .iter()
        .zip(points)
        .filter(|(claimed, (_, own))| *claimed & EXPONENT_MASK == *own & EXPONENT_MASK)
        .map(|(claimed, (_, own))| {
            u32::from((claimed & MANTISSA_MASK).abs_diff(own & MANTISSA_MASK))
        })
        .collect();
    distances.sort_unstable();
    let (compared_count, agreeing_count) = (count_of(points.len()), count_of(distances.len()));
    let median = distances.get(distances.len() / 2).copied();
    let mantissa = median.map(|median| MantissaDistance {
        mean_thousandths: (distances.iter().sum::<u32>() * 1000).div_ceil(agreeing_count),
        median,
    });
    Agreement {
        compared_count,
        exponent_mismatches: compared_count - agreeing_count,
        mantissa,
    }
}

/// A number of points, at most [`TOP_COUNT_MAX`](super::TOP_COUNT_MAX).
fn count_of(points: usize) -> u32 {
    u32::try_from(points).unwrap_or(u32::MAX)
}
