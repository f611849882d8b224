//! The proof itself: a modulus and a polynomial, and their bytes.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{BuildError, MODULUS_MAX, PRIME, TOP_COUNT_MAX, field};

/// Bytes of a proof with as many coefficients as allowed.
const PROOF_BYTES_MAX: usize = 2 + 2 * TOP_COUNT_MAX;

/// Longest base64 text of a proof.
const PROOF_TEXT_BYTES_MAX: usize = PROOF_BYTES_MAX.div_ceil(3) * 4;

/// A commitment to the largest activations of one chunk. Well formed by construction: the modulus
/// is from 1 to [`MODULUS_MAX`], there is at least one coefficient, and each is a field element.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Proof {
    modulus: u16,
    coefficients: Vec<u16>,
}

/// Why bytes are not a proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not the length of any proof.
    #[error("proof has {bytes} bytes; even lengths from 4 to {PROOF_BYTES_MAX} are possible")]
    Length {
        /// Bytes found.
        bytes: usize,
    },
    /// Not canonical base64.
    #[error("proof text of {bytes} bytes is not padded standard base64")]
    Base64 {
        /// Bytes of text.
        bytes: usize,
    },
    /// A modulus that no search can end at. Zero marks a failed build in the reference library.
    #[error("proof has modulus {modulus}; 1 to {MODULUS_MAX} are possible")]
    Modulus {
        /// The modulus found.
        modulus: u16,
    },
    /// A coefficient that is not a field element.
    #[error("coefficient {index} is {coefficient}; field elements are below {PRIME}")]
    Coefficient {
        /// Its position.
        index: usize,
        /// Its value.
        coefficient: u16,
    },
}

impl Proof {
    /// Makes the proof of points (index in the chunk, bf16 bit pattern) with distinct indices. The
    /// result does not depend on their order.
    ///
    /// # Errors
    /// When there are no points or too many, a bit pattern is not a field element, or no modulus
    /// keeps the indices apart.
    pub fn from_points(points: &[(u32, u16)]) -> Result<Self, BuildError> {
        let modulus = check_points(points)?;
        let x: Vec<u16> = residues(points, modulus).collect();
        let y: Vec<u16> = points.iter().map(|&(_, bits)| bits).collect();
        Ok(Self {
            modulus,
            coefficients: field::interpolate(&x, &y),
        })
    }

    /// Whether this is what [`Proof::from_points`] makes of these points. Only one polynomial of so
    /// low a degree passes through them, so it is enough to evaluate, which takes a third of the
    /// time.
    ///
    /// # Errors
    /// As [`Proof::from_points`].
    pub(super) fn is_of(&self, points: &[(u32, u16)]) -> Result<bool, BuildError> {
        let modulus = check_points(points)?;
        if self.modulus != modulus || self.coefficients.len() != points.len() {
            return Ok(false);
        }
        let x: Vec<u16> = residues(points, modulus).collect();
        let values = field::evaluate(&self.coefficients, &x);
        let own = points.iter().map(|(_, bits)| bits);
        Ok(values.iter().eq(own))
    }

    /// The modulus by which indices are reduced.
    #[must_use]
    pub fn modulus(&self) -> u16 {
        self.modulus
    }

    /// The coefficients, ascending.
    #[must_use]
    pub fn coefficients(&self) -> &[u16] {
        &self.coefficients
    }

    /// The committed bit pattern for each index: the polynomial at `index mod modulus`.
    pub(super) fn values_at(&self, indices: impl Iterator<Item = u32>) -> Vec<u16> {
        let points: Vec<u16> = indices.map(|index| residue(index, self.modulus)).collect();
        field::evaluate(&self.coefficients, &points)
    }

    /// The wire form: the modulus, then the coefficients, each 16 bits big-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self {
            modulus,
            coefficients,
        } = self;
        std::iter::once(modulus)
            .chain(coefficients)
            .flat_map(|word| word.to_be_bytes())
            .collect()
    }

    /// Reads the wire form.
    ///
    /// # Errors
    /// When the bytes are not exactly one well-formed proof.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        let (words, rest) = bytes.as_chunks::<2>();
        if !rest.is_empty() || words.len() < 2 || bytes.len() > PROOF_BYTES_MAX {
            return Err(WireError::Length { bytes: bytes.len() });
        }
        let mut words = words.iter().map(|&word| u16::from_be_bytes(word));
        let modulus = words.next().unwrap_or(0);
        if modulus == 0 || modulus > MODULUS_MAX {
            return Err(WireError::Modulus { modulus });
        }
        let coefficients: Vec<u16> = words.collect();
        let outside = |coefficient: &u16| *coefficient >= PRIME;
        if let Some(index) = coefficients.iter().position(outside) {
            let coefficient = coefficients.get(index).copied().unwrap_or(0);
            return Err(WireError::Coefficient { index, coefficient });
        }
        Ok(Self {
            modulus,
            coefficients,
        })
    }

    /// The wire form in padded standard base64, as the reference library prints it.
    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.to_bytes())
    }

    /// Reads base64.
    ///
    /// # Errors
    /// When the text is not canonical base64 of exactly one well-formed proof.
    pub fn from_base64(text: &str) -> Result<Self, WireError> {
        if text.len() > PROOF_TEXT_BYTES_MAX {
            return Err(WireError::Base64 { bytes: text.len() });
        }
        let bytes = STANDARD
            .decode(text)
            .map_err(|_| WireError::Base64 { bytes: text.len() })?;
        Self::from_bytes(&bytes)
    }
}

/// The largest modulus under which all indices differ, or `None` if even 1 does not do.
fn modulus_of(points: &[(u32, u16)]) -> Option<u16> {
    let mut seen = vec![0_u64; usize::from(MODULUS_MAX).div_ceil(64)];
    (1..=MODULUS_MAX).rev().find(|&modulus| {
        seen.fill(0);
        points.iter().all(|&(index, _)| {
            let residue = index % u32::from(modulus);
            let Some(word) = seen.get_mut((residue / 64) as usize) else {
                return false;
            };
            let bit = 1 << (residue % 64);
            let fresh = *word & bit == 0;
            *word |= bit;
            fresh
        })
    })
}

/// The modulus for points of which a proof can be made.
fn check_points(points: &[(u32, u16)]) -> Result<u16, BuildError> {
    let point_count = points.len();
    if point_count == 0 || point_count > TOP_COUNT_MAX {
        return Err(BuildError::PointCount { point_count });
    }
    if let Some(&(index, bits)) = points.iter().find(|(_, bits)| *bits >= PRIME) {
        return Err(BuildError::Unrepresentable { index, bits });
    }
    modulus_of(points).ok_or(BuildError::Modulus { point_count })
}

fn residues(points: &[(u32, u16)], modulus: u16) -> impl Iterator<Item = u16> {
    points
        .iter()
        .map(move |&(index, _)| residue(index, modulus))
}

/// `index mod modulus`; a modulus is never zero.
fn residue(index: u32, modulus: u16) -> u16 {
    let residue = index.checked_rem(u32::from(modulus)).unwrap_or(0);
    u16::try_from(residue).unwrap_or(0)
}
