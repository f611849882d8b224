//! Writes the homes of a devnet's participants: keys, genesis, addresses.

use super::{Options, Training, events::joins_late, recipe as default_recipe};
use crate::home::{Config, Home, key_file};
use crate::workbench::name_weights;
use adversaries::Cheat;
use anyhow::{Context as _, Result, bail};
use engine::DeviceChoice;
use governance::parameters::Name;
use protocol::{
    Address, Amount, SigningKey,
    class::{Class, ClassTable},
    codec::{BoundedVec, Text},
    genesis::{Account, Genesis, Governance, Parameter, Run, Validator},
    identifiers::tagged_hash,
    recipe::Recipe,
};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// Stake of each validator.
const STAKE: u64 = 1_000_000;
/// Tokens of each miner at genesis.
const MINER_BALANCE: u64 = 50_000;
/// Tokens of the account from which newcomers can be funded.
const FAUCET_BALANCE: u64 = 10_000_000;
/// Stake of a dishonest validator: two of them are no third.
const STAKE_OF_CHEAT: u64 = STAKE / 2;
/// Tokens of each holder, for deposits.
const HOLDER_BALANCE: u64 = 50_000;
/// Tokens that votes may spend.
const TREASURY: u64 = 10_000_000;
/// The deposit of a proposal, times its track's multiple.
pub(super) const DEPOSIT_BASE: Amount = Amount::new(1_000);
/// What the run can pay.
const ESCROW: u64 = 5_000_000;
/// Distance of blocks.
const BLOCK_INTERVAL_MS: u64 = 250;
/// Blocks from one snapshot of the state to the next: who joins a devnet need not wait long.
const SNAPSHOT_BLOCKS: u64 = 40;

/// Audits of a devnet's small units take less than a block, so stages are short.
const PARAMETERS: &[(Name, u64)] = &[(Name::SortitionStageBlocks, 2), (Name::EpochBlocks, 40)];

/// What a participant does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Orders blocks, keeps data, audits.
    Validator,
    /// Computes.
    Miner,
}

/// One process of the devnet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Participant {
    /// Its name, which is its folder's.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// How it deceives, if it does.
    pub cheat: Option<String>,
    /// The miner that holds its stake, if it is a validator that a miner has made to audit itself.
    pub held_by: Option<String>,
}

/// A devnet's participants, remembered in `devnet.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// From which every key was derived.
    pub seed: u64,
    /// In the order in which they are started.
    pub participants: Vec<Participant>,
}

impl Layout {
    /// Participants of one role.
    pub fn of(&self, role: Role) -> impl Iterator<Item = &Participant> {
        self.participants
            .iter()
            .filter(move |participant| participant.role == role)
    }
    /// Participants that deceive, each once: of a miner and its own auditor the miner.
    pub fn cheats(&self) -> impl Iterator<Item = &Participant> {
        let all = self.participants.iter();
        all.filter(|one| one.cheat.is_some() && one.held_by.is_none())
    }
    /// Where the validators answer.
    #[must_use]
    pub fn nodes(&self, options: &Options) -> Vec<String> {
        let count = u16::try_from(self.of(Role::Validator).count()).unwrap_or(u16::MAX);
        let node = |index: u16| {
            let address = options.places.address(index);
            format!("http://{address}:{}", options.port + index)
        };
        (0..count).map(node).collect()
    }
    /// The folder of a participant.
    #[must_use]
    pub fn home(home: &Path, participant: &Participant) -> PathBuf {
        home.join(&participant.name)
    }
}

/// Opens the devnet in `home`, or makes one.
///
/// # Errors
/// When the folder cannot be written, or holds a devnet of another kind.
pub fn prepare(home: &Path, options: &Options) -> Result<Layout> {
    let path = home.join("devnet.json");
    if options.fresh {
        clear(home)?;
    }
    fs::create_dir_all(home).with_context(|| format!("cannot make {}", home.display()))?;
    let layout = if path.exists() {
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let layout: Layout = serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is not a devnet", path.display()))?;
        check_same(&layout, options)?;
        layout
    } else {
        make(home, options)?
    };
    write_configs(home, &layout, options)?;
    Ok(layout)
}

