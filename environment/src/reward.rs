//! How good a response was, as an integer.

use crate::END_OF_SEQUENCE;

/// The judgement of one response: a score in millionths, and whether it is exactly right.
///
/// Half of the score is for being exactly right, half for the fraction of answer positions that
/// hold the right token. The partial half gives a model that is never quite right a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reward {
    millionths: u32,
}

impl Reward {
    /// The reward of an exactly right response.
    pub const EXACT: Self = Self {
        millionths: 1_000_000,
    };
    /// The reward of a response with nothing right, or of a malformed prompt.
    pub const ZERO: Self = Self { millionths: 0 };

    /// The half of the score that is divided over the positions, in millionths.
    const PARTIAL_MILLIONTHS: u32 = 500_000;

    /// The score in millionths, from 0 to `1_000_000`.
    #[must_use]
    pub const fn millionths(self) -> u32 {
        self.millionths
    }

    /// Whether the response was the correct answer and nothing else, end-of-sequence included.
    /// Only such a response scores more than one half.
    #[must_use]
    pub const fn is_exact(self) -> bool {
        self.millionths == Self::EXACT.millionths
    }

    /// Compares a response with the answer. Both end with [`END_OF_SEQUENCE`]; in the answer it is
    /// the last token, and it counts for exactness but is not one of the positions.
    #[must_use]
    pub(crate) fn compare(answer: &[u32], response: &[u32]) -> Self {
        if answer == response {
            return Self::EXACT;
        }
        let positions = answer.iter().take_while(|&&token| token != END_OF_SEQUENCE);
        let position_count = u32::try_from(positions.clone().count()).unwrap_or(u32::MAX);
        let written = response
            .iter()
            .take_while(|&&token| token != END_OF_SEQUENCE);
        let right_count = positions
            .zip(written)
            .filter(|(want, got)| want == got)
            .count();
        let right_count = u32::try_from(right_count).unwrap_or(0);
        let millionths = Self::PARTIAL_MILLIONTHS
            .saturating_mul(right_count)
            .checked_div(position_count)
            .unwrap_or(0);
        Self { millionths }
    }
}
