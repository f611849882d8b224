//! Strategies for arbitrary wire values.

use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_oneof},
};
use protocol::{
    Amount, BlobId, CheckpointId, Height, Nonce, ProposalId, RunId, SigningKey, Step,
    checkpoint::{Checkpoint, Evaluation},
    codec::{BoundedVec, Bytes, Text},
    proposal::{Action, Choice, Guard, Module, Payload, Track, Weights},
    rollout::{self, Finish, Group, Root, Sample, Seal, Section, Sections, Totals},
    task::{UnitId, UnitKind},
    transaction::{Body, Commitment, Fee, Transaction, Unverified},
    verdict::{Check, Finding, Verdict},
};

pub(crate) fn unit() -> impl Strategy<Value = UnitId> {
    let kind = prop_oneof![Just(UnitKind::Rollout), Just(UnitKind::Gradient)];
    (any::<u64>(), any::<u64>(), kind, any::<u32>()).prop_map(|(run, step, kind, index)| UnitId {
        run: RunId::new(run),
        step: Step::new(step),
        kind,
        index,
    })
}

fn verdict() -> impl Strategy<Value = Verdict> {
    let check = prop_oneof![
        Just(Check::Availability),
        Just(Check::Encoding),
        Just(Check::Completeness),
        Just(Check::Commitment),
        Just(Check::Finish),
        Just(Check::Sampling),
        Just(Check::Activations),
        Just(Check::Reward),
        Just(Check::Loss),
        Just(Check::Update),
        Just(Check::Margin),
        Just(Check::Lifetime),
    ];
    let finding = (check, any::<[u64; 3]>(), any::<u32>()).prop_map(
        |(check, [measured, limit, slash_limit], group)| Finding {
            group,
            check,
            measured,
            limit,
            slash_limit,
        },
    );
    vec(finding, 0..=16).prop_map(|findings| Verdict::new(findings).unwrap())
}

fn checkpoint() -> impl Strategy<Value = Checkpoint> {
    let evaluation = proptest::option::of((any::<u32>(), any::<u32>()).prop_map(
        |(prompts_count, exact_count)| Evaluation {
            prompts_count,
            exact_count,
        },
    ));
    let sizes = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>());
    let hashes = (any::<[u8; 32]>(), any::<[u8; 32]>(), any::<[u8; 32]>());
    (sizes, hashes, evaluation).prop_map(|(sizes, (model, weights, outer), evaluation)| {
        Checkpoint {
            run: RunId::new(sizes.0),
            step: Step::new(sizes.1),
            model: CheckpointId::from_bytes(model),
            model_bytes: sizes.2,
            weights: BlobId::from_bytes(weights),
            outer: BlobId::from_bytes(outer),
            outer_bytes: sizes.3,
            evaluation,
        }
    })
}

