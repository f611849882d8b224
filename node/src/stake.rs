//! `cairn stake`: stake with validators; and what a validator's holder does with it.

use crate::{
    devnet::screen::print,
    home::{Home, key_file, write_atomically},
    rpc::{
        client::Client,
        staking::{StakesAnswer, ValidatorAnswer},
    },
    wallet,
};
use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use protocol::{
    Address, Amount, Micro, SigningKey,
    staking::{Consent, Role, Succession},
    transaction::Body,
};
use std::path::{Path, PathBuf};

/// What to do with stake.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The node to ask.
    #[arg(long, global = true, default_value = "http://127.0.0.1:8420")]
    node: String,
    /// Print JSON where something is shown.
    #[arg(long, global = true)]
    json: bool,
}

/// Whose tokens they are.
#[derive(Debug, Args)]
struct Owner {
    /// Folder with the owner's `holder.key`, or `operator.key` where there is none.
    #[arg(long)]
    home: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Act(Act),
    /// What an account has with validators, and what is on its way back.
    Show {
        /// Its address.
        address: Address,
    },
    /// All validators, with stake, power and commission.
    Validators,
}

/// What is signed.
#[derive(Debug, Subcommand)]
enum Act {
    /// Stake tokens with a validator; they answer for what it signs.
    Add {
        #[command(flatten)]
        owner: Owner,
        /// Its operator.
        #[arg(long)]
        validator: Address,
        /// How much.
        #[arg(long)]
        amount: Amount,
    },
    /// Take stake out; it is free after the unbonding period.
    Take {
        #[command(flatten)]
        owner: Owner,
        /// The validator's operator.
        #[arg(long)]
        validator: Address,
        /// How much.
        #[arg(long)]
        amount: Amount,
    },
    /// Move stake to another validator at once.
    Move {
        #[command(flatten)]
        owner: Owner,
        /// The operator that loses it.
        #[arg(long)]
        from: Address,
        /// The operator that gets it.
        #[arg(long)]
        to: Address,
        /// How much.
        #[arg(long)]
        amount: Amount,
    },
    /// Take what stake with a validator has earned.
    Claim {
        #[command(flatten)]
        owner: Owner,
        /// Its operator.
        #[arg(long)]
        validator: Address,
    },
    /// Make an operator a validator: with its consent, and the first stake.
    Register {
        #[command(flatten)]
        owner: Owner,
        /// What `cairn validator consent` wrote for this owner.
        #[arg(long)]
        consent: PathBuf,
        /// How much is staked at first.
        #[arg(long)]
        amount: Amount,
        /// The owner's share of what others' stake earns, such as 5% or 2.5%.
        #[arg(long, default_value = "5%", value_parser = percent)]
        commission: Micro,
    },
    /// Change a validator's commission: down at will, up by a point a day.
    Commission {
        #[command(flatten)]
        owner: Owner,
        /// Its operator.
        #[arg(long)]
        validator: Address,
        /// The new one, such as 4%.
        #[arg(value_parser = percent)]
        commission: Micro,
    },
    /// Name the key that signs a validator's votes and proposals from the next epoch on.
    Rotate {
        #[command(flatten)]
        owner: Owner,
        /// What `cairn validator rotate` wrote.
        #[arg(long)]
        succession: PathBuf,
    },
    /// Let a jailed validator have power again. A validator that runs asks for it itself.
    Unjail {
        #[command(flatten)]
        owner: Owner,
        /// Its operator.
        #[arg(long)]
        validator: Address,
    },
    /// Add to the bond of a miner or verifier.
    Bond {
        #[command(flatten)]
        owner: Owner,
        /// Whose bond.
        #[arg(value_parser = role)]
        role: Role,
        /// How much.
        #[arg(long)]
        amount: Amount,
    },
    /// Give notice for a miner or verifier; its bond is free when its work can cost nothing more.
    Leave {
        #[command(flatten)]
        owner: Owner,
        /// Whose bond.
        #[arg(value_parser = role)]
        role: Role,
    },
}

