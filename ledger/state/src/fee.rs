//! Fees: what a place in a block costs, and who gets it. Spec: fees.
//!
//! Work is counted in **gas** ([`gas`]), about a microsecond of the reference machine each. A
//! transaction of the paid lane burns the **base fee** for its gas,
//!
//! ```text
//! base = ⌈gas · price / 10⁶⌉
//! ```
//!
//! and gives its tip to the proposer. The price is part of the state. With u the gas of a block's
//! paid transactions and t half of what they may use together, the next block's price is
//!
//! ```text
//! u > t   price + max(1, ⌊price · (u − t) / 8t⌋)
//! u ≤ t   max(base-fee-min, price − ⌊price · (t − u) / 8t⌋)
//! ```
//!
//! which moves by an eighth at most, because u ≤ 2t. Duties cost nothing and come first; the paid
//! lane ends at four fifths of a block's gas, bytes and count, so that a fifth is always theirs.

mod gas;

pub use gas::{
    BYTES_PER_GAS, Cost, SIGNATURE_GAS, TABLE, body_gas, cost_of, gas, gas_to_sign, parts_count,
    transfer_gas,
};

use crate::{
    Rejection, View,
    account::{self, account},
    run, slash, staking,
    state::Record,
};
use borsh::{BorshDeserialize, BorshSerialize};
use governance::parameters::Name;
use protocol::{
    Address, Amount,
    block::{BLOCK_BYTES_MAX, TRANSACTIONS_COUNT_MAX},
    transaction::{Body, Fee, Lane, Verified},
};

/// The unit in which prices are given.
pub const PRICED_GAS: u64 = 1_000_000;
/// A block's price moves by one part in this many.
const PRICE_STEP: u128 = 8;

/// The base fee of a million gas, where it has ever moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Price(u64);

impl Record for Price {
    const TABLE: u8 = 80;
    type Key = ();
}

/// What is left of a block for the paid lane: four fifths.
const fn paid_part(whole: u64) -> u64 {
    (whole / 5).saturating_mul(4)
}

/// Whether a body is applied before its fee is taken: a claim of rewards may be paid out of what is
/// claimed, or whoever has nothing but rewards could not get at them.
#[must_use]
pub const fn is_paid_after(body: &Body) -> bool {
    matches!(body, Body::ClaimRewards { .. })
}

/// On what terms the next block takes transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Base fee of [`PRICED_GAS`].
    pub price: u64,
    /// The least that it falls to.
    pub price_min: u64,
    /// Gas of all transactions, at most.
    pub gas_max: u64,
}

impl Terms {
    /// Those in force.
    #[must_use]
    pub fn of(view: &View<'_>) -> Self {
        let parameters = run::parameters(view);
        let price_min = parameters.get(Name::BaseFeeMin);
        let Price(price) = view.get(&()).unwrap_or(Price(price_min));
        Self {
            price,
            price_min,
            gas_max: parameters.get(Name::BlockGas),
        }
    }
    /// Gas of paid transactions, at most.
    #[must_use]
    pub const fn paid_gas_max(&self) -> u64 {
        paid_part(self.gas_max)
    }
    /// Gas of paid transactions at which the price stays as it is.
    #[must_use]
    pub const fn target(&self) -> u64 {
        self.paid_gas_max() / 2
    }
    /// What is burned for a transaction.
    #[must_use]
    pub fn base_fee(&self, lane: Lane, gas: u64) -> Amount {
        match lane {
            Lane::Duty => Amount::ZERO,
            Lane::Paid => {
                let product = u128::from(gas).saturating_mul(u128::from(self.price));
                let fee = product.div_ceil(u128::from(PRICED_GAS));
                Amount::new(u64::try_from(fee).unwrap_or(u64::MAX))
            }
        }
    }
    /// What is burned for a transfer.
    #[must_use]
    pub fn transfer_fee(&self) -> Amount {
        self.base_fee(Lane::Paid, transfer_gas())
    }
    /// The price after a block whose paid transactions used this much gas.
    #[must_use]
    pub fn price_after(&self, paid_gas: u64) -> u64 {
        let target = self.target().max(1);
        let price = u128::from(self.price);
        let by = |distance: u64| {
            let whole = u128::from(target).saturating_mul(PRICE_STEP);
            let product = price.saturating_mul(u128::from(distance.min(target)));
            u64::try_from(product.checked_div(whole).unwrap_or_default()).unwrap_or(u64::MAX)
        };
        if paid_gas > target {
            let up = by(paid_gas.saturating_sub(target)).max(1);
            self.price.saturating_add(up)
        } else {
            let down = by(target.saturating_sub(paid_gas));
            self.price.saturating_sub(down).max(self.price_min)
        }
    }
}

