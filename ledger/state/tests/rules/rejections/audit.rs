//! Verdicts that are nobody's, too early, too late or not the bound ones.

use super::Row;
use crate::audits::sortition::{bind, eligible, setup as sortition_setup};
use crate::audits::verifiers::registration as verifier_body;
use crate::support::{Chain, Setup, accepting, key, rejecting};
use crate::{contests, disputes};
use ledger_state::Rejection;
use protocol::{
    SigningKey,
    task::{UnitId, UnitKind},
    transaction::Body,
    verdict::{Check, Verdict},
};

pub(super) const ROWS: &[Row] = &[
    ("NotDisputed", disputes::undisputed),
    ("MoveNotYours", disputes::out_of_turn),
    ("MoveLate", disputes::late),
    ("MoveRefused", disputes::refused),
    ("NotOutvoted", contests::by_one_that_accepted),
    ("ContestedBefore", contests::twice),
    ("AppealLate", contests::late),
    ("BalanceTooLow", contests::unpaid),
    ("NoAudit", contests::bound_meanwhile),
    ("UnitUnknown", bound_about_no_unit),
    ("NoAudit", bound_before_the_draw),
    ("NoAudit", bound_after_acceptance),
    ("NotAuditor", bound_by_another_validator),
    ("NotAuditor", bound_by_a_miner),
    ("AuditCommittedBefore", bound_twice),
    ("AuditCommitLate", bound_late),
    ("NothingToReveal", opened_without_binding),
    ("NothingToReveal", opened_twice),
    ("RevealEarly", opened_before_the_others_bound),
    ("RevealLate", opened_late),
    ("RevealMismatch", opened_otherwise),
    ("RevealMismatch", opened_with_another_salt),
    ("VerdictEmpty", opened_empty),
    ("SealsUnchecked", accepted_without_a_look_behind_the_seals),
    ("NoAudit", bound_before_three_are_drawn),
    ("NoAudit", bound_after_a_conviction),
    ("SortitionUnproven", volunteered_without_a_proof),
    ("SortitionUnproven", volunteered_with_anothers_proof),
    (
        "SortitionUnproven",
        volunteered_with_the_proof_of_another_unit,
    ),
    ("NotEligible", volunteered_before_its_stage),
    ("SeatsTaken", volunteered_fifth),
    ("SortitionUncalled", volunteered_where_one_was_drawn),
    ("NotAuditor", volunteered_by_a_stranger),
    ("AuditCommittedBefore", volunteered_twice),
    ("AuditCommitLate", volunteered_after_the_grace),
    ("NoAudit", volunteered_before_the_draw),
    ("AlreadyAuditor", || {
        let chain = Chain::start(&Setup::default());
        chain.reject(
            key("operator", 0),
            verifier_body(&key("operator", 0), 10_000),
        )
    }),
    ("AlreadyAuditor", || {
        let chain = Chain::start(&Setup::default());
        let body = || verifier_body(&key("miner", 0), 10_000);
        let first = vec![(key("miner", 0), body())];
        chain.reject_after(first, key("miner", 0), body())
    }),
    ("BondTooLow", || {
        let chain = Chain::start(&Setup::default());
        chain.reject(key("miner", 0), verifier_body(&key("miner", 0), 9_999))
    }),
    ("BalanceTooLow", || {
        let chain = Chain::start(&Setup::default());
        chain.reject(key("miner", 0), verifier_body(&key("miner", 0), 50_001))
    }),
    ("RandomnessKeyInvalid", || {
        let chain = Chain::start(&Setup::default());
        let body = Body::RegisterVerifier {
            bond: protocol::Amount::new(10_000),
            vrf: protocol::vrf::Public::from_bytes([0; 32]),
        };
        chain.reject(key("miner", 0), body)
    }),
    ("NotConvicted", appealed_without_a_conviction),
    ("NotConvicted", appealed_twice),
    ("NotConvicted", appealed_after_the_slash),
    ("AppealLate", appealed_late),
    ("NotAssignee", appealed_by_another),
    ("UnitUnknown", appealed_for_no_unit),
    ("BalanceTooLow", appealed_without_the_bond),
];

/// A drawn unit, its auditor, and what an accepting auditor sends.
struct Drawn {
    chain: Chain,
    unit: UnitId,
    auditor: SigningKey,
    bind: Body,
    open: Body,
}

fn drawn() -> Drawn {
    let (chain, unit) = Chain::audited(&Setup::default());
    let auditor = chain.seats(unit)[0].clone();
    let (bind, open) = chain.audit_bodies(&auditor, unit, accepting());
    Drawn {
        chain,
        unit,
        auditor,
        bind,
        open,
    }
}

