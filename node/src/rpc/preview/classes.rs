//! What other limits of a class would have said about units that were judged by it.
//!
//! A verdict carries what was measured and the limits of its time, so most of it can be judged
//! again without a model. What cannot is what the limits themselves go into: distances of proofs
//! are counted beyond the tolerances of the class, and margins are cut where it says.

use ledger_state::{
    View, class,
    run::Run,
    task,
    unit::{Claim, Unit},
};
use protocol::{
    class::{Class, Level, Limits, tokens_log2},
    verdict::{Check, Finding, Verdict},
};
use serde::{Deserialize, Serialize};

/// What a class's verdicts would say under other limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejudged {
    /// The class.
    pub class: String,
    /// Verdicts that were given about its units.
    pub verdicts_count: u64,
    /// Of them, those that would be milder: held, or void instead of slashed.
    pub milder_count: u64,
    /// Those that would be harsher.
    pub harsher_count: u64,
    /// Those that cannot be judged again without the work itself.
    pub unclear_count: u64,
}

/// Judges again every verdict about units of a class, in all runs.
#[must_use]
pub(super) fn rejudged(view: &View<'_>, proposed: &Class) -> Rejudged {
    let mut sums = Rejudged {
        class: format!("{} {}", proposed.id, proposed.name.as_str()),
        ..Rejudged::default()
    };
    for (id, run) in view.scan::<Run>(&()) {
        for step in 0..=run.step.get() {
            for (_, unit) in task::units(view, id, protocol::Step::new(step)) {
                add(view, &unit, proposed, &mut sums);
            }
        }
    }
    sums
}

fn add(view: &View<'_>, unit: &Unit, proposed: &Class, sums: &mut Rejudged) {
    let listed = unit.class.filter(|listed| listed.id == proposed.id);
    let Some(current) = listed.and_then(|listed| class::class(view, listed)) else {
        return;
    };
    let claim = unit.commitment.as_ref().map(|commitment| &commitment.claim);
    let Some(Claim::Rollout { totals, .. }) = claim else {
        return;
    };
    let seats = unit.audits.iter().flat_map(|audit| &audit.seats);
    for verdict in seats.filter_map(|seat| seat.verdict()) {
        sums.verdicts_count += 1;
        let before = level(verdict.findings());
        match again(verdict, totals.tokens_count.into(), (&current, proposed)) {
            None => sums.unclear_count += 1,
            Some(after) if after < before => sums.milder_count += 1,
            Some(after) if after > before => sums.harsher_count += 1,
            Some(_) => (),
        }
    }
}

/// The worst that any finding says.
fn level(findings: &[Finding]) -> Level {
    let levels = findings.iter().map(Finding::level);
    levels.max().unwrap_or(Level::Holds)
}

/// What a verdict would say under other limits; nothing where its numbers do not tell.
fn again(verdict: &Verdict, tokens_count: u64, classes: (&Class, &Class)) -> Option<Level> {
    // The entropy of a unit is not in its verdict, but its limits say in which cell it was.
    let mut levels = cells(verdict, tokens_count, classes.0)
        .into_iter()
        .map(|entropy_micro| {
            let findings = verdict.findings().iter();
            let levels = findings.map(|found| one(found, (tokens_count, entropy_micro), classes));
            let levels: Option<Vec<Level>> = levels.collect();
            levels.map(|levels| levels.into_iter().max().unwrap_or(Level::Holds))
        });
    let first = levels.next()??;
    levels.all(|other| other == Some(first)).then_some(first)
}

/// Mean entropies that a unit may have had, one for each cell with the limits that it was given.
fn cells(verdict: &Verdict, tokens_count: u64, class: &Class) -> Vec<u64> {
    use protocol::class::ENTROPY_BIN_MICRO;
    let found = |check| verdict.findings().iter().find(|found| found.check == check);
    let fits = |check, limits: Limits| {
        found(check).is_none_or(|found: &Finding| {
            (found.limit, found.slash_limit) == (limits.void, limits.slash)
        })
    };
    let alike = class.cells.as_slice().iter().filter(|cell| {
        cell.tokens_log2 == tokens_log2(tokens_count)
            && fits(Check::MarginSum, cell.clipped_sum_micro)
            && fits(Check::Sampling, cell.mismatches_count)
    });
    alike
        .map(|cell| u64::from(cell.entropy_bin) * ENTROPY_BIN_MICRO)
        .collect()
}

/// What one finding would say.
fn one(
    found: &Finding,
    (tokens_count, entropy_micro): (u64, u64),
    (current, proposed): (&Class, &Class),
) -> Option<Level> {
    let cell = proposed.cell(tokens_count, entropy_micro);
    let voids_above = |void| Limits {
        void,
        slash: u64::MAX,
    };
    let limits = match found.check {
        Check::Sampling => cell.mismatches_count,
        Check::Margin => proposed.margin_micro,
        Check::MarginSum if current.clip_micro == proposed.clip_micro => cell.clipped_sum_micro,
        Check::Activations if current.toploc == proposed.toploc => return Some(found.level()),
        Check::MarginSum | Check::Activations => return None,
        Check::ProjectionPeak => voids_above(proposed.projections.largest_max),
        Check::ProjectionBulk => voids_above(proposed.projections.bulk_max),
        // Of bytes and rules, or of the miner's whole life: no limit of the unit's goes in.
        _ => return Some(found.level()),
    };
    Some(limits.level(found.measured))
}

#[cfg(test)]
mod tests;
