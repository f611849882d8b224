//! Timers by number: a key that is started again or cancelled leaves its old number without
//! meaning.

use super::mirror::SyncTimer;
use arc_malachitebft_core_types::Timeout;

/// What a timer is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TimerKey {
    /// A step of consensus.
    Step(Timeout),
    /// The sync machine.
    Sync(SyncTimer),
}

#[derive(Debug, Default)]
pub(super) struct Timers {
    count: u64,
    live: Vec<(u64, TimerKey)>,
}

impl Timers {
    /// The number of a new timer; an older one of this key is cancelled.
    pub(super) fn start(&mut self, key: TimerKey) -> u64 {
        self.cancel(&key);
        self.count += 1;
        self.live.push((self.count, key));
        self.count
    }
    pub(super) fn cancel(&mut self, key: &TimerKey) {
        self.live.retain(|(_, live)| live != key);
    }
    pub(super) fn cancel_steps(&mut self) {
        self.live
            .retain(|(_, live)| !matches!(live, TimerKey::Step(_)));
    }
    /// The key of a timer that elapsed, if it still means something.
    pub(super) fn take(&mut self, number: u64) -> Option<TimerKey> {
        let at = self.live.iter().position(|(live, _)| *live == number)?;
        Some(self.live.swap_remove(at).1)
    }
}
