//! What a seed stands for.

use crate::{Liar, Mutant};
use governance::parameters::Name;
use ledger_store::Choice;
use protocol::{
    Amount, SigningKey,
    class::ClassTable,
    codec::Text,
    genesis::{Account, Genesis, Governance, Parameter, Validator},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use std::collections::BTreeMap;

/// Stake of every validator of genesis, about.
const STAKE: u64 = 100_000;
/// People with tokens.
pub(crate) const PEOPLE_COUNT: u64 = 12;
/// Virtual time at which the chain begins.
pub(crate) const BEGIN_MS: u64 = 1_000_000;

/// Something that breaks, once, at a virtual time before [`Plan::heal_ms`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A node ends at one of its next effects, and comes back.
    Crash {
        /// Which.
        node: usize,
        /// How many effects it lives.
        effects: u32,
        /// How long it is away.
        away_ms: u64,
    },
    /// All processes end within a few effects.
    Blackout {
        /// How many effects each lives, by node, twins included.
        effects: Vec<u32>,
    },
    /// Its disk is lost, all but the folder of its engine with the signing history.
    Wipe {
        /// Which.
        node: usize,
        /// How long it is away.
        away_ms: u64,
        /// How it comes back.
        joins: Join,
    },
    /// The next block it commits is not written, and an error is returned.
    CommitFails {
        /// Which.
        node: usize,
    },
    /// The next block it commits is written, and an error is returned all the same.
    CommitLies {
        /// Which.
        node: usize,
    },
    /// Only nodes of one side hear one another.
    Partition {
        /// Which side, by node.
        sides: Vec<bool>,
        /// How long.
        for_ms: u64,
    },
}

/// How a node gets at what it lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// By every block.
    Replay,
    /// By the state of a recent height, if somebody has one; else by every block.
    State,
}

/// Everything that is decided before the first event.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Of every later choice.
    pub seed: u64,
    /// Stake at genesis by node; those without join later, or only follow.
    pub stakes: Vec<u64>,
    /// Nodes that lie.
    pub liars: Vec<(usize, Liar)>,
    /// What breaks, by milliseconds since the beginning.
    pub faults: Vec<(u64, Fault)>,
    /// Nodes whose ends are cuts of the power: of what their log had not synchronised a part is
    /// lost. Elsewhere a process ends and its machine goes on.
    pub unpowered: Vec<usize>,
    /// Who keeps how many blocks; all others keep all.
    pub keep_blocks: BTreeMap<usize, u64>,
    /// Blocks from one snapshot to the next of those who keep all blocks; 0 for none.
    pub snapshot_blocks: u64,
    /// Validators whose holders name another key, and when.
    pub rotations: Vec<(u64, usize)>,
    /// From then on nothing breaks.
    pub heal_ms: u64,
    /// Blocks that everybody must get ahead after that.
    pub heights_after: u64,
    /// How long this may take.
    pub patience_ms: u64,
    /// Shortest time between blocks.
    pub interval_ms: u64,
    /// Shortest and longest way of a message.
    pub delay_ms: (u64, u64),
    /// Messages that are lost, in thousandths.
    pub loss: u32,
    /// Messages that arrive twice, in thousandths.
    pub duplicates: u32,
    /// Mean time between transactions.
    pub transactions_every_ms: u64,
    /// Blocks of an epoch.
    pub epoch_blocks: u64,
    /// Heights of absence that jail.
    pub jail_turns: u64,
    /// The database; nothing for the one in memory.
    pub store: Option<Choice>,
    /// A bug to be found.
    pub mutant: Option<Mutant>,
}