fn work() -> impl Strategy<Value = Body> {
    let blob = any::<[u8; 32]>().prop_map(BlobId::from_bytes);
    let totals = (any::<u32>(), any::<u32>(), any::<u64>(), any::<u32>()).prop_map(|sums| Totals {
        samples_count: sums.0,
        tokens_count: sums.1,
        reward_micro: sums.2,
        exact_count: sums.3,
    });
    prop_oneof![
        (
            unit(),
            any::<[u8; 32]>(),
            blob.clone(),
            any::<u64>(),
            totals
        )
            .prop_map(|(unit, root, blob, blob_bytes, totals)| {
                Body::CommitRollouts {
                    unit,
                    root: Root::from_bytes(root),
                    blob,
                    blob_bytes,
                    totals,
                }
            }),
        (unit(), blob, any::<u64>(), any::<u32>(), any::<i64>()).prop_map(
            |(unit, blob, blob_bytes, tokens_count, loss_micro)| Body::CommitGradient {
                unit,
                root: Root::from_bytes(*blob.as_bytes()),
                blob,
                blob_bytes,
                tokens_count,
                loss_micro,
                feedback: (tokens_count % 2 == 0).then_some(blob),
            }
        ),
        vec(unit(), 0..=64).prop_map(|units| Body::AttestBlobs {
            units: BoundedVec::new(units).unwrap(),
        }),
        (unit(), any::<Option<u8>>(), any::<[u8; 32]>()).prop_map(|(unit, proof, bytes)| {
            Body::AuditCommit {
                unit,
                sortition: proof.map(|byte| protocol::vrf::Proof::from_bytes([byte; 80])),
                commitment: Commitment::from_bytes(bytes),
            }
        }),
        (unit(), verdict(), any::<[u8; 32]>()).prop_map(|(unit, verdict, salt)| {
            Body::AuditReveal {
                unit,
                verdict,
                sketch: None,
                salt: Commitment::from_bytes(salt),
            }
        }),
        unit().prop_map(|unit| Body::Appeal { unit }),
        checkpoint().prop_map(|checkpoint| Body::AttestCheckpoint { checkpoint }),
        Just(Body::Open {
            openings: BoundedVec::new(vec![crate::values::opening()]).unwrap(),
        }),
        Just(Body::OpenStates {
            opening: crate::values::state_opening(),
        }),
        Just(Body::ReportEquivocation {
            proof: Box::new(crate::values::equivocation()),
        }),
    ]
}

fn proposal() -> impl Strategy<Value = ProposalId> {
    any::<[u8; 32]>().prop_map(ProposalId::from_bytes)
}

fn track() -> impl Strategy<Value = Track> {
    (0..Track::ALL.len()).prop_map(|index| Track::ALL[index])
}

fn action() -> impl Strategy<Value = Action> {
    let text = "[a-zA-Zäß_ ]{0,24}";
    prop_oneof![
        Just(Action::Signal),
        (text, any::<u64>()).prop_map(|(parameter, value)| Action::SetParameter {
            parameter: Text::new(parameter).unwrap(),
            value,
        }),
        (any::<[u8; 32]>(), any::<u64>()).prop_map(|(to, amount)| Action::Spend {
            to: protocol::Address::from_bytes(to),
            amount: Amount::new(amount),
        }),
        any::<u64>().prop_map(|run| Action::StopRun {
            run: RunId::new(run)
        }),
        proposal().prop_map(|proposal| Action::Cancel { proposal }),
    ]
}

fn motion() -> impl Strategy<Value = Payload> {
    let actions = vec(action(), 0..=10);
    let text = "[a-zA-Zäß_ ]{0,24}";
    (text, text, actions, any::<u64>()).prop_map(|(title, summary, actions, height)| Payload {
        title: Text::new(title).unwrap(),
        summary: Text::new(summary).unwrap(),
        actions: BoundedVec::new(actions).unwrap(),
        not_before: Height::new(height),
    })
}

fn guard() -> impl Strategy<Value = Guard> {
    let module = prop_oneof![
        Just(Module::Runs),
        Just(Module::Treasury),
        Just(Module::Upgrades)
    ];
    prop_oneof![
        motion().prop_map(|payload| Guard::Decree { payload }),
        proposal().prop_map(|proposal| Guard::Cancel { proposal }),
        proposal().prop_map(|proposal| Guard::Delay { proposal }),
        module.prop_map(|module| Guard::Pause { module }),
    ]
}

