//! A chain with a cast, and what must hold after every block.

use super::{
    actors::{self, Behaviour},
    garbage,
    random::Random,
};
use crate::support::{Chain, RUN, Setup, recipe};
use governance::{parameters::Name, proposal::Status};
use ledger_state::{
    Event, account,
    bond::Miner,
    check_transaction, select, task,
    unit::{Outcome, Stage, Tier, Unit, VoidReason},
};
use protocol::{
    Address, SigningKey, StateRoot, Step,
    task::UnitId,
    transaction::{Body, Verified},
};
use std::collections::BTreeMap;

/// The only dishonest validator; the others hold more than two thirds of stake.
pub(super) const DISHONEST: usize = 3;

/// Everything about one walk.
pub(super) struct World {
    pub(super) chain: Chain,
    pub(super) random: Random,
    /// What each miner is like.
    pub(super) behaviours: Vec<Behaviour>,
    /// Units that are over, as they were then.
    settled: BTreeMap<UnitId, Unit>,
}

/// What came of a walk.
pub(super) struct End {
    pub(super) root: StateRoot,
    /// How often each kind of event and outcome happened.
    pub(super) counts: BTreeMap<&'static str, usize>,
}

/// Everything that some walk must have met, for the others to mean anything.
pub(super) const MET: &[&str] = &[
    "accepted",
    "missed",
    "slashed",
    "void: miner slashed",
    "void: unavailable",
    "escalated",
    "opened",
    "seated",
    "drawn",
    "convicted",
    "appealed",
    "appeal lost",
    "fined",
    "idle",
    "resumed",
    "enacted",
];

fn label(event: &Event) -> Option<&'static str> {
    Some(match event {
        Event::UnitSettled { outcome, .. } => match outcome {
            Outcome::Accepted { .. } => "accepted",
            Outcome::Missed => "missed",
            Outcome::Slashed { .. } => "slashed",
            Outcome::Void { reason, .. } => match reason {
                VoidReason::MinerSlashed => "void: miner slashed",
                VoidReason::Unavailable => "void: unavailable",
                VoidReason::Lost => "void: lost",
                VoidReason::NoQuorum => "void: no quorum",
                VoidReason::Withheld => "void: withheld",
                VoidReason::Differs | VoidReason::Evidence => "void: differs",
            },
        },
        Event::AuditEscalated { .. } => "escalated",
        Event::AuditOpened { .. } => "opened",
        Event::AuditorSeated { .. } => "seated",
        Event::AuditDrawn { .. } => "drawn",
        Event::UnitConvicted { .. } => "convicted",
        Event::UnitAppealed { .. } => "appealed",
        Event::AppealEnded { is_lost: true, .. } => "appeal lost",
        Event::AuditorFined { .. } => "fined",
        Event::MinerIdle { .. } => "idle",
        Event::MinerResumed { .. } => "resumed",
        Event::Governed {
            what:
                governance::Event::StatusChanged {
                    status: Status::Executed { .. },
                    ..
                },
        } => "enacted",
        _ => return None,
    })
}

/// Windows leave room for hiccups; the run is longer than a walk. In every other walk auditors
/// draw themselves.
fn setup(seed: u64) -> Setup {
    let mut recipe = recipe();
    recipe.pretrain.steps_count = 2;
    recipe.pretrain.units_count = 6;
    recipe.reinforce.steps_count = 100;
    recipe.reinforce.rollout_units_count = 10;
    recipe.reinforce.gradient_units_count = 4;
    recipe.schedule.deadline_blocks = 10;
    recipe.schedule.availability_blocks = 8;
    Setup {
        stakes: vec![100_000, 100_000, 100_000, 90_000],
        miners_count: 8,
        recipe,
        parameters: vec![
            (Name::AuditRate, 400_000),
            (Name::NewcomerUnits, 3),
            (Name::AuditCommitBlocks, 10),
            (Name::AuditRevealBlocks, 10),
            (Name::AppealBlocks, 6),
            // Honest miners miss a block in ten.
            (Name::OpeningBlocks, 9),
            (Name::SortitionStages, 3 * (seed % 2)),
            (Name::SortitionStageBlocks, 3),
            (Name::SortitionSeats, 1_000_000),
            (Name::SortitionNewcomerSeats, 1_000_000),
            (Name::SortitionGraceBlocks, 2),
        ],
        ..Setup::default()
    }
}

impl World {
    /// A walk at its beginning.
    pub(super) fn new(seed: u64) -> Self {
        let behaviours = vec![
            Behaviour::Honest,
            Behaviour::Liar,
            Behaviour::Honest,
            Behaviour::Liar,
            Behaviour::Honest,
            Behaviour::Absent,
            Behaviour::Withholder,
            Behaviour::Honest,
        ];
        // Another seed, another genesis, other beacons.
        let mut setup = setup(seed);
        setup.balance += seed % 1_000;
        Self {
            chain: Chain::start(&setup),
            random: Random::new(seed),
            behaviours,
            settled: BTreeMap::new(),
        }
    }