/// What a transaction takes of a block, and of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    lane: Lane,
    gas: u64,
    bytes_count: u64,
    base: Amount,
    tip: Amount,
}

impl Charge {
    /// What this transaction would take.
    #[must_use]
    pub fn of(terms: &Terms, transaction: &Verified) -> Self {
        let lane = transaction.body().lane();
        let gas = gas(transaction);
        Self {
            lane,
            gas,
            bytes_count: u64::try_from(transaction.bytes_count()).unwrap_or(u64::MAX),
            base: terms.base_fee(lane, gas),
            tip: transaction.fee().tip,
        }
    }
    /// Its gas.
    #[must_use]
    pub const fn gas(&self) -> u64 {
        self.gas
    }
    /// Takes the fee from the sender; it is burned and given away when the block
    /// [settles](Meter::settle).
    ///
    /// # Errors
    /// When the sender offers less, has less, or offers something for a duty.
    pub fn collect(
        &self,
        view: &mut View<'_>,
        sender: Address,
        offered: Fee,
    ) -> Result<(), Rejection> {
        if self.lane == Lane::Duty {
            if offered != Fee::NONE {
                let Fee { max, tip } = offered;
                return Err(Rejection::DutyWithFee { max, tip });
            }
            return Ok(());
        }
        let needed = self.base.saturating_add(self.tip.get());
        if offered.max < needed {
            let (max, base, tip) = (offered.max, self.base, self.tip);
            return Err(Rejection::FeeTooLow { max, base, tip });
        }
        account::debit(view, sender, needed).map_err(|_| Rejection::FeeUnpayable {
            balance: account(view, sender).balance,
            needed,
        })
    }
}

/// What the transactions of a block take together.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    terms: Terms,
    paid_bytes_max: u64,
    gas: u64,
    paid_gas: u64,
    paid_bytes: u64,
    paid_count: usize,
    burned: Amount,
    tips: Amount,
}

impl Meter {
    /// That of a block without transactions, of at most `bytes_max` bytes.
    #[must_use]
    pub fn new(terms: Terms, bytes_max: usize) -> Self {
        let bytes_max = u64::try_from(bytes_max.min(BLOCK_BYTES_MAX)).unwrap_or(u64::MAX);
        Self {
            terms,
            paid_bytes_max: paid_part(bytes_max),
            gas: 0,
            paid_gas: 0,
            paid_bytes: 0,
            paid_count: 0,
            burned: Amount::ZERO,
            tips: Amount::ZERO,
        }
    }
    /// The block's terms.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }
    /// The meter after one more transaction.
    ///
    /// # Errors
    /// When there is no room for it in the block, or in its lane.
    pub fn after(&self, charge: &Charge) -> Result<Self, Rejection> {
        let Charge {
            lane,
            gas,
            bytes_count,
            base,
            tip,
        } = *charge;
        let mut next = *self;
        next.gas = self.gas.saturating_add(gas);
        let (gas, gas_max) = (next.gas, self.terms.gas_max);
        if gas > gas_max {
            return Err(Rejection::BlockGas { gas, gas_max });
        }
        if lane == Lane::Duty {
            return Ok(next);
        }
        next.paid_gas = self.paid_gas.saturating_add(charge.gas);
        next.paid_bytes = self.paid_bytes.saturating_add(bytes_count);
        next.paid_count = self.paid_count.saturating_add(1);
        next.burned = self.burned.saturating_add(base.get());
        next.tips = self.tips.saturating_add(tip.get());
        let (gas, gas_max) = (next.paid_gas, self.terms.paid_gas_max());
        if gas > gas_max {
            return Err(Rejection::PaidGas { gas, gas_max });
        }
        let (bytes_count, bytes_max) = (next.paid_bytes, self.paid_bytes_max);
        if bytes_count > bytes_max {
            return Err(Rejection::PaidBytes {
                bytes_count,
                bytes_max,
            });
        }
        let (count, count_max) = (next.paid_count, PAID_COUNT_MAX);
        if count > count_max {
            return Err(Rejection::PaidCount { count, count_max });
        }
        Ok(next)
    }
    /// Burns the base fees, gives the tips to those who staked with the
    /// proposer, and sets the next block's price.
    pub fn settle(&self, view: &mut View<'_>, proposer: Address) {
        if self.burned > Amount::ZERO {
            slash::burn(view, self.burned);
        }
        if self.tips > Amount::ZERO {
            staking::reward::give(view, proposer, self.tips);
        }
        let price = self.terms.price_after(self.paid_gas);
        if price != self.terms.price {
            view.put(&(), &Price(price));
        }
    }
}

/// Paid transactions in a block, at most.
pub const PAID_COUNT_MAX: usize = TRANSACTIONS_COUNT_MAX / 5 * 4;