/// Millionths of a decimal share in percent.
fn percent(text: &str) -> Result<Micro, String> {
    let form = || format!("{text:?} is not a share such as 5% or 2.5%, with at most four decimals");
    let number = text.strip_suffix('%').ok_or_else(form)?;
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(decimals) || decimals.len() > 4 {
        return Err(form());
    }
    let whole: u64 = whole.parse().map_err(|_| form())?;
    let decimals: u64 = format!("{decimals:0<4}").parse().map_err(|_| form())?;
    let micro = whole.saturating_mul(10_000).saturating_add(decimals);
    if micro > Micro::ONE.get() {
        return Err(format!("a commission is {text}; at most 100% is allowed"));
    }
    Ok(Micro::new(micro))
}

fn role(text: &str) -> Result<Role, String> {
    match text {
        "miner" => Ok(Role::Miner),
        "verifier" => Ok(Role::Verifier),
        _ => Err(format!(
            "{text:?} is no role; miner and verifier have bonds"
        )),
    }
}

/// The key that owns what is in a home.
fn owner_key(home: &Path, role: Option<Role>) -> Result<SigningKey> {
    let holder = home.join("holder.key");
    if holder.exists() && role.is_none() {
        return key_file(&holder);
    }
    wallet::existing_key(home, "operator.key")
}

/// Runs the command.
///
/// # Errors
/// When there is no key, a file cannot be used, or the node refuses it.
pub async fn run(arguments: Arguments) -> Result<()> {
    let Arguments {
        command,
        node,
        json,
    } = arguments;
    let client = Client::new(vec![node]);
    match command {
        Command::Show { address } => show(&client, address, json).await,
        Command::Validators => validators(&client, json).await,
        Command::Act(act) => {
            let (owner, role, body) = plan(act)?;
            send(&client, (&owner, role), body).await
        }
    }
}

/// Who signs what; a role where it is about the bond of the process itself.
fn plan(act: Act) -> Result<(Owner, Option<Role>, Body)> {
    Ok(match act {
        Act::Bond {
            owner,
            role,
            amount,
        } => (owner, Some(role), Body::AddBond { role, amount }),
        Act::Leave { owner, role } => (owner, Some(role), Body::Leave { role }),
        Act::Register {
            owner,
            consent,
            amount: stake,
            commission,
        } => {
            let consent = read_consent(&consent)?;
            let body = Body::RegisterValidator {
                consent,
                stake,
                commission,
            };
            (owner, None, body)
        }
        Act::Add {
            owner,
            validator: operator,
            amount,
        } => (owner, None, Body::Stake { operator, amount }),
        Act::Take {
            owner,
            validator: operator,
            amount,
        } => (owner, None, Body::Unstake { operator, amount }),
        Act::Move {
            owner,
            from,
            to,
            amount,
        } => (owner, None, Body::Restake { from, to, amount }),
        Act::Claim {
            owner,
            validator: operator,
        } => (owner, None, Body::ClaimRewards { operator }),
        Act::Commission {
            owner,
            validator: operator,
            commission,
        } => {
            let body = Body::SetCommission {
                operator,
                commission,
            };
            (owner, None, body)
        }
        Act::Rotate { owner, succession } => {
            let succession = read_succession(&succession)?;
            (owner, None, Body::RotateKey { succession })
        }
        Act::Unjail {
            owner,
            validator: operator,
        } => (owner, None, Body::Unjail { operator }),
    })
}

/// Signs, waits until it is final, and says what it did.
async fn send(client: &Client, (owner, role): (&Owner, Option<Role>), body: Body) -> Result<()> {
    let key = owner_key(&owner.home, role)?;
    let trial = client.trial(key.address(), &body).await?;
    if let Some(refusal) = trial.refusal {
        bail!("{}", refusal.message);
    }
    let (height, _) = wallet::send(client, &key, body).await?;
    let what = trial.events.join("\n");
    print(&format!("{what}\nfinal at height {height}"))
}

fn read_consent(path: &Path) -> Result<Consent> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text)
        .with_context(|| format!("{} is no operator's consent", path.display()))
}