/// A key by what it is for.
#[must_use]
pub(crate) fn key(kind: u8, number: u64) -> SigningKey {
    let mut seed = [kind; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    SigningKey::from_seed(seed)
}

/// Signs blocks.
pub(crate) fn operator(node: usize) -> SigningKey {
    key(1, node as u64)
}

/// Signs blocks after a rotation.
pub(crate) fn successor(node: usize) -> SigningKey {
    key(4, node as u64)
}

/// Owns a validator's first stake.
pub(crate) fn holder(node: usize) -> SigningKey {
    key(2, node as u64)
}

/// Pays, stakes and registers.
pub(crate) fn person(number: u64) -> SigningKey {
    key(3, number)
}

impl Plan {
    /// Four honest nodes on a network that delays and nothing else.
    #[must_use]
    pub fn quiet(seed: u64) -> Self {
        Self {
            seed,
            stakes: vec![STAKE; 4],
            liars: Vec::new(),
            faults: Vec::new(),
            unpowered: (0..4).collect(),
            keep_blocks: BTreeMap::new(),
            snapshot_blocks: 0,
            rotations: Vec::new(),
            heal_ms: 0,
            heights_after: 10,
            patience_ms: 60_000,
            interval_ms: 200,
            delay_ms: (1, 60),
            loss: 0,
            duplicates: 0,
            transactions_every_ms: 60,
            epoch_blocks: 4,
            jail_turns: 12,
            store: None,
            mutant: None,
        }
    }

    /// The plan of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        Self::undisturbed(seed).operated()
    }

    /// The same with nodes that keep everything and keys that stay.
    #[must_use]
    pub fn undisturbed(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let validators = random.gen_range(4..=7);
        let others = random.gen_range(0..=2);
        let stake = |random: &mut StdRng| STAKE + random.gen_range(0..STAKE / 10);
        let mut stakes: Vec<u64> = (0..validators).map(|_| stake(&mut random)).collect();
        stakes.extend((0..others).map(|_| 0));
        let liars = liars(&mut random, validators);
        let heal_ms = random.gen_range(4_000..14_000);
        let mut plan = Self {
            stakes,
            heal_ms,
            heights_after: 6,
            patience_ms: 240_000,
            interval_ms: *[50, 200, 400].choose(&mut random).unwrap(),
            delay_ms: *[(1, 5), (5, 80), (1, 300)].choose(&mut random).unwrap(),
            loss: *[0, 0, 20, 100].choose(&mut random).unwrap(),
            duplicates: *[0, 30, 200].choose(&mut random).unwrap(),
            transactions_every_ms: *[30, 100, 400].choose(&mut random).unwrap(),
            epoch_blocks: random.gen_range(4..9),
            jail_turns: *[3, 12].choose(&mut random).unwrap(),
            store: match seed % 16 {
                5 => Some(Choice::Redb),
                11 => Some(Choice::Sled),
                _ => None,
            },
            liars,
            ..Self::quiet(seed)
        };
        let most = (validators - 1) / 3;
        let nodes = plan.stakes.len();
        let mut room = most - plan.liars.len();
        plan.faults = faults(&mut random, nodes, heal_ms);
        if room > 0 && random.gen_bool(0.3) {
            room -= 1;
            plan.lose_a_disk(&mut random);
        }
        plan.unpowered = (0..nodes).collect();
        plan.unpowered.shuffle(&mut random);
        plan.unpowered.truncate(room);
        plan
    }

    /// Adds what operators do: some drop old blocks, one changes its key, and who loses a disk
    /// comes back by the state of others. One honest node with its disk keeps everything.
    fn operated(mut self) -> Self {
        let mut random = StdRng::seed_from_u64(self.seed ^ 0x6F70_6572_6174_6564);
        let lies = |node: usize| self.liars.iter().any(|(liar, _)| *liar == node);
        let loses = |node: usize| {
            let mut faults = self.faults.iter();
            faults.any(|(_, fault)| matches!(fault, Fault::Wipe { node: n, .. } if *n == node))
        };
        let steady = (0..self.stakes.len()).find(|node| !lies(*node) && !loses(*node));
        for node in (0..self.stakes.len()).filter(|node| Some(*node) != steady) {
            if random.gen_bool(0.4) {
                self.keep_blocks.insert(node, random.gen_range(2..10));
            }
        }
        self.snapshot_blocks = random.gen_range(2..6);
        let validators = (0..self.stakes.len()).filter(|node| self.stakes[*node] > 0);
        let honest: Vec<usize> = validators.filter(|node| !lies(*node)).collect();
        if let Some(node) = honest.choose(&mut random).filter(|_| random.gen_bool(0.5)) {
            self.rotations
                .push((random.gen_range(200..self.heal_ms), *node));
        }
        for (_, fault) in &mut self.faults {
            if let Fault::Wipe { joins, .. } = fault {
                *joins = match random.gen_bool(0.8) {
                    true => Join::State,
                    false => Join::Replay,
                };
            }
        }
        self
    }

    /// Adds a disk that is lost.
    fn lose_a_disk(&mut self, random: &mut StdRng) {
        let node = random.gen_range(0..self.stakes.len());
        let away_ms = random.gen_range(1..4_000);
        let joins = Join::Replay;
        let wipe = Fault::Wipe {
            node,
            away_ms,
            joins,
        };
        self.faults
            .push((random.gen_range(500..self.heal_ms), wipe));
        self.faults.sort_by_key(|(at, _)| *at);
    }

    /// How many nodes run, twins included.
    #[must_use]
    pub fn nodes_count(&self) -> usize {
        let twins = self.liars.iter().filter(|(_, liar)| *liar == Liar::Twin);
        self.stakes.len() + twins.count()
    }

    /// Genesis of this chain.
    #[must_use]
    pub fn genesis(&self) -> Genesis {
        let validators = self.stakes.iter().enumerate();
        let validators = validators.filter(|(_, stake)| **stake > 0);
        let validators = validators.map(|(node, stake)| Validator {
            operator: operator(node).address(),
            holder: holder(node).address(),
            stake: Amount::new(*stake),
            vrf: operator(node).vrf().public(),
        });
        let account = |key: SigningKey| Account {
            address: key.address(),
            balance: Amount::new(1_000_000_000),
        };
        let holders = (0..self.stakes.len()).map(holder);
        let people = (0..PEOPLE_COUNT).map(person);
        let parameter = |(name, value): (Name, u64)| Parameter {
            name: Text::new(name.as_str()).unwrap(),
            value,
        };
        let parameters = [
            (Name::EpochBlocks, self.epoch_blocks),
            (Name::JailTurns, self.jail_turns),
            (Name::JailBlocks, 6),
            (Name::UnbondingDays, 8),
            (Name::SlashDelayDays, 3),
            (Name::EmissionRate, 1_000),
        ];
        Genesis {
            name: Text::new("simulation").unwrap(),
            time_ms: BEGIN_MS,
            validators: validators.collect(),
            accounts: holders.chain(people).map(account).collect(),
            runs: Vec::new(),
            parameters: parameters.map(parameter).to_vec(),
            governance: Governance {
                day_blocks: 2,
                deposit_base: Amount::new(100),
                steward: None,
                stage: 1,
                treasury: Amount::new(1_000_000),
            },
            supply_cap: Amount::new(1 << 50),
            classes: ClassTable::default(),
        }
    }

    /// The command that repeats this history.
    #[must_use]
    pub fn command(&self) -> String {
        format!("SEED={} cargo test -p tests-sim --test seeds", self.seed)
    }
}

