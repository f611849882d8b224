//! Every order in which an account bonds, leaves and moves while its validator is reported for any
//! height, is frozen and slashed: over the real rules, block by block, to the end of all periods.

use crate::{
    State, View, account, apply, genesis, mutant, rehearse,
    run::{self, Tip},
    staking::{contradiction, epoch, rotation, stake},
    supply,
    validator::{Sets, Standing, Validator, powers, signers},
};
use governance::parameters::Name;
use protocol::{
    Address, Amount, BlockId, Height, SigningKey,
    class::ClassTable,
    codec::Text,
    genesis::{Account, Genesis, Governance, Parameter},
    staking::Succession,
    transaction::Body,
    vote::{DoubleSign, SignedVote, Vote, VoteKind},
};
use stateright::{Checker, HasDiscoveries, Model, Property};
use std::{
    fmt,
    hash::{Hash, Hasher},
};

/// Days, which are blocks here, until stake that leaves is free.
const UNBONDING: u64 = 8;
/// Days until a slash.
const DELAY: u64 = 3;
/// Last height at which the owner does something.
const MOVES_UNTIL: u64 = 3;
/// Heights at which the first validator may be reported: early, while stake leaves, and when what
/// left at first would be free before the slash.
const REPORTED_AT: [u64; 3] = [2, 4, 8];
/// Heights for which it may be.
const INFRACTIONS: [u64; 2] = [1, 3];
/// Height at which the first validator may name another key: an epoch ends with the next block, so
/// that some reports are about the key before.
const ROTATED_AT: u64 = 3;
/// Height at which the owner tries to get away with what it moved, before the last slash.
const LATE: u64 = 10;
/// Height at which all periods are over.
const HEIGHT_MAX: u64 = 8 + DELAY + 2;
/// What the owner begins with.
const BALANCE: u64 = 1_000;
/// What it stakes, takes out or moves at a time.
const PART: u64 = 200;

/// What is written down beside the rules, in the plainest way, to judge them by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Facts {
    /// Stake with the first validator.
    staked: u64,
    /// What left the first: when, how much, and whether it moved to the second.
    left: Vec<(u64, u64, bool)>,
    /// What was then taken out of the second: when, and how much.
    left_second: Vec<(u64, u64)>,
    /// What the report says, when it came: the height of the contradiction, and of the slash.
    reported: Option<(u64, u64)>,
    /// What the owner must have lost by now, give or take one for every part.
    lost: u64,
    /// Parts that were rounded.
    parts: u64,
    /// What of `left` waits until a slash is over.
    held: bool,
}

impl Facts {
    /// What the slash reaches.
    fn exposed(&self, infraction: u64, now: u64) -> Vec<u64> {
        let pending = |(since, amount, moved): &(u64, u64, bool)| {
            let is_there = self.held || *moved || since + UNBONDING > now;
            (*since >= infraction && is_there).then_some(*amount)
        };
        let left = self.left.iter().filter_map(pending);
        left.chain([self.staked])
            .filter(|amount| *amount > 0)
            .collect()
    }
}

#[derive(Clone)]
struct World {
    state: State,
    facts: Facts,
}

impl World {
    fn tip(&self) -> Tip {
        run::tip(&self.state.view())
    }
    fn height(&self) -> u64 {
        self.tip().height.get()
    }
    fn validator(&self, which: u8) -> Validator {
        self.state.view().get(&operator(which).address()).unwrap()
    }
    /// All of the owner's tokens, wherever they are.
    fn owned(&self) -> u64 {
        let view = self.state.view();
        let balance = account::account(&view, owner()).balance.get();
        let stakes = [0, 1, 2].map(|which| stake::of(&view, operator(which).address(), owner()));
        let staked: u64 = stakes.iter().map(|stake| stake.amount.get()).sum();
        let leaving: u64 = leaving(&view).iter().map(|(_, amount)| amount).sum();
        balance + staked + leaving
    }
}

/// What the owner has on its way out: when it is free, and how much.
fn leaving(view: &View<'_>) -> Vec<(u64, u64)> {
    let all = view.scan::<stake::Unbonding>(&()).into_iter();
    let own = all.filter(|((_, (_, of)), _)| *of == owner());
    own.map(|((at, _), unbonding)| (at.get(), unbonding.amount.get()))
        .collect()
}

impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.state.entries().hash(state);
        self.facts.hash(state);
    }
}

impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        self.facts == other.facts && self.state.entries() == other.state.entries()
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "height {} {:?}", self.height(), self.facts)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    /// With the first validator.
    Stake,
    /// From the first.
    Unstake,
    /// From the first to the second.
    Restake,
    /// From the second.
    UnstakeSecond,
    /// From the second to the third.
    RestakeSecond,
    /// The first, for this height.
    Report(u64),
    /// The first names another consensus key.
    Rotate,
    Block,
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed([number; 32])
}

fn operator(which: u8) -> SigningKey {
    key(1 + which)
}

fn owner() -> Address {
    key(10).address()
}

fn reporter() -> Address {
    key(11).address()
}

struct Staking {
    start: World,
    broken: Option<&'static str>,
}

impl Staking {
    fn new(broken: Option<&'static str>) -> Self {
        let validator = |which: u8| protocol::genesis::Validator {
            operator: operator(which).address(),
            holder: key(20 + which).address(),
            stake: Amount::new(100),
            vrf: operator(which).vrf().public(),
        };
        let parameter = |(name, value): (Name, u64)| Parameter {
            name: Text::new(name.as_str()).unwrap(),
            value,
        };
        let parameters = [
            (Name::ValidatorStakeMin, 1),
            (Name::StakeMin, 1),
            (Name::EpochBlocks, 4),
            (Name::UnbondingDays, UNBONDING),
            (Name::SlashDelayDays, DELAY),
            (Name::WhistleBlower, 0),
            (Name::EmissionRate, 0),
        ];
        let account = |address| Account {
            address,
            balance: Amount::new(BALANCE),
        };
        let genesis = Genesis {
            name: Text::new("model").unwrap(),
            time_ms: 1,
            // Three, so that a slash of one is its whole share and not more.
            validators: [0, 1, 2].map(validator).to_vec(),
            accounts: [owner(), reporter()].map(account).to_vec(),
            runs: Vec::new(),
            parameters: parameters.map(parameter).to_vec(),
            governance: Governance {
                day_blocks: 1,
                deposit_base: Amount::new(100),
                steward: None,
                stage: 1,
                treasury: Amount::ZERO,
            },
            supply_cap: Amount::new(1_000_000),
            classes: ClassTable::default(),
        };
        let start = World {
            state: genesis::state(&genesis).unwrap(),
            facts: Facts::default(),
        };
        Self { start, broken }
    }

    fn play(&self, world: &mut World, action: Move) -> Option<()> {
        let (first, second) = (operator(0).address(), operator(1).address());
        let amount = Amount::new(PART);
        let (sender, body) = match action {
            Move::Block => {
                block(world);
                return Some(());
            }
            Move::Stake => (
                owner(),
                Body::Stake {
                    operator: first,
                    amount,
                },
            ),
            Move::Unstake => (
                owner(),
                Body::Unstake {
                    operator: first,
                    amount,
                },
            ),
            Move::Restake => {
                let (from, to) = (first, second);
                (owner(), Body::Restake { from, to, amount })
            }
            Move::UnstakeSecond => {
                let operator = second;
                (owner(), Body::Unstake { operator, amount })
            }
            Move::RestakeSecond => {
                let (from, to) = (second, operator(2).address());
                (owner(), Body::Restake { from, to, amount })
            }
            Move::Rotate => {
                let chain = world.tip().chain;
                let succession = Succession::new(chain, first, &key(30));
                (key(20).address(), Body::RotateKey { succession })
            }
            Move::Report(height) => {
                let evidence = Box::new(evidence(world.tip().chain, height));
                (reporter(), Body::ReportDoubleSign { evidence })
            }
        };
        let mut view = world.state.view();
        rehearse(&mut view, sender, &body).ok()?;
        let writes = view.into_writes();
        world.state.advance(writes);
        note(world, action);
        Some(())
    }
}

