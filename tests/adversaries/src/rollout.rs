//! Dishonest rollouts, one file each.

mod best_of_n;
mod constant_sketch;
mod copied_sketch;
mod copycat;
mod draft_prefill;
mod drop_low;
mod forged_sketch;
mod garbage;
mod greedy;
mod low_precision;
mod own_seed;
mod padder;
mod penitent;
mod prompt_swap;
mod quant_4;
mod quant_8;
mod replayer;
mod reward_liar;
mod small_draft;
mod stale_checkpoint;
mod temperature;
mod tie_steer;
mod truncator;
mod zero_sketch;

use crate::Adversary;
use engine::Parameters;
use miner::ExecuteError;
use protocol::{
    codec::{BoundedVec, Bytes},
    rollout::{Section, Sections},
};

/// All of them.
pub(crate) const ALL: &[&dyn Adversary] = &[
    &garbage::Garbage,
    &small_draft::SmallDraft,
    &draft_prefill::DraftPrefill,
    &own_seed::OwnSeed,
    &greedy::Greedy,
    &temperature::Temperature,
    &quant_8::Quant8,
    &quant_4::Quant4,
    &penitent::Penitent,
    &low_precision::LowPrecision,
    &stale_checkpoint::StaleCheckpoint,
    &prompt_swap::PromptSwap,
    &drop_low::DropLow,
    &best_of_n::BestOfN,
    &truncator::Truncator,
    &padder::Padder,
    &tie_steer::TieSteer,
    &reward_liar::RewardLiar,
    &copycat::Copycat,
    &replayer::Replayer,
    &zero_sketch::ZeroSketch,
    &constant_sketch::ConstantSketch,
    &forged_sketch::ForgedSketch,
    &copied_sketch::CopiedSketch,
];

/// Rounds every matrix to integers of at most `largest`, scaled by the largest magnitude of each
/// run of `run` weights, or of each row. Gains of norms stay as they are.
fn quantized(model: &mut Parameters, run: Option<usize>, largest: f32) {
    let tensors = model.layout().tensors().to_vec();
    for tensor in tensors.iter().filter(|tensor| tensor.shape.len() > 1) {
        let row = tensor.shape.last().copied().unwrap_or(1);
        let weights = model.as_mut_slice().get_mut(tensor.range());
        for run in weights.unwrap_or_default().chunks_mut(run.unwrap_or(row)) {
            let scale = run
                .iter()
                .fold(0.0_f32, |most, weight| most.max(weight.abs()))
                / largest;
            if scale > 0.0 {
                run.iter_mut()
                    .for_each(|weight| *weight = (*weight / scale).round() * scale);
            }
        }
    }
}

/// The sections with those of every group changed.
fn regrouped(
    sections: Sections,
    change: impl Fn(Vec<Section>) -> Result<Vec<Section>, ExecuteError>,
) -> Result<Sections, ExecuteError> {
    let groups = sections.groups.into_vec().into_iter();
    let groups = groups.map(|group| Ok(BoundedVec::new(change(group.into_vec())?)?));
    Ok(Sections {
        groups: BoundedVec::new(groups.collect::<Result<_, ExecuteError>>()?)?,
    })
}

/// The sections with the bytes of every proof changed.
fn forged(sections: Sections, change: impl Fn(&mut Vec<u8>)) -> Result<Sections, ExecuteError> {
    let forge = |section: Section| {
        let proofs = section.proofs.as_slice().iter().map(|proof| {
            let mut bytes = proof.as_slice().to_vec();
            change(&mut bytes);
            Bytes::new(bytes)
        });
        Ok(Section {
            proofs: BoundedVec::new(proofs.collect::<Result<_, _>>()?)?,
            ..section
        })
    };
    regrouped(sections, |group| group.into_iter().map(forge).collect())
}
