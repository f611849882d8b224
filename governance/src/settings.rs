//! What genesis fixes for good: the length of a day, the base deposit, the steward.

use crate::{
    Calendar, Stage, power,
    purse::Purse,
    stage::Handover,
    store::{Records, Store, records},
};
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{Address, Amount};

/// Settings that no vote changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Settings {
    /// Blocks in a day.
    pub calendar: Calendar,
    /// The deposit that multiples count.
    pub deposit_base: Amount,
    /// The founding operator; nobody for a network that starts without one.
    pub steward: Option<Address>,
}

records! { 0 Settings: (); }

/// The settings of this chain.
///
/// # Panics
/// Before genesis.
#[must_use]
pub fn settings(store: &impl Store) -> Settings {
    store
        .get(&())
        .expect("invariant: genesis writes the settings")
}

/// Writes what governance starts with: settings, stage, treasury, and stake that votes at once.
pub fn found(
    store: &mut impl Store,
    settings: Settings,
    stage: Stage,
    treasury: Amount,
    stakes: &[(Address, Amount)],
) {
    store.put(&(), &settings);
    let handover = Handover {
        stage,
        ..Handover::default()
    };
    store.put(&(), &handover);
    let purse = Purse {
        treasury,
        ..Purse::default()
    };
    store.put(&(), &purse);
    for (holder, stake) in stakes {
        power::found(store, *holder, stake.get());
    }
}
