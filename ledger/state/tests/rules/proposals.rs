//! Proposals: opened, voted, closed, executed; the parameter holds from the height named.

use crate::support::{Chain, Setup, accepting, key, propose, registration, rejecting, set, vote};
use governance::{Tally, parameters::Name, proposal::Status};
use ledger_state::{Event, proposal, run};
use protocol::{Height, ProposalId, SigningKey, proposal::Choice, verdict::Check};

/// Opens a vote on the least bond; 7 blocks to vote, 2 until it may be executed.
fn open(chain: &mut Chain, value: u64, not_before: Height) -> ProposalId {
    propose(chain, vec![set("miner-bond-min", value)], not_before)
}

fn stored(chain: &Chain, id: ProposalId) -> governance::Proposal {
    proposal::stored(&chain.view(), id).unwrap().0
}

fn bond_min(chain: &Chain) -> u64 {
    run::parameters(&chain.view()).get(Name::MinerBondMin)
}

fn became(id: ProposalId, status: Status) -> Event {
    let what = governance::Event::StatusChanged { id, status };
    Event::Governed { what }
}

#[test]
fn a_passed_proposal_is_in_force_from_the_height_it_names() {
    let mut chain = Chain::start(&Setup::default());
    let enact_at = Height::new(13);
    let id = open(&mut chain, 20_000, enact_at);
    vote(&mut chain, id, 0, Choice::Yes);
    vote(&mut chain, id, 1, Choice::Yes);
    let until = Height::new(8);
    chain.wait_for(until);
    assert_eq!(stored(&chain, id).status, Status::Voting { until });
    chain.wait(1);
    let timelocked = Status::Timelocked { ready_at: enact_at };
    assert_eq!(stored(&chain, id).status, timelocked);

    chain.wait_for(enact_at.saturating_sub(2));
    chain.register_miner(1);
    assert_eq!(bond_min(&chain), 10_000);
    // The next block executes before its transactions, so a proposer leaves this one out.
    let signed = chain.sign(vec![(
        chain.miner(2),
        registration(&chain.miner(2), 10_000),
    )]);
    assert!(ledger_state::select(&chain.state, signed.clone(), 1).is_empty());
    let block = chain.assemble(signed);
    let rejection = ledger_state::apply(&chain.state, &block).unwrap_err();
    assert_eq!(rejection.name(), "BondTooLow");
    let events = chain.block(Vec::new());
    assert!(events.contains(&became(id, Status::Executed { at: enact_at })));
    assert_eq!(chain.height(), enact_at);
    assert_eq!(bond_min(&chain), 20_000);
}

#[test]
fn support_approval_and_veto_decide() {
    for (votes, status) in [
        (vec![], Status::Rejected),
        (
            vec![Choice::Yes],
            Status::Executed {
                at: Height::new(11),
            },
        ),
        (vec![Choice::Abstain, Choice::Abstain], Status::Rejected),
        (vec![Choice::Yes, Choice::No], Status::Rejected),
        (
            vec![Choice::Yes, Choice::Yes, Choice::No],
            Status::Executed {
                at: Height::new(11),
            },
        ),
        (vec![Choice::Yes, Choice::Veto], Status::Vetoed),
        (
            vec![Choice::Yes, Choice::Yes, Choice::Yes, Choice::Veto],
            Status::Executed {
                at: Height::new(11),
            },
        ),
    ] {
        let mut chain = Chain::start(&Setup::default());
        let id = open(&mut chain, 20_000, Height::ZERO);
        let paid = chain.balance(chain.miner(0).address());
        for (holder, choice) in votes.iter().enumerate() {
            vote(&mut chain, id, holder, *choice);
        }
        chain.wait_for(Height::new(12));
        assert_eq!(stored(&chain, id).status, status, "{votes:?}");
        let passes = matches!(status, Status::Executed { .. });
        assert_eq!(bond_min(&chain) == 20_000, passes, "{votes:?}");
        let back = chain.balance(chain.miner(0).address()) - paid;
        assert_eq!(
            back,
            if status == Status::Vetoed { 0 } else { 100 },
            "{votes:?}"
        );
    }
}

#[test]
fn a_later_vote_replaces_an_earlier_one() {
    let mut chain = Chain::start(&Setup::default());
    let id = open(&mut chain, 20_000, Height::ZERO);
    vote(&mut chain, id, 0, Choice::Yes);
    vote(&mut chain, id, 0, Choice::No);
    vote(&mut chain, id, 1, Choice::Yes);
    let expected = Tally {
        yes: 100_000,
        no: 100_000,
        eligible: 400_000,
        ..Tally::default()
    };
    assert_eq!(stored(&chain, id).tally, expected);
}

/// A fine during the vote changes neither what a holder votes with nor what is eligible; a fine
/// before it does.
#[test]
fn votes_weigh_by_the_stake_before_voting_began() {
    let setup = Setup {
        parameters: vec![(Name::AuditFaultPenalty, 90_000)],
        ..Setup::default()
    };
    let (mut chain, unit) = Chain::audited(&setup);
    let first = chain.seats(unit)[0].address();
    let fined = (0..4)
        .find(|index| chain.operator(*index).address() == first)
        .unwrap();
    let wrong = || rejecting(Check::Loss, 1);
    chain.judge(unit, |_| Some(wrong()));
    chain.seated(unit, 1);
    let answer = |_: &SigningKey| Some(accepting());
    chain.bind(unit, answer);

    let before = open(&mut chain, 20_000, Height::ZERO);
    chain.reveal(unit, answer);
    chain.wait_until("the fine", |chain| {
        chain.count(|event| matches!(event, Event::AuditorFined { .. })) > 0
    });
    vote(&mut chain, before, fined, Choice::Yes);
    let tally = stored(&chain, before).tally;
    assert_eq!((tally.yes, tally.eligible), (100_000, 400_000));

    let change = vec![set("miner-bond-min", 30_000)];
    let after = crate::support::propose_by(&mut chain, &key("miner", 1), change, Height::ZERO);
    vote(&mut chain, after, fined, Choice::Yes);
    let tally = stored(&chain, after).tally;
    assert_eq!((tally.yes, tally.eligible), (10_000, 310_000));
}

#[test]
fn a_proposal_waits_as_long_as_it_asked_to() {
    let mut chain = Chain::start(&Setup::default());
    let enact_at = Height::new(31);
    let id = open(&mut chain, 12_345, enact_at);
    for holder in 0..3 {
        vote(&mut chain, id, holder, Choice::Yes);
    }
    chain.wait_for(enact_at.saturating_sub(1));
    assert_eq!(bond_min(&chain), 10_000);
    chain.wait(1);
    assert_eq!(bond_min(&chain), 12_345);
    assert!(stored(&chain, id).status.is_final());
}
