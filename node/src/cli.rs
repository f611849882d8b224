//! The command line.

use crate::{
    calibrate, ceremony, checkpoint, devnet, export, gov, joining, keeping, mining, model, plot,
    prove, query, replay,
    rpc::{client::Client, fees::Limits},
    signer, signing, stake, syncing,
    validator::{self, Role},
    wallet,
};
use adversaries::Cheat;
use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};
use engine::DeviceChoice;
use governance::{Parameters, parameters::Name};
use protocol::{Address, Amount, recipe::UpdateForm};
use std::path::PathBuf;
use tracing_subscriber::EnvFilter;

/// The node that commands ask unless told otherwise.
const NODE: &str = "http://127.0.0.1:8420";

/// Cairn: a permissionless network that trains open models.
#[derive(Debug, Parser)]
#[command(name = "cairn", version, about, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Format of the log on standard error.
    #[arg(long, global = true, value_enum, default_value = "text")]
    log: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a whole network on this machine that trains a model, cheaters included.
    Devnet(DevnetArguments),
    /// Make the home of a validator of a network that is about to begin: keys, configuration.
    Init(ceremony::InitArguments),
    /// Make, with other operators, the genesis of a network.
    #[command(subcommand)]
    Genesis(ceremony::Command),
    /// Run a validator: order blocks, keep data, audit.
    Validator(ValidatorArguments),
    /// Hold a validator's key and sign for it, in a process of its own.
    Signer(signer::serve::Arguments),
    /// Run a verifier: audit what the network draws, with a bond and for pay.
    Verifier(VerifierArguments),
    /// Run a miner: compute what the network asks for, and be paid.
    Miner(MinerArguments),
    /// Write the last agreed checkpoint as a safetensors file.
    Export(ExportArguments),
    /// Derive every checkpoint again from blocks and blobs, and compare.
    Replay(ReplayArguments),
    /// Look after what a node keeps on its disk.
    #[command(subcommand)]
    Store(keeping::Command),
    /// Compare checkpoints.
    #[command(subcommand)]
    Checkpoint(checkpoint::Command),
    /// Draw how runs went, as a picture.
    Plot(plot::Arguments),
    /// Ask a node about a block, account, miner, run, step, unit or proposal.
    Query(query::Arguments),
    /// Write a file that proves an account, miner, unit, verdict, proposal, checkpoint or run.
    Prove(prove::ProveArguments),
    /// Write a file that proves which signed contributions made a checkpoint.
    Provenance(prove::ProvenanceArguments),
    /// Check such a file offline, against a genesis, and say what it proves.
    Verify(prove::VerifyArguments),
    /// Send tokens.
    Transfer(TransferArguments),
    /// Stake with validators, become one, and leave.
    Stake(stake::Arguments),
    /// Propose, vote, delegate, and see what a vote would change.
    Gov(gov::arguments::Arguments),
    /// Measure how far honest work of another engine differs, and write its class.
    Calibrate(calibrate::Arguments),
    /// Be a worker that runs the exact engine with rounded weights, to try tolerant classes with.
    #[command(hide = true)]
    ExactWorker {
        /// Bits kept of every weight's mantissa [default: all].
        bits: Option<u32>,
    },
    /// Import, show, run and plan language models.
    #[command(subcommand)]
    Model(model::Command),
}

#[derive(Debug, Args)]
struct DevnetArguments {
    /// Folder for everything.
    #[arg(long, default_value = ".cairn/devnet")]
    home: PathBuf,
    /// Forget what an earlier devnet in this folder left, and start over.
    #[arg(long)]
    fresh: bool,
    /// Seed of keys and initial weights [default: 1].
    #[arg(long)]
    seed: Option<u64>,
    /// End after this many steps, with a summary; exit status 0 only if all is well.
    #[arg(long)]
    steps: Option<u64>,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
    /// Honest miners [default: 3].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=32))]
    miners: Option<u32>,
    /// Validators [default: 4].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=16))]
    validators: Option<u32>,
    /// Cheating miners and auditors by the way they deceive, or `none` [default: skip-steps].
    #[arg(long, value_delimiter = ',', value_parser = cheat)]
    cheats: Option<Vec<CheatChoice>>,
    /// A recipe to train instead, as `cairn query run --json` shows one.
    #[arg(long)]
    recipe: Option<PathBuf>,
    /// A class of miners on another engine, as `cairn calibrate` writes one; may be given several
    /// times.
    #[arg(long = "class")]
    classes: Vec<PathBuf>,
    /// Port of the page on 127.0.0.1; the network's other ports follow it.
    #[arg(long, default_value_t = 8420)]
    port: u16,
    /// Blocks in a day of governance, when made: with 6, seven days of voting take ten seconds.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    day_blocks: u64,
    /// The stage of the hand-over, when made: 0 has a steward that decrees, 1 votes that bind,
    /// 2 an elected council, 3 nobody who could stop anything.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=3))]
    stage: u8,
    /// Start with another value of a parameter, as in `block-gas=20000`.
    #[arg(long = "parameter", value_parser = parameter)]
    parameters: Vec<(Name, u64)>,
    /// What to train without a recipe: a little text and then sorting, or text alone.
    #[arg(long, value_enum, default_value = "both", conflicts_with = "recipe")]
    run: RunChoice,
    /// How pre-training updates are sent, if not as the recipe says: eight bits a value, or a
    /// sixth of a bit.
    #[arg(long, value_enum)]
    updates: Option<UpdatesChoice>,
    /// What happens to miners, as MINER:join@STEP, MINER:kill@STEP (it is started again),
    /// MINER:vanish@STEP or MINER:slow=TIMES; several are divided by commas.
    #[arg(long, value_delimiter = ',')]
    events: Vec<devnet::events::Event>,
    /// Put every process into a network namespace of its own, named by this and a number, as
    /// `tests/links` makes them.
    #[arg(long, hide = true)]
    namespaces: Option<String>,
}

