//! The first round where auditors draw themselves: stages, grace, seats, and the fallback.

use crate::support::{Chain, RUN, Setup, accepting, rejecting};
use governance::parameters::Name;
use ledger_state::{
    Event,
    opening::may_reveal,
    unit::{Audit, AuditFault, Opinion, Tier},
    verdict::sortition::may_volunteer,
};
use protocol::{
    SigningKey,
    sample::sortition_input,
    task::{UnitId, UnitKind},
    transaction::Body,
    verdict::{Check, Verdict},
    vrf::Proof,
};

/// Stages of three blocks, a grace of two.
pub(crate) fn setup() -> Setup {
    Setup {
        parameters: vec![
            (Name::SortitionStages, 3),
            (Name::SortitionSeats, 1_000_000),
            (Name::SortitionNewcomerSeats, 1_000_000),
            (Name::SortitionStageBlocks, 3),
            (Name::SortitionGraceBlocks, 2),
        ],
        ..Setup::default()
    }
}

/// What shows that a key drew itself.
pub(crate) fn proof(chain: &Chain, id: UnitId, key: &SigningKey) -> Proof {
    let sortition = round(chain, id).sortition.unwrap();
    let input = sortition_input(&sortition.beacon, id);
    key.vrf().prove(&input).1
}

/// The same commitment as that of a drawn auditor, with a proof.
pub(crate) fn bind(chain: &Chain, id: UnitId, key: &SigningKey, verdict: Verdict) -> Body {
    let (bind, _) = chain.audit_bodies(key, id, verdict);
    let Body::AuditCommit {
        unit, commitment, ..
    } = bind
    else {
        panic!("it is a commitment");
    };
    Body::AuditCommit {
        unit,
        sortition: Some(proof(chain, id, key)),
        commitment,
    }
}

fn round(chain: &Chain, id: UnitId) -> Audit {
    chain.unit(id).audits[0].clone()
}

/// Validators that could commit in the next block: none once others were drawn for them.
pub(crate) fn eligible(chain: &Chain, id: UnitId) -> Vec<SigningKey> {
    let unit = chain.unit(id);
    let Some(sortition) = unit.audits[0].sortition else {
        return Vec::new();
    };
    let input = sortition_input(&sortition.beacon, id);
    let keys = (0..chain.validators.len()).map(|index| chain.operator(index));
    let eligible = keys.filter(|key| {
        let (output, _) = key.vrf().prove(&input);
        let drawn = (key.address(), &output);
        may_volunteer(&chain.view(), &unit, drawn, chain.height().next())
    });
    eligible.collect()
}

fn drawn() -> (Chain, UnitId) {
    Chain::audited(&setup())
}

/// One that may commit, as soon as there is one.
fn first_eligible(chain: &mut Chain, id: UnitId) -> SigningKey {
    chain.wait_until("an eligible auditor", |chain| {
        !eligible(chain, id).is_empty()
    });
    eligible(chain, id)[0].clone()
}

#[test]
fn nobody_sits_until_somebody_shows_that_it_drew_itself() {
    let (mut chain, id) = drawn();
    assert!(round(&chain, id).seats.is_empty());
    let opened = Event::AuditOpened { unit: id };
    assert_eq!(chain.count(|event| *event == opened), 1);
    let key = first_eligible(&mut chain, id);
    let body = bind(&chain, id, &key, accepting());
    let events = chain.block(vec![(key.clone(), body)]);
    let auditor = key.address();
    assert_eq!(events, [Event::AuditorSeated { unit: id, auditor }]);
    let committed_at = chain.height();
    assert_eq!(round(&chain, id).commit_by, committed_at.saturating_add(2));
    assert_eq!(round(&chain, id).reveal_by, committed_at.saturating_add(10));

    // Others may still commit, so nobody opens.
    let (_, open) = chain.audit_bodies(&key, id, accepting());
    assert_eq!(
        chain.reject(key.clone(), open.clone()).name(),
        "RevealEarly"
    );
    chain.wait(3);
    chain.block(vec![(key, open)]);
    assert!(chain.is_accepted(id));
}

