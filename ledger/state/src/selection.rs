//! Selection: which waiting transactions a proposer takes, and in which order.
//!
//! Duties first, as they came; then whoever pays, by tip per gas, and as they came where that is
//! equal. An account's transactions keep their order, so a duty behind one that pays waits for it.

use crate::{
    State,
    apply::{begin_height, execute},
    fee::{Charge, Meter, Terms},
    run,
};
use protocol::{
    Address, block,
    transaction::{Lane, Verified},
};
use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeMap, BinaryHeap, VecDeque},
};

/// What a block's encoding takes besides its transactions: the header, and their count.
const BLOCK_FRAME_BYTES_MAX: usize = 512;

/// The transactions, in this order, that a next block may hold: valid, at most `count_max` of
/// them, and within what a block may count and weigh.
#[must_use]
pub fn select(state: &State, candidates: Vec<Verified>, count_max: usize) -> Vec<Verified> {
    select_within(state, candidates, count_max, block::BLOCK_BYTES_MAX)
}

/// The same, for blocks of at most `bytes_max` bytes.
#[must_use]
pub fn select_within(
    state: &State,
    candidates: Vec<Verified>,
    count_max: usize,
    bytes_max: usize,
) -> Vec<Verified> {
    let count_max = count_max.min(block::TRANSACTIONS_COUNT_MAX);
    let mut bytes_left = bytes_max.saturating_sub(BLOCK_FRAME_BYTES_MAX);
    let mut view = state.view();
    let height = run::tip(&view).height.next();
    begin_height(&mut view, height);
    let mut meter = Meter::new(Terms::of(&view), bytes_max);
    let mut queue = Queue::of(candidates);
    let mut chosen = Vec::new();
    while chosen.len() < count_max
        && let Some(Head { waiting, .. }) = queue.heads.pop()
    {
        let charge = Charge::of(meter.terms(), &waiting);
        let room = bytes_left.checked_sub(waiting.bytes_count());
        let (Some(left), Ok(after)) = (room, meter.after(&charge)) else {
            // What follows of its account cannot come before it.
            continue;
        };
        let sender = waiting.sender();
        if execute(&mut view, &waiting, &charge, height).is_ok() {
            (bytes_left, meter) = (left, after);
            chosen.push(waiting);
        }
        queue.advance(sender);
    }
    chosen
}

/// In which order heads are taken: the greatest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    lane: Reverse<Lane>,
    tip: Rate,
    came: Reverse<usize>,
}

/// Tip per gas, compared exactly.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    tip: u64,
    gas: u64,
}

impl Rate {
    /// What a transaction gives for its gas.
    #[must_use]
    pub fn of(transaction: &Verified) -> Self {
        Self {
            tip: transaction.fee().tip.get(),
            gas: crate::fee::gas(transaction),
        }
    }
    /// As much for this much gas, rounded down.
    #[must_use]
    pub fn of_gas(&self, gas: u64) -> u64 {
        let product = u128::from(self.tip).saturating_mul(u128::from(gas));
        let part = product.checked_div(u128::from(self.gas));
        u64::try_from(part.unwrap_or_default()).unwrap_or(u64::MAX)
    }
}

impl Ord for Rate {
    fn cmp(&self, other: &Self) -> Ordering {
        let times = |tip: u64, gas: u64| u128::from(tip).saturating_mul(u128::from(gas));
        times(self.tip, other.gas).cmp(&times(other.tip, self.gas))
    }
}

impl PartialOrd for Rate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Rate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Rate {}

struct Head {
    rank: Rank,
    waiting: Verified,
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank.cmp(&other.rank)
    }
}

/// Every account's transactions in order, and the first of each by rank.
struct Queue {
    heads: BinaryHeap<Head>,
    rest: BTreeMap<Address, VecDeque<(usize, Verified)>>,
}

impl Queue {
    fn of(candidates: Vec<Verified>) -> Self {
        let mut rest: BTreeMap<Address, VecDeque<(usize, Verified)>> = BTreeMap::new();
        for (came, waiting) in candidates.into_iter().enumerate() {
            let own = rest.entry(waiting.sender()).or_default();
            own.push_back((came, waiting));
        }
        let mut queue = Self {
            heads: BinaryHeap::new(),
            rest,
        };
        let senders: Vec<Address> = queue.rest.keys().copied().collect();
        for sender in senders {
            if let Some(own) = queue.rest.get_mut(&sender) {
                let number = |(_, waiting): &(usize, Verified)| waiting.nonce();
                own.make_contiguous().sort_by_key(number);
            }
            queue.advance(sender);
        }
        queue
    }
    /// Lets the account's next transaction take part.
    fn advance(&mut self, sender: Address) {
        let next = self.rest.get_mut(&sender).and_then(VecDeque::pop_front);
        if let Some((came, waiting)) = next {
            let rank = Rank {
                lane: Reverse(waiting.body().lane()),
                tip: Rate::of(&waiting),
                came: Reverse(came),
            };
            self.heads.push(Head { rank, waiting });
        }
    }
}
