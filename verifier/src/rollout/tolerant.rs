//! The audit of a unit that another engine drew: the same pass, with measures instead of counts.
//! Spec: tolerant.md.
//!
//! What needs no model is as exact as ever. Tokens are measured against the seeded draw, and the
//! sections, which stand in the open beside their seals, against the auditor's own activations.

use super::{
    Claimed,
    cases::{Case, cases, passes},
    ends, shape,
};
use crate::{
    tolerant::{Margins, check_proofs, distances},
    verdict,
};
use engine::{Device, Replay, bf16_bits};
use miner::{ExecuteError, RolloutInputs, World, model::number, projection::project};
use protocol::{
    class::{Class, Level, Limits},
    proof::toploc::{Activations, Layout},
    rollout::{PROOF_CHUNK_TOKENS, PROOF_TOP_COUNT, Payload, Section},
    verdict::{Check, Finding, Verdict},
};
use std::ops::ControlFlow;

/// Whatever is above the limit voids and never slashes.
const fn voids_above(limit: u64) -> Limits {
    Limits {
        void: limit,
        slash: u64::MAX,
    }
}

/// Judges a whole unit by the limits of its class.
pub(super) fn judge(
    inputs: &RolloutInputs<'_>,
    claimed: &Claimed<'_>,
    (payload, class): (&Payload, &Class),
    device: &Device,
) -> Result<Verdict, ExecuteError> {
    let world = World::of(inputs.recipe)?;
    let cases = cases(inputs, &world, payload);
    let mut findings = shape(inputs, &world, claimed, (payload, payload));
    let seals = payload.misplaced_sections().unwrap_or(0);
    for finding in &mut findings {
        if finding.check == Check::Commitment {
            finding.measured += seals;
        }
    }
    let (finish, reward) = ends(&cases);
    findings.extend([finish.finding(Check::Finish), reward.finding(Check::Reward)]);
    let exact = verdict(findings);
    if !exact.accepts() {
        return Ok(exact);
    }
    let measured = measure(inputs, payload, &cases, class, device)?;
    let bulk = measured.bulk();
    let Measured {
        margins,
        strangers,
        mut distances,
        beyond,
    } = measured;
    let [margin, sum, mismatches] = margins.findings(class);
    let peak = distances.drain(..).max().unwrap_or(0);
    let within = |check, measured, limits| Finding::within(check, measured, limits);
    let largest_max = class.projections.largest_max;
    let measures = [
        within(Check::Sampling, mismatches.measured, mismatches.limits),
        within(Check::Margin, margin.measured, margin.limits).in_group(beyond.unwrap_or(0)),
        within(Check::MarginSum, sum.measured, sum.limits),
        within(Check::Activations, strangers, voids_above(0)),
        within(Check::ProjectionPeak, peak, voids_above(largest_max)),
        within(
            Check::ProjectionBulk,
            bulk,
            voids_above(class.projections.bulk_max),
        ),
    ];
    Ok(measures.into_iter().fold(exact, |all, one| all.with(one)))
}

/// What replaying samples gave.
#[derive(Default)]
struct Measured {
    margins: Margins,
    /// The group in which a token lost more than its class ever may, if one did.
    beyond: Option<u32>,
    /// Samples whose activations are beyond the tolerances of the class.
    strangers: u64,
    /// Of the projections of every fed token.
    distances: Vec<u64>,
}

impl Measured {
    fn merge(&mut self, other: Self) {
        let Self {
            margins,
            beyond,
            strangers,
            distances,
        } = other;
        self.margins.merge(&margins);
        self.beyond = self.beyond.or(beyond);
        self.strangers += strangers;
        self.distances.extend(distances);
    }
    fn bulk(&self) -> u64 {
        crate::tolerant::bulk(&self.distances)
    }
}

/// Measures samples, group after group, until a token is beyond what its class may be slashed for.
fn measure(
    inputs: &RolloutInputs<'_>,
    payload: &Payload,
    cases: &[Case<'_>],
    class: &Class,
    device: &Device,
) -> Result<Measured, ExecuteError> {
    let look = |group: &[(&Case<'_>, &Replay)]| {
        let mut measured = Measured::default();
        for (case, pass) in group {
            let place = (case.group as usize, case.slot as usize);
            let sections = payload.sections.as_ref();
            let section = sections.and_then(|sections| sections.get(place.0, place.1));
            measured.merge(measure_one(inputs, (case, pass), section, class));
        }
        measured
    };
    let mut all = Measured::default();
    passes(inputs, cases, device, look, |group, pieces| {
        pieces.into_iter().for_each(|piece| all.merge(piece));
        let [margin, ..] = all.margins.findings(class);
        if margin.limits.level(margin.measured) == Level::Slash {
            all.beyond = Some(group);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    Ok(all)
}

fn measure_one(
    inputs: &RolloutInputs<'_>,
    (case, pass): (&Case<'_>, &Replay),
    section: Option<&Section>,
    class: &Class,
) -> Measured {
    let mut measured = Measured::default();
    let temperature = number(inputs.recipe.reinforce.temperature);
    let rows = pass.logits.chunks_exact(inputs.model.config().vocab_size);
    let tokens = case.tokens.iter().enumerate().skip(case.prompt_tokens);
    for (row, (position, token)) in rows.zip(tokens) {
        let place = (&case.seed, position as u64);
        let margins = &mut measured.margins;
        margins.add_token((row, temperature), place, *token, class.clip_micro);
    }
    for _ in case.playable_tokens()..case.sample.tokens.as_slice().len() {
        measured.margins.add(u64::MAX, 0, class.clip_micro);
    }
    let width = inputs.model.config().hidden_size;
    let ours = project(&pass.hidden, &case.seed, width);
    let theirs = section.map_or(&[][..], |section| section.projections.as_slice());
    measured.distances = distances(theirs, &ours);
    let alike =
        section.is_some_and(|section| is_alike(case, (section, class), &pass.hidden, width));
    measured.strangers = u64::from(!alike);
    measured
}

/// Whether the proofs of a sample are within the tolerances of the class.
fn is_alike(
    case: &Case<'_>,
    (section, class): (&Section, &Class),
    hidden: &[f32],
    width: usize,
) -> bool {
    let layout = Layout {
        hidden: width,
        prefill_tokens: case.prompt_tokens,
        chunk_tokens: PROOF_CHUNK_TOKENS,
        top_count: PROOF_TOP_COUNT,
    };
    let bits: Vec<u16> = hidden.iter().map(|value| bf16_bits(*value)).collect();
    let proofs: Vec<&[u8]> = section
        .proofs
        .as_slice()
        .iter()
        .map(|p| p.as_slice())
        .collect();
    Activations::new(&bits, layout)
        .is_ok_and(|activations| check_proofs(class, &proofs, &activations).is_ok())
}
