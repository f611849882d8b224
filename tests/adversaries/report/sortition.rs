//! How many auditors begin with a drawn unit, and when, if they draw themselves.
//!
//! Units are drawn and outputs are random; who may audit at which stage is the production rule. An
//! auditor begins with the first block of its stage unless it has seen a commitment by then, and
//! commits when its audit is done. If nobody has by the last stage, three are drawn publicly.

use crate::spread::spread;
use governance::parameters::Name;
use protocol::{Micro, identifiers::tagged_hash, sample::is_eligible, vrf::Output};
use serde::Serialize;

/// Auditors of the fallback.
const THREE: u64 = 3;

/// Auditors of one network and how their draws go.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Draws {
    pub(crate) auditors: usize,
    pub(crate) stakes: &'static str,
    /// Blocks from the beginning of an audit until others see its commitment, by blocks of a stage.
    pub(crate) audit_stages: f64,
    /// Audits that began, a unit.
    pub(crate) auditors_mean: f64,
    /// Blocks until the first of them began: mean and 99th percentile.
    pub(crate) blocks_mean: f64,
    pub(crate) blocks_p99: u64,
    /// Units for which nobody came.
    pub(crate) fallbacks: f64,
}

/// All cases: 4, 7, 31 and 100 auditors, with equal stakes and with stakes that fall as 1 / rank,
/// whose audits take half a stage, or two stages; each of so many units.
pub(crate) fn draws(units: u64, say: impl FnMut(&Draws)) -> Vec<Draws> {
    let mut cases = Vec::new();
    for count in [4_u64, 7, 31, 100] {
        let equal = vec![1_000_000; count as usize];
        let unequal: Vec<u64> = (1..=count).map(|rank| 1_000_000 / rank).collect();
        for (stakes, powers) in [("equal", equal), ("1 / rank", unequal)] {
            for audit_stages in [0.5, 2.0] {
                cases.push((stakes, powers.clone(), audit_stages));
            }
        }
    }
    let work = |(stakes, powers, audit_stages): &(&'static str, Vec<u64>, f64)| {
        case(stakes, powers, (*audit_stages, units))
    };
    spread(&cases, work, say)
}

fn case(stakes: &'static str, powers: &[u64], (audit_stages, units): (f64, u64)) -> Draws {
    let default = |name: Name| name.bounds().default;
    let blocks = default(Name::SortitionStageBlocks);
    let stages = u32::try_from(default(Name::SortitionStages)).unwrap_or(u32::MAX);
    let seats = Micro::new(default(Name::SortitionSeats));
    let total = powers.iter().sum();
    let audit_blocks = (audit_stages * blocks as f64).ceil() as u64;
    let (mut auditors, mut fallbacks) = (0, 0);
    let mut waits = Vec::new();
    let every: Vec<u32> = (0..stages).collect();
    for unit in 0..units {
        let starts: Vec<u64> = (0_u64..)
            .zip(powers)
            .filter_map(|(who, power)| {
                let drawn = tagged_hash("cairn/sortition-report/v1", &(unit, who));
                let output = Output::from_bytes(drawn);
                // Whoever may at one stage may at the next.
                let may_not = |stage: &u32| !is_eligible(&output, (*power, total), seats, *stage);
                let first = every.get(every.partition_point(may_not));
                first.map(|stage| u64::from(*stage) * blocks)
            })
            .collect();
        let Some(first) = starts.iter().min().copied() else {
            auditors += THREE;
            fallbacks += 1;
            waits.push(u64::from(stages) * blocks);
            continue;
        };
        let seen = first + audit_blocks;
        auditors += starts.iter().filter(|start| **start < seen).count() as u64;
        waits.push(first);
    }
    let of_units = |sum: u64| sum as f64 / units.max(1) as f64;
    Draws {
        auditors: powers.len(),
        stakes,
        audit_stages,
        auditors_mean: of_units(auditors),
        blocks_mean: of_units(waits.iter().sum()),
        blocks_p99: crate::statistics::quantile(&mut waits, 0.99).unwrap_or(0),
        fallbacks: of_units(fallbacks),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_one_auditor_begins_if_stages_are_as_long_as_audits() {
        for stakes in [vec![1; 4], vec![1; 100], (1..20).collect()] {
            let draws = case("", &stakes, (1.0, 20_000));
            assert!((1.0..1.08).contains(&draws.auditors_mean), "{draws:?}");
        }
    }
}
