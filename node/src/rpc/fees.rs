//! `GET /v1/fees`: what a place in a block costs, and what to offer for one.
//!
//! A suggestion covers a price that rises for twelve blocks in a row, which is as long as a
//! transaction waits, and what those in front give where not all that waits fits into one block.
//! More than the base fee of its block and its tip is never taken.

use crate::chain::Chain;
use ledger_state::fee::{self, PRICED_GAS, Terms};
use protocol::{
    Amount, Height,
    transaction::{Fee, Lane, Transaction},
};
use serde::{Deserialize, Serialize};

/// A price that rises by an eighth twelve times is below this multiple.
const HEADROOM: u64 = 5;

/// A kind and what it costs besides signature and bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindRow {
    /// The kind.
    pub kind: String,
    /// Gas of one.
    pub fixed: u64,
    /// Gas of each of its parts.
    pub each: u64,
}

/// What a place in the next block costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeesAnswer {
    /// As of this height.
    pub height: Height,
    /// Base fee of a million gas in the next block, burned.
    pub price: u64,
    /// The least that it can be.
    pub price_min: u64,
    /// The base fee of a million gas that an offer should cover.
    pub suggested_price_max: u64,
    /// The tip for a million gas that an offer should have; 0 while all that waits fits.
    pub suggested_tip: u64,
    /// Gas of a block.
    pub gas_max: u64,
    /// Of that, at most this much is used for a fee.
    pub paid_gas_max: u64,
    /// At this much the price stays.
    pub target_gas: u64,
    /// Gas of a signature.
    pub signature_gas: u64,
    /// Bytes of one gas.
    pub bytes_per_gas: u64,
    /// Gas by kind.
    pub kinds: Vec<KindRow>,
}

/// The answer now.
#[must_use]
pub fn fees(chain: &Chain) -> FeesAnswer {
    let (height, terms) = chain.view(|view| (ledger_state::run::tip(view).height, Terms::of(view)));
    let suggested_tip = chain.tip_to_be_next(&terms);
    FeesAnswer {
        height,
        price: terms.price,
        price_min: terms.price_min,
        suggested_price_max: terms.price.saturating_mul(HEADROOM),
        suggested_tip,
        gas_max: terms.gas_max,
        paid_gas_max: terms.paid_gas_max(),
        target_gas: terms.target(),
        signature_gas: fee::SIGNATURE_GAS,
        bytes_per_gas: fee::BYTES_PER_GAS,
        kinds: fee::TABLE.iter().map(row).collect(),
    }
}

fn row((kind, cost): &(&str, fee::Cost)) -> KindRow {
    KindRow {
        kind: (*kind).to_owned(),
        fixed: cost.fixed,
        each: cost.each,
    }
}

fn priced(gas: u64, price: u64) -> Amount {
    let product = u128::from(gas) * u128::from(price);
    let fee = product.div_ceil(u128::from(PRICED_GAS));
    Amount::new(u64::try_from(fee).unwrap_or(u64::MAX))
}

/// What a sender asks for instead of what is suggested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Limits {
    /// Pay at most this much for the transaction, tip included; what a node suggests if left out.
    #[arg(long)]
    pub fee_max: Option<u64>,
    /// Of that, give this much to the block's proposer.
    #[arg(long)]
    pub tip: Option<u64>,
}

impl FeesAnswer {
    /// What the transaction would cost in the next block, without a tip.
    #[must_use]
    pub fn base(&self, transaction: &Transaction) -> Amount {
        match transaction.body.lane() {
            Lane::Duty => Amount::ZERO,
            Lane::Paid => priced(fee::gas_to_sign(transaction), self.price),
        }
    }
    /// What the transaction should offer.
    #[must_use]
    pub fn offer(&self, transaction: &Transaction, limits: Limits) -> Fee {
        if transaction.body.lane() == Lane::Duty {
            return Fee::NONE;
        }
        let gas = fee::gas_to_sign(transaction);
        let suggested = || priced(gas, self.suggested_tip);
        let tip = limits.tip.map_or_else(suggested, Amount::new);
        let max = priced(gas, self.suggested_price_max).saturating_add(tip.get());
        Fee {
            max: limits.fee_max.map_or(max, Amount::new),
            tip,
        }
    }
}

impl Limits {
    /// What to offer where no node was asked: exactly what is said.
    ///
    /// # Errors
    /// When a transaction that costs something comes without `--fee-max`.
    pub fn alone(self, transaction: &Transaction) -> anyhow::Result<Fee> {
        let Self { fee_max, tip } = self;
        match (transaction.body.lane(), fee_max) {
            (Lane::Duty, _) => Ok(Fee::NONE),
            (Lane::Paid, Some(max)) => Ok(Fee {
                max: Amount::new(max),
                tip: Amount::new(tip.unwrap_or(0)),
            }),
            (Lane::Paid, None) => {
                anyhow::bail!("--fee-max is needed where no node is asked for the price")
            }
        }
    }
}