    /// Builds a block from what everybody wants, applies it, and checks.
    pub(super) fn advance(&mut self) {
        let mut wishes = actors::wishes(self);
        wishes.extend(garbage::wishes(self));
        let mut wishes = self.chain.looked(&wishes.clone(), wishes);
        self.random.shuffle(&mut wishes);
        let offered = self.offer(wishes);
        let chosen = select(&self.chain.state, offered, 200);
        let late = self.random.chance(10);
        let round = if late { 1 + self.random.below(3) } else { 0 };
        let events = self.chain.extend_in(u32::try_from(round).unwrap(), chosen);
        for event in &events {
            self.check_event(event);
        }
        self.check_units();
    }

    /// Signs wishes in order; those that the mempool refuses do not use up a number.
    fn offer(&self, wishes: Vec<(SigningKey, Body)>) -> Vec<Verified> {
        let mut view = self.chain.view();
        let sign = |(key, body): (SigningKey, Body)| {
            let nonce = account::account(&view, key.address()).nonce;
            let signed = self.chain.sign_numbered(&key, nonce, body);
            let _accepted = check_transaction(&mut view, &signed).is_ok();
            signed
        };
        wishes.into_iter().map(sign).collect()
    }

    fn check_event(&mut self, event: &Event) {
        match event {
            Event::UnitSettled {
                unit,
                miner,
                outcome,
            } => self.check_settlement(*unit, *miner, *outcome),
            Event::MinerSlashed { miner, unit, .. } => {
                assert_eq!(self.behaviour(*miner), Behaviour::Liar, "{unit}");
                assert!(actors::is_lie(*unit, Behaviour::Liar));
            }
            Event::AuditorFined { auditor, .. } => {
                let dishonest = self.chain.operator(DISHONEST).address();
                assert_eq!(*auditor, dishonest, "an honest auditor was fined");
            }
            _ => {}
        }
    }

    fn check_settlement(&mut self, id: UnitId, miner: Address, outcome: Outcome) {
        let unit = self.chain.unit(id);
        assert_eq!(unit.outcome(), Some(outcome), "{id}");
        let behaviour = self.behaviour(miner);
        let is_accepted = matches!(outcome, Outcome::Accepted { .. });
        if behaviour == Behaviour::Honest {
            assert!(is_accepted, "{outcome:?} for unit {id} of an honest miner");
        }
        if is_accepted && actors::is_lie(id, behaviour) {
            let dishonest = self.chain.operator(DISHONEST).address();
            let first = unit.audits.iter().flat_map(|audit| &audit.seats);
            assert!(
                first
                    .map(|seat| seat.auditor)
                    .all(|auditor| auditor == dishonest),
                "{id}"
            );
            assert!(unit.audits.len() < 2, "{id} was judged by others");
        }
        if let Outcome::Slashed { .. } = outcome {
            let last = unit.audits.last().map(|audit| audit.tier);
            let by_everyone = matches!(last, Some(Tier::Everyone { .. }));
            assert!(unit.conviction.is_some() || by_everyone, "{id}");
        }
        let before = self.settled.insert(id, unit);
        assert_eq!(before, None, "unit {id} settled twice");
    }

    /// Units of the current step are over exactly when their settlement was announced.
    fn check_units(&self) {
        for (id, unit) in self.chain.units() {
            let is_over = matches!(unit.stage, Stage::Settled { .. });
            assert_eq!(self.settled.get(&id), is_over.then_some(&unit), "{id}");
        }
    }

    /// What a miner is like; others that registered by chance hardly work.
    pub(super) fn behaviour(&self, miner: Address) -> Behaviour {
        let mut cast = self.chain.miners.iter().zip(&self.behaviours);
        let found = cast.find(|(key, _)| key.address() == miner);
        found.map_or(Behaviour::Absent, |(_, behaviour)| *behaviour)
    }

    /// Checks what holds at the end.
    pub(super) fn finish(self) -> End {
        let view = self.chain.view();
        let current = self.chain.run().step;
        assert!(current >= Step::new(3), "only {current} steps in all");
        for step in 0..current.get() {
            for (id, unit) in task::units(&view, RUN, Step::new(step)) {
                assert_eq!(self.settled.get(&id), Some(&unit), "{id}");
            }
        }
        let settled = self.settled.values();
        let total = settled.filter(|unit| unit.miner == self.chain.miners[0].address());
        let record: Miner = view.get(&self.chain.miners[0].address()).unwrap();
        assert_eq!(record.units.accepted, total.count() as u64);
        let mut counts = BTreeMap::new();
        for label in self.chain.log.iter().filter_map(|(_, event)| label(event)) {
            *counts.entry(label).or_insert(0) += 1;
        }
        let root = self.chain.state.root();
        End { root, counts }
    }
}
