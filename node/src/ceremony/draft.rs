//! A genesis before its validators are known.

use crate::{
    devnet::{layout::read_classes, screen::print},
    home::{read_genesis, write_atomically},
    workbench::name_weights,
};
use anyhow::{Context as _, Result, bail};
use clap::Args;
use governance::{Parameters, parameters::Name};
use protocol::{
    Address, Amount,
    codec::Text,
    genesis::{Account, Genesis, Governance, Parameter, Run, Validator},
    recipe::Recipe,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// `cairn genesis new`.
#[derive(Clone, Debug, Args)]
pub struct NewArguments {
    /// The draft to write.
    #[arg(long)]
    out: PathBuf,
    /// A name for people.
    #[arg(long)]
    name: String,
    /// Tokens that there may ever be.
    #[arg(long)]
    supply_cap: Amount,
    /// Tokens that votes may spend.
    #[arg(long, default_value = "0")]
    treasury: Amount,
    /// Blocks in a day of governance.
    #[arg(long, default_value_t = 86_400, value_parser = clap::value_parser!(u64).range(1..))]
    day_blocks: u64,
    /// The deposit of a proposal, times its track's multiple.
    #[arg(long, default_value = "1000")]
    deposit_base: Amount,
    /// The founding operator; nobody if left out.
    #[arg(long)]
    steward: Option<Address>,
    /// The stage of the hand-over to begin with.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=3))]
    stage: u8,
    /// The recipe of a run that begins at once, in JSON; votes create others.
    #[arg(long, requires = "escrow")]
    recipe: Option<PathBuf>,
    /// What that run can pay.
    #[arg(long, requires = "recipe")]
    escrow: Option<Amount>,
    /// A parameter that differs from its default, as in `epoch-blocks=7200`.
    #[arg(long = "parameter", value_parser = crate::cli::parameter)]
    parameters: Vec<(Name, u64)>,
    /// A class of miners on another engine, as `cairn calibrate` writes it.
    #[arg(long = "class")]
    classes: Vec<PathBuf>,
}

/// Writes a draft without accounts.
pub(super) fn new(arguments: NewArguments) -> Result<()> {
    let out = arguments.out.clone();
    let genesis = begin(arguments)?;
    write_new(&out, &genesis)?;
    print(&format!(
        "{}: the draft of {}; next, `cairn genesis add-account` for everyone who gets tokens",
        out.display(),
        genesis.name.as_str()
    ))
}

fn begin(arguments: NewArguments) -> Result<Genesis> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("the clock is before 1970")?;
    let parameter = |(name, value): &(Name, u64)| {
        Parameters::check(*name, *value)?;
        Ok(Parameter {
            name: Text::new(name.as_str()).context("name of a parameter")?,
            value: *value,
        })
    };
    let parameters = arguments.parameters.iter().map(parameter);
    Ok(Genesis {
        name: Text::new(arguments.name.as_str()).context("--name")?,
        time_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        validators: Vec::new(),
        accounts: Vec::new(),
        runs: run(arguments.recipe.as_deref(), arguments.escrow)?,
        parameters: parameters.collect::<Result<_>>()?,
        governance: Governance {
            day_blocks: arguments.day_blocks,
            deposit_base: arguments.deposit_base,
            steward: arguments.steward,
            stage: arguments.stage,
            treasury: arguments.treasury,
        },
        supply_cap: arguments.supply_cap,
        classes: read_classes(&arguments.classes)?,
    })
}

fn run(recipe: Option<&Path>, escrow: Option<Amount>) -> Result<Vec<Run>> {
    let (Some(path), Some(escrow)) = (recipe, escrow) else {
        return Ok(Vec::new());
    };
    let mut recipe: Recipe = read_json(path, "a recipe")?;
    name_weights(&mut recipe);
    Ok(vec![Run { recipe, escrow }])
}

/// Reads a draft.
///
/// # Errors
/// When it is none, or has validators already.
pub(super) fn read(path: &Path) -> Result<Genesis> {
    let genesis = read_genesis(path)?;
    if !genesis.validators.is_empty() {
        bail!(
            "{} has validators: it is a genesis, no draft",
            path.display()
        );
    }
    Ok(genesis)
}

/// Gives an account tokens.
pub(super) fn add_account(path: &Path, address: Address, balance: Amount) -> Result<()> {
    let mut genesis = read(path)?;
    let mut accounts = genesis.accounts.iter();
    if let Some(account) = accounts.find(|account| account.address == address) {
        bail!("{address} has {} already", account.balance);
    }
    genesis.accounts.push(Account { address, balance });
    let given = genesis.accounts.iter().map(|account| account.balance);
    let escrows = genesis.runs.iter().map(|run| run.escrow);
    let mut all = given.chain(escrows).chain([genesis.governance.treasury]);
    let sum = all.try_fold(Amount::ZERO, Amount::plus);
    let cap = genesis.supply_cap;
    match sum {
        Some(sum) if sum <= cap => {}
        Some(sum) => bail!("the draft would give {sum}; its supply_cap is {cap}"),
        None => bail!("the draft would give more than {}", u64::MAX),
    }
    write(path, &genesis)?;
    print(&format!("{}: {balance} for {address}", path.display()))
}

/// Makes a validator of a draft's account: its stake comes out of the account's tokens.
///
/// # Errors
/// When the account has fewer tokens.
pub(super) fn take_stake(genesis: &mut Genesis, validator: &Validator) -> Result<()> {
    let Validator {
        operator,
        holder,
        stake,
        ..
    } = validator;
    let mut accounts = genesis.accounts.iter_mut();
    let account = accounts.find(|account| account.address == *holder);
    let account = account.with_context(|| {
        format!("holder {holder} of operator {operator} has no account in the draft")
    })?;
    account.balance = account.balance.minus(*stake).with_context(|| {
        let balance = account.balance;
        format!(
            "operator {operator} stakes {stake}; {balance} is left of what its holder {holder} got"
        )
    })?;
    genesis.validators.push(validator.clone());
    Ok(())
}

/// Reads a file of JSON.
///
/// # Errors
/// When it cannot be read, or is not `what`.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path, what: &str) -> Result<T> {
    let name = path.display();
    let text = fs::read(path).with_context(|| format!("cannot read {name}"))?;
    serde_json::from_slice(&text).with_context(|| format!("{name} is not {what}"))
}

/// Writes a file that does not exist yet.
///
/// # Errors
/// When it does, or cannot be written.
pub(super) fn write_new<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    if path.exists() {
        bail!("{} exists and is left as it is", path.display());
    }
    write(path, value)
}

fn write<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let text = serde_json::to_vec_pretty(value).context("cannot encode it")?;
    write_atomically(path, &text)
}
