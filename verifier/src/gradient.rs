//! The audit of a gradient unit: one segment of it again, then a comparison of bytes; or the
//! comparison alone, which takes no step.
//!
//! The beacon says which segment. Where it starts and where the unit ends, the miner has shown;
//! where the segment ends it keeps hidden until auditors have bound what they found there. That the
//! update is what the last weights give takes no model: it is checked in every audit.

use crate::{differences, rollout::Judgement, unavailable, undecodable, verdict};
use engine::{Device, trainer::file};
use miner::{
    ExecuteError, GradientInputs, World,
    gradient::{Start, Stretch, Work, exchange, replay, segments, start, tokens_count},
};
use protocol::{
    BlobId,
    gradient::{Payload, State},
    rollout::{Root, Sketch},
    verdict::{Check, Finding},
};

/// What a miner has bound and shown of a unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Claimed {
    /// Binds the states.
    pub root: Root,
    /// The committed weight.
    pub tokens_count: u32,
    /// The committed loss.
    pub loss_micro: i64,
    /// The file of what the update lost, where the recipe has feedback.
    pub feedback: Option<BlobId>,
    /// The segment that is judged; their number where only the update is checked.
    pub segment: u32,
    /// The state from which it starts; nothing of the first, and while nobody has shown it.
    pub start: Option<Start>,
    /// The last weights; nothing where the segment ends with them, and while nobody has shown them.
    pub last: Option<Vec<f32>>,
    /// The state at the segment's end, once the miner has shown it.
    pub opened: Option<Sketch>,
}

impl Claimed {
    /// What an auditor of a segment goes by if the miner of `work` shows all that it has; `file`
    /// gives the files of its states. Nothing where one is missing or of another model.
    #[must_use]
    pub fn of<'a>(
        inputs: &GradientInputs<'_>,
        work: &Work,
        segment: u32,
        file: impl Fn(&BlobId) -> Option<&'a [u8]>,
    ) -> Option<Self> {
        let Work {
            payload, states, ..
        } = work;
        let state = |boundary: u32| states.get(boundary.checked_sub(1)? as usize);
        let is_segment = segment < segments(inputs).count();
        let start = match state(segment).filter(|_| is_segment) {
            Some(state) => {
                let files = start::files(state);
                let files: Option<Vec<&[u8]>> = files.iter().map(&file).collect();
                Some(Start::restored(inputs, state.steps_count, &files?)?)
            }
            None => None,
        };
        let end = segment.saturating_add(1);
        let last = state(segments(inputs).count()).filter(|_| end != segments(inputs).count());
        let last = match last {
            Some(state) => Some(file::read(file(&state.weights)?)?),
            None => None,
        };
        Some(Self {
            root: payload.root()?,
            tokens_count: payload.tokens_count,
            loss_micro: payload.loss_micro(),
            feedback: work.feedback(),
            segment,
            start,
            last,
            opened: state(end).map(State::sketch),
        })
    }
}

/// What execution gives, as far as it is repeated.
struct Expected {
    tokens_count: u32,
    /// Of the segment's steps; none where only the update is checked.
    losses_micro: Vec<i64>,
    /// Where the segment ends; nothing where only the update is checked.
    sketch: Option<Sketch>,
    update: Vec<u8>,
    /// What names that which the update loses.
    feedback: Option<BlobId>,
}

/// Repeats the segment and reports every check.
#[must_use]
pub fn judge(
    inputs: &GradientInputs<'_>,
    claimed: &Claimed,
    blob: &[u8],
    device: &Device,
) -> Judgement {
    let Ok(found) = Payload::decode(blob) else {
        return Judgement::without_sketch(undecodable());
    };
    if !is_segment(inputs, claimed) && claimed.last.is_none() {
        return Judgement::without_sketch(unavailable());
    }
    let expected = match expected(inputs, claimed, device) {
        Ok(expected) => Some(expected),
        Err(error) if accuses(&error) => None,
        Err(_) => return Judgement::without_sketch(unavailable()),
    };
    let sketch = expected.as_ref().and_then(|expected| expected.sketch);
    let expected = expected.as_ref();
    let mut findings = vec![
        Finding::exact(Check::Encoding, misencoded(inputs, &found)),
        Finding::exact(Check::Commitment, uncommitted(claimed, &found, expected)),
        Finding::exact(Check::Loss, wrong_losses(inputs, claimed, &found, expected)),
    ];
    findings.push(Finding::exact(Check::Update, wrong_bytes(&found, expected)));
    if claimed.opened.is_some() {
        let differs = claimed.opened != sketch;
        findings.push(Finding::exact(Check::State, u64::from(differs)));
    }
    if inputs
        .recipe
        .update(inputs.unit.step)
        .feedback_decay()
        .is_some()
    {
        let lost = expected.and_then(|expected| expected.feedback);
        let differs = lost.is_none() || claimed.feedback != lost;
        findings.push(Finding::exact(Check::Feedback, u64::from(differs)));
    }
    Judgement {
        sketch,
        ..Judgement::without_sketch(verdict(findings))
    }
}