/// What the owner knows that it did.
fn note(world: &mut World, action: Move) {
    let now = world.height() + 1;
    let facts = &mut world.facts;
    match action {
        Move::Stake => facts.staked += PART,
        Move::Unstake | Move::Restake => {
            let moved = action == Move::Restake;
            facts.staked -= PART;
            facts.left.push((now, PART, moved));
        }
        Move::Report(infraction) => {
            facts.reported = Some((infraction, now + DELAY));
            facts.held = true;
            facts.left.retain(|(since, _, _)| since + UNBONDING >= now);
        }
        Move::UnstakeSecond => facts.left_second.push((now, PART)),
        Move::RestakeSecond | Move::Rotate | Move::Block => {}
    }
}

fn evidence(chain: protocol::ChainId, height: u64) -> DoubleSign {
    let vote = |block_id| Vote {
        kind: VoteKind::Prevote,
        height: Height::new(height),
        round: 0,
        block_id,
    };
    let block = Some(BlockId::from_bytes([1; 32]));
    DoubleSign::Vote {
        first: SignedVote::new(chain, vote(None), &operator(0)),
        second: SignedVote::new(chain, vote(block), &operator(0)),
    }
}

/// Ends the block under way and begins the next one, without a header.
fn block(world: &mut World) {
    let mut view = world.state.view();
    let tip = run::tip(&view);
    let height = tip.height.next();
    if epoch::ends(&view, height) {
        rotation::turn(&mut view, height);
        epoch::turn(&mut view, height);
    }
    view.put(&(), &Tip { height, ..tip });
    Sets::advance(&mut view);
    let next = height.next();
    let slashed = world.facts.reported.filter(|(_, at)| *at == next.get());
    let share = slashed.map(|(_, at)| contradiction::penalty(&view, Height::new(at - DELAY)).get());
    apply::begin_height(&mut view, next);
    let writes = view.into_writes();
    world.state.advance(writes);
    if let (Some((infraction, at)), Some(share)) = (slashed, share) {
        let exposed = world.facts.exposed(infraction, at);
        let facts = &mut world.facts;
        facts.parts += exposed.len() as u64;
        facts.lost += exposed
            .iter()
            .map(|amount| amount * share / 1_000_000)
            .sum::<u64>();
        facts.staked -= (facts.staked * share).div_ceil(1_000_000);
    }
}

impl Model for Staking {
    type State = World;
    type Action = Move;
    fn init_states(&self) -> Vec<World> {
        vec![self.start.clone()]
    }
    fn actions(&self, world: &World, actions: &mut Vec<Move>) {
        actions.push(Move::Block);
        let now = world.height() + 1;
        if now == ROTATED_AT {
            actions.push(Move::Rotate);
        }
        if now == LATE {
            actions.extend([Move::UnstakeSecond, Move::RestakeSecond]);
        }
        if REPORTED_AT.contains(&now) {
            actions.extend(INFRACTIONS.map(Move::Report));
        }
        if now > MOVES_UNTIL {
            return;
        }
        // Two parts at most, of which each leaves once.
        if world.facts.staked + world.facts.left.len() as u64 * PART < 2 * PART {
            actions.push(Move::Stake);
        }
        actions.extend([Move::Unstake, Move::Restake, Move::UnstakeSecond]);
    }
    fn next_state(&self, last: &World, action: Move) -> Option<World> {
        let mut next = last.clone();
        mutant::with(self.broken, || self.play(&mut next, action))?;
        Some(next)
    }
    fn within_boundary(&self, world: &World) -> bool {
        world.height() <= HEIGHT_MAX
    }
    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::<Self>::always("tokens are conserved", |_, world| {
                supply::is_conserved(&world.state.view())
            }),
            Property::<Self>::always("nothing is free early", |_, world| {
                let now = world.height() + 1;
                let view = world.state.view();
                let balance = account::account(&view, owner()).balance.get();
                let exits = world.facts.left.iter().filter(|(_, _, moved)| !moved);
                let exits = exits.map(|(since, amount, _)| (*since, *amount));
                let exits = exits.chain(world.facts.left_second.iter().copied());
                let early = exits.filter(|(since, _)| since + UNBONDING > now);
                let locked: u64 = early.map(|(_, amount)| amount).sum();
                balance + locked <= BALANCE
            }),
            Property::<Self>::always("nothing stays longer than it must", |_, world| {
                let (now, frozen) = (world.height() + 1, world.validator(0).standing);
                let is_frozen = matches!(frozen, Standing::Frozen { .. });
                let mut late = leaving(&world.state.view()).into_iter();
                is_frozen || late.all(|(at, _)| at > now || world.facts.held && at + 1 >= now)
            }),
            Property::<Self>::always(
                "a slash takes its share of all that was there",
                |_, world| {
                    let lost = BALANCE - world.owned();
                    let expected = world.facts.lost;
                    (expected..=expected + world.facts.parts).contains(&lost)
                },
            ),
            Property::<Self>::always("who is frozen or removed has no power", |_, world| {
                let standing = world.validator(0).standing;
                let is_out = matches!(standing, Standing::Frozen { .. } | Standing::Removed);
                let operator = operator(0).address();
                let view = world.state.view();
                let keys = [operator, rotation::key_of(&view, operator)];
                let powers = [powers(&view), signers(&view)].concat();
                !is_out || powers.iter().all(|(key, _)| !keys.contains(key))
            }),
        ];
        properties.extend(reached());
        properties
    }
}

