//! Fees, and what a block may hold.

use super::Row;
use crate::support::{Chain, Setup, key};
use governance::parameters::Name;
use ledger_state::{
    Rejection, apply,
    fee::{Charge, Meter, PAID_COUNT_MAX, Terms},
};
use protocol::{
    Amount,
    block::BLOCK_BYTES_MAX,
    transaction::{Body, Fee},
};

pub(super) const ROWS: &[Row] = &[
    ("BlockGas", || metered(10, BLOCK_BYTES_MAX, &Body::Resume)),
    ("PaidGas", || crowded(100_000, 2_000)),
    ("PaidBytes", || metered(10_000_000, 200, &transfer(1))),
    ("PaidCount", || crowded(10_000_000, PAID_COUNT_MAX + 1)),
    ("FeeTooLow", || offering(transfer(1), 0, 0)),
    ("FeeTooLow", || offering(transfer(1), 1, 1)),
    ("FeeTooLow", || {
        offering(transfer(1), u64::MAX - 1, u64::MAX)
    }),
    ("FeeUnpayable", || offering(transfer(1), 50_001, 50_000)),
    ("BalanceTooLow", || offering(transfer(50_000), 1, 0)),
    ("DutyWithFee", || offering(Body::Resume, 1, 0)),
    ("DutyWithFee", || offering(Body::Resume, 1, 1)),
];

fn transfer(amount: u64) -> Body {
    let (to, amount) = (key("miner", 1).address(), Amount::new(amount));
    Body::Transfer { to, amount }
}

/// Offered to a chain on which a transfer costs 1.
fn offering(body: Body, max: u64, tip: u64) -> Rejection {
    let setup = Setup {
        parameters: vec![(Name::BaseFeeMin, 10_000)],
        ..Setup::default()
    };
    let fee = Fee {
        max: Amount::new(max),
        tip: Amount::new(tip),
    };
    let chain = Chain::start(&setup);
    let signed = chain.sign_offering(&key("miner", 0), 0, body, fee);
    chain.reject_signed(vec![signed])
}

/// As the first of a block that holds this much.
fn metered(gas_max: u64, bytes_max: usize, body: &Body) -> Rejection {
    let terms = Terms {
        price: 0,
        price_min: 0,
        gas_max,
    };
    let chain = Chain::start(&Setup::default());
    let signed = chain.sign(vec![(key("miner", 0), body.clone())]);
    let charge = Charge::of(&terms, &signed[0]);
    Meter::new(terms, bytes_max).after(&charge).unwrap_err()
}

/// A block with this many transfers.
fn crowded(gas_max: u64, count: usize) -> Rejection {
    let setup = Setup {
        parameters: vec![(Name::BlockGas, gas_max)],
        ..Setup::default()
    };
    let chain = Chain::start(&setup);
    let transfers = vec![(key("miner", 0), transfer(1)); count];
    let block = chain.assemble(chain.sign(transfers));
    apply(&chain.state, &block).unwrap_err()
}
