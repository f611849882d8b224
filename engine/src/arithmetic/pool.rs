//! Threads that stay: helpers that join a caller's work when it has some, and sleep otherwise.
//!
//! A training step has hundreds of short parallel parts, so starting threads for each would cost
//! more than some of the parts. One pool serves the process. A caller publishes a job, works on
//! it itself, and withdraws it when nothing is left; helpers that woke in time have taken their
//! share. So a slow helper never holds up more than the piece it took, and a caller that finds
//! the pool in use (by another thread, or by the part it is itself a piece of) works alone.
//! Nothing is allocated once the helpers exist.

#![expect(
    unsafe_code,
    reason = "a job that lives on its caller's stack is lent to helpers for the time of a call"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};

/// Turns of waiting before a thread sleeps: some tens of microseconds.
const SPINS: u32 = 1000;

/// A job without its lifetime.
type Lent = *const (dyn Fn() + Sync + 'static);

/// A job that may go to another thread.
#[derive(Clone, Copy)]
struct Job(Lent);

// SAFETY: the closure is `Sync`, and `run` keeps it alive while any helper can reach it.
unsafe impl Send for Job {}

/// What the lock guards.
struct Slot {
    job: Option<Job>,
    /// Helpers that may still join.
    wanted: usize,
    /// Helpers that exist.
    helpers: usize,
    /// Helpers asleep.
    asleep: usize,
}

/// Helpers, and the one job they may join.
pub(crate) struct Pool {
    /// Held by the caller whose job it is.
    caller: Mutex<()>,
    slot: Mutex<Slot>,
    wake: Condvar,
    finished: Condvar,
    /// Counts jobs; helpers watch it before they sleep.
    published: AtomicU64,
    /// Helpers inside the job.
    running: AtomicUsize,
    panicked: AtomicBool,
}

static POOL: Pool = Pool {
    caller: Mutex::new(()),
    slot: Mutex::new(Slot {
        job: None,
        wanted: 0,
        helpers: 0,
        asleep: 0,
    }),
    wake: Condvar::new(),
    finished: Condvar::new(),
    published: AtomicU64::new(0),
    running: AtomicUsize::new(0),
    panicked: AtomicBool::new(false),
};

/// Calls `job` on this thread and, where they wake in time, on up to `helpers` others at once.
///
/// `job` must do all the work whoever calls it, however often: it takes pieces until none is left.
///
/// # Panics
/// If `job` panicked on any thread.
pub(crate) fn run(helpers: usize, job: &(dyn Fn() + Sync)) {
    let _caller = match POOL.caller.try_lock() {
        Ok(caller) => caller,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return job(),
    };
    POOL.lead(helpers, job);
}

/// Ends a job even if the caller's own share panics.
struct Withdraw<'a>(&'a Pool);

impl Drop for Withdraw<'_> {
    fn drop(&mut self) {
        let mut slot = self.0.slot();
        slot.job = None;
        slot.wanted = 0;
        drop(slot);
        for _ in 0..SPINS {
            if self.0.running.load(Ordering::Acquire) == 0 {
                return;
            }
            std::hint::spin_loop();
        }
        let mut slot = self.0.slot();
        while self.0.running.load(Ordering::Acquire) != 0 {
            slot = ignore_poison(self.0.finished.wait(slot));
        }
    }
}