#[test]
fn with_every_stage_more_auditors_may_come_and_none_drops_out() {
    let mut setup = setup();
    setup.stakes = vec![100_000; 24];
    setup.parameters.push((Name::SortitionStages, 12));
    let (mut chain, id) = Chain::audited(&setup);
    let mut counts = Vec::new();
    let mut before: Vec<SigningKey> = Vec::new();
    for _ in 0..12 {
        let now = eligible(&chain, id);
        let addresses: Vec<_> = now.iter().map(SigningKey::address).collect();
        assert!(before.iter().all(|key| addresses.contains(&key.address())));
        counts.push(now.len());
        before = now;
        chain.wait(3);
    }
    assert!(counts.is_sorted() && counts[11] > counts[0], "{counts:?}");
    assert!(counts[11] < 24, "twelve in all are expected: {counts:?}");
}

/// Over many units, about one auditor draws itself in the first stage.
#[test]
fn one_auditor_is_expected_in_the_first_stage() {
    let mut setup = setup();
    setup.stakes = vec![100_000, 300_000, 50_000, 550_000];
    setup.recipe.pretrain.units_count = 60;
    let mut chain = Chain::working(&setup);
    let ids = chain.units_of(UnitKind::Gradient);
    chain.commit(&ids);
    chain.attest_by_all(&ids);
    let mut counts = [0; 4];
    chain.draw(&ids);
    for id in &ids {
        let sortition = chain.unit(*id).audits[0].sortition;
        assert_eq!(
            sortition.unwrap().since,
            chain.height(),
            "the first stage begins"
        );
        for key in eligible(&chain, *id) {
            let index = (0..4).find(|i| chain.operator(*i).address() == key.address());
            counts[index.unwrap()] += 1;
        }
    }
    let total: usize = counts.iter().sum();
    assert!((35..90).contains(&total), "{counts:?}");
    assert!(
        counts[2] < counts[1] && counts[1] < counts[3],
        "by stake: {counts:?}"
    );
}

#[test]
fn those_of_the_first_commitments_stage_may_follow_within_the_grace() {
    let mut setup = setup();
    setup
        .parameters
        .push((Name::SortitionNewcomerSeats, 64_000_000));
    setup.stakes = vec![100_000; 6];
    let (mut chain, id) = Chain::audited(&setup);
    let keys: Vec<SigningKey> = (0..6).map(|index| chain.operator(index)).collect();
    let commit = |chain: &mut Chain, index: usize, verdict: Verdict| {
        let body = bind(chain, id, &keys[index], verdict);
        chain.block(vec![(keys[index].clone(), body)]);
    };
    commit(&mut chain, 0, accepting());
    for index in 1..3 {
        commit(&mut chain, index, accepting());
    }
    let late = bind(&chain, id, &keys[3], accepting());
    assert_eq!(
        chain.reject(keys[3].clone(), late).name(),
        "AuditCommitLate"
    );
    chain.wait(1);
    let opens = keys[..3].iter().map(|key| {
        let (_, open) = chain.audit_bodies(key, id, accepting());
        (key.clone(), open)
    });
    chain.block(opens.collect());
    assert!(chain.is_accepted(id));
}

#[test]
fn four_seats_are_enough_and_open_the_round_at_once() {
    let mut setup = setup();
    setup
        .parameters
        .push((Name::SortitionNewcomerSeats, 64_000_000));
    setup.stakes = vec![100_000; 6];
    let (mut chain, id) = Chain::audited(&setup);
    let keys: Vec<SigningKey> = (0..5).map(|index| chain.operator(index)).collect();
    let binds = keys[..4]
        .iter()
        .map(|key| (key.clone(), bind(&chain, id, key, accepting())));
    let binds = binds.collect();
    chain.block(binds);
    let fifth = bind(&chain, id, &keys[4], accepting());
    assert_eq!(chain.reject(keys[4].clone(), fifth).name(), "SeatsTaken");
    let opens = keys[..4]
        .iter()
        .map(|key| (key.clone(), chain.audit_bodies(key, id, accepting()).1));
    let opens = opens.collect();
    chain.block(opens);
    assert!(chain.is_accepted(id));
}

