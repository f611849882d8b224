//! A state read into memory beside the check of its store: one reading serves both.
//!
//! The check of a store reads every record and compares it with its checksum, and all of them with
//! the tip's count and sum; a node needs the same entries in memory, by key and as a tree. So the
//! check shows them, and what is done with them is done by other threads: leaves are hashed and
//! entries sorted in heaps while later ones are read, and the heaps become the map while the leaves
//! become the tree. The tree is made of what was read and of nothing else, so its root, compared
//! with the tip's, says of all that is in memory what it said when the store was read again for it.

use ledger_state::State;
use ledger_store::{Checked, Store, StoreError};
use ledger_tree::Leaves;
use std::{
    panic::resume_unwind,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, ScopedJoinHandle},
};

/// Entries that are handed over at a time.
const HEAP_COUNT: usize = 1 << 14;
/// Heaps that wait; whoever reads waits for room.
const HEAPS_WAITING: usize = 8;

type Entry = (Vec<u8>, Vec<u8>);

/// Reads all of a store, and what state it has.
///
/// # Errors
/// The first damage found.
pub(super) fn checked(store: &dyn Store) -> Result<(Checked, State), StoreError> {
    thread::scope(|scope| {
        let (sender, heaps) = sync_channel(HEAPS_WAITING);
        let preparing = scope.spawn(|| prepare(heaps));
        let mut heap = Vec::new();
        let checked = store.check_reading(&mut |key, value| {
            heap.push((key.to_vec(), value.to_vec()));
            if heap.len() >= HEAP_COUNT {
                hand_over(&sender, &mut heap);
            }
        });
        hand_over(&sender, &mut heap);
        drop(sender);
        let (entries, leaves) = joined(preparing);
        let checked = checked?;
        let building = scope.spawn(|| leaves.into_tree());
        // Heaps in order are runs, which sorting merges.
        let entries = entries.into_iter().collect();
        Ok((checked, State::with_tree(entries, joined(building))))
    })
}

fn hand_over(sender: &SyncSender<Vec<Entry>>, heap: &mut Vec<Entry>) {
    let heap = std::mem::replace(heap, Vec::with_capacity(HEAP_COUNT));
    // Who takes them ends early only by a panic, which is found where it is joined.
    drop(sender.send(heap));
}

/// Hashes and sorts entries heap by heap.
fn prepare(heaps: Receiver<Vec<Entry>>) -> (Vec<Entry>, Leaves) {
    let (mut entries, mut leaves) = (Vec::new(), Leaves::default());
    for mut heap in heaps {
        for (key, value) in &heap {
            leaves.push(key, value);
        }
        heap.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        entries.append(&mut heap);
    }
    (entries, leaves)
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use ledger_store::{Choice, MemoryStore};
    use protocol::ChainId;

    fn filled(store: &dyn Store, count: u64) -> State {
        let entry = |number: u64| {
            let key = [
                &[7],
                &number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()[..],
            ];
            (key.concat(), number.to_le_bytes().to_vec())
        };
        let state = State::from_entries((0..count).map(entry).collect());
        let chain = ChainId::from_bytes([1; 32]);
        store
            .initialize(chain, state.entries(), state.root())
            .unwrap();
        state
    }

    #[test]
    fn what_is_read_once_is_the_state_and_its_tree() {
        for count in [0, 1, 2, HEAP_COUNT as u64, 3 * HEAP_COUNT as u64 + 7] {
            let folder = tempfile::tempdir().unwrap();
            let stores: [std::sync::Arc<dyn Store>; 3] = [
                std::sync::Arc::new(MemoryStore::new()),
                Choice::Sled.open(&folder.path().join("sled")).unwrap(),
                Choice::Redb.open(&folder.path().join("redb")).unwrap(),
            ];
            for store in stores {
                let state = filled(store.as_ref(), count);
                let (found, read) = checked(store.as_ref()).unwrap();
                assert_eq!(found.state_count, count);
                assert_eq!(found, store.check().unwrap());
                assert_eq!(read.root(), state.root());
                assert_eq!(read.entries(), state.entries());
            }
        }
    }
}