/// How a devnet's updates are sent.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum UpdatesChoice {
    Dense,
    Sparse,
}

/// What a devnet trains.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum RunChoice {
    Both,
    Pretrain,
}

/// A cheat, or none.
#[derive(Clone, Copy, Debug)]
struct CheatChoice(Option<Cheat>);

fn cheat(text: &str) -> Result<CheatChoice, String> {
    if text == "none" {
        return Ok(CheatChoice(None));
    }
    let choice: Result<Cheat, _> = text.parse();
    choice
        .map(|choice| CheatChoice(Some(choice)))
        .map_err(|error| format!("{error}, and none"))
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct ValidatorArguments {
    #[command(subcommand)]
    command: Option<ValidatorCommand>,
    /// The validator's folder.
    #[arg(long, required = true)]
    home: Option<PathBuf>,
    #[command(flatten)]
    sync: syncing::Options,
    /// Deceive in this way, to test the network's defences.
    #[arg(long, value_parser = cheat, hide = true)]
    cheat: Option<CheatChoice>,
    /// End when the process that started this one ends.
    #[arg(long, hide = true)]
    end_with_parent: bool,
}

#[derive(Debug, Subcommand)]
enum ValidatorCommand {
    /// Carry over what the validator's key has signed, so that it never contradicts itself.
    #[command(subcommand)]
    Signing(signing::Command),
    /// Make the home of a validator that joins a network which runs already.
    Init {
        /// The validator's folder; a new key is made in it.
        #[arg(long)]
        home: PathBuf,
        /// A node of the network, from which the home gets its genesis and its peers.
        #[arg(long)]
        node: String,
        /// The first of three ports to listen on.
        #[arg(long, default_value_t = 8420)]
        port: u16,
        /// The IPv4 address to listen on.
        #[arg(long, default_value = "0.0.0.0")]
        listen: std::net::Ipv4Addr,
        /// Compute threads.
        #[arg(long, default_value_t = 1)]
        threads: usize,
    },
    /// Make the key that signs votes and proposals next, and write its word for the holder.
    Rotate {
        /// The validator's folder, or its signer's.
        #[arg(long)]
        home: PathBuf,
        /// The file to write.
        #[arg(long)]
        out: PathBuf,
    },
    /// Write the operator's word that it signs for a holder's stake.
    Consent {
        /// The validator's folder.
        #[arg(long)]
        home: PathBuf,
        /// Whose stake it will be.
        #[arg(long)]
        holder: Address,
        /// The file to write.
        #[arg(long)]
        out: PathBuf,
    },
}

async fn prepare_validator(command: ValidatorCommand) -> Result<()> {
    match command {
        ValidatorCommand::Signing(command) => signing::run(&command),
        ValidatorCommand::Rotate { home, out } => stake::rotate(&home, &out),
        ValidatorCommand::Consent { home, holder, out } => stake::consent(&home, holder, &out),
        ValidatorCommand::Init {
            home,
            node,
            port,
            listen,
            threads,
        } => {
            let options = joining::Options {
                node,
                port,
                listen: listen.to_string(),
                threads_count: threads,
            };
            joining::prepare(&home, &options).await?;
            let address = crate::home::key_file(&home.join("operator.key"))?.address();
            devnet::screen::print(&format!("{}: operator {address}", home.display()))
        }
    }
}

#[derive(Debug, Args)]
struct VerifierArguments {
    /// The verifier's folder; made, with a new key, on first use.
    #[arg(long, default_value = ".cairn/verifier")]
    home: PathBuf,
    /// A node of the network to join, from which a new home gets its genesis and its peers.
    #[arg(long)]
    node: Option<String>,
    /// The first of three ports that a new home listens on.
    #[arg(long, default_value_t = 8520)]
    port: u16,
    /// The IPv4 address that a new home listens on.
    #[arg(long, default_value = "0.0.0.0")]
    listen: std::net::Ipv4Addr,
    /// Compute threads of a new home.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Make the home and end.
    #[arg(long, requires = "node")]
    init: bool,
    /// What to lock: the more, the more audits [default: the least allowed].
    #[arg(long)]
    bond: Option<Amount>,
    #[command(flatten)]
    sync: syncing::Options,
    /// End when the process that started this one ends.
    #[arg(long, hide = true)]
    end_with_parent: bool,
}

#[derive(Debug, Args)]
struct MinerArguments {
    /// The miner's folder; made, with a new key, on first use.
    #[arg(long, default_value = ".cairn/miner")]
    home: PathBuf,
    /// A node to ask for work; may be given several times.
    #[arg(long = "node")]
    nodes: Vec<String>,
    /// Compute threads [default: 1].
    #[arg(long)]
    threads: Option<usize>,
    /// What to compute on: auto, cpu, cuda or cuda:N [default: auto]. All give the same bits.
    #[arg(long)]
    device: Option<DeviceChoice>,
    /// Compute each block again on the way back instead of keeping its activations: a third more
    /// time for a fraction of the memory (`cairn model plan` says how much).
    #[arg(long)]
    checkpointing: bool,
    /// Draw rollouts with another engine, such as `python torch_worker.py bfloat16 2`; its class
    /// must be listed (`cairn query classes`).
    #[arg(long, num_args = 1.., value_delimiter = ' ', requires = "class")]
    worker: Option<Vec<String>>,
    /// The class of that engine, by name or number.
    #[arg(long, requires = "worker")]
    class: Option<String>,
    /// Deceive in this way, to test the network's defences.
    #[arg(long, value_parser = cheat, hide = true, conflicts_with = "worker")]
    cheat: Option<CheatChoice>,
    /// Take this many times as long to compute, to test what becomes of slow miners.
    #[arg(long, default_value_t = 1, hide = true)]
    slowness: u32,
    /// End when the process that started this one ends.
    #[arg(long, hide = true)]
    end_with_parent: bool,
}

#[derive(Debug, Args)]
struct ExportArguments {
    /// A devnet's or validator's folder.
    #[arg(long, default_value = ".cairn/devnet")]
    home: PathBuf,
    /// The file to write.
    #[arg(long)]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct ReplayArguments {
    /// A devnet's or validator's folder.
    #[arg(long, default_value = ".cairn/devnet")]
    home: PathBuf,
    /// Also say how good every checkpoint is on this many rows of the corpus' validation part.
    #[arg(long)]
    validation_rows: Option<usize>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct TransferArguments {
    /// Folder with the sender's `operator.key`; a devnet's faucet is in `.cairn/devnet/faucet`.
    #[arg(long)]
    home: PathBuf,
    /// The receiver's address.
    #[arg(long)]
    to: Address,
    /// How much.
    #[arg(long)]
    amount: u64,
    /// The node to ask.
    #[arg(long, default_value = NODE)]
    node: String,
    #[command(flatten)]
    limits: Limits,
}

/// What is logged unless `RUST_LOG` says otherwise: our own lines, and others' warnings.
///
/// The engine's tickers complain when the engine that they served has ended.
const FILTER: &str = "warn,node=info,cairn=info,arc_malachitebft_engine=error,\
                      arc_malachitebft_engine::util::ticker=off,\
                      arc_malachitebft_network=off,arc_malachitebft_discovery=error,\
                      arc_malachitebft_sync=error,arc_malachitebft_core_consensus=error,\
                      libp2p=error,network::driver=error";

fn start_log(format: LogFormat, level: &str) -> Result<()> {
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| level.to_owned());
    let filter = EnvFilter::try_new(&filter)
        .with_context(|| format!("RUST_LOG is {filter:?}, which is not a filter"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("the log cannot be started: {error}"))
}

impl Arguments {
    /// Runs the command.
    ///
    /// # Errors
    /// With one line that says what is wrong, with its value and limit.
    pub async fn run(self) -> Result<()> {
        let level = match self.command {
            // The live view owns the terminal; processes write their own logs.
            Command::Devnet(_) => "error",
            _ => FILTER,
        };
        start_log(self.log, level)?;
        match self.command {
            Command::Devnet(arguments) => devnet::run(arguments.into()).await,
            Command::Init(arguments) => ceremony::init(&arguments),
            Command::Genesis(command) => ceremony::run(command),
            Command::Validator(arguments) => {
                if let Some(command) = arguments.command {
                    return prepare_validator(command).await;
                }
                crate::shutdown::follow_parent(arguments.end_with_parent)?;
                let cheat = arguments.cheat.and_then(|choice| choice.0);
                let home = arguments.home.context("--home is missing")?;
                validator::run(&home, Role::Validator, cheat, &arguments.sync).await
            }
            Command::Signer(arguments) => {
                crate::shutdown::follow_parent(arguments.end_with_parent)?;
                signer::serve::run(&arguments).await
            }
            Command::Verifier(arguments) => {
                crate::shutdown::follow_parent(arguments.end_with_parent)?;
                verifier(arguments).await
            }
            Command::Miner(arguments) => {
                crate::shutdown::follow_parent(arguments.end_with_parent)?;
                let home = arguments.home.clone();
                mining::run(&home, arguments.into()).await
            }
            Command::ExactWorker { bits } => Ok(engine_worker::exact::serve(bits)?),
            Command::Calibrate(arguments) => calibrate::run(&arguments),
            Command::Export(arguments) => export::run(&arguments.home, &arguments.out),
            Command::Replay(ReplayArguments {
                home,
                validation_rows,
                json,
            }) => replay::run(&home, validation_rows, json),
            Command::Store(command) => keeping::run(command).await,
            Command::Checkpoint(command) => checkpoint::run(command).await,
            Command::Plot(arguments) => plot::run(arguments).await,
            Command::Query(arguments) => query::run(arguments).await,
            Command::Prove(arguments) => prove::prove(arguments).await,
            Command::Provenance(arguments) => prove::provenance(arguments).await,
            Command::Verify(arguments) => prove::verify(&arguments),
            Command::Transfer(arguments) => transfer(arguments).await,
            Command::Stake(arguments) => stake::run(arguments).await,
            Command::Gov(arguments) => gov::run(arguments).await,
            Command::Model(command) => model::run(command),
        }
    }
}

/// Reads a parameter and its value.
pub(crate) fn parameter(text: &str) -> Result<(Name, u64)> {
    let (name, value) = text
        .split_once('=')
        .with_context(|| format!("{text:?} is not name=value"))?;
    let (name, value): (Name, u64) = (name.parse()?, value.parse()?);
    Parameters::check(name, value)?;
    Ok((name, value))
}

async fn verifier(arguments: VerifierArguments) -> Result<()> {
    let VerifierArguments {
        home,
        node,
        port,
        listen,
        threads,
        init,
        bond,
        sync,
        end_with_parent: _,
    } = arguments;
    if let Some(node) = node {
        let options = joining::Options {
            node,
            port,
            listen: listen.to_string(),
            threads_count: threads,
        };
        joining::prepare(&home, &options).await?;
        joining::warn_of_bond(&home, &options, bond).await?;
        if init {
            let address = crate::home::key_file(&home.join("operator.key"))?.address();
            return devnet::screen::print(&format!("{}: verifier {address}", home.display()));
        }
    }
    validator::run(&home, Role::Verifier { bond }, None, &sync).await
}

async fn transfer(arguments: TransferArguments) -> Result<()> {
    let TransferArguments {
        home,
        to,
        amount,
        node,
        limits,
    } = arguments;
    let client = Client::new(vec![node]);
    wallet::transfer(&client, &home, (to, Amount::new(amount)), limits).await
}

impl From<DevnetArguments> for devnet::Options {
    fn from(arguments: DevnetArguments) -> Self {
        let DevnetArguments {
            home,
            fresh,
            seed,
            steps,
            json,
            miners,
            validators,
            cheats,
            recipe,
            classes,
            port,
            day_blocks,
            stage,
            parameters,
            run,
            updates,
            events,
            namespaces,
        } = arguments;
        let cheats = cheats.map(|all| all.into_iter().filter_map(|choice| choice.0).collect());
        Self {
            home,
            fresh,
            seed,
            steps,
            json,
            miners,
            validators,
            cheats,
            recipe,
            classes,
            port,
            day_blocks,
            stage,
            parameters,
            training: match run {
                RunChoice::Both => devnet::Training::Both,
                RunChoice::Pretrain => devnet::Training::Pretrain,
            },
            updates: updates.map(|updates| match updates {
                UpdatesChoice::Dense => UpdateForm::Dense,
                UpdatesChoice::Sparse => devnet::recipe::SPARSE,
            }),
            events,
            places: devnet::places::Places { namespaces },
        }
    }
}

impl From<MinerArguments> for mining::Options {
    fn from(arguments: MinerArguments) -> Self {
        let MinerArguments {
            home: _,
            nodes,
            threads,
            device,
            checkpointing,
            worker,
            class,
            cheat,
            slowness,
            end_with_parent: _,
        } = arguments;
        Self {
            nodes,
            threads_count: threads,
            device,
            checkpointing,
            cheat: cheat.and_then(|choice| choice.0),
            slowness,
            worker,
            class,
        }
    }
}
