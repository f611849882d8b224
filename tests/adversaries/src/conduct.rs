//! Participants whose computations are honest and whose conduct is not, one file each.

mod beacon_withhold;
mod equivocator;
mod silent_opener;
mod withholder;

use crate::Adversary;

/// All of them.
pub(crate) const ALL: &[&dyn Adversary] = &[
    &equivocator::Equivocator,
    &withholder::Withholder,
    &silent_opener::SilentOpener,
    &beacon_withhold::BeaconWithhold,
];

/// What a participant keeps from the network, or tells it twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduct {
    /// Nothing.
    Honest,
    /// Two signed commitments to one unit, to different nodes.
    Equivocates,
    /// Nobody gets the blob that it bound.
    WithholdsBlob,
    /// Nobody gets to see what it sealed.
    WithholdsOpening,
    /// It proposes nothing in some of its turns.
    WithholdsBlock,
}
