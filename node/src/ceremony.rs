//! `cairn genesis`: how operators who trust nobody make one genesis of their separate homes.
//!
//! ```text
//! coordinator   genesis new, add-account …    draft.json: everything but the validators
//! operators     init                          a home with keys that never leave it
//!               genesis add-validator         statement: signed by operator and holder
//! coordinator   genesis collect               genesis.json and peers.toml
//! operators     genesis validate, init --genesis, validator
//! ```
//!
//! A statement names the hash of the draft, so nobody is counted into a genesis with other money or
//! another run than it signed for. The stake comes out of what the draft gives to its holder:
//! whoever collects can leave somebody out, and everybody sees that before they start, but cannot
//! change a word.

mod draft;
mod report;
mod statement;

pub use draft::NewArguments;
pub use statement::Statement;

use crate::{
    devnet::screen::print,
    home::{Config, Home, read_config, read_genesis, write_atomically},
    wallet::existing_key,
};
use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use protocol::{Address, Amount, genesis::Genesis};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

/// Where validators reach each other; beside a genesis, of which it is no part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peers {
    /// Multiaddresses of consensus.
    pub consensus: Vec<String>,
    /// Multiaddresses of gossip and blobs.
    pub network: Vec<String>,
}

/// `cairn init`.
#[derive(Clone, Debug, Args)]
pub struct InitArguments {
    /// The folder; made if it is missing. What is there already stays.
    #[arg(long)]
    home: PathBuf,
    /// The first of three ports to listen on: page, consensus, blobs.
    #[arg(long, default_value_t = 8420)]
    port: u16,
    /// The IPv4 address to listen on.
    #[arg(long, default_value = "0.0.0.0")]
    listen: Ipv4Addr,
    /// Compute threads.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// The genesis of the network, once it is made.
    #[arg(long, requires = "peers")]
    genesis: Option<PathBuf>,
    /// What was collected with the genesis: where the validators are.
    #[arg(long, requires = "genesis")]
    peers: Option<PathBuf>,
}

/// `cairn genesis`.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Begin a draft: everything but accounts and validators.
    New(Box<NewArguments>),
    /// Give an account tokens; before validators sign.
    AddAccount {
        /// The draft.
        draft: PathBuf,
        /// The account.
        #[arg(long)]
        address: Address,
        /// Its tokens, stake included if it will hold a validator's.
        #[arg(long)]
        balance: Amount,
    },
    /// As an operator, sign that this home's validator belongs to a draft.
    AddValidator {
        /// The draft.
        draft: PathBuf,
        /// The operator's home, as `cairn init` made it.
        #[arg(long)]
        home: PathBuf,
        /// Of the holder's tokens, those to stake.
        #[arg(long)]
        stake: Amount,
        /// The IPv4 address at which others reach this home's ports.
        #[arg(long)]
        address: Ipv4Addr,
        /// Folder with the holder's `holder.key` [default: the home].
        #[arg(long)]
        holder: Option<PathBuf>,
        /// The statement to write.
        #[arg(long)]
        out: PathBuf,
    },
    /// Make the genesis of a draft and its validators' statements.
    Collect {
        /// The draft.
        draft: PathBuf,
        /// The statements.
        #[arg(required = true)]
        statements: Vec<PathBuf>,
        /// The genesis to write.
        #[arg(long)]
        out: PathBuf,
        /// The file of addresses to write.
        #[arg(long)]
        peers: PathBuf,
    },
    /// Say what a genesis means, and refuse one that starts no chain.
    Validate {
        /// The genesis.
        genesis: PathBuf,
        /// Also say what this home's validator is in it.
        #[arg(long)]
        home: Option<PathBuf>,
    },
}

/// Runs `cairn genesis`.
///
/// # Errors
/// With one line that says what is wrong.
pub fn run(command: Command) -> Result<()> {
    match command {
        Command::New(arguments) => draft::new(*arguments),
        Command::AddAccount {
            draft,
            address,
            balance,
        } => draft::add_account(&draft, address, balance),
        Command::AddValidator {
            draft,
            home,
            stake,
            address,
            holder,
            out,
        } => add_validator(
            &draft,
            (&home, holder.as_ref().unwrap_or(&home)),
            (stake, address),
            &out,
        ),
        Command::Collect {
            draft,
            statements,
            out,
            peers,
        } => collect(&draft, &statements, (&out, &peers)),
        Command::Validate { genesis, home } => validate(&genesis, home.as_deref()),
    }
}

