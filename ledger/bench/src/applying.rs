//! Blocks through a state machine: read, verified, applied, made permanent.

use crate::{
    clock::{median, timed},
    world::{UNITS_COUNT, World},
};
use anyhow::{Result, ensure};
use ledger_state::{apply, fee::PAID_COUNT_MAX};
use protocol::{
    Address, Nonce,
    block::{Block, Verified},
    transaction,
};
use std::collections::BTreeMap;

/// Transactions of a measured block.
const BLOCK_COUNT: usize = 1_024;
/// Blocks of transfers that are measured.
const ROUNDS: usize = 7;

/// Microseconds of processor time for each transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Costs {
    /// Reading the block.
    pub(crate) decode_us: f64,
    /// Identifiers and signatures.
    pub(crate) verify_us: f64,
    /// The same where every transaction waited in the mempool, which checked its signature.
    pub(crate) known_us: f64,
    /// `apply`, the new tree's root included.
    pub(crate) apply_us: f64,
    /// Making the writes permanent.
    pub(crate) advance_us: f64,
}

impl Costs {
    /// From bytes to state.
    pub(crate) const fn total_us(&self) -> f64 {
        self.decode_us + self.verify_us + self.apply_us + self.advance_us
    }
    /// From bytes to state, all transactions known.
    pub(crate) const fn known_total_us(&self) -> f64 {
        self.decode_us + self.known_us + self.apply_us + self.advance_us
    }
}

const _: () = assert!(BLOCK_COUNT <= PAID_COUNT_MAX && 2 * BLOCK_COUNT <= UNITS_COUNT as usize);

fn measure(world: &mut World, blocks: Vec<Block>) -> Result<Costs> {
    let mut columns: [Vec<f64>; 5] = Default::default();
    for block in blocks {
        let bytes = block.encode();
        let again = Block::decode(&bytes)?;
        let (decoded, decode_us) = timed(|| Block::decode(&bytes));
        let (verified, verify_us) = timed(|| decoded.map(|block| block.verify(world.chain())));
        let verified = verified??;
        let count = verified.transactions().len();
        ensure!(count > 0, "a measured block is empty");
        let waiting = waiting(&verified);
        let known = |sender, nonce| waiting.get(&(sender, nonce));
        let (again, known_us) = timed(|| again.verify_knowing(world.chain(), known));
        ensure!(again? == verified, "what is known changes a block");
        let (transition, apply_us) = timed(|| apply(&world.state, &verified));
        let transition = transition?;
        let ((), advance_us) = timed(|| world.advance(transition));
        let measured = [decode_us, verify_us, known_us, apply_us, advance_us];
        for (column, us) in columns.iter_mut().zip(measured) {
            column.push(us / count as f64);
        }
    }
    let [decode_us, verify_us, known_us, apply_us, advance_us] = columns.map(median);
    Ok(Costs {
        decode_us,
        verify_us,
        known_us,
        apply_us,
        advance_us,
    })
}

/// A block's transactions as they waited.
fn waiting(block: &Verified) -> BTreeMap<(Address, Nonce), transaction::Verified> {
    let all = block.transactions().iter();
    all.map(|transaction| {
        (
            (transaction.sender(), transaction.nonce()),
            transaction.clone(),
        )
    })
    .collect()
}

/// Transfers between random accounts.
pub(crate) fn transfers(world: &mut World) -> Result<Costs> {
    let mut all = Vec::new();
    for round in 0..ROUNDS {
        let from = (round * BLOCK_COUNT) as u64;
        let block = world.block(world.transfers(BLOCK_COUNT, from))?;
        all.push(measure(world, vec![block])?);
    }
    Ok(middle(&all))
}

/// Commitments to gradient units.
pub(crate) fn commitments(world: &mut World) -> Result<Costs> {
    let mut all = Vec::new();
    for round in 0..2 {
        let block = world.block(world.commitments(round * BLOCK_COUNT, BLOCK_COUNT)?)?;
        all.push(measure(world, vec![block])?);
    }
    Ok(middle(&all))
}

fn middle(all: &[Costs]) -> Costs {
    let of = |column: fn(&Costs) -> f64| median(all.iter().map(column).collect());
    Costs {
        decode_us: of(|costs| costs.decode_us),
        verify_us: of(|costs| costs.verify_us),
        known_us: of(|costs| costs.known_us),
        apply_us: of(|costs| costs.apply_us),
        advance_us: of(|costs| costs.advance_us),
    }
}
