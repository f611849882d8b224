//! How many threads, and which kernels: the only two choices of execution. Neither changes a bit.

use super::cpu::{KernelPath, Kernels};
use super::pool;
use std::sync::{Mutex, PoisonError};

/// How a computation is executed. Every value gives the same bits.
#[derive(Clone, Copy, Debug)]
pub struct Threads {
    count: usize,
    kernels: Kernels,
}

impl Default for Threads {
    fn default() -> Self {
        Self::new(1)
    }
}

impl Threads {
    /// The given number of threads (at least one) and the fastest kernels of this machine.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self {
            count: count.max(1),
            kernels: Kernels::detect(),
        }
    }

    /// The same threads on another instruction set; `None` where this machine lacks it.
    #[must_use]
    pub fn with_kernels(self, path: KernelPath) -> Option<Self> {
        Some(Self {
            kernels: Kernels::new(path)?,
            ..self
        })
    }

    /// One thread with the same kernels.
    pub(crate) fn single(&self) -> Self {
        Self { count: 1, ..*self }
    }

    /// The number of threads.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The instruction set in use.
    #[must_use]
    pub fn kernel_path(&self) -> KernelPath {
        self.kernels.path()
    }

    pub(crate) fn kernels(&self) -> Kernels {
        self.kernels
    }

    /// Calls `work` on every part, on as many threads as there are. The parts are handed out one
    /// at a time, so they may differ in size; which thread works on which is not determined and
    /// must not matter.
    ///
    /// `cost` is the number of multiply-adds in all, or what takes as long: small work stays on
    /// this thread.
    pub(crate) fn for_parts<I>(&self, cost: usize, parts: I, work: impl Fn(I::Item) + Sync)
    where
        I: Iterator + Send,
    {
        if self.count == 1 || cost < COST_MIN {
            return parts.for_each(work);
        }
        let parts = Mutex::new(parts);
        let next = || parts.lock().unwrap_or_else(PoisonError::into_inner).next();
        pool::run(self.count - 1, &|| {
            while let Some(part) = next() {
                work(part);
            }
        });
    }

    /// Rows of one part of `rows` rows that together cost `cost`: whole multiples of `unit`, some
    /// parts for every thread.
    pub(crate) fn part_rows(&self, rows: usize, cost: usize, unit: usize) -> usize {
        if self.count == 1 || cost < COST_MIN {
            return rows.max(1);
        }
        let parts = (self.count * PARTS_OF_A_THREAD)
            .min(cost / PART_COST_MIN)
            .max(1);
        rows.div_ceil(parts).next_multiple_of(unit).max(1)
    }

    /// Runs every task, spread over the threads.
    pub(crate) fn for_tasks<T: Send>(&self, tasks: &mut [T], work: impl Fn(&mut T) + Sync) {
        self.for_parts(usize::MAX, tasks.iter_mut(), work);
    }
}

/// Multiply-adds below which a second thread does not pay: some ten microseconds.
const COST_MIN: usize = 1 << 19;
/// Multiply-adds of a part below which handing it out costs too much.
const PART_COST_MIN: usize = 1 << 18;
/// Parts for each thread: the first to finish takes more.
const PARTS_OF_A_THREAD: usize = 4;