fn money_and_votes() -> impl Strategy<Value = Body> {
    let choice = prop_oneof![
        Just(Choice::Yes),
        Just(Choice::No),
        Just(Choice::Abstain),
        Just(Choice::Veto)
    ];
    prop_oneof![
        (any::<[u8; 32]>(), any::<u64>()).prop_map(|(to, amount)| Body::Transfer {
            to: protocol::Address::from_bytes(to),
            amount: Amount::new(amount),
        }),
        (any::<u64>(), any::<[u8; 32]>(), any::<u16>()).prop_map(|(bond, vrf, class)| {
            Body::RegisterMiner {
                bond: Amount::new(bond),
                vrf: protocol::vrf::Public::from_bytes(vrf),
                class: protocol::class::ClassId::new(class),
            }
        }),
        (any::<u64>(), any::<[u8; 32]>()).prop_map(|(bond, vrf)| Body::RegisterVerifier {
            bond: Amount::new(bond),
            vrf: protocol::vrf::Public::from_bytes(vrf),
        }),
        Just(Body::Resume),
        (motion(), any::<u64>()).prop_map(|(payload, deposit)| Body::Propose {
            payload,
            deposit: Amount::new(deposit),
        }),
        (proposal(), any::<u64>()).prop_map(|(proposal, amount)| Body::Deposit {
            proposal,
            amount: Amount::new(amount),
        }),
        (proposal(), choice).prop_map(|(proposal, choice)| Body::Vote {
            proposal,
            weights: Weights::all(choice),
        }),
        (track(), any::<Option<[u8; 32]>>()).prop_map(|(track, to)| Body::Delegate {
            track,
            to: to.map(protocol::Address::from_bytes),
        }),
        proposal().prop_map(|proposal| Body::Object { proposal }),
        Just(Body::AdvanceStage),
        any::<u32>().prop_map(|version| Body::SignalReadiness { version }),
        guard().prop_map(|guard| Body::Guard { guard }),
    ]
}

/// A signed transaction of any kind.
pub(crate) fn transaction() -> impl Strategy<Value = Unverified> {
    let body = prop_oneof![work(), money_and_votes()];
    let fee = (any::<u64>(), any::<u64>()).prop_map(|(max, tip)| Fee {
        max: Amount::new(max),
        tip: Amount::new(tip),
    });
    (any::<[u8; 32]>(), any::<u64>(), fee, body).prop_map(|(seed, nonce, fee, body)| {
        let key = SigningKey::from_seed(seed);
        let chain = crate::values::chain();
        let content = Transaction::new(chain, key.address(), Nonce::new(nonce), body);
        content.with_fee(fee).sign(&key)
    })
}

/// A rollout blob.
pub(crate) fn payload() -> impl Strategy<Value = rollout::Payload> {
    let finish = prop_oneof![Just(Finish::EndOfSequence), Just(Finish::Cap)];
    let sample = (
        vec(any::<u32>(), 0..20),
        finish,
        any::<u32>(),
        any::<[u8; 32]>(),
    )
        .prop_map(|(tokens, finish, reward_micro, sealed)| Sample {
            tokens: BoundedVec::new(tokens).unwrap(),
            finish,
            reward_micro,
            sealed: Seal::from_bytes(sealed),
        });
    let group = vec(sample, 0..4).prop_map(|samples| Group {
        samples: BoundedVec::new(samples).unwrap(),
    });
    let sections = proptest::option::of(sections());
    (unit(), vec(group, 0..4), sections).prop_map(|(unit, groups, sections)| rollout::Payload {
        unit,
        miner: crate::values::key(1).address(),
        plant_seal: Seal::from_bytes([1; 32]),
        sketch_seal: Seal::from_bytes([2; 32]),
        groups: BoundedVec::new(groups).unwrap(),
        sections,
    })
}

/// Rollout sections.
pub(crate) fn sections() -> impl Strategy<Value = Sections> {
    let proofs = vec(vec(any::<u8>(), 0..20), 0..4);
    let section = (proofs, vec(any::<u8>(), 0..40)).prop_map(|(proofs, projections)| {
        let proofs = proofs.into_iter().map(|bytes| Bytes::new(bytes).unwrap());
        Section {
            proofs: BoundedVec::new(proofs.collect()).unwrap(),
            projections: Bytes::new(projections).unwrap(),
        }
    });
    let group = vec(section, 0..4).prop_map(|sections| BoundedVec::new(sections).unwrap());
    vec(group, 0..4).prop_map(|groups| Sections {
        groups: BoundedVec::new(groups).unwrap(),
    })
}
