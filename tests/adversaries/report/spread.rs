//! Independent work spread over all processors.
//!
//! Whoever is free takes the next item, so that dear ones hold up nobody; results are handed on in
//! the order of the items, as soon as all before them are there. What comes out does not depend on
//! how many processors there are.

use std::{
    collections::BTreeMap,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

/// Applies `work` to every item; `take` is given the results in the items' order.
fn ordered<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync, mut take: impl FnMut(R)) {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..threads.min(items.len()) {
            let (sender, next, work) = (sender.clone(), &next, &work);
            scope.spawn(move || {
                while let index = next.fetch_add(1, Ordering::Relaxed)
                    && let Some(item) = items.get(index)
                    && sender.send((index, work(item))).is_ok()
                {}
            });
        }
        drop(sender);
        let (mut early, mut taken) = (BTreeMap::new(), 0);
        for (index, result) in receiver {
            early.insert(index, result);
            while let Some(result) = early.remove(&taken) {
                take(result);
                taken += 1;
            }
        }
    });
}

/// Applies `work` to every item; `done` sees the results in the items' order.
pub(crate) fn spread<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
    mut done: impl FnMut(&R),
) -> Vec<R> {
    let mut all = Vec::with_capacity(items.len());
    ordered(items, work, |result| {
        done(&result);
        all.push(result);
    });
    all
}

/// Does work of every kind with each of its `count` seeds, and makes one of the results of a kind;
/// `done` sees it as soon as all of it, and of the kinds before it, is there.
pub(crate) fn summed<K: Sync, R: Send, S>(
    kinds: &[K],
    count: impl Fn(&K) -> u32,
    work: impl Fn(&K, u32) -> R + Sync,
    sum: impl Fn(&K, Vec<R>) -> S,
    mut done: impl FnMut(&S),
) -> Vec<S> {
    let seeds = |kind| 0..count(kind);
    let of_kind = |kind| seeds(kind).map(move |seed| (kind, seed));
    let items: Vec<(&K, u32)> = kinds.iter().flat_map(of_kind).collect();
    let (mut results, mut sums) = (Vec::new(), Vec::new());
    ordered(
        &items,
        |(kind, seed)| work(kind, *seed),
        |result| {
            results.push(result);
            if let Some(kind) = kinds.get(sums.len())
                && results.len() == seeds(kind).len()
            {
                let one = sum(kind, std::mem::take(&mut results));
                done(&one);
                sums.push(one);
            }
        },
    );
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_items_whoever_is_first() {
        let items: Vec<u64> = (0..40).collect();
        let mut seen = Vec::new();
        let slow = |item: &u64| {
            // The first items are the dearest.
            (0..(40 - item) * 10_000).fold(*item, |sum, _| std::hint::black_box(sum));
            item * 2
        };
        let all = spread(&items, slow, |result| seen.push(*result));
        assert_eq!(all, items.iter().map(|item| item * 2).collect::<Vec<_>>());
        assert_eq!(seen, all);
        let sums = summed(
            &items,
            |kind| 1 + u32::from(*kind % 2 == 1),
            |kind, seed| kind * 10 + u64::from(seed),
            |kind, results| (*kind, results),
            |_| (),
        );
        assert_eq!(sums[6], (6, vec![60]));
        assert_eq!(sums[7], (7, vec![70, 71]));
        assert_eq!(sums.len(), items.len());
    }
}