impl Pool {
    fn slot(&self) -> MutexGuard<'_, Slot> {
        ignore_poison(self.slot.lock())
    }

    fn lead(&'static self, helpers: usize, job: &(dyn Fn() + Sync)) {
        let borrowed: *const (dyn Fn() + Sync + '_) = job;
        // SAFETY: only the lifetime is forgotten. `Withdraw` below takes the job out of the slot
        // and waits for every helper inside it before this function returns or unwinds.
        let lent = unsafe { std::mem::transmute::<*const (dyn Fn() + Sync + '_), Lent>(borrowed) };
        let mut slot = self.slot();
        while slot.helpers < helpers && self.spawn() {
            slot.helpers += 1;
        }
        slot.job = Some(Job(lent));
        self.panicked.store(false, Ordering::Relaxed);
        slot.wanted = helpers;
        self.published.fetch_add(1, Ordering::Release);
        let sleepers = slot.asleep > 0;
        drop(slot);
        if sleepers {
            self.wake.notify_all();
        }
        let withdraw = Withdraw(self);
        job();
        drop(withdraw);
        assert!(
            !self.panicked.load(Ordering::Relaxed),
            "a helper of a parallel part panicked"
        );
    }

    /// Whether another helper could be started; without, callers work alone.
    fn spawn(&'static self) -> bool {
        let builder = std::thread::Builder::new().name("engine-helper".to_owned());
        builder.spawn(|| self.help()).is_ok()
    }

    fn help(&self) {
        let mut seen = 0;
        loop {
            if let Some(job) = self.join() {
                // SAFETY: `join` counted this helper as running while the job was in the slot,
                // and its caller waits for the count to fall to 0.
                let outcome = catch_unwind(AssertUnwindSafe(|| unsafe { (*job.0)() }));
                if outcome.is_err() {
                    self.panicked.store(true, Ordering::Relaxed);
                }
                self.leave();
            }
            seen = self.wait(seen);
        }
    }

    /// Takes a place in the present job, if one is free.
    fn join(&self) -> Option<Job> {
        let mut slot = self.slot();
        slot.wanted = slot.wanted.checked_sub(1)?;
        self.running.fetch_add(1, Ordering::Relaxed);
        slot.job
    }

    fn leave(&self) {
        if self.running.fetch_sub(1, Ordering::Release) == 1 {
            // Under the lock, so that a caller about to sleep cannot miss it.
            let _slot = self.slot();
            self.finished.notify_all();
        }
    }

    /// Waits for a job after number `seen`; returns the number of the latest.
    fn wait(&self, seen: u64) -> u64 {
        for _ in 0..SPINS {
            let published = self.published.load(Ordering::Acquire);
            if published != seen {
                return published;
            }
            std::hint::spin_loop();
        }
        let mut slot = self.slot();
        slot.asleep += 1;
        while self.published.load(Ordering::Acquire) == seen {
            slot = ignore_poison(self.wake.wait(slot));
        }
        slot.asleep -= 1;
        self.published.load(Ordering::Acquire)
    }
}

/// The slot is consistent between any two statements, so a panic elsewhere does not spoil it.
fn ignore_poison<T>(result: Result<T, PoisonError<T>>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// Few where an interpreter checks every access.
    const ROUNDS: usize = if cfg!(miri) { 40 } else { 2000 };

    fn sum(helpers: usize) -> usize {
        let (next, total) = (AtomicUsize::new(0), AtomicUsize::new(0));
        run(helpers, &|| {
            loop {
                let piece = next.fetch_add(1, Ordering::Relaxed);
                if piece >= 100 {
                    break;
                }
                total.fetch_add(piece, Ordering::Relaxed);
            }
        });
        total.into_inner()
    }

    #[test]
    fn every_piece_is_done_once_whoever_joins() {
        for round in 0..ROUNDS {
            assert_eq!(sum(round % 4), 4950);
        }
    }

    #[test]
    fn many_callers_and_nested_callers_finish() {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..ROUNDS / 10 {
                        run(2, &|| assert_eq!(sum(2), 4950));
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_in_a_piece_reaches_the_caller_and_the_pool_lives_on() {
        for _ in 0..20 {
            let next = AtomicUsize::new(0);
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                run(2, &|| {
                    while next.fetch_add(1, Ordering::Relaxed) < 1000 {
                        assert_ne!(next.load(Ordering::Relaxed), 500, "on purpose");
                    }
                });
            }));
            drop(outcome);
            assert_eq!(sum(2), 4950);
        }
        let outcome = catch_unwind(|| run(2, &|| panic!("on purpose")));
        assert!(outcome.is_err());
        assert_eq!(sum(3), 4950);
    }
}