/// An acceptance that another auditor of the same round proves wrong costs its auditor.
#[test]
fn one_rejection_among_several_first_auditors_makes_others_judge() {
    let mut setup = setup();
    setup
        .parameters
        .push((Name::SortitionNewcomerSeats, 64_000_000));
    setup.stakes = vec![100_000; 6];
    let (mut chain, id) = Chain::audited(&setup);
    let (lazy, careful) = (chain.operator(0), chain.operator(1));
    let wrong = || rejecting(Check::Loss, 3);
    let said = [(&lazy, accepting()), (&careful, wrong())];
    let binds = said
        .clone()
        .map(|(key, verdict)| (key.clone(), bind(&chain, id, key, verdict)));
    chain.block(binds.to_vec());
    chain.wait(3);
    let opens = said.map(|(key, verdict)| (key.clone(), chain.audit_bodies(key, id, verdict).1));
    chain.block(opens.to_vec());
    chain.seated(id, 1);
    assert_eq!(chain.unit(id).audits[1].tier, Tier::Three);
    chain.judge(id, |_| Some(wrong()));
    chain.wait_until("the slash", |chain| chain.outcome(id).is_some());
    let fine = Event::AuditorFined {
        auditor: lazy.address(),
        unit: id,
        fault: AuditFault::Overturned,
        burned: protocol::Amount::new(1_000),
    };
    assert_eq!(chain.count(|event| *event == fine), 1);
}

#[test]
fn when_nobody_comes_three_are_drawn_publicly() {
    let (mut chain, id) = drawn();
    let last = round(&chain, id).commit_by;
    assert_eq!(
        last,
        round(&chain, id).sortition.unwrap().since.saturating_add(9)
    );
    chain.wait_for(last);
    assert!(round(&chain, id).seats.is_empty());
    chain.wait(1);
    let fallen = round(&chain, id);
    assert_eq!(
        (fallen.tier, fallen.sortition, fallen.seats.len()),
        (Tier::One, None, 3)
    );
    assert!(
        fallen
            .seats
            .iter()
            .all(|seat| seat.opinion == Opinion::Pending)
    );
    let uncalled = {
        let key = chain.operator(0);
        let (bind, _) = chain.audit_bodies(&key, id, accepting());
        let Body::AuditCommit {
            unit, commitment, ..
        } = bind
        else {
            panic!("it is a commitment");
        };
        let sortition = Some(key.vrf().prove(b"anything").1);
        let body = Body::AuditCommit {
            unit,
            sortition,
            commitment,
        };
        chain.reject(key, body)
    };
    assert_eq!(uncalled.name(), "SortitionUncalled");
    chain.judge(id, |_| Some(accepting()));
    assert!(chain.is_accepted(id));
}

#[test]
fn an_auditor_that_drew_itself_and_never_opens_is_silent() {
    let (mut chain, id) = drawn();
    let key = first_eligible(&mut chain, id);
    let body = bind(&chain, id, &key, accepting());
    chain.block(vec![(key.clone(), body)]);
    chain.seated(id, 1);
    let fine = Event::AuditorFined {
        auditor: key.address(),
        unit: id,
        fault: AuditFault::Silent,
        burned: protocol::Amount::new(100),
    };
    assert_eq!(chain.count(|event| *event == fine), 1);
    assert!(
        chain
            .seats(id)
            .iter()
            .all(|other| other.address() != key.address())
    );
}

/// A step closes whether or not anybody audits by itself.
#[test]
fn a_step_goes_on_with_auditors_that_draw_themselves() {
    let mut chain = Chain::working(&setup());
    let ids = chain.commit_all();
    chain.attest_by_all(&ids);
    chain.draw(&ids);
    for _ in 0..20 {
        let mut content = Vec::new();
        for id in &ids {
            if chain.outcome(*id).is_some() {
                continue;
            }
            let round = round(&chain, *id);
            if round.seats.is_empty() && round.sortition.is_some() {
                let first = eligible(&chain, *id).into_iter().next();
                content.extend(first.map(|key| {
                    let body = bind(&chain, *id, &key, accepting());
                    (key, body)
                }));
            } else if may_reveal(*id, &chain.unit(*id), chain.height().next()) {
                for key in chain.seats(*id) {
                    let (_, open) = chain.audit_bodies(&key, *id, accepting());
                    content.push((key, open));
                }
            }
        }
        chain.block(content);
    }
    assert!(ids.iter().all(|id| chain.is_accepted(*id)));
    assert!(chain.is_attesting(), "of run {RUN}");
}
