//! The states between segments of a miner's gradient units, from their execution until the step is
//! over: an audit may ask for any of them, also of a miner that was started again meanwhile.
//!
//! A unit has one small file that names its states, whose own files lie among the blobs. Nobody
//! can ask for those before their names are shown.

use super::Miner;
use crate::{
    home::write_atomically,
    rpc::work::{DueUnit, StepContext, Work},
};
use anyhow::{Context as _, Result};
use miner::gradient::start::files;
use protocol::{
    Address, BlobId, RunId, Step,
    codec::BoundedVec,
    gradient::{OpenedState, Salts, State, StateOpening, tree},
    task::UnitId,
    transaction::Body,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Longest file that names a unit's states.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// What a file holds.
#[derive(Serialize, Deserialize)]
struct Entry {
    unit: UnitId,
    states: Vec<State>,
}

/// States by unit.
#[derive(Debug)]
pub(super) struct Trajectories {
    folder: PathBuf,
    units: BTreeMap<UnitId, Vec<State>>,
}

impl Trajectories {
    /// Those of an earlier life of this miner.
    pub(super) fn open(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let mut units = BTreeMap::new();
        for file in fs::read_dir(&folder)? {
            let path = file?.path();
            // One that cannot be read is as good as none: the unit is computed again.
            match read(&path) {
                Some(Entry { unit, states }) => drop(units.insert(unit, states)),
                None => tracing::warn!("{} names no states", path.display()),
            }
        }
        Ok(Self { folder, units })
    }
    /// Notes the states of a unit.
    pub(super) fn keep(&mut self, unit: UnitId, states: Vec<State>) -> Result<()> {
        let entry = Entry { unit, states };
        let text = serde_json::to_vec(&entry).context("cannot encode a trajectory")?;
        write_atomically(&self.path(unit), &text)?;
        self.units.insert(unit, entry.states);
        Ok(())
    }
    /// Whether a unit's states are known.
    pub(super) fn has(&self, unit: UnitId) -> bool {
        self.units.contains_key(&unit)
    }
    /// What shows the states at some boundaries; nothing if there are none.
    pub(super) fn opening(
        &self,
        (unit, miner): (UnitId, Address),
        salts: &Salts,
        boundaries: &[u32],
    ) -> Option<StateOpening> {
        let states = self.units.get(&unit)?;
        let seals = miner::gradient::seals((unit, miner), salts, states);
        let tree = tree(&seals)?;
        let open = |boundary: &u32| {
            let index = boundary.checked_sub(1)?;
            Some(OpenedState {
                state: *states.get(index as usize)?,
                salt: salts.at(*boundary),
                inclusion: tree.inclusion(index)?,
            })
        };
        let states = boundaries.iter().map(open).collect::<Option<Vec<_>>>()?;
        let states = BoundedVec::new(states).ok()?;
        Some(StateOpening { unit, states })
    }
    /// Forgets the units of a run's steps that are over; returns the files of their states that no
    /// other unit has.
    pub(super) fn drop_before(&mut self, run: RunId, step: Step) -> Result<Vec<BlobId>> {
        let is_over = |unit: &UnitId| unit.run == run && unit.step < step;
        let over: Vec<_> = self.units.extract_if(.., |unit, _| is_over(unit)).collect();
        let mut dropped = Vec::new();
        for (unit, states) in over {
            let path = self.path(unit);
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            dropped.extend(states.iter().flat_map(files));
        }
        let kept: Vec<BlobId> = self.units.values().flatten().flat_map(files).collect();
        dropped.retain(|file| !kept.contains(file));
        Ok(dropped)
    }
    fn path(&self, unit: UnitId) -> PathBuf {
        self.folder.join(format!("{unit}.json"))
    }
}

impl Miner {
    /// Shows states of a gradient unit, and serves the files of those that auditors start from.
    pub(super) async fn show_states(
        &mut self,
        context: &StepContext,
        due: &DueUnit,
        work: &Work,
    ) -> Result<()> {
        let unit = due.unit.unit;
        if !self.trajectories.has(unit) {
            self.compute(context, &due.unit).await;
            return Ok(());
        }
        let salts = Salts::derive(&self.key, self.chain, unit);
        let own = (unit, self.address);
        let Some(opening) = self.trajectories.opening(own, &salts, &due.boundaries) else {
            tracing::warn!(%unit, "no state at {:?} to show", due.boundaries);
            return Ok(());
        };
        if let Some(lost) = due.unit.feedback {
            self.serve_feedback(unit, lost).await?;
        }
        if !due.is_audited {
            for opened in opening.states.as_slice() {
                for file in files(&opened.state) {
                    self.bench.network.provide(file).await;
                }
            }
        }
        self.submit(&Body::OpenStates { opening }, work).await
    }
}

fn read(path: &Path) -> Option<Entry> {
    let is_short = fs::metadata(path).is_ok_and(|file| file.len() <= FILE_BYTES_MAX);
    let bytes = is_short.then(|| fs::read(path).ok())??;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use protocol::{ChainId, SigningKey, gradient::root, task::UnitKind};

    fn unit(step: u64) -> UnitId {
        UnitId {
            run: RunId::ZERO,
            step: Step::new(step),
            kind: UnitKind::Gradient,
            index: 0,
        }
    }

    fn states(name: &str) -> Vec<State> {
        let state = |steps_count: u32| State {
            steps_count,
            weights: BlobId::of(format!("{name} {steps_count}").as_bytes()),
            moments: None,
        };
        (1..=3).map(state).collect()
    }

    #[test]
    fn a_restarted_miner_shows_what_it_sealed_until_the_step_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let key = SigningKey::from_seed([3; 32]);
        let salts = Salts::derive(&key, ChainId::from_bytes([1; 32]), unit(4));
        let own = (unit(4), key.address());
        let seals = miner::gradient::seals(own, &salts, &states("a"));
        {
            let mut first = Trajectories::open(folder.path().to_owned()).unwrap();
            first.keep(unit(4), states("a")).unwrap();
            first.keep(unit(5), states("b")).unwrap();
        }
        fs::write(folder.path().join("junk.json"), b"{").unwrap();
        let mut again = Trajectories::open(folder.path().to_owned()).unwrap();
        assert!(again.has(unit(4)) && again.has(unit(5)) && !again.has(unit(6)));
        let opening = again.opening(own, &salts, &[1, 3]).unwrap();
        for opened in opening.states.as_slice() {
            assert_eq!(opened.root(own.0, own.1), root(&seals));
        }
        assert!(again.opening(own, &salts, &[4]).is_none());
        assert!(again.opening(own, &salts, &[0]).is_none());
        let dropped = again.drop_before(RunId::ZERO, Step::new(5)).unwrap();
        assert_eq!(dropped.len(), 3);
        assert!(!again.has(unit(4)) && again.has(unit(5)));
        let last = Trajectories::open(folder.path().to_owned()).unwrap();
        assert!(!last.has(unit(4)) && last.has(unit(5)));
    }
}
