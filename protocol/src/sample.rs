//! Samples: which committed units are audited, and by whom. Spec: 06-sample.
//!
//! First light has one tier: a unit is drawn with probability `rate` by a beacon that comes two
//! blocks after its blob became available, and one validator is drawn by stake. A rejecting or
//! missing auditor escalates to every validator.

use crate::{
    Address, Micro,
    identifiers::tagged_hash,
    task::{Beacon, UnitId},
};

/// A uniform 64-bit number that the beacon gives this purpose and unit.
fn draw(tag: &'static str, beacon: &Beacon, unit: UnitId) -> u64 {
    let hash = tagged_hash(tag, &(beacon, unit));
    let mut low = [0; 8];
    low.copy_from_slice(&hash[..8]);
    u64::from_le_bytes(low)
}

/// Whether the unit is audited at this rate (a probability in millionths).
#[must_use]
pub fn is_drawn(beacon: &Beacon, unit: UnitId, rate: Micro) -> bool {
    let scaled = u128::from(draw("cairn/sample-unit/v1", beacon, unit)) * 1_000_000;
    // `scaled >> 64` is uniform in 0..1_000_000.
    scaled >> 64 < u128::from(rate.get())
}

/// The auditor of a drawn unit: one candidate, with probability proportional to its power.
/// Nothing when nobody has power.
#[must_use]
pub fn auditor(beacon: &Beacon, unit: UnitId, candidates: &[(Address, u64)]) -> Option<Address> {
    let total: u128 = candidates.iter().map(|(_, power)| u128::from(*power)).sum();
    let total = u64::try_from(total).ok()?;
    let scaled = u128::from(draw("cairn/sample-auditor/v1", beacon, unit)) * u128::from(total);
    let point = scaled >> 64;
    let mut passed = 0_u128;
    candidates.iter().find_map(|(address, power)| {
        passed += u128::from(*power);
        (point < passed).then_some(*address)
    })
}
