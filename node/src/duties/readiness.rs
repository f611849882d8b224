//! Readiness for an upgrade: a validator whose program speaks the planned version says so itself.
//!
//! Its operator's key signs at every block, so a signal signed elsewhere would lose its number to
//! the process again and again.

use governance::upgrade::versions;
use ledger_state::View;
use protocol::{Address, transaction::Body};

/// The signal that this operator owes, if its program speaks versions up to `ready_for`.
pub(super) fn wanted(view: &View<'_>, operator: Address, ready_for: u32) -> Option<Body> {
    let version = versions(view).plan?.version;
    let body = Body::SignalReadiness { version };
    let is_due =
        version <= ready_for && ledger_state::rehearse(&mut view.clone(), operator, &body).is_ok();
    is_due.then_some(body)
}
