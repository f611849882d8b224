//! What governance lets accounts, contributors and operators do, as transactions of blocks: every
//! kind is met here at least once where it succeeds.

use crate::support::{Chain, Setup, key, payload, propose, set, vote};
use governance::{
    proposal::{Proposal, Status},
    settings, stage,
    store::Records,
    upgrade,
};
use ledger_state::{
    proposal,
    run::{Plants, RECENT_PLANTS_COUNT},
};
use protocol::{
    Amount, BlobId, Height, Micro, ProposalId, SigningKey,
    codec::{BoundedVec, Text},
    genesis,
    proposal::{Action, Artifact, Choice},
    transaction::Body,
};

fn stored(chain: &Chain, id: ProposalId) -> Proposal {
    proposal::stored(&chain.view(), id).unwrap().0
}

fn deposit(proposal: ProposalId, amount: u64) -> Body {
    let amount = Amount::new(amount);
    Body::Deposit { proposal, amount }
}

#[test]
fn deposits_of_several_open_the_vote_and_come_back() {
    let mut chain = Chain::start(&Setup::default());
    let by = chain.miner(0);
    let payload = payload(vec![set("miner-bond-min", 20_000)]);
    let id = payload.id(by.address(), chain.height().next());
    let first = Amount::new(40);
    let body = Body::Propose {
        payload,
        deposit: first,
    };
    chain.block(vec![(by, body)]);
    assert!(matches!(stored(&chain, id).status, Status::Deposit { .. }));

    let (one, other) = (chain.miner(1), chain.miner(2));
    chain.block(vec![(one.clone(), deposit(id, 25))]);
    assert!(matches!(stored(&chain, id).status, Status::Deposit { .. }));
    chain.block(vec![(other.clone(), deposit(id, 500))]);
    assert!(matches!(stored(&chain, id).status, Status::Voting { .. }));
    // No more than was missing is taken.
    assert_eq!(chain.balance(one.address()), 50_000 - 25);
    assert_eq!(chain.balance(other.address()), 50_000 - 35);
    chain.wait(20);
    assert_eq!(stored(&chain, id).status, Status::Rejected);
    for depositor in [one, other] {
        assert_eq!(chain.balance(depositor.address()), 50_000);
    }
}

#[test]
fn contributors_put_an_execution_off() {
    let mut chain = Chain::start(&Setup {
        miners_count: 20,
        ..Setup::default()
    });
    let contributors: Vec<SigningKey> = (0..20).map(|index| chain.miner(index)).collect();
    chain.change(|view| {
        for contributor in &contributors {
            governance::house::record(view, contributor.address(), 100, Height::new(1));
        }
    });
    let id = propose(
        &mut chain,
        vec![set("miner-bond-min", 20_000)],
        Height::ZERO,
    );
    vote(&mut chain, id, 0, Choice::Yes);
    vote(&mut chain, id, 1, Choice::Yes);
    let object = || Body::Object { proposal: id };
    // A twentieth of all work each: six are less than a third, and seven are more.
    let six = contributors[..6].iter().map(|key| (key.clone(), object()));
    chain.block(six.collect());
    assert!(!stored(&chain, id).was_delayed);
    chain.block(vec![(contributors[6].clone(), object())]);
    assert!(stored(&chain, id).was_delayed);
    let late = chain.reject(contributors[7].clone(), object());
    assert_eq!(late.name(), "ObjectionClosed");
}

#[test]
fn operators_signal_that_they_are_ready_for_an_upgrade() {
    let mut chain = Chain::start(&Setup::default());
    let artifact = Artifact {
        target: Text::new("x86_64-linux").unwrap(),
        hash: BlobId::of(b"program"),
    };
    let at = Height::new(60);
    let upgrade = Action::Upgrade {
        version: 1,
        artifacts: BoundedVec::new(vec![artifact]).unwrap(),
        height: at,
    };
    let id = propose(&mut chain, vec![upgrade], Height::ZERO);
    for holder in 0..4 {
        vote(&mut chain, id, holder, Choice::Yes);
    }
    let is_planned = |chain: &Chain| upgrade::versions(&chain.view()).plan.is_some();
    chain.wait_until("a plan", is_planned);
    let ready = Body::SignalReadiness { version: 1 };
    let early = chain.reject(chain.operator(0), ready.clone());
    assert_eq!(early.name(), "ReadinessEarly");
    chain.wait_for(at.saturating_sub(7));
    let all = (0..3).map(|index| (chain.operator(index), ready.clone()));
    let all = all.collect();
    chain.block(all);
    let plan = upgrade::versions(&chain.view()).plan.unwrap();
    assert_eq!(upgrade::readiness(&chain.view(), &plan), (300_000, 400_000));
    let twice = chain.reject(chain.operator(0), ready);
    assert_eq!(twice.name(), "SignalledBefore");
    let last = Body::SignalReadiness { version: 1 };
    chain.block(vec![(chain.operator(3), last)]);
    chain.wait_for(at);
    assert_eq!(upgrade::version_at(&chain.view(), at.next()), 1);
}

#[test]
fn anyone_advances_the_stage_once_its_gates_have_held() {
    let setup = Setup {
        stakes: vec![100_000; 16],
        governance: genesis::Governance {
            stage: 0,
            ..Setup::default().governance
        },
        ..Setup::default()
    };
    let mut chain = Chain::start(&setup);
    // What sixteen hundred audits and five votes would leave.
    chain.change(|view| {
        let mut handover = stage::handover(view);
        handover.supports = vec![Micro::new(200_000); 5];
        Records::put(view, &(), &handover);
        let mut plants = Plants::default();
        (0..RECENT_PLANTS_COUNT).for_each(|_| plants.judge(true));
        view.put(&(), &plants);
    });
    let steward = settings::settings(&chain.view()).steward;
    assert_eq!(steward, Some(key("steward", 0).address()));
    let young = chain.reject(chain.miner(0), Body::AdvanceStage);
    assert!(
        ["GatesTooYoung", "GateClosed"].contains(&young.name()),
        "{young}"
    );
    chain.wait_until("gates that held", |chain| {
        let handover = stage::handover(&chain.view());
        let held = handover.held_since.map(|since| since.saturating_add(90));
        held.is_some_and(|until| chain.height().next() >= until)
    });
    let by = chain.miner(0);
    chain.block(vec![(by.clone(), Body::AdvanceStage)]);
    assert_eq!(
        stage::handover(&chain.view()).stage,
        governance::Stage::Shared
    );
    let closed = chain.reject(by, Body::AdvanceStage);
    assert_eq!(closed.name(), "GateClosed");
}
