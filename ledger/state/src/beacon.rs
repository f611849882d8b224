//! Beacons: who had to give this block its randomness, whether it did, and what staying silent
//! costs. Spec: 05-block §10.
//!
//! [`Source`] is the seam: `apply` asks it for a block's beacon and everything that is drawn gets
//! the answer, so that another source (a threshold signature of all validators) changes the
//! header's field and this file.

use crate::{
    Rejection, View,
    event::Event,
    run::{self, Tip},
    slash,
    staking::{jail, rotation},
    validator::{Sets, Validator},
};
use protocol::{
    Address, Height,
    block::{Header, proposer_index},
    task::Beacon,
    vrf,
};
use std::collections::BTreeSet;

/// Rounds of one height whose silent proposers are counted. An honest proposer is silent for
/// others while the network is cut in two, so an outage must not cost without bound.
pub const ROUNDS_COUNTED_MAX: u32 = 32;

/// Where a block's randomness comes from.
pub trait Source {
    /// The beacon that this header yields after the tip.
    ///
    /// # Errors
    /// When the header does not prove it.
    fn beacon(&self, view: &View<'_>, tip: &Tip, header: &Header) -> Result<Beacon, Rejection>;
}

/// Each proposer's verifiable randomness, chained.
#[derive(Clone, Copy, Debug)]
pub struct ProposerRandomness;

impl Source for ProposerRandomness {
    fn beacon(&self, view: &View<'_>, tip: &Tip, header: &Header) -> Result<Beacon, Rejection> {
        let proposer = header.proposer;
        let validator: Validator = rotation::operator_of(view, proposer)
            .and_then(|operator| view.get(&operator))
            .ok_or(Rejection::ProposerUnknown { proposer })?;
        let input = tip.beacon.input(tip.chain, tip.height.next());
        let verified = validator.vrf.verify(&input, &header.beacon_proof);
        let output = verified.map_err(|_| Rejection::BeaconUnproven { proposer })?;
        Ok(tip.beacon.next(&output))
    }
}

/// What the proposer of the block after the tip proves randomness for.
#[must_use]
pub fn input(view: &View<'_>) -> [u8; 32] {
    let tip = run::tip(view);
    tip.beacon.input(tip.chain, tip.height.next())
}

/// What the proposer of the block after the tip puts into its header.
#[must_use]
pub fn prove(view: &View<'_>, secret: &vrf::Secret) -> vrf::Proof {
    let (_, proof) = secret.prove(&input(view));
    proof
}

/// Whose turn a round of a height is, by the powers of that height.
#[must_use]
pub fn proposer(powers: &[(Address, u64)], height: Height, round: u32) -> Option<Address> {
    let index = proposer_index(powers.iter().map(|(_, power)| *power), height, round)?;
    powers.get(index).map(|(operator, _)| *operator)
}

/// Refuses a header whose proposer is not the one of its round.
///
/// # Errors
/// When it is somebody else's turn.
pub fn check_turn(view: &View<'_>, header: &Header) -> Result<(), Rejection> {
    let expected = proposer(&Sets::of(view).current, header.height, header.round);
    if expected == Some(header.proposer) {
        return Ok(());
    }
    Err(Rejection::ProposerOutOfTurn {
        proposer: header.proposer,
        round: header.round,
    })
}

/// Counts who was there and who was not: the proposers of the rounds before the header's are
/// silent, each is fined a round, and whoever has been absent at too many heights is jailed.
pub fn fine_silent(view: &mut View<'_>, header: &Header) -> Vec<Event> {
    let powers = Sets::of(view).current;
    let operator = |key| rotation::operator_of(view, key).unwrap_or(key);
    let own = operator(header.proposer);
    let silent = |round| {
        let key = proposer(&powers, header.height, round)?;
        Some((operator(key), round))
    };
    let silent: Vec<_> = (0..header.round.min(ROUNDS_COUNTED_MAX))
        .filter_map(silent)
        .collect();
    let mut absent: BTreeSet<Address> = silent.iter().map(|(address, _)| *address).collect();
    absent.remove(&own);
    let fine = |(address, round)| slash::silent_proposer(view, address, round);
    let mut events: Vec<Event> = silent.into_iter().filter_map(fine).collect();
    jail::present(view, own);
    events.extend(
        absent
            .into_iter()
            .filter_map(|operator| jail::absent(view, operator, header.height)),
    );
    events
}
