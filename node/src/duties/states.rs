//! What a node drops from its disk: states of gradient units that audits fetched, once their step
//! is over, and checkpoints long past.

use super::Duties;
use ledger_state::run::Run;
use protocol::{checkpoint::Checkpoint, task::UnitId};

impl Duties {
    /// Drops files of states of which nobody judges any more.
    pub(super) fn forget_states(&mut self) {
        let chain = &self.chain;
        let is_over = |id: &UnitId| {
            let run: Option<Run> = chain.view(|view| view.get(&id.run));
            run.is_none_or(|run| run.step > id.step)
        };
        for (_, files) in self.fetched.extract_if(.., |id, _| is_over(id)) {
            for file in files {
                if let Err(error) = self.bench.blobs.remove(&file) {
                    tracing::warn!(%file, "a fetched state stays on the disk: {error}");
                }
            }
        }
    }
    /// Drops the files of an old checkpoint that no newer one has.
    pub(super) fn remove_blobs(&self, checkpoint: &Checkpoint) {
        let kept = |blob| {
            self.checkpoints
                .values()
                .any(|c| c.model.blob() == blob || c.outer == blob)
        };
        for blob in [checkpoint.model.blob(), checkpoint.outer] {
            if kept(blob) {
                continue;
            }
            if let Err(error) = self.bench.blobs.remove(&blob) {
                tracing::warn!(%blob, "old checkpoint stays on the disk: {error}");
            }
        }
    }
}
