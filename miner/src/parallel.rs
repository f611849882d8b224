//! Spreads independent items over threads; the result does not depend on how many.

use engine::Threads;

/// Applies `work` to every item; results are in the items' order.
pub fn map<T: Sync, R: Send>(
    items: &[T],
    threads: &Threads,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let share = items.len().div_ceil(threads.count()).max(1);
    if share >= items.len() {
        return items.iter().map(work).collect();
    }
    let work = &work;
    std::thread::scope(|scope| {
        let handles: Vec<_> = items
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().map(work).collect::<Vec<R>>()))
            .collect();
        let results = handles.into_iter().flat_map(|handle| match handle.join() {
            Ok(results) => results,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        results.collect()
    })
}