/// Removes what an earlier devnet left, and nothing else.
fn clear(home: &Path) -> Result<()> {
    if !home.exists() {
        return Ok(());
    }
    let occupied = fs::read_dir(home).with_context(|| format!("cannot read {}", home.display()))?;
    if occupied.count() > 0 && !home.join("devnet.json").exists() {
        bail!(
            "{} is not empty and not a devnet; it is left as it is",
            home.display()
        );
    }
    // A second devnet on the same folder must not pull it away under the first.
    let _held = lock(home)?;
    fs::remove_dir_all(home).with_context(|| format!("cannot remove {}", home.display()))
}

/// Locks every participant's home that exists, for the duration of the guard.
fn lock(home: &Path) -> Result<Vec<Home>> {
    let entries = fs::read_dir(home).with_context(|| format!("cannot read {}", home.display()))?;
    let folders = entries
        .filter_map(std::result::Result::ok)
        .map(|entry| entry.path());
    folders
        .filter(|path| path.join("lock").exists())
        .map(|path| Home::open(&path))
        .collect()
}

/// Options of an existing devnet may be left out, but not changed.
fn check_same(layout: &Layout, options: &Options) -> Result<()> {
    let differs = |what: &str, found: &dyn std::fmt::Display, given: &dyn std::fmt::Display| {
        bail!("this devnet has {what} {found}; {given} was asked for (--fresh starts over)")
    };
    if let Some(seed) = options.seed.filter(|seed| *seed != layout.seed) {
        return differs("seed", &layout.seed, &seed);
    }
    let honest = |role| layout.of(role).filter(|one| one.cheat.is_none()).count();
    let validators = honest(Role::Validator);
    if let Some(given) = options
        .validators
        .filter(|given| *given as usize != validators)
    {
        return differs("validators", &validators, &given);
    }
    let miners = honest(Role::Miner);
    if let Some(given) = options.miners.filter(|given| *given as usize != miners) {
        return differs("miners", &miners, &given);
    }
    let mut cheats: Vec<String> = layout
        .cheats()
        .filter_map(|one| one.cheat.clone())
        .collect();
    cheats.sort_unstable();
    let mut given: Option<Vec<String>> = options
        .cheats
        .as_ref()
        .map(|given| given.iter().map(ToString::to_string).collect());
    if let Some(given) = given.as_mut() {
        given.sort_unstable();
        if *given != cheats {
            return differs("cheats", &cheats.join(","), &given.join(","));
        }
    }
    Ok(())
}

fn participants(options: &Options) -> Vec<Participant> {
    let named = |name: String, role, cheat: Option<Cheat>| Participant {
        name,
        role,
        cheat: cheat.map(|cheat| cheat.to_string()),
        held_by: None,
    };
    let validators = (0..options.validators_count())
        .map(|index| named(format!("validator-{index}"), Role::Validator, None));
    let miners =
        (0..options.miners_count()).map(|index| named(format!("miner-{index}"), Role::Miner, None));
    let (mut auditors, mut cheats) = (Vec::new(), Vec::new());
    for (index, cheat) in options.cheats_or_default().into_iter().enumerate() {
        let name = format!("cheat-{index}-{cheat}");
        if cheat.is_auditor() {
            let own = if cheat.is_miner() { "-auditor" } else { "" };
            auditors.push(Participant {
                held_by: cheat.is_miner().then(|| name.clone()),
                ..named(format!("{name}{own}"), Role::Validator, Some(cheat))
            });
        }
        if cheat.is_miner() {
            cheats.push(named(name, Role::Miner, Some(cheat)));
        }
    }
    // Ports and peers count validators first.
    let validators = validators.chain(auditors);
    validators.chain(miners).chain(cheats).collect()
}

