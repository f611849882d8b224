//! The way back for a validator that was jailed for its absence: it is there again, or this would
//! not run.

use ledger_state::{
    View,
    validator::{Standing, Validator},
};
use protocol::{Address, transaction::Body};

/// What a jailed operator asks for, as soon as it may.
pub(super) fn wanted(view: &View<'_>, operator: Address) -> Option<Body> {
    let validator: Validator = view.get(&operator)?;
    let body = Body::Unjail { operator };
    let is_jailed = matches!(validator.standing, Standing::Jailed { .. });
    let may = is_jailed && ledger_state::rehearse(&mut view.clone(), operator, &body).is_ok();
    may.then_some(body)
}