fn expected(
    inputs: &GradientInputs<'_>,
    claimed: &Claimed,
    device: &Device,
) -> Result<Expected, ExecuteError> {
    let world = World::of(inputs.recipe)?;
    let tokens_count = tokens_count(inputs, &world)?;
    if tokens_count == 0 {
        return Err(ExecuteError::NothingToLearn { unit: inputs.unit });
    }
    let start = (claimed.segment, claimed.start.as_ref());
    let is_segment = is_segment(inputs, claimed);
    let stretch = is_segment.then(|| replay(inputs, &world, start, device));
    let (losses_micro, sketch, values) = match stretch.transpose()? {
        Some(Stretch {
            losses_micro,
            state,
            values,
        }) => (losses_micro, Some(state.sketch()), values),
        None => (Vec::new(), None, None),
    };
    let values = match (values, claimed.last.as_deref()) {
        (Some(values), _) => values,
        (None, Some(last)) => start::given(inputs, last, device)?,
        (None, None) => Vec::new(),
    };
    let sent = exchange::compress(inputs, &values)?;
    Ok(Expected {
        tokens_count,
        losses_micro,
        sketch,
        feedback: sent.lost.as_deref().map(exchange::name),
        update: sent.update,
    })
}

/// Whether steps are judged, and not the update alone.
fn is_segment(inputs: &GradientInputs<'_>, claimed: &Claimed) -> bool {
    claimed.segment < segments(inputs).count()
}

/// Whether nobody at all could have executed the unit, so that a payload of it must be made up:
/// the model has diverged, or no rollout is whole. Otherwise it is this auditor who cannot.
const fn accuses(error: &ExecuteError) -> bool {
    match error {
        ExecuteError::NothingToLearn { .. }
        | ExecuteError::LossNotFinite { .. }
        | ExecuteError::Compress(_) => true,
        ExecuteError::EnvironmentUnknown { .. }
        | ExecuteError::CorpusUnknown { .. }
        | ExecuteError::InitialWeights { .. }
        | ExecuteError::Recipe { .. }
        | ExecuteError::Model(_)
        | ExecuteError::StepOver { .. }
        | ExecuteError::GenerationMissing { .. }
        | ExecuteError::Input(_)
        | ExecuteError::Activations(_)
        | ExecuteError::Proof(_)
        | ExecuteError::Feedback { .. }
        | ExecuteError::Keep { .. }
        | ExecuteError::TooMany(_) => false,
    }
}

/// A wrong unit, a wrong miner, an update that is not one of this model, missing seals.
fn misencoded(inputs: &GradientInputs<'_>, found: &Payload) -> u64 {
    let length = inputs.model.as_slice().len();
    let form = inputs.recipe.update(inputs.unit.step);
    let update = exchange::read(form, found.update.as_slice(), length);
    let seals = found.seals.as_slice().len();
    u64::from(found.unit != inputs.unit)
        + u64::from(found.miner != inputs.miner)
        + u64::from(update.is_err())
        + u64::from(seals != segments(inputs).count() as usize)
}

/// Committed fields that differ from the payload, and the weight if it is not the work's.
fn uncommitted(claimed: &Claimed, found: &Payload, expected: Option<&Expected>) -> u64 {
    let work = expected.map_or(0, |expected| expected.tokens_count);
    let tokens_count = claimed.tokens_count;
    u64::from(tokens_count != found.tokens_count || tokens_count != work)
        + u64::from(claimed.loss_micro != found.loss_micro())
        + u64::from(found.root() != Some(claimed.root))
}

/// Losses of the segment that differ; all of them where nobody can have had any.
fn wrong_losses(
    inputs: &GradientInputs<'_>,
    claimed: &Claimed,
    found: &Payload,
    expected: Option<&Expected>,
) -> u64 {
    let steps = segments(inputs).steps(claimed.segment);
    let (first, end) = (steps.start as usize, steps.end as usize);
    let losses = found.losses_micro.as_slice();
    let missing = segments(inputs).all().len().abs_diff(losses.len()) as u64;
    let own = losses.get(first..end.min(losses.len())).unwrap_or_default();
    match expected {
        Some(expected) => differences(own, &expected.losses_micro).max(missing),
        None => losses.len().max(1) as u64,
    }
}

/// Bytes that differ; at least one where no update can be right.
fn wrong_bytes(found: &Payload, expected: Option<&Expected>) -> u64 {
    let found = found.update.as_slice();
    match expected {
        Some(expected) => differences(found, &expected.update),
        None => found.len().max(1) as u64,
    }
}
