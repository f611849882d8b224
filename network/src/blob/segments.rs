//! The parts of a blob that are still to come, shared by the workers of one fetch.

use crate::limits::SEGMENT_BYTES_MAX;
use std::{
    collections::VecDeque,
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

/// Segments nobody is working on, and how many bytes are still to come in all.
#[derive(Debug)]
pub(super) struct Segments {
    waiting: Mutex<VecDeque<Range<u64>>>,
    missing_bytes: AtomicU64,
    /// Providers with nothing to do because every segment is taken.
    idle_count: AtomicUsize,
}

impl Segments {
    /// Cuts missing ranges into segments.
    pub(super) fn cut(missing: Vec<Range<u64>>) -> Self {
        let mut waiting = VecDeque::new();
        let mut missing_bytes = 0;
        for range in missing {
            missing_bytes += range.end - range.start;
            let mut start = range.start;
            while start < range.end {
                let end = (start + SEGMENT_BYTES_MAX).min(range.end);
                waiting.push_back(start..end);
                start = end;
            }
        }
        Self {
            waiting: Mutex::new(waiting),
            missing_bytes: AtomicU64::new(missing_bytes),
            idle_count: AtomicUsize::new(0),
        }
    }

    /// Whether every segment is done or taken.
    pub(super) fn all_taken(&self) -> bool {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }

    /// Whether every byte arrived.
    pub(super) fn all_done(&self) -> bool {
        self.missing_bytes() == 0
    }

    /// Bytes that did not arrive yet.
    pub(super) fn missing_bytes(&self) -> u64 {
        self.missing_bytes.load(Ordering::Acquire)
    }

    /// Says how many others could take over.
    pub(super) fn set_idle_count(&self, count: usize) {
        self.idle_count.store(count, Ordering::Release);
    }

    pub(super) fn take(&self) -> Option<Range<u64>> {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }

    /// Whether someone else could take over.
    pub(super) fn has_idle(&self) -> bool {
        self.idle_count.load(Ordering::Acquire) > 0
    }

    fn give_back(&self, segment: Range<u64>) {
        if segment.start < segment.end {
            self.waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push_front(segment);
        }
    }

    pub(super) fn arrived(&self, bytes: u64) {
        self.missing_bytes.fetch_sub(bytes, Ordering::AcqRel);
    }
}

/// The unfinished rest of a segment; returns to the queue however the worker ends.
pub(super) struct InProgress<'a> {
    pub(super) segments: &'a Segments,
    pub(super) received: &'a (dyn Fn(u64) + Sync),
    pub(super) rest: Range<u64>,
}

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        self.segments.give_back(self.rest.clone());
    }
}
