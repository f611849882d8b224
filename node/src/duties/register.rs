//! How a node whose key is no validator's becomes a verifier.

use crate::validator::Role;
use governance::parameters::Name;
use ledger_state::{View, account, auditor::Verifier, run};
use protocol::{Address, Amount, transaction::Body, vrf::Public};

/// The registration of a verifier that has none yet, as soon as it can lock its bond.
pub(super) fn wanted(view: &View<'_>, operator: Address, vrf: Public, role: Role) -> Option<Body> {
    let Role::Verifier { bond } = role else {
        return None;
    };
    if view.get::<Verifier>(&operator).is_some() {
        return None;
    }
    let bond_min = Amount::new(run::parameters(view).get(Name::VerifierBondMin));
    let bond = bond.unwrap_or(bond_min).max(bond_min);
    let balance = account::account(view, operator).balance;
    (balance >= bond).then_some(Body::RegisterVerifier { bond, vrf })
}
