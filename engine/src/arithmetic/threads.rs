//! How many threads, and which kernels: the only two choices of execution. Neither changes a bit.

use super::cpu::{KernelPath, Kernels};

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

    /// Calls `work(first_row, rows)` on disjoint runs of rows of `data`, `width` values a row.
    ///
    /// `cost` is the number of operations in all: small work stays on this thread, because
    /// starting another costs some ten microseconds.
    pub(crate) fn for_rows<F>(&self, data: &mut [f32], width: usize, cost: usize, work: F)
    where
        F: Fn(usize, &mut [f32]) + Sync,
    {
        let rows = data.len() / width.max(1);
        if self.count == 1 || cost < COST_MIN || rows < 2 {
            return work(0, data);
        }
        let share = rows.div_ceil(self.count);
        let work = &work;
        std::thread::scope(|scope| {
            let mut parts = data.chunks_mut(share * width).enumerate();
            let first = parts.next();
            for (index, part) in parts {
                scope.spawn(move || work(index * share, part));
            }
            if let Some((_, part)) = first {
                work(0, part);
            }
        });
    }

    /// Runs every task, spread over the threads in contiguous shares.
    pub(crate) fn for_tasks<T: Send>(&self, tasks: &mut [T], work: impl Fn(&mut T) + Sync) {
        if self.count == 1 || tasks.len() < 2 {
            return tasks.iter_mut().for_each(work);
        }
        let share = tasks.len().div_ceil(self.count);
        let work = &work;
        std::thread::scope(|scope| {
            let mut parts = tasks.chunks_mut(share);
            let first = parts.next();
            for part in parts {
                scope.spawn(move || part.iter_mut().for_each(work));
            }
            first.into_iter().flatten().for_each(work);
        });
    }
}

/// Operations below which a second thread does not pay.
const COST_MIN: usize = 1 << 20;