fn make(home: &Path, options: &Options) -> Result<Layout> {
    let seed = options.seed.unwrap_or(1);
    let layout = Layout {
        seed,
        participants: participants(options),
    };
    let key = |owner: &str, kind: &str| {
        SigningKey::from_seed(tagged_hash("cairn/devnet-key/v1", &(seed, owner, kind)))
    };
    let holder_of = |participant: &Participant| match &participant.held_by {
        Some(miner) => key(miner, "operator"),
        None => key(&participant.name, "holder"),
    };
    let mut validators = Vec::new();
    let mut accounts = Vec::new();
    for participant in &layout.participants {
        let folder = Layout::home(home, participant);
        let operator = key(&participant.name, "operator");
        write_key(&folder, "operator.key", &operator, seed)?;
        match participant.role {
            Role::Validator => {
                let holder = holder_of(participant);
                write_key(&folder, "holder.key", &holder, seed)?;
                let is_honest = participant.cheat.is_none();
                validators.push(Validator {
                    operator: operator.address(),
                    holder: holder.address(),
                    stake: Amount::new(if is_honest { STAKE } else { STAKE_OF_CHEAT }),
                    vrf: operator.vrf().public(),
                });
                if participant.held_by.is_none() {
                    accounts.push(Account {
                        address: holder.address(),
                        balance: Amount::new(HOLDER_BALANCE),
                    });
                }
            }
            Role::Miner => {
                let balance = Amount::new(MINER_BALANCE);
                accounts.push(Account {
                    address: operator.address(),
                    balance,
                });
            }
        }
    }
    let steward = key("steward", "holder");
    write_key(&home.join("steward"), "holder.key", &steward, seed)?;
    let faucet = key("faucet", "holder");
    write_key(&home.join("faucet"), "operator.key", &faucet, seed)?;
    accounts.push(Account {
        address: faucet.address(),
        balance: Amount::new(FAUCET_BALANCE),
    });
    let (validators_and_accounts, steward) = ((validators, accounts), steward.address());
    let genesis = genesis(&layout, validators_and_accounts, steward, options)?;
    write_genesis(home, &layout, &genesis)?;
    let text = serde_json::to_vec_pretty(&layout).context("cannot encode devnet.json")?;
    crate::home::write_atomically(&home.join("devnet.json"), &text)?;
    Ok(layout)
}

/// Writes a participant's key, or finds the same one there.
fn write_key(folder: &Path, name: &str, key: &SigningKey, seed: u64) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join(name);
    if path.exists() {
        let found = key_file(&path)?.address();
        if found != key.address() {
            bail!(
                "{} holds another key than seed {seed} gives",
                path.display()
            );
        }
        return Ok(());
    }
    crate::home::write_key(&path, key)
}