/// Makes a home, or adds to one what it lacks.
///
/// # Errors
/// When it cannot be written, or has another chain's genesis.
pub fn init(arguments: &InitArguments) -> Result<()> {
    let home = Home::open(&arguments.home)?;
    let operator = home.key("operator.key")?;
    let path = home.path().display();
    let mut lines = vec![format!("{path}: operator {}", operator.address())];
    if !home.join("config.toml").exists() {
        // Later the holder's key may be elsewhere, and is not made again.
        let holder = home.key("holder.key")?;
        lines.push(format!("{path}: holder {}", holder.address()));
        let listen = arguments.listen.to_string();
        home.write_config(&Config::listening(
            &listen,
            arguments.port,
            arguments.threads,
        )?)?;
    }
    if let (Some(genesis), Some(peers)) = (&arguments.genesis, &arguments.peers) {
        let genesis = read_genesis(genesis)?;
        report::check(&genesis)?;
        home.write_genesis(&genesis)?;
        let config = with_peers(home.config()?, &read_peers(peers)?);
        home.write_config(&config)?;
        lines.push(format!("{path}: chain {}", genesis.chain_id()));
        let start = format!("start it with `cairn validator --home {path}`");
        lines.push(start);
    }
    print(&lines.join("\n"))
}

/// The configuration with all addresses but its own: those end in the same port, at most.
fn with_peers(mut config: Config, peers: &Peers) -> Config {
    let others = |own: &str, all: &[String]| -> Vec<String> {
        let mut all = all.to_vec();
        all.retain(|address| address != own);
        all
    };
    config.consensus_peers = others(&config.consensus, &peers.consensus);
    config.network_peers = others(&config.network, &peers.network);
    config
}

fn read_peers(path: &Path) -> Result<Peers> {
    let name = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    toml::from_str(&text).with_context(|| format!("{name} is no file of peers"))
}

fn add_validator(
    draft: &Path,
    (home, holder): (&Path, &Path),
    (stake, address): (Amount, Ipv4Addr),
    out: &Path,
) -> Result<()> {
    let genesis = draft::read(draft)?;
    let keys = (
        existing_key(home, "operator.key")?,
        existing_key(holder, "holder.key")?,
    );
    let statement = Statement::sign(&genesis, keys, stake, &read_config(home)?, address)?;
    statement.check(&genesis)?;
    draft::write_new(out, &statement)?;
    print(&format!(
        "{}: operator {} stakes {stake} of holder {} in {} ({})",
        out.display(),
        statement.validator.operator,
        statement.validator.holder,
        genesis.name.as_str(),
        draft.display(),
    ))
}

fn collect(draft: &Path, statements: &[PathBuf], (out, peers): (&Path, &Path)) -> Result<()> {
    let mut genesis = draft::read(draft)?;
    let read = |path: &PathBuf| -> Result<Statement> {
        let statement: Statement = draft::read_json(path, "a validator's statement")?;
        let name = path.display();
        statement
            .check(&genesis)
            .with_context(|| format!("{name}"))?;
        Ok(statement)
    };
    let mut all = statements.iter().map(read).collect::<Result<Vec<_>>>()?;
    // The order in which files were named must not change the chain.
    all.sort_by_key(|statement| statement.validator.operator);
    let mut addresses = Peers::default();
    for statement in all {
        draft::take_stake(&mut genesis, &statement.validator)?;
        addresses.consensus.push(statement.consensus);
        addresses.network.push(statement.network);
    }
    report::check(&genesis)?;
    draft::write_new(out, &genesis)?;
    if peers.exists() {
        bail!("{} exists and is left as it is", peers.display());
    }
    let text = toml::to_string_pretty(&addresses).context("cannot encode the addresses")?;
    write_atomically(peers, text.as_bytes())?;
    print(&report::describe(&genesis))
}

fn validate(path: &Path, home: Option<&Path>) -> Result<()> {
    let genesis = read_genesis(path)?;
    report::check(&genesis)?;
    let mut lines = vec![report::describe(&genesis)];
    if let Some(home) = home {
        lines.push(place(&genesis, home)?);
    }
    print(&lines.join("\n"))
}

/// What a home's validator is in a genesis.
fn place(genesis: &Genesis, home: &Path) -> Result<String> {
    let operator = existing_key(home, "operator.key")?.address();
    let mut validators = genesis.validators.iter();
    let own = validators.find(|validator| validator.operator == operator);
    let Some(own) = own else {
        bail!(
            "operator {operator} of {} is no validator of it",
            home.display()
        );
    };
    Ok(format!(
        "{}: operator {operator}, stake {} of holder {}",
        home.display(),
        own.stake,
        own.holder
    ))
}
