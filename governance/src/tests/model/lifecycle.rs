//! Two proposals to stop the same run, one of them filled late or never: voted on in any order,
//! with votes that change, the first cancelled by the steward at any time or not at all, until the
//! end. One must fail if both pass.

use crate::{
    Rulebook, Tally, mutant,
    proposal::Status,
    store::Records as _,
    tests::chain::{Chain, STEWARD, Start, account, payload},
};
use protocol::{
    Micro, ProposalId, RunId,
    proposal::{Action, Amendment, Choice, Guard, Track, Weights},
};
use stateright::{Checker, Model, Property};
use std::{
    fmt,
    hash::{Hash, Hasher},
};

/// Heights until all deposits, votes, timelocks and expiries are over.
const HEIGHT_MAX: u64 = 11;
/// Last height at which somebody may fill the second deposit.
const FILLED_MAX: u64 = 2;
/// A day more than compiled in, so that skipping it shows where a day is one block.
const TIMELOCK_DAYS: u64 = 2;

/// What is written down beside the rules, to judge them by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Facts {
    /// When the vote ended, and whether it should have passed.
    closed: Option<(u64, bool)>,
    /// Whether it took an edge that is not listed.
    is_astray: bool,
}

#[derive(Clone)]
struct World {
    chain: Chain,
    facts: [Facts; 2],
}

impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.chain.now.hash(state);
        self.chain.world.hash(state);
        self.facts.hash(state);
    }
}

impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        (self.chain.now, self.facts) == (other.chain.now, other.facts)
            && self.chain.world == other.chain.world
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "height {} {:?}", self.chain.now, self.facts)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    /// The second proposal's deposit.
    Fill,
    /// On both, as far as they take votes.
    Vote(u8, Choice),
    /// The first.
    Cancel,
    Block,
}

struct Lifecycle {
    ids: [ProposalId; 2],
    start: World,
    supply: u64,
    broken: Option<&'static str>,
}

impl Lifecycle {
    fn new(broken: Option<&'static str>) -> Self {
        let mut chain = Chain::start(&Start {
            day_blocks: 1,
            stakes: vec![60, 40],
            accounts_count: 3,
            ..Start::default()
        });
        let mut rulebook = Rulebook::default();
        let amended = rulebook.amend(
            Track::RunStop,
            &Amendment {
                deposit_multiple: 1,
                voting_days: 3,
                timelock_days: TIMELOCK_DAYS,
                support: Micro::new(200_000),
                approval: Micro::new(500_001),
            },
        );
        amended.unwrap();
        chain.world.put(&(), &rulebook);
        let stop = payload(vec![Action::StopRun { run: RunId::ZERO }]);
        let ids = [1, 2].map(|by| {
            let id = stop.id(account(by), chain.now);
            // The first is filled; the second has a tenth, and costs more, for one is alive.
            chain
                .submit(by, &stop, if by == 1 { 100 } else { 11 })
                .unwrap();
            id
        });
        let supply = chain.supply();
        let start = World {
            chain,
            facts: [Facts::default(); 2],
        };
        Self {
            ids,
            start,
            supply,
            broken,
        }
    }
    fn play(&self, chain: &mut Chain, action: Move) -> Option<()> {
        match action {
            Move::Fill => chain.deposit(3, self.ids[1], 1_000).ok(),
            Move::Vote(by, choice) => {
                let votes = self.ids.map(|id| {
                    let weights = Weights::all(choice);
                    chain.vote_split(by, id, weights).ok()
                });
                votes.into_iter().flatten().next().map(|_| ())
            }
            Move::Cancel => {
                let proposal = self.ids[0];
                chain
                    .guard(STEWARD, &Guard::Cancel { proposal })
                    .ok()
                    .map(|_| ())
            }
            Move::Block => {
                chain.block();
                Some(())
            }
        }
    }
    fn statuses(&self, world: &World) -> [Status; 2] {
        self.ids.map(|id| world.chain.status(id))
    }
}

/// The rule of the track, in the plainest arithmetic.
const fn should_pass(tally: Tally) -> bool {
    let Tally {
        yes,
        no,
        abstain,
        veto,
        eligible,
    } = tally;
    (yes + abstain) * 100 >= 20 * eligible
        && yes * 1_000_000 >= 500_001 * (yes + no + veto)
        && yes > 0
        && 3 * veto <= yes + veto
}