fn genesis(
    layout: &Layout,
    (validators, accounts): (Vec<Validator>, Vec<Account>),
    steward: Address,
    options: &Options,
) -> Result<Genesis> {
    let miners = layout.of(Role::Miner);
    let at_start = miners.filter(|miner| !joins_late(&options.events, &miner.name));
    let miners_count = u32::try_from(at_start.count()).unwrap_or(u32::MAX);
    let mut recipe = match (options.recipe.as_deref(), options.training) {
        (Some(path), _) => read_recipe(path, miners_count)?,
        (None, Training::Both) => default_recipe::recipe(layout.seed, miners_count),
        (None, Training::Pretrain) => default_recipe::pretraining(layout.seed, miners_count),
    };
    if let Some(form) = options.updates {
        recipe.pretrain.update = form;
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("the clock is before 1970")?;
    let supply_cap = supply_cap(&validators, &accounts);
    Ok(Genesis {
        name: Text::new(format!("devnet-{}", layout.seed)).context("name of the chain")?,
        time_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        validators,
        accounts,
        runs: vec![Run {
            recipe,
            escrow: Amount::new(ESCROW),
        }],
        parameters: PARAMETERS
            .iter()
            .chain(&options.parameters)
            .map(|(name, value)| {
                Ok(Parameter {
                    name: Text::new(name.as_str()).context("name of a parameter")?,
                    value: *value,
                })
            })
            .collect::<Result<_>>()?,
        governance: Governance {
            day_blocks: options.day_blocks,
            deposit_base: DEPOSIT_BASE,
            steward: Some(steward),
            stage: options.stage,
            treasury: Amount::new(TREASURY),
        },
        supply_cap,
        classes: read_classes(&options.classes)?,
    })
}

/// Twice what there is at first: the rest is made for verified work.
fn supply_cap(validators: &[Validator], accounts: &[Account]) -> Amount {
    let stakes = validators.iter().map(|validator| validator.stake.get());
    let balances = accounts.iter().map(|account| account.balance.get());
    let supply = stakes.chain(balances).chain([ESCROW, TREASURY]);
    let supply = supply.fold(0_u64, u64::saturating_add);
    Amount::new(supply.saturating_mul(2))
}

/// Reads the classes of other engines from their files.
///
/// # Errors
/// When a file is no class, or two contradict each other.
pub(crate) fn read_classes(paths: &[PathBuf]) -> Result<ClassTable> {
    let read = |path: &PathBuf| -> Result<Class> {
        let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is no class", path.display()))
    };
    let mut classes = paths.iter().map(read).collect::<Result<Vec<_>>>()?;
    classes.sort_by_key(|class| class.id);
    let table = ClassTable {
        version: 0,
        classes: BoundedVec::new(classes)?,
    };
    table.check()?;
    Ok(table)
}

fn read_recipe(path: &Path, miners_count: u32) -> Result<Recipe> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut recipe: Recipe = serde_json::from_slice(&text)
        .with_context(|| format!("{} is not a recipe", path.display()))?;
    recipe.schedule.miners_at_start_count = miners_count;
    name_weights(&mut recipe);
    Ok(recipe)
}

fn write_genesis(home: &Path, layout: &Layout, genesis: &Genesis) -> Result<()> {
    let text = serde_json::to_vec_pretty(genesis).context("cannot encode genesis.json")?;
    crate::home::write_atomically(&home.join("genesis.json"), &text)?;
    for participant in layout.of(Role::Validator) {
        let path = Layout::home(home, participant).join("genesis.json");
        crate::home::write_atomically(&path, &text)?;
    }
    Ok(())
}

/// Ports are given anew at every start, so that a devnet can move.
fn write_configs(home: &Path, layout: &Layout, options: &Options) -> Result<()> {
    let (port, places) = (options.port, &options.places);
    let count = u16::try_from(layout.participants.len()).unwrap_or(u16::MAX);
    if u32::from(port) + 3 * u32::from(count) > u32::from(u16::MAX) {
        bail!(
            "port {port} leaves no room for the {} ports that this devnet needs",
            3 * count
        );
    }
    let multiaddress = |index: u16, port: u16| format!("/ip4/{}/tcp/{port}", places.address(index));
    let validators = u16::try_from(layout.of(Role::Validator).count()).unwrap_or(u16::MAX);
    let http = |index: u16| format!("{}:{}", places.address(index), port + index);
    let consensus = |index: u16| multiaddress(index, port + count + index);
    let network = |index: u16| multiaddress(index, port + 2 * count + index);
    let nodes = layout.nodes(options);
    for (index, participant) in (0..).zip(&layout.participants) {
        let mut config = Config {
            network: network(index),
            network_peers: (0..validators)
                .filter(|i| *i != index)
                .map(network)
                .collect(),
            block_interval_ms: BLOCK_INTERVAL_MS,
            threads_count: 1,
            device: DeviceChoice::Cpu.to_string(),
            snapshot_blocks: Some(SNAPSHOT_BLOCKS),
            ..Config::default()
        };
        match participant.role {
            Role::Validator => {
                config.http = http(index);
                config.consensus = consensus(index);
                config.consensus_peers = (0..validators)
                    .filter(|i| *i != index)
                    .map(consensus)
                    .collect();
            }
            Role::Miner => config.nodes.clone_from(&nodes),
        }
        let text = toml::to_string_pretty(&config).context("cannot encode config.toml")?;
        let path = Layout::home(home, participant).join("config.toml");
        crate::home::write_atomically(&path, text.as_bytes())?;
    }
    Ok(())
}
