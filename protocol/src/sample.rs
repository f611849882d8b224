//! Samples: which committed units are audited, and by whom. Spec: 06-sample.
//!
//! A unit is drawn with a probability that makes cheating a loss ([`Deterrence::rate`]) by a
//! beacon that comes two blocks after its blob became available.

use crate::{
    Address, Amount, Micro,
    identifiers::tagged_hash,
    task::{Beacon, UnitId},
    vrf::Output,
};

/// The first 64 bits of a hash, as a number.
fn low_bits(hash: &[u8; 32]) -> u64 {
    let mut low = [0; 8];
    low.copy_from_slice(&hash[..8]);
    u64::from_le_bytes(low)
}

fn wide(micro: Micro) -> u128 {
    micro.get().into()
}

/// What the rate of audits is computed from; all in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deterrence {
    /// How many times over a cheat must lose what it gains, m.
    pub margin: Micro,
    /// What not working saves, as a share of the price, g.
    pub gain: Micro,
    /// Probability that an honest audit finds a cheat, d.
    pub power: Micro,
    /// Share of audits by honest auditors, h.
    pub honest_share: Micro,
    /// The least rate.
    pub floor: Micro,
}

impl Deterrence {
    /// The rate at which a unit of this price is audited, whose miner loses `at_risk` beside it:
    ///
    /// `q = min(1, max(floor, m g R / (d h (R + at_risk))))`, rounded up.
    ///
    /// A cheat saves `g R`, and loses `R + at_risk` with probability `q d h`. Who has more to lose
    /// is checked less, and nobody gains by cheating.
    #[must_use]
    pub fn rate(&self, price: Amount, at_risk: Amount) -> Micro {
        let stakes = u128::from(price.get()).saturating_add(at_risk.get().into());
        let rate = self.balance(price, stakes);
        let rate = rate.max(wide(self.floor)).min(wide(Micro::ONE));
        u64::try_from(rate).map_or(Micro::ONE, Micro::new)
    }

    /// What the miner of a unit of this price, drawn at this rate, must lose if it is void because
    /// it differs, so that the lie that is seen pays for those that were not:
    ///
    /// `m g R / (d h q)`, rounded up; the largest amount where the denominator is 0.
    #[must_use]
    pub fn forfeit(&self, price: Amount, rate: Micro) -> Amount {
        let due = self.balance(price, wide(rate));
        Amount::new(u64::try_from(due).unwrap_or(u64::MAX))
    }

    /// `10⁶ m g R / (d h x)`, rounded up: what of rate and loss is needed beside x of the other.
    fn balance(&self, price: Amount, other: u128) -> u128 {
        let gained = [self.margin, self.gain, Micro::ONE].map(wide);
        let gained = gained
            .into_iter()
            .fold(price.get().into(), u128::saturating_mul);
        let lost = [self.power, self.honest_share].map(wide);
        let lost = lost.into_iter().fold(other, u128::saturating_mul);
        if lost == 0 {
            u128::MAX
        } else {
            gained.div_ceil(lost)
        }
    }
}

/// Whether the unit is audited at this rate (a probability in millionths).
#[must_use]
pub fn is_drawn(beacon: &Beacon, unit: UnitId, rate: Micro) -> bool {
    is_below(&tagged_hash("cairn/sample-unit/v1", &(beacon, unit)), rate)
}

/// Whether a tolerant unit that one auditor accepted is judged by three, at this rate. The beacon
/// is that of the block in which the round ended.
#[must_use]
pub fn is_second_look(beacon: &Beacon, unit: UnitId, rate: Micro) -> bool {
    is_below(&tagged_hash("cairn/second-look/v1", &(beacon, unit)), rate)
}

fn is_below(hash: &[u8; 32], rate: Micro) -> bool {
    let scaled = u128::from(low_bits(hash)) * 1_000_000;
    // `scaled >> 64` is uniform in 0..1_000_000.
    scaled >> 64 < u128::from(rate.get())
}

/// What an auditor's verifiable randomness is asked to see whether it audits a drawn unit. The
/// beacon is the one that drew the unit.
#[must_use]
pub fn sortition_input(beacon: &Beacon, unit: UnitId) -> [u8; 32] {
    tagged_hash("cairn/sortition/v1", &(beacon, unit))
}

/// Whether an auditor with `power` of `total` that drew `output` may audit at this stage: with
/// probability min(1, power / total · seats · (stage + 1)). Whoever may at one stage may at the
/// next, and every stage adds as many as the first has.
#[must_use]
pub fn is_eligible(output: &Output, (power, total): (u64, u64), seats: Micro, stage: u32) -> bool {
    let expected = u128::from(seats.get()).saturating_mul(u128::from(stage) + 1);
    let numerator = u128::from(power).saturating_mul(expected);
    output.is_below(numerator, u128::from(total) * 1_000_000)
}

/// Draws one candidate in proportion to power: seat `seat` of a unit's round `round` of judging.
fn drawn(
    beacon: &Beacon,
    (unit, round, seat): (UnitId, u32, u32),
    candidates: &[(Address, u64)],
) -> Option<usize> {
    let total: u128 = candidates.iter().map(|(_, power)| u128::from(*power)).sum();
    let total = u64::try_from(total).ok()?;
    let hash = tagged_hash("cairn/sample-auditor/v1", &(beacon, unit, round, seat));
    let scaled = u128::from(low_bits(&hash)) * u128::from(total);
    let point = scaled >> 64;
    let mut passed = 0_u128;
    candidates.iter().position(|(_, power)| {
        passed += u128::from(*power);
        point < passed
    })
}

/// A panel of `count` different candidates, drawn one after the other by power from those that
/// are left; fewer if there are not as many with power.
#[must_use]
pub fn panel(
    beacon: &Beacon,
    unit: UnitId,
    round: u32,
    candidates: &[(Address, u64)],
    count: u32,
) -> Vec<Address> {
    let mut left = candidates.to_vec();
    let draws = (0..count).map_while(|seat| {
        let position = drawn(beacon, (unit, round, seat), &left)?;
        Some(left.remove(position).0)
    });
    draws.collect()
}

/// A committee of `count` seats, each drawn by power from all candidates: who sits in it, and in
/// how many seats, in the order of the candidates.
#[must_use]
pub fn committee(
    beacon: &Beacon,
    unit: UnitId,
    round: u32,
    candidates: &[(Address, u64)],
    count: u32,
) -> Vec<(Address, u64)> {
    let mut seats: Vec<(Address, u64)> = candidates.iter().map(|(who, _)| (*who, 0)).collect();
    for seat in 0..count {
        if let Some(position) = drawn(beacon, (unit, round, seat), candidates) {
            seats[position].1 += 1;
        }
    }
    seats.retain(|(_, count)| *count > 0);
    seats
}