/// The same after the auditor has bound its verdict, and the miner has shown what it named.
fn bound() -> Drawn {
    let mut drawn = drawn();
    let content = vec![(drawn.auditor.clone(), drawn.bind.clone())];
    drawn.chain.block(content);
    drawn.chain.wait(1);
    drawn
}

fn bound_about_no_unit() -> Rejection {
    let drawn = drawn();
    let unit = UnitId {
        index: 99,
        ..drawn.unit
    };
    let (bind, _) = drawn.chain.audit_bodies(&drawn.auditor, unit, accepting());
    drawn.chain.reject(drawn.auditor, bind)
}

fn bound_before_the_draw() -> Rejection {
    let mut chain = Chain::working(&Setup::default());
    let unit = chain.units_of(UnitKind::Rollout)[0];
    chain.commit(&[unit]);
    let auditor = chain.operator(0);
    let (bind, _) = chain.audit_bodies(&auditor, unit, accepting());
    chain.reject(auditor, bind)
}

fn bound_after_acceptance() -> Rejection {
    let mut drawn = drawn();
    drawn.chain.judge(drawn.unit, |_| Some(accepting()));
    drawn.chain.reject(drawn.auditor, drawn.bind)
}

fn bound_by_another_validator() -> Rejection {
    let Drawn {
        chain,
        auditor,
        unit,
        ..
    } = drawn();
    let other = (0..4).map(|index| chain.operator(index));
    let other = other
        .into_iter()
        .find(|key| key.address() != auditor.address());
    let other = other.unwrap();
    let (bind, _) = chain.audit_bodies(&other, unit, accepting());
    chain.reject(other, bind)
}

fn bound_by_a_miner() -> Rejection {
    let drawn = drawn();
    drawn.chain.reject(drawn.chain.miner(0), drawn.bind)
}

fn bound_twice() -> Rejection {
    let bound = bound();
    bound.chain.reject(bound.auditor, bound.bind)
}

fn bound_late() -> Rejection {
    let mut drawn = drawn();
    let commit_by = drawn.chain.unit(drawn.unit).audits[0].commit_by;
    drawn.chain.wait_for(commit_by);
    drawn.chain.reject(drawn.auditor, drawn.bind)
}

fn opened_without_binding() -> Rejection {
    let drawn = drawn();
    drawn.chain.reject(drawn.auditor, drawn.open)
}

fn opened_twice() -> Rejection {
    let Drawn {
        chain,
        auditor,
        unit,
        ..
    } = bound();
    let (_, open) = chain.audit_bodies(&auditor, unit, accepting());
    let first = vec![(auditor.clone(), open.clone())];
    chain.reject_after(first, auditor, open)
}

fn opened_before_the_others_bound() -> Rejection {
    let (mut chain, unit) = Chain::audited(&Setup::default());
    chain.climb_to(unit, 2, &rejecting(Check::Update, 1));
    let auditor = chain.operator(0);
    let (bind, open) = chain.audit_bodies(&auditor, unit, accepting());
    chain.block(vec![(auditor.clone(), bind)]);
    chain.reject(auditor, open)
}

fn accepted_without_a_look_behind_the_seals() -> Rejection {
    let (mut chain, unit) = crate::openings::blind(&Setup::default());
    let auditor = chain.seats(unit)[0].clone();
    let (bind, open) = chain.audit_bodies(&auditor, unit, accepting());
    chain.block(vec![(auditor.clone(), bind)]);
    let miner = chain.key_of(chain.unit(unit).miner);
    let body = chain.open_body(&[unit]);
    chain.block(vec![(miner, body)]);
    chain.reject(auditor, open)
}

fn opened_late() -> Rejection {
    let mut bound = bound();
    let reveal_by = bound.chain.unit(bound.unit).audits[0].reveal_by;
    bound.chain.wait_for(reveal_by);
    bound.chain.reject(bound.auditor, bound.open)
}

fn opened_otherwise() -> Rejection {
    let bound = bound();
    let verdict = rejecting(Check::Finish, 1);
    let (_, open) = bound
        .chain
        .audit_bodies(&bound.auditor, bound.unit, verdict);
    bound.chain.reject(bound.auditor, open)
}

fn opened_with_another_salt() -> Rejection {
    let mut bound = bound();
    if let Body::AuditReveal { salt, .. } = &mut bound.open {
        *salt = protocol::transaction::Commitment::from_bytes([0; 32]);
    }
    bound.chain.reject(bound.auditor, bound.open)
}

