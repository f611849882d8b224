//! Whose turn it is to propose: one pure function for consensus, which asks who may, and for the
//! rules, which count who did not. Spec: 05-block §3.

use crate::Height;

/// 2⁶⁴ divided by the golden ratio.
const GOLDEN_STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The position of who proposes in this round of this height, among validators in ascending order
/// of their keys with these powers: a weighted rotation without memory. Nobody, if nobody has
/// power.
///
/// Slot `height + round` is mapped to a point on a circle of circumference 2⁶⁴ by steps of 2⁶⁴/φ,
/// and validators own arcs proportional to their power. Steps by the golden ratio visit arcs as
/// evenly as any fixed step can: every validator proposes in proportion to its power, over short
/// windows too, and consecutive slots are far apart, so the round after an absent proposer falls
/// to someone else.
#[must_use]
pub fn proposer_index(
    powers: impl Iterator<Item = u64> + Clone,
    height: Height,
    round: u32,
) -> Option<usize> {
    let total: u128 = powers.clone().map(u128::from).sum();
    let total = u64::try_from(total).ok()?;
    let slot = height.get().wrapping_add(u64::from(round));
    let point = u128::from(slot.wrapping_mul(GOLDEN_STEP));
    let target = (point * u128::from(total)) >> 64;
    let mut passed = 0_u128;
    powers.into_iter().position(|power| {
        passed += u128::from(power);
        target < passed
    })
}
