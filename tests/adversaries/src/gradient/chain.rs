//! Training whose states somebody changes between its segments.

use crate::Seals;
use engine::{
    Device,
    trainer::{InnerState, file},
};
use miner::{
    ExecuteError, GradientInputs, World,
    gradient::{self, Learned, Work, pretrain},
};
use protocol::BlobId;
use std::{collections::BTreeMap, io};

/// Takes every segment honestly from where the one before it is said to have ended; `change` says
/// where that is, by the boundary, the state before the segment, and the one at its end.
///
/// # Errors
/// As [`pretrain::learn`].
pub(super) fn changed(
    inputs: &GradientInputs<'_>,
    (salts, keep): Seals<'_, '_>,
    device: &Device,
    change: impl Fn(u32, Option<&InnerState>, &mut InnerState),
) -> Result<Work, ExecuteError> {
    let world = World::of(inputs.recipe)?;
    let segments = gradient::segments(inputs);
    let mut whole = Learned {
        values: Vec::new(),
        tokens_count: 0,
        losses_micro: Vec::new(),
        states: Vec::new(),
    };
    let mut before: Option<InnerState> = None;
    for segment in 0..segments.count() {
        let batches = pretrain::assigned(inputs, &world, segments.steps(segment));
        let mut files = BTreeMap::new();
        let mut hold = |file: &[u8]| -> io::Result<()> {
            files.insert(BlobId::of(file), file.to_vec());
            keep(file)
        };
        let start = before.as_ref();
        let learned = pretrain::learn_from(inputs, start, batches, &mut hold, device)?;
        let end = held(inputs, &learned, &files);
        let Some(mut end) = end else {
            // Of the last state only the weights are kept, and those nobody changes here.
            let last = learned
                .states
                .last()
                .and_then(|state| files.get(&state.weights));
            let last = last.and_then(|bytes| file::read(bytes)).unwrap_or_default();
            whole.values = pretrain::difference(inputs, &last);
            add(&mut whole, learned);
            break;
        };
        change(segment + 1, start, &mut end);
        for values in [end.parameters.as_slice(), &end.moments.m, &end.moments.v] {
            keep(&file::write(values)).map_err(|error| ExecuteError::Keep {
                reason: error.to_string(),
            })?;
        }
        add(&mut whole, learned);
        whole.states.pop();
        whole.states.push(pretrain::name(&end));
        before = Some(end);
    }
    whole.sealed(inputs, salts)
}

fn add(whole: &mut Learned, learned: Learned) {
    whole.tokens_count += learned.tokens_count;
    whole.losses_micro.extend(learned.losses_micro);
    whole.states.extend(learned.states);
}

/// The last state, from its files; nothing of the unit's last, whose moments are not kept.
fn held(
    inputs: &GradientInputs<'_>,
    learned: &Learned,
    files: &BTreeMap<BlobId, Vec<u8>>,
) -> Option<InnerState> {
    let state = learned.states.last()?;
    let moments = state.moments?;
    let file = |name| files.get(name).map(Vec::as_slice);
    let of_state = [
        file(&state.weights)?,
        file(&moments.first)?,
        file(&moments.second)?,
    ];
    pretrain::restored(inputs, state.steps_count, of_state)
}