fn opened_empty() -> Rejection {
    let Drawn {
        mut chain,
        auditor,
        unit,
        ..
    } = drawn();
    let empty = Verdict::new(Vec::new()).unwrap();
    let (bind, open) = chain.audit_bodies(&auditor, unit, empty);
    chain.block(vec![(auditor.clone(), bind)]);
    chain.reject(auditor, open)
}

fn bound_before_three_are_drawn() -> Rejection {
    let mut drawn = drawn();
    drawn
        .chain
        .judge(drawn.unit, |_| Some(rejecting(Check::Loss, 1)));
    assert!(drawn.chain.unit(drawn.unit).waiting.is_some());
    drawn.chain.reject(drawn.auditor, drawn.bind)
}

/// A unit that three auditors convicted, and its miner's key.
fn convicted() -> (Chain, UnitId, SigningKey) {
    let (mut chain, unit) = Chain::audited(&Setup::default());
    chain.climb_to(unit, 1, &rejecting(Check::Loss, 1));
    chain.judge(unit, |_| Some(rejecting(Check::Loss, 1)));
    assert!(chain.unit(unit).conviction.is_some());
    let miner = chain.key_of(chain.unit(unit).miner);
    (chain, unit, miner)
}

fn bound_after_a_conviction() -> Rejection {
    let (chain, unit, _) = convicted();
    let auditor = chain.seats(unit)[0].clone();
    let (bind, _) = chain.audit_bodies(&auditor, unit, accepting());
    chain.reject(auditor, bind)
}

fn appealed_without_a_conviction() -> Rejection {
    let drawn = drawn();
    let miner = drawn.chain.key_of(drawn.chain.unit(drawn.unit).miner);
    drawn.chain.reject(miner, Body::Appeal { unit: drawn.unit })
}

fn appealed_twice() -> Rejection {
    let (chain, unit, miner) = convicted();
    let first = vec![(miner.clone(), Body::Appeal { unit })];
    chain.reject_after(first, miner, Body::Appeal { unit })
}

fn appealed_after_the_slash() -> Rejection {
    let (mut chain, unit, miner) = convicted();
    chain.wait_until("the slash", |chain| chain.outcome(unit).is_some());
    chain.reject(miner, Body::Appeal { unit })
}

fn appealed_late() -> Rejection {
    let (mut chain, unit, miner) = convicted();
    let appeal_by = chain.unit(unit).conviction.unwrap().appeal_by;
    chain.wait_for(appeal_by);
    chain.reject(miner, Body::Appeal { unit })
}

fn appealed_by_another() -> Rejection {
    let (chain, unit, miner) = convicted();
    let mut others = chain.miners.iter();
    let other = others.find(|key| key.address() != miner.address());
    chain.reject(other.unwrap().clone(), Body::Appeal { unit })
}

fn appealed_for_no_unit() -> Rejection {
    let (chain, unit, miner) = convicted();
    let unit = UnitId { index: 99, ..unit };
    chain.reject(miner, Body::Appeal { unit })
}

fn appealed_without_the_bond() -> Rejection {
    let (chain, unit, miner) = convicted();
    let to = chain.holder(0).address();
    let amount = protocol::Amount::new(chain.balance(miner.address()) - 999);
    let spent = vec![(miner.clone(), Body::Transfer { to, amount })];
    chain.reject_after(spent, miner, Body::Appeal { unit })
}

/// A unit for which auditors draw themselves, at a height at which some may and some may not.
fn called() -> (Chain, UnitId) {
    let mut setup = sortition_setup();
    setup.stakes = vec![100_000; 12];
    // One is expected at each stage: that none comes in twelve is one chance in a hundred thousand.
    setup
        .parameters
        .push((governance::parameters::Name::SortitionStages, 12));
    let (mut chain, unit) = Chain::audited(&setup);
    chain.wait_until("some", |chain| !eligible(chain, unit).is_empty());
    assert!(eligible(&chain, unit).len() < 12);
    (chain, unit)
}

fn volunteered_without_a_proof() -> Rejection {
    let (chain, unit) = called();
    let key = eligible(&chain, unit)[0].clone();
    let (bind, _) = chain.audit_bodies(&key, unit, accepting());
    chain.reject(key, bind)
}

/// Somebody's commitment, shown with what another gives.
fn with_proof(body: &Body, other: &Body) -> Body {
    match (body, other) {
        (
            Body::AuditCommit {
                unit, commitment, ..
            },
            Body::AuditCommit { sortition, .. },
        ) => Body::AuditCommit {
            unit: *unit,
            sortition: *sortition,
            commitment: *commitment,
        },
        _ => panic!("both are commitments"),
    }
}