/// At most one validator of four and two of seven lie: less than a third.
fn liars(random: &mut StdRng, validators: usize) -> Vec<(usize, Liar)> {
    let most = (validators - 1) / 3;
    let count = random.gen_range(0..=most);
    let mut nodes: Vec<usize> = (0..validators).collect();
    nodes.shuffle(random);
    let all = [Liar::Twin, Liar::Equivocator, Liar::Silent, Liar::Selective];
    nodes.truncate(count);
    let choose = |node| (node, *all.choose(random).unwrap());
    nodes.into_iter().map(choose).collect()
}

/// What ends processes, parts nodes and refuses writes. Who loses its disk, or the end of its log
/// between a signature's record and the log's, may be silent for a height, so it counts as one that
/// lies: [`Plan::of`] lets as many as there is room for.
fn faults(random: &mut StdRng, nodes: usize, heal_ms: u64) -> Vec<(u64, Fault)> {
    let count = random.gen_range(0..8);
    let mut faults: Vec<(u64, Fault)> = (0..count)
        .map(|_| (random.gen_range(500..heal_ms), fault(random, nodes)))
        .collect();
    faults.sort_by_key(|(at, _)| *at);
    faults
}

fn fault(random: &mut StdRng, nodes: usize) -> Fault {
    let node = random.gen_range(0..nodes);
    let away_ms = random.gen_range(1..4_000);
    match random.gen_range(0..11) {
        10 => Fault::Blackout {
            effects: (0..nodes * 2).map(|_| random.gen_range(0..12)).collect(),
        },
        0..=5 => Fault::Crash {
            node,
            effects: random.gen_range(0..40),
            away_ms,
        },
        6 => Fault::CommitFails { node },
        7 => Fault::CommitLies { node },
        _ => Fault::Partition {
            // Twins, if there are any, come after the nodes.
            sides: (0..nodes * 2).map(|_| random.gen_bool(0.5)).collect(),
            for_ms: random.gen_range(200..6_000),
        },
    }
}