fn read_succession(path: &Path) -> Result<Succession> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text)
        .with_context(|| format!("{} is no key's word for a validator", path.display()))
}

/// Makes a validator's next consensus key, unless there is one, and writes its word for the holder.
/// The validator may run meanwhile.
///
/// # Errors
/// When the home has no genesis or key, or a file cannot be written.
pub fn rotate(home: &Path, out: &Path) -> Result<()> {
    let genesis = crate::home::read_genesis(&home.join("genesis.json"))?;
    let operator = wallet::existing_key(home, "operator.key")?.address();
    let next = home.join("next.key");
    let key = key_file(&next)?;
    let succession = Succession::new(genesis.chain_id(), operator, &key);
    write_atomically(out, &serde_json::to_vec_pretty(&succession)?)?;
    print(&format!(
        "{}: key {} of {} signs for {operator}; the holder names it with `cairn stake rotate`; once \
         it is in force, end the validator, rename the key to consensus.key, and start again",
        out.display(),
        succession.key,
        next.display()
    ))
}

/// Writes an operator's word that it signs for a holder.
///
/// # Errors
/// When the home has no genesis or key, or the file cannot be written.
pub fn consent(home: &Path, holder: Address, out: &Path) -> Result<()> {
    if !home.join("genesis.json").exists() {
        bail!(
            "{} is no node's home: genesis.json is missing",
            home.display()
        );
    }
    let genesis = Home::open(home)?.genesis()?;
    let operator = wallet::existing_key(home, "operator.key")?;
    let consent = Consent::new(genesis.chain_id(), holder, &operator);
    write_atomically(out, &serde_json::to_vec_pretty(&consent)?)?;
    print(&format!(
        "{}: {} signs for {holder}; the holder registers it with `cairn stake register`",
        out.display(),
        consent.operator
    ))
}

async fn show(client: &Client, address: Address, json: bool) -> Result<()> {
    let answer: StakesAnswer = client.get(&format!("/v1/stakes/{address}")).await?;
    if json {
        return print(&serde_json::to_string_pretty(&answer)?);
    }
    let mut lines = vec![format!("{address} at height {}", answer.height)];
    for row in &answer.stakes {
        let bound = row
            .moved_until
            .map(|until| format!(", moves again after {until}"));
        lines.push(format!(
            "  {} with {}, {} to claim{}",
            row.amount,
            row.operator,
            row.claimable,
            bound.unwrap_or_default()
        ));
    }
    for row in &answer.unbonding {
        lines.push(format!(
            "  {} on its way from {}, free at {}",
            row.amount, row.operator, row.free_at
        ));
    }
    if answer.stakes.is_empty() && answer.unbonding.is_empty() {
        lines.push("  no stake".to_owned());
    }
    print(&lines.join("\n"))
}

async fn validators(client: &Client, json: bool) -> Result<()> {
    let all: Vec<ValidatorAnswer> = client.get("/v1/validators").await?;
    if json {
        return print(&serde_json::to_string_pretty(&all)?);
    }
    let line = |row: &ValidatorAnswer| {
        let micro = row.commission.get();
        let (whole, decimals) = (micro / 10_000, micro % 10_000);
        format!(
            "{}  power {}, stake {} ({} own, {} stakers), commission {whole}.{decimals:04}%, {}",
            row.operator, row.power, row.stake, row.own, row.stakers_count, row.standing
        )
    };
    let lines: Vec<String> = all.iter().map(line).collect();
    print(&lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::percent;
    use protocol::Micro;

    #[test]
    fn a_share_in_percent_is_read_exactly_or_refused() {
        let table = [
            ("5%", Some(50_000)),
            ("2.5%", Some(25_000)),
            ("0.0001%", Some(1)),
            ("100%", Some(1_000_000)),
            ("100.0001%", None),
            ("5", None),
            (".5%", None),
            ("5.%", None),
            ("-5%", None),
            ("0.00001%", None),
            ("99999999999999999999%", None),
        ];
        for (text, expected) in table {
            assert_eq!(percent(text).ok(), expected.map(Micro::new), "{text}");
        }
    }
}