fn volunteered_with_anothers_proof() -> Rejection {
    let (chain, unit) = called();
    let able = eligible(&chain, unit)[0].clone();
    let copier = (0..12).map(|index| chain.operator(index));
    let copier = copier
        .into_iter()
        .find(|key| key.address() != able.address());
    let copier = copier.unwrap();
    let own = bind(&chain, unit, &copier, accepting());
    let others = bind(&chain, unit, &able, accepting());
    chain.reject(copier, with_proof(&own, &others))
}

fn volunteered_with_the_proof_of_another_unit() -> Rejection {
    let mut chain = Chain::working(&sortition_setup());
    let ids = chain.commit_all();
    chain.attest_by_all(&ids);
    chain.draw(&ids);
    let someone = |chain: &Chain| {
        let mut able = ids.iter().map(|id| (*id, eligible(chain, *id)));
        able.find_map(|(id, keys)| Some((id, keys.first()?.clone())))
    };
    chain.wait_until("some", |chain| someone(chain).is_some());
    let (able, key) = someone(&chain).unwrap();
    let other = ids.iter().find(|id| **id != able).unwrap();
    let own = bind(&chain, *other, &key, accepting());
    let others = bind(&chain, able, &key, accepting());
    chain.reject(key, with_proof(&own, &others))
}

fn volunteered_before_its_stage() -> Rejection {
    let (chain, unit) = called();
    let able: Vec<_> = eligible(&chain, unit)
        .iter()
        .map(SigningKey::address)
        .collect();
    let mut others = (0..12).map(|index| chain.operator(index));
    let key = others.find(|key| !able.contains(&key.address())).unwrap();
    let body = bind(&chain, unit, &key, accepting());
    chain.reject(key, body)
}

fn volunteered_fifth() -> Rejection {
    let mut setup = sortition_setup();
    setup.stakes = vec![100_000; 5];
    let seats = governance::parameters::Name::SortitionNewcomerSeats;
    setup.parameters.push((seats, 64_000_000));
    let (chain, unit) = Chain::audited(&setup);
    let content = (0..4).map(|index| {
        let key = chain.operator(index);
        let body = bind(&chain, unit, &key, accepting());
        (key, body)
    });
    let fifth = chain.operator(4);
    let body = bind(&chain, unit, &fifth, accepting());
    chain.reject_after(content.collect(), fifth, body)
}

fn volunteered_where_one_was_drawn() -> Rejection {
    let drawn = drawn();
    let proof = drawn.auditor.vrf().prove(b"anything").1;
    let Body::AuditCommit {
        unit, commitment, ..
    } = drawn.bind
    else {
        panic!("it is a commitment");
    };
    let body = Body::AuditCommit {
        unit,
        sortition: Some(proof),
        commitment,
    };
    drawn.chain.reject(drawn.auditor, body)
}

fn volunteered_by_a_stranger() -> Rejection {
    let (chain, unit) = called();
    let stranger = chain.miner(0);
    let body = bind(&chain, unit, &stranger, accepting());
    chain.reject(stranger, body)
}

fn volunteered_twice() -> Rejection {
    let (chain, unit) = called();
    let key = eligible(&chain, unit)[0].clone();
    let body = bind(&chain, unit, &key, accepting());
    let first = vec![(key.clone(), body.clone())];
    chain.reject_after(first, key, body)
}

fn volunteered_after_the_grace() -> Rejection {
    let mut setup = sortition_setup();
    let seats = governance::parameters::Name::SortitionNewcomerSeats;
    setup.parameters.push((seats, 64_000_000));
    let (mut chain, unit) = Chain::audited(&setup);
    let (first, late) = (chain.operator(0), chain.operator(1));
    let body = bind(&chain, unit, &first, accepting());
    chain.block(vec![(first, body)]);
    chain.wait(2);
    let body = bind(&chain, unit, &late, accepting());
    chain.reject(late, body)
}

fn volunteered_before_the_draw() -> Rejection {
    let (chain, unit) = called();
    let other = chain.units_of(UnitKind::Rollout)[0];
    let key = eligible(&chain, unit)[0].clone();
    let own = bind(&chain, unit, &key, accepting());
    let Body::AuditCommit {
        sortition,
        commitment,
        ..
    } = own
    else {
        panic!("it is a commitment");
    };
    let body = Body::AuditCommit {
        unit: other,
        sortition,
        commitment,
    };
    chain.reject(key, body)
}
