//! Builds the files that `cairn verify` checks.

use crate::chain::{
    Chain,
    proofs::{ProveError, Start},
};
use ledger_evidence::{About, Begin, File, Subject, provenance_keys};
use ledger_state::{
    View,
    run::{self, Agreed},
    unit,
};
use protocol::{
    Height, RunId, Step,
    block::Block,
    codec::BoundedVec,
    task::{UnitId, UnitKind},
    transaction::{Body, Unverified},
};
use std::collections::{BTreeMap, btree_map::Entry};

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// No proof.
    #[error(transparent)]
    Prove(#[from] ProveError),
    /// No such thing.
    #[error("there is no checkpoint {name}")]
    CheckpointUnknown {
        /// What was asked for.
        name: String,
    },
    /// Only the tip's block says so, and nobody can prove its effect yet.
    #[error("checkpoint {name} was agreed on in the last block; ask again after the next one")]
    TooEarly {
        /// What was asked for.
        name: String,
    },
    /// The block that bound a unit does not have its commitment.
    #[error("block {height} lacks the commitment to unit {unit}")]
    CommitmentMissing {
        /// The block.
        height: Height,
        /// The unit.
        unit: UnitId,
    },
    /// More than a file holds.
    #[error("{reason}")]
    TooLarge {
        /// What is too much.
        reason: String,
    },
}

/// Proves one record, present or absent.
///
/// # Errors
/// When nothing can be proven now.
pub fn entry(chain: &Chain, start: Start<'_>, subject: Subject) -> Result<File, FileError> {
    Ok(File {
        begin: begin(chain, start)?,
        evidence: chain.prove(start, &[subject.key()])?,
        about: About::Entry(subject),
    })
}

/// What a file begins with.
fn begin(chain: &Chain, start: Start<'_>) -> Result<Option<Begin>, ProveError> {
    let Start::Header(height) = start else {
        return Ok(None);
    };
    let (header, next_validators) = chain.header(height)?;
    Ok(Some(Begin {
        header,
        next_validators,
    }))
}

/// Proves how a checkpoint came to be, which is named by its hash or by run and step.
///
/// # Errors
/// When there is no such checkpoint, or nothing can be proven now.
pub fn provenance(chain: &Chain, start: Start<'_>, name: &str) -> Result<File, FileError> {
    let unknown = || FileError::CheckpointUnknown {
        name: name.chars().take(80).collect(),
    };
    let found = chain.view(|view| find(view, name)).ok_or_else(unknown)?;
    let ((run, step), agreed) = found;
    // The proof is about the state before the tip's block.
    if chain.proven_at().is_none_or(|height| agreed.at >= height) {
        let name = name.to_owned();
        return Err(FileError::TooEarly { name });
    }
    let (keys, bound) = chain.view(|view| {
        let count = |step, kind| {
            let units = unit::of_step(view, run, step, kind).len();
            u32::try_from(units).unwrap_or(u32::MAX)
        };
        (provenance_keys(run, step, count), bound(view, run, step))
    });
    let commitments = BoundedVec::new(signed(chain, &bound)?);
    let commitments = commitments.map_err(|error| FileError::TooLarge {
        reason: error.to_string(),
    })?;
    Ok(File {
        begin: begin(chain, start)?,
        evidence: chain.prove(start, &keys)?,
        about: About::Provenance {
            run,
            step,
            commitments,
        },
    })
}

/// A checkpoint by its hash, or by run and step.
fn find(view: &View<'_>, name: &str) -> Option<((RunId, Step), Agreed)> {
    if let Some((run, step)) = name.split_once('.') {
        let key = (run.parse().ok()?, step.parse().ok()?);
        return Some((key, run::agreed(view, key.0, key.1)?));
    }
    let mut all = view.scan::<Agreed>(&()).into_iter();
    all.find(|(_, agreed)| agreed.checkpoint.model.to_string() == name)
}

/// Accepted units of all steps before, with the blocks that bound them.
fn bound(view: &View<'_>, run: RunId, until: Step) -> BTreeMap<UnitId, Height> {
    let mut bound = BTreeMap::new();
    for step in (0..until.get()).map(Step::new) {
        for kind in [UnitKind::Rollout, UnitKind::Gradient] {
            let accepted = unit::accepted(view, run, step, kind).into_iter();
            bound.extend(accepted.map(|(id, _, commitment)| (id, commitment.at)));
        }
    }
    bound
}

/// What miners signed about these units, in their order.
fn signed(chain: &Chain, bound: &BTreeMap<UnitId, Height>) -> Result<Vec<Unverified>, FileError> {
    let mut blocks: BTreeMap<Height, BTreeMap<UnitId, Unverified>> = BTreeMap::new();
    let mut signed = Vec::new();
    for (unit, height) in bound {
        let (unit, height) = (*unit, *height);
        let block = match blocks.entry(height) {
            Entry::Occupied(block) => block.into_mut(),
            Entry::Vacant(place) => place.insert(commitments(chain, height)?),
        };
        let found = block.remove(&unit);
        signed.push(found.ok_or(FileError::CommitmentMissing { height, unit })?);
    }
    Ok(signed)
}

fn commitments(chain: &Chain, height: Height) -> Result<BTreeMap<UnitId, Unverified>, FileError> {
    let damaged = |reason: String| ProveError::Damaged { height, reason };
    let stored = chain.store().block(height).map_err(ProveError::from)?;
    let stored = stored.ok_or_else(|| damaged("it is missing".to_owned()))?;
    let block = Block::decode(&stored.block).map_err(|error| damaged(error.to_string()))?;
    let of_unit = |transaction: Unverified| match transaction.claimed().body {
        Body::CommitRollouts { unit, .. } | Body::CommitGradient { unit, .. } => {
            Some((unit, transaction))
        }
        _ => None,
    };
    let transactions = block.transactions.into_vec().into_iter();
    Ok(transactions.filter_map(of_unit).collect())
}
