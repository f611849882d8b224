//! Validators begin, and change their commission.

use super::{rotation, stake};
use crate::{
    Rejection, View, account, auditor::Verifier, event::Event, run, task::BEACON_DELAY_BLOCKS,
    validator::Validator,
};
use governance::{parameters::Name, power};
use protocol::{Address, Amount, Height, Micro, staking::Consent};

/// The most that a commission rises in a day, in millionths.
pub const COMMISSION_STEP_MAX: u64 = 10_000;

/// The least stake of a validator's own holder.
pub(super) fn stake_min(view: &View<'_>) -> Amount {
    Amount::new(run::parameters(view).get(Name::ValidatorStakeMin))
}

/// Registers an operator for the sender's stake.
///
/// # Errors
/// When the operator did not agree or judges already, its key is none, the stake is too small, the
/// commission more than all, or the balance too low.
pub fn register(
    view: &mut View<'_>,
    holder: Address,
    consent: &Consent,
    (amount, commission): (Amount, Micro),
    height: Height,
) -> Result<Vec<Event>, Rejection> {
    let operator = consent.operator;
    if !consent.is_for(run::tip(view).chain, holder) {
        return Err(Rejection::ConsentForged { operator, holder });
    }
    let vrf = consent.vrf;
    vrf.check()
        .map_err(|_| Rejection::RandomnessKeyInvalid { key: vrf })?;
    let judges = view.get::<Validator>(&operator).is_some();
    if judges || view.get::<Verifier>(&operator).is_some() {
        return Err(Rejection::AlreadyAuditor { sender: operator });
    }
    if rotation::is_taken(view, operator) {
        return Err(Rejection::KeyTaken { key: operator });
    }
    let stake_min = stake_min(view);
    if amount < stake_min {
        return Err(Rejection::StakeTooSmall {
            stake: amount,
            stake_min,
        });
    }
    check_commission(commission)?;
    account::debit(view, holder, amount)?;
    let mut validator = Validator::new(holder, vrf, height.saturating_add(BEACON_DELAY_BLOCKS));
    validator.commission = commission;
    validator.commission_at = height;
    view.put(&operator, &validator);
    stake::add(view, operator, holder, amount);
    power::bond(view, holder, amount.get(), height);
    Ok(vec![Event::ValidatorRegistered {
        operator,
        holder,
        stake: amount,
    }])
}

const fn check_commission(commission: Micro) -> Result<(), Rejection> {
    if commission.get() > Micro::ONE.get() {
        return Err(Rejection::CommissionTooHigh { commission });
    }
    Ok(())
}

/// Changes a validator's commission: down at will, up by a step a day, so that nobody who stakes
/// is surprised.
///
/// # Errors
/// When the sender is not the holder, or it rises too much or too soon.
pub fn set_commission(
    view: &mut View<'_>,
    sender: Address,
    operator: Address,
    commission: Micro,
    height: Height,
) -> Result<Vec<Event>, Rejection> {
    let mut validator: Validator = view
        .get(&operator)
        .ok_or(Rejection::ValidatorUnknown { operator })?;
    if validator.holder != sender {
        return Err(Rejection::NotHolder { operator, sender });
    }
    check_commission(commission)?;
    let calendar = governance::settings(view).calendar;
    let rises_from = calendar.after(validator.commission_at, 1);
    let step = commission.saturating_sub(validator.commission.get());
    let is_early = step > Micro::ZERO && height < rises_from;
    if is_early || step.get() > COMMISSION_STEP_MAX {
        return Err(Rejection::CommissionStep {
            commission,
            before: validator.commission,
            rises_from,
        });
    }
    validator.commission = commission;
    validator.commission_at = height;
    view.put(&operator, &validator);
    Ok(vec![Event::CommissionSet {
        operator,
        commission,
    }])
}