/// What must be possible, or the properties above would say little.
fn reached() -> Vec<Property<Staking>> {
    vec![
        Property::<Staking>::sometimes("stake comes back whole", |_, world| {
            let view = world.state.view();
            let has_left = !world.facts.left.is_empty() && world.facts.reported.is_none();
            has_left && account::account(&view, owner()).balance.get() == BALANCE
        }),
        Property::<Staking>::sometimes("stake that left is slashed", |_, world| {
            let has_left = |(_, _, moved): &(u64, u64, bool)| !moved;
            world.facts.lost > 0 && world.facts.left.iter().any(has_left)
        }),
        Property::<Staking>::sometimes("stake that moved is slashed", |_, world| {
            let has_moved = |(_, _, moved): &(u64, u64, bool)| *moved;
            world.facts.lost > 0 && world.facts.left.iter().any(has_moved)
        }),
        Property::<Staking>::sometimes("an old key's contradiction is slashed", |_, world| {
            let operator = operator(0).address();
            let key = rotation::key_of(&world.state.view(), operator);
            key != operator && world.validator(0).standing == Standing::Removed
        }),
        Property::<Staking>::sometimes("stake that left before is not", |_, world| {
            world.validator(0).standing == Standing::Removed
                && world.facts.lost == 0
                && !world.facts.left.is_empty()
        }),
    ]
}

#[test]
fn every_order_of_bonds_exits_moves_and_reports_keeps_the_rules_of_stake() {
    let checker = Staking::new(None).checker().spawn_bfs().join();
    eprintln!("{} states", checker.unique_state_count());
    checker.assert_properties();
}

#[test]
fn the_model_notices_every_broken_rule() {
    for (rule, property) in [
        ("stake is free at once", "nothing is free early"),
        (
            "what is on its way out is not slashed",
            "a slash takes its share of all that was there",
        ),
        (
            "what moved is not slashed",
            "a slash takes its share of all that was there",
        ),
        (
            "what a frozen validator may lose is freed",
            "a slash takes its share of all that was there",
        ),
        (
            "what moved is forgotten before a slash",
            "a slash takes its share of all that was there",
        ),
        (
            "what moved and left is freed before a slash",
            "a slash takes its share of all that was there",
        ),
        (
            "the first to move is slashed first",
            "a slash takes its share of all that was there",
        ),
        ("a slash burns nothing", "tokens are conserved"),
        (
            "who is frozen keeps its power",
            "who is frozen or removed has no power",
        ),
    ] {
        let until = HasDiscoveries::AnyFailures;
        let checker = Staking::new(Some(rule)).checker().finish_when(until);
        let checker = checker.spawn_bfs().join();
        assert!(
            checker.discovery(property).is_some(),
            "{rule:?} went unnoticed"
        );
    }
}
