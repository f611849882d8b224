//! What a genesis means, in words.

use anyhow::{Context as _, Result};
use protocol::{Amount, genesis::Genesis};

/// Shares are told in tenths of a percent.
const TENTHS: u128 = 1_000;

/// Refuses a genesis that starts no chain.
///
/// # Errors
/// With the rule that it breaks.
pub(super) fn check(genesis: &Genesis) -> Result<()> {
    let state = ledger_state::genesis::state(genesis);
    state.map(drop).context("this genesis starts no chain")
}

fn sum(amounts: impl Iterator<Item = Amount>) -> u128 {
    amounts.map(|amount| u128::from(amount.get())).sum()
}

/// `part` of `whole` in percent, to a tenth.
fn percent(part: u128, whole: u128) -> String {
    let tenths = part * TENTHS / whole.max(1);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// The chain, its money, its validators with their shares, and what might surprise.
pub(super) fn describe(genesis: &Genesis) -> String {
    let Genesis {
        name,
        validators,
        accounts,
        runs,
        parameters,
        governance,
        supply_cap,
        classes,
        ..
    } = genesis;
    let stakes = sum(validators.iter().map(|validator| validator.stake));
    let balances = sum(accounts.iter().map(|account| account.balance));
    let escrows = sum(runs.iter().map(|run| run.escrow));
    let treasury = u128::from(governance.treasury.get());
    let supply = stakes + balances + escrows + treasury;
    let steward = governance
        .steward
        .map(|steward| format!(", steward {steward}"));
    let mut lines = vec![
        format!("{}: chain {}", name.as_str(), genesis.chain_id()),
        format!(
            "supply {supply} of at most {supply_cap}: {balances} in {} accounts, {stakes} staked, \
             {escrows} for {} runs, {treasury} in the treasury",
            accounts.len(),
            runs.len(),
        ),
        format!(
            "stage {}, {} blocks a day, deposits from {}{}",
            governance.stage,
            governance.day_blocks,
            governance.deposit_base,
            steward.unwrap_or_default(),
        ),
    ];
    for parameter in parameters {
        lines.push(format!("{} = {}", parameter.name.as_str(), parameter.value));
    }
    for class in classes.classes.as_slice() {
        lines.push(format!("class {}", class.name.as_str()));
    }
    for validator in validators {
        let share = percent(u128::from(validator.stake.get()), stakes);
        let (operator, holder) = (validator.operator, validator.holder);
        lines.push(format!(
            "validator {operator}: {} of holder {holder}, {share}",
            validator.stake
        ));
    }
    lines.extend(warnings(genesis, stakes));
    lines.join("\n")
}

/// What is allowed, and unwise.
fn warnings(genesis: &Genesis, stakes: u128) -> Vec<String> {
    let mut warnings = Vec::new();
    let count = genesis.validators.len();
    if count < 4 {
        warnings.push(format!(
            "warning: {count} validators; fewer than 4 stand still when one fails"
        ));
    }
    for validator in &genesis.validators {
        if u128::from(validator.stake.get()) * 3 >= stakes && count > 1 {
            warnings.push(format!(
                "warning: {} has a third of all stake or more and can stop the chain alone",
                validator.operator
            ));
        }
    }
    warnings
}
