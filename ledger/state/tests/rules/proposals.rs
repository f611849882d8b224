//! Proposals: opened, voted, closed, enacted; the parameter holds from the height named.

use crate::support::{Chain, Setup, accepting, registration, rejecting};
use governance::{
    Tally,
    parameters::Name,
    proposal::{self, Status},
};
use ledger_state::{Event, proposal::Stored, run};
use protocol::{
    Height, ProposalId, SigningKey,
    codec::Text,
    transaction::{Action, Body, Choice},
    verdict::Check,
};

fn action(value: u64, enact_at: Height) -> Action {
    Action::ChangeParameter {
        parameter: Text::new("miner-bond-min").unwrap(),
        value,
        enact_at,
    }
}

/// Opens a vote by holder 0 on the least bond, in force as early as may be.
fn propose(chain: &mut Chain, value: u64) -> (ProposalId, Height) {
    let at = chain.height().next();
    let enact_at = at.saturating_add(6 + 3);
    let (title, action) = (Text::new("bonds").unwrap(), action(value, enact_at));
    let proposer = chain.holder(0);
    let id = proposal::id(proposer.address(), &title, &action, at);
    let events = chain.block(vec![(proposer, Body::Propose { title, action })]);
    assert_eq!(events, [Event::ProposalOpened { id }]);
    (id, enact_at)
}

fn vote(chain: &mut Chain, id: ProposalId, holder: usize, choice: Choice) {
    let proposal = id;
    let body = Body::Vote { proposal, choice };
    chain.block(vec![(chain.holder(holder), body)]);
}

fn stored(chain: &Chain, id: ProposalId) -> governance::Proposal {
    chain.view().get::<Stored>(&id).unwrap().0
}

fn bond_min(chain: &Chain) -> u64 {
    run::parameters(&chain.view()).get(Name::MinerBondMin)
}

#[test]
fn a_passed_proposal_is_in_force_from_the_height_it_names() {
    let mut chain = Chain::start(&Setup::default());
    let (id, enact_at) = propose(&mut chain, 20_000);
    vote(&mut chain, id, 0, Choice::Yes);
    vote(&mut chain, id, 1, Choice::Yes);
    let Status::Voting { until } = stored(&chain, id).status else {
        panic!("voting is open");
    };
    chain.wait_for(until);
    assert_eq!(stored(&chain, id).status, Status::Voting { until });
    chain.wait(1);
    assert_eq!(stored(&chain, id).status, Status::Passed);

    chain.wait_for(enact_at.saturating_sub(2));
    chain.register_miner(0);
    assert_eq!(bond_min(&chain), 10_000);
    // The next block enacts before its transactions, so a proposer leaves this one out.
    let signed = chain.sign(vec![(
        chain.miner(1),
        registration(&chain.miner(1), 10_000),
    )]);
    assert!(ledger_state::select(&chain.state, signed.clone(), 1).is_empty());
    let block = chain.assemble(signed);
    let rejection = ledger_state::apply(&chain.state, &block).unwrap_err();
    assert_eq!(rejection.name(), "BondTooLow");
    let events = chain.block(Vec::new());
    assert_eq!(events, [Event::ProposalEnacted { id }]);
    assert_eq!(chain.height(), enact_at);
    assert_eq!(bond_min(&chain), 20_000);
    assert_eq!(stored(&chain, id).status, Status::Enacted { at: enact_at });
}

#[test]
fn a_proposal_without_support_or_with_more_no_fails() {
    for (votes, passes) in [
        (vec![], false),
        (vec![Choice::Yes], false),
        (vec![Choice::Yes, Choice::Abstain], true),
        (vec![Choice::Yes, Choice::No], false),
        (vec![Choice::Yes, Choice::Yes, Choice::No], true),
        (vec![Choice::Abstain, Choice::Abstain], false),
    ] {
        let mut chain = Chain::start(&Setup::default());
        let (id, enact_at) = propose(&mut chain, 20_000);
        for (holder, choice) in votes.iter().enumerate() {
            vote(&mut chain, id, holder, *choice);
        }
        chain.wait_for(enact_at.next());
        let closed = Event::ProposalClosed { id, passed: passes };
        assert_eq!(chain.count(|event| *event == closed), 1, "{votes:?}");
        assert_eq!(bond_min(&chain) == 20_000, passes, "{votes:?}");
    }
}

#[test]
fn a_later_vote_replaces_an_earlier_one() {
    let mut chain = Chain::start(&Setup::default());
    let (id, _) = propose(&mut chain, 20_000);
    vote(&mut chain, id, 0, Choice::Yes);
    vote(&mut chain, id, 0, Choice::No);
    vote(&mut chain, id, 1, Choice::Yes);
    let expected = Tally {
        yes: 100_000,
        no: 100_000,
        abstain: 0,
        eligible: 400_000,
    };
    assert_eq!(stored(&chain, id).tally, expected);
}

/// A holder votes with what it holds when voting ends, however much it held before.
#[test]
fn votes_weigh_by_the_stake_at_the_end_of_voting() {
    let setup = Setup {
        parameters: vec![(Name::AuditFaultPenalty, 90_000)],
        ..Setup::default()
    };
    let (mut chain, unit) = Chain::audited(&setup);
    let first = chain.seats(unit)[0].address();
    let fined = (0..4)
        .find(|index| chain.operator(*index).address() == first)
        .unwrap();
    let other = (fined + 1) % 4;
    let wrong = || rejecting(Check::Loss, 1);
    chain.judge(unit, |_| Some(wrong()));
    chain.seated(unit, 1);
    let answer = |_: &SigningKey| Some(accepting());
    chain.bind(unit, answer);

    let (id, enact_at) = propose(&mut chain, 20_000);
    vote(&mut chain, id, fined, Choice::Yes);
    vote(&mut chain, id, other, Choice::Abstain);
    let before = stored(&chain, id).tally;
    assert_eq!((before.yes, before.eligible), (100_000, 400_000));
    chain.reveal(unit, answer);
    chain.wait_for(enact_at);
    let after = stored(&chain, id).tally;
    assert_eq!(
        (after.yes, after.abstain, after.eligible),
        (10_000, 100_000, 310_000)
    );
    assert_eq!(bond_min(&chain), 20_000, "110 000 of 310 000 support it");
}

#[test]
fn a_longer_timelock_delays_enactment_and_nothing_else_remains_due() {
    let mut chain = Chain::start(&Setup::default());
    let at = chain.height().next();
    let enact_at = at.saturating_add(30);
    let (title, action) = (Text::new("later").unwrap(), action(12_345, enact_at));
    let id = proposal::id(chain.holder(2).address(), &title, &action, at);
    chain.block(vec![(chain.holder(2), Body::Propose { title, action })]);
    for holder in 0..3 {
        vote(&mut chain, id, holder, Choice::Yes);
    }
    chain.wait_for(enact_at.saturating_sub(1));
    assert_eq!(bond_min(&chain), 10_000);
    chain.wait(1);
    assert_eq!(bond_min(&chain), 12_345);
    let due = chain.view().scan::<ledger_state::proposal::Due>(&());
    assert!(due.is_empty());
}
