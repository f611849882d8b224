//! The hand-over: gates that open and close on any day, and anybody who asks for the next stage on
//! any day.

use crate::{
    Stage, mutant, stage,
    stage::{Handover, StewardPower},
    store::Records as _,
    tests::chain::{Chain, Start, account},
    world::{Operator, Planted},
};
use protocol::{Height, Micro};
use stateright::{Checker, Model, Property};
use std::{
    fmt,
    hash::{Hash, Hasher},
};

/// Before the first day of the model, no guardian has paused anything for long.
const FIRST_DAY: u64 = 400;
const DAYS_COUNT: u64 = 96;
/// Times at which the gate may open or close.
const TURNS_COUNT_MAX: u8 = 2;

#[derive(Clone)]
struct World {
    chain: Chain,
    /// Days at whose beginning all gates held, without one between.
    open_days: u64,
    turns_count: u8,
    /// Open days when the stage was entered.
    entered: Option<u64>,
}

impl World {
    const fn key(&self) -> (Height, u64, u8, Option<u64>) {
        (
            self.chain.now,
            self.open_days,
            self.turns_count,
            self.entered,
        )
    }
}

impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
        self.chain.world.hash(state);
    }
}

impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key() && self.chain.world == other.chain.world
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.key())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Move {
    Day,
    /// A sixteenth holder comes or goes.
    Turn,
    Advance,
}

struct Hand {
    start: World,
    broken: Option<&'static str>,
}

fn operators(count: u8) -> Vec<Operator> {
    let operator = |number| Operator {
        operator: account(100 + number),
        holder: account(number),
        power: 10,
    };
    (1..=count).map(operator).collect()
}

fn is_open(world: &World) -> bool {
    world.chain.world.operators.len() == 16
}

impl Hand {
    fn new(broken: Option<&'static str>) -> Self {
        let mut chain = Chain::start(&Start {
            day_blocks: 1,
            stage: Stage::Steward,
            treasury: 100,
            stakes: vec![1_000; 16],
            ..Start::default()
        });
        chain.now = Height::new(FIRST_DAY);
        chain.world.operators = operators(15);
        chain.world.planted = Some(Planted {
            planted: 1_000,
            found: 980,
        });
        let handover = Handover {
            supports: vec![Micro::new(200_000); 5],
            ..chain.handover()
        };
        chain.world.put(&(), &handover);
        Self {
            start: World {
                chain,
                open_days: 0,
                turns_count: 0,
                entered: None,
            },
            broken,
        }
    }
}

impl Model for Hand {
    type State = World;
    type Action = Move;
    fn init_states(&self) -> Vec<World> {
        vec![self.start.clone()]
    }
    fn actions(&self, world: &World, actions: &mut Vec<Move>) {
        actions.extend([Move::Day, Move::Advance]);
        if world.turns_count < TURNS_COUNT_MAX {
            actions.push(Move::Turn);
        }
    }
    fn next_state(&self, last: &World, action: Move) -> Option<World> {
        let mut next = last.clone();
        mutant::with(self.broken, || match action {
            Move::Day => {
                next.chain.block();
                next.open_days = if is_open(&next) {
                    next.open_days + 1
                } else {
                    0
                };
                Some(())
            }
            Move::Turn => {
                next.turns_count += 1;
                next.chain.world.operators = operators(if is_open(last) { 15 } else { 16 });
                Some(())
            }
            Move::Advance => {
                next.chain.advance_stage().ok()?;
                next.entered = Some(next.open_days);
                Some(())
            }
        })?;
        Some(next)
    }
    fn within_boundary(&self, world: &World) -> bool {
        world.chain.now.get() <= FIRST_DAY + DAYS_COUNT
    }
    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::<Self>::always("entered after ninety open days", |_, world| {
                world.entered.is_none_or(|days| days >= 90)
            }),
            Property::<Self>::always("a stage is entered or kept, never left", |_, world| {
                let expected = match world.entered {
                    Some(_) => Stage::Shared,
                    None => Stage::Steward,
                };
                world.chain.handover().stage == expected
            }),
            Property::<Self>::always("decrees end with the first stage", |_, world| {
                let (store, now) = (&world.chain.world, world.chain.now);
                stage::decrees_bind(store, now) == world.entered.is_none()
            }),
            Property::<Self>::always("the steward has the powers of its date", |_, world| {
                let (store, now) = (&world.chain.world, world.chain.now);
                stage::steward_power(store, now) == StewardPower::Full
            }),
            Property::<Self>::sometimes("the next stage begins", |_, world| {
                world.entered.is_some()
            }),
            Property::<Self>::sometimes("a gate closes in the middle", |_, world| {
                world.turns_count == TURNS_COUNT_MAX && world.open_days == 0
            }),
        ]
    }
}

#[test]
fn every_history_of_gates_enters_a_stage_only_after_ninety_open_days() {
    let checker = Hand::new(None).checker().spawn_bfs().join();
    eprintln!("{} states", checker.unique_state_count());
    checker.assert_properties();
}

#[test]
fn the_model_notices_gates_that_need_not_have_held() {
    let checker = Hand::new(Some("gates need not have held"))
        .checker()
        .spawn_bfs()
        .join();
    assert!(
        checker
            .discovery("entered after ninety open days")
            .is_some()
    );
}
