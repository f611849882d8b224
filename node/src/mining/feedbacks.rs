//! What a miner's updates lost: a file for each unit, from which a later one starts.
//!
//! They lie apart from the blobs, so that nobody is served one before the unit that starts from it
//! is computed: beside the update's bytes it would tell an auditor what was compressed, without
//! the weights. Files outlive the process, for a miner that was started again goes on with them;
//! one that has lost them passes over a unit, and starts from zeros after that.

use super::Miner;
use crate::home::write_atomically;
use anyhow::{Context as _, Result};
use protocol::{BlobId, RunId, Step, task::UnitId};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Ending of the files' names.
const EXTENSION: &str = "f32";

/// Files by the unit whose update lost what is in them.
#[derive(Debug)]
pub(super) struct Feedbacks {
    folder: PathBuf,
    units: BTreeMap<UnitId, BlobId>,
    /// Copies among the blobs, by the unit that starts from them.
    served: BTreeMap<UnitId, BlobId>,
}

impl Feedbacks {
    /// Those of an earlier life of this miner.
    pub(super) fn open(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let mut units = BTreeMap::new();
        for file in fs::read_dir(&folder)? {
            let path = file?.path();
            match unit_of(&path) {
                Some(unit) => drop(units.insert(unit, BlobId::of(&fs::read(&path)?))),
                None => tracing::warn!("{} is no unit's", path.display()),
            }
        }
        Ok(Self {
            folder,
            units,
            served: BTreeMap::new(),
        })
    }
    /// Keeps what a unit's update lost.
    pub(super) fn keep(&mut self, unit: UnitId, file: &[u8]) -> Result<()> {
        write_atomically(&self.path(unit), file)?;
        self.units.insert(unit, BlobId::of(file));
        Ok(())
    }
    /// The bytes of a file by its name.
    pub(super) fn read(&self, name: BlobId) -> Result<Option<Vec<u8>>> {
        let unit = self.units.iter().find(|(_, found)| **found == name);
        let Some((unit, _)) = unit else {
            return Ok(None);
        };
        let path = self.path(*unit);
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Some(bytes))
    }
    /// Forgets the files of a run's steps that are over, but for those that the chain names.
    /// Returns the copies that no unit starts from any more.
    pub(super) fn drop_before(
        &mut self,
        run: RunId,
        step: Step,
        named: &[BlobId],
    ) -> Result<Vec<BlobId>> {
        let is_over = |unit: &UnitId| unit.run == run && unit.step < step;
        let over = self
            .units
            .extract_if(.., |unit, name| is_over(unit) && !named.contains(name));
        let over: Vec<UnitId> = over.map(|(unit, _)| unit).collect();
        for unit in over {
            let path = self.path(unit);
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        let past = self.served.extract_if(.., |unit, _| is_over(unit));
        let mut past: BTreeSet<BlobId> = past.map(|(_, copy)| copy).collect();
        for copy in self.served.values() {
            past.remove(copy);
        }
        Ok(past.into_iter().collect())
    }
    fn path(&self, unit: UnitId) -> PathBuf {
        self.folder.join(format!("{unit}.{EXTENSION}"))
    }
}

impl Miner {
    /// Serves what a unit starts from.
    pub(super) async fn serve_feedback(&mut self, unit: UnitId, name: BlobId) -> Result<()> {
        if self.feedbacks.served.get(&unit) == Some(&name) {
            return Ok(());
        }
        if self.bench.blobs.size(&name)?.is_none() {
            let Some(bytes) = self.feedbacks.read(name)? else {
                tracing::warn!(%unit, "what updates lost before is not here: {name}");
                return Ok(());
            };
            self.bench.blobs.insert(&bytes)?;
        }
        self.feedbacks.served.insert(unit, name);
        self.bench.network.provide(name).await;
        Ok(())
    }
}

fn unit_of(path: &Path) -> Option<UnitId> {
    let name = path.file_name()?.to_str()?;
    let (unit, extension) = name.rsplit_once('.')?;
    (extension == EXTENSION).then(|| unit.parse().ok())?
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use protocol::task::UnitKind;

    fn unit(step: u64, index: u32) -> UnitId {
        UnitId {
            run: RunId::ZERO,
            step: Step::new(step),
            kind: UnitKind::Gradient,
            index,
        }
    }

    #[test]
    fn a_restarted_miner_has_what_its_updates_lost_as_long_as_the_chain_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("feedback");
        let (old, new) = (BlobId::of(b"old"), BlobId::of(b"new"));
        {
            let mut first = Feedbacks::open(folder.clone()).unwrap();
            first.keep(unit(4, 0), b"old").unwrap();
            first.keep(unit(4, 1), b"void").unwrap();
            first.keep(unit(5, 2), b"new").unwrap();
        }
        fs::write(folder.join("junk"), b"junk").unwrap();
        fs::write(folder.join("0.4.gradient.3.partial"), b"torn").unwrap();
        let mut again = Feedbacks::open(folder.clone()).unwrap();
        assert_eq!(again.read(old).unwrap().unwrap(), b"old");
        assert!(again.read(BlobId::of(b"torn")).unwrap().is_none());
        // The unit of step 5 starts from the old file, and is not settled yet.
        again
            .drop_before(RunId::ZERO, Step::new(5), &[old])
            .unwrap();
        assert!(again.read(BlobId::of(b"void")).unwrap().is_none());
        assert!(again.read(old).unwrap().is_some());
        // Once it is, the chain names what it lost itself.
        again
            .drop_before(RunId::ZERO, Step::new(6), &[new])
            .unwrap();
        let last = Feedbacks::open(folder).unwrap();
        assert!(last.read(old).unwrap().is_none());
        assert_eq!(last.read(new).unwrap().unwrap(), b"new");
    }
}