impl Model for Lifecycle {
    type State = World;
    type Action = Move;
    fn init_states(&self) -> Vec<World> {
        vec![self.start.clone()]
    }
    fn actions(&self, world: &World, actions: &mut Vec<Move>) {
        actions.extend([Move::Block, Move::Cancel]);
        if world.chain.now.get() <= FILLED_MAX {
            actions.push(Move::Fill);
        }
        let choices = [Choice::Yes, Choice::No, Choice::Veto];
        actions.extend(choices.map(|choice| Move::Vote(1, choice)));
        actions.push(Move::Vote(2, Choice::No));
    }
    fn next_state(&self, last: &World, action: Move) -> Option<World> {
        let mut next = last.clone();
        mutant::with(self.broken, || self.play(&mut next.chain, action))?;
        for (which, id) in self.ids.into_iter().enumerate() {
            let (from, to) = (last.chain.status(id), next.chain.status(id));
            let facts = &mut next.facts[which];
            facts.is_astray |= from.as_str() != to.as_str() && !is_listed(from, to);
            if matches!(from, Status::Voting { .. }) && !matches!(to, Status::Voting { .. }) {
                let tally = last.chain.proposal(id).tally;
                facts.closed = Some((next.chain.now.get(), should_pass(tally)));
            }
        }
        Some(next)
    }
    fn within_boundary(&self, world: &World) -> bool {
        world.chain.now.get() <= HEIGHT_MAX
    }
    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::<Self>::always("only listed edges", |_, world| {
                !world.facts.iter().any(|facts| facts.is_astray)
            }),
            Property::<Self>::always("nothing runs early or without passing", |model, world| {
                let statuses = model.statuses(world).into_iter();
                statuses
                    .zip(world.facts)
                    .all(|(status, facts)| match status {
                        Status::Executed { at } => facts.closed.is_some_and(|(closed, passes)| {
                            passes && at.get() >= closed + TIMELOCK_DAYS
                        }),
                        _ => true,
                    })
            }),
            Property::<Self>::always("one run stops once", |model, world| {
                let statuses = model.statuses(world);
                !statuses
                    .iter()
                    .all(|status| matches!(status, Status::Executed { .. }))
            }),
            Property::<Self>::always("tokens are conserved", |model, world| {
                world.chain.supply() == model.supply
            }),
            Property::<Self>::always("no deposit outlives its vote", |model, world| {
                model.ids.iter().all(|id| {
                    let proposal = world.chain.proposal(*id);
                    let is_held = proposal.deposited.get() > 0;
                    !is_held
                        || matches!(
                            proposal.status,
                            Status::Deposit { .. } | Status::Voting { .. }
                        )
                })
            }),
        ];
        properties.extend(reached());
        properties
    }
}

/// What must be possible, or the properties above would say little.
fn reached() -> Vec<Property<Lifecycle>> {
    macro_rules! reaches {
        ($($name:literal => $status:pat),+ $(,)?) => {
            vec![$(Property::<Lifecycle>::sometimes($name, |model, world| {
                model.statuses(world).iter().any(|status| matches!(status, $status))
            }),)+]
        };
    }
    reaches! {
        "a deposit expires" => Status::DepositExpired,
        "a vote rejects" => Status::Rejected,
        "a vote is vetoed" => Status::Vetoed,
        "a proposal waits" => Status::Timelocked { .. },
        "a proposal runs" => Status::Executed { .. },
        "a proposal fails" => Status::Failed { .. },
        "a proposal is cancelled" => Status::Cancelled { .. },
    }
}

/// Passing is followed by its timelock in the same block, so it is not seen between blocks.
fn is_listed(from: Status, to: Status) -> bool {
    let listed: &[&str] = match from.as_str() {
        "deposit" => &["voting", "deposit-expired", "cancelled"],
        "voting" => &["rejected", "vetoed", "timelocked", "cancelled"],
        "timelocked" => &["executed", "failed", "expired", "cancelled"],
        _ => &[],
    };
    listed.contains(&to.as_str())
}

#[test]
fn every_order_of_deposits_votes_cancellations_and_blocks_keeps_the_lifecycle() {
    let checker = Lifecycle::new(None).checker().spawn_bfs().join();
    eprintln!("{} states", checker.unique_state_count());
    checker.assert_properties();
}

#[test]
fn the_model_notices_a_broken_timelock_and_a_vanished_deposit() {
    for (rule, property) in [
        (
            "timelocks are skipped",
            "nothing runs early or without passing",
        ),
        ("an expired deposit vanishes", "tokens are conserved"),
    ] {
        let checker = Lifecycle::new(Some(rule)).checker().spawn_bfs().join();
        assert!(
            checker.discovery(property).is_some(),
            "{rule:?} went unnoticed"
        );
    }
}
