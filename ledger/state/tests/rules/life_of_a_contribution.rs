//! One contribution from assignment to checkpoint, one function a word.
//!
//! Here the nine words are followed on the level of rules: what the model computed is made up,
//! what the ledger does about it is real.

use crate::support::{Chain, RUN, Setup, accepting, sketched_bodies};
use ledger_state::{
    Event,
    run::{self, Stage},
    unit::{self, Draw, Outcome, Tier},
};
use protocol::{
    Amount, BlobId, Height, Micro,
    codec::{BoundedVec, Bytes, encode},
    proof::toploc,
    rollout::{
        Finish, Group, Opened, Opening, PROOF_TOP_COUNT, Payload, Root, Salts, Sample, Seal,
        Section, Sections, Shown, Totals, plant, plant_seal, sketch_seal,
    },
    task::{RolloutTask, Share, UnitId, UnitKind},
    transaction::{Body, Unverified},
};

#[test]
fn a_contribution_passes_through_nine_stages() {
    let mut chain = Chain::start(&Setup::default());
    let unit = task(&mut chain);
    let payload = rollout(&chain, unit);
    let (payload, opened) = proof(&chain, payload);
    let signed = transaction(&chain, &payload);
    block(&mut chain, unit, signed);
    sample(&mut chain, unit);
    verdict(&mut chain, unit, &payload, opened);
    reward(&mut chain, unit);
    checkpoint(&mut chain, unit);
}

/// A step opens, and its beacon says which unit is whose.
fn task(chain: &mut Chain) -> UnitId {
    chain.register_miners();
    chain.open_step();
    let Stage::Working { beacon, .. } = chain.run().stage else {
        panic!("the step is open");
    };
    let rollouts = chain.units_of(UnitKind::Rollout);
    let shares = chain.miners.iter().map(|key| Share {
        miner: key.address(),
        bond: Amount::new(10_000),
        quota: Micro::ONE,
    });
    let shares: Vec<_> = shares.collect();
    let dealt = protocol::task::assign(&beacon, UnitKind::Rollout, 4, &shares);
    let owners: Vec<_> = rollouts.iter().map(|id| chain.unit(*id).miner).collect();
    assert_eq!(owners, dealt, "anybody can repeat the assignment");
    rollouts[0]
}

/// The miner generates all samples; their seeds bind everything the task fixed.
fn rollout(chain: &Chain, unit: UnitId) -> Payload {
    let recipe = run::recipe(&chain.view(), RUN).unwrap();
    let task = RolloutTask {
        chain: chain.id,
        checkpoint: chain.next_checkpoint().model,
        environment: recipe.environment,
        beacon: run::beacon(&chain.view(), RUN, unit.step).unwrap(),
        unit,
        miner: chain.unit(unit).miner,
    };
    let sample = |group: u32, slot: u32| {
        let seed = task.sample_seed(group, slot);
        Sample {
            tokens: BoundedVec::new(seed.iter().map(|byte| u32::from(*byte)).collect()).unwrap(),
            finish: Finish::Cap,
            reward_micro: if slot == 0 { 1_000_000 } else { 250_000 },
            sealed: Seal::from_bytes([0; 32]),
        }
    };
    let group = |group: u32| {
        let slots = 0..recipe.reinforce.samples_per_group_count;
        let samples = slots.map(|slot| sample(group, slot)).collect();
        let samples = BoundedVec::new(samples).unwrap();
        Group { samples }
    };
    let groups = (0..recipe.reinforce.groups_per_unit_count).map(group);
    let salts = Salts::derive(&chain.key_of(task.miner), chain.id, unit);
    let opened = Opened {
        salt: salts.sketch,
        parts: BoundedVec::new(Vec::new()).unwrap(),
    };
    Payload {
        unit,
        miner: task.miner,
        plant_seal: plant_seal(unit, task.miner, salts.plant, None),
        sketch_seal: sketch_seal(unit, task.miner, &opened),
        groups: BoundedVec::new(groups.collect()).unwrap(),
        sections: None,
    }
}

/// Every sample has proofs over last hidden states; they are sealed, and their sketch is too.
fn proof(chain: &Chain, payload: Payload) -> (Payload, Opened) {
    let hidden: Vec<u16> = (0..512_u16).map(|value| 0x3c00 + value).collect();
    let proof = toploc::build_chunk(&hidden, PROOF_TOP_COUNT).unwrap();
    let section = Section {
        proofs: BoundedVec::new(vec![Bytes::new(proof.to_bytes()).unwrap()]).unwrap(),
        projections: Bytes::new(vec![1; 8]).unwrap(),
    };
    let salts = Salts::derive(&chain.key_of(payload.miner), chain.id, payload.unit);
    let salt = salts.sketch;
    let groups = payload.groups.into_vec();
    let sections = groups.iter().map(|group| {
        let sections = group.samples.as_slice().iter().map(|_| section.clone());
        BoundedVec::new(sections.collect()).unwrap()
    });
    let groups_of_sections = BoundedVec::new(sections.collect()).unwrap();
    let sections = Sections {
        groups: groups_of_sections,
    };
    let seal = |group: u32, group_samples: Group| {
        let samples = (0..).zip(group_samples.samples.into_vec());
        let samples = samples.map(|(slot, sample)| Sample {
            sealed: Seal::section(salt, (group, slot), section.digest()),
            ..sample
        });
        let samples = BoundedVec::new(samples.collect()).unwrap();
        Group { samples }
    };
    let groups = (0..).zip(groups).map(|(index, group)| seal(index, group));
    let opened = Opened {
        salt,
        parts: sections.parts(),
    };
    let payload = Payload {
        sketch_seal: sketch_seal(payload.unit, payload.miner, &opened),
        groups: BoundedVec::new(groups.collect()).unwrap(),
        ..payload
    };
    assert_eq!(Payload::decode(&encode(&payload)).unwrap(), payload);
    (payload, opened)
}

/// The root binds what is shown and what is sealed, the prompts included.
fn root(chain: &Chain, payload: &Payload) -> Root {
    payload.root(&prompts(chain)).unwrap()
}

fn prompts(chain: &Chain) -> Vec<Vec<u32>> {
    let recipe = run::recipe(&chain.view(), RUN).unwrap();
    let groups = 0..recipe.reinforce.groups_per_unit_count;
    groups.map(|group| vec![group, 61]).collect()
}

/// A small signed commitment binds the blob.
fn transaction(chain: &Chain, payload: &Payload) -> Unverified {
    let bytes = encode(payload);
    let totals = payload.totals(1_000_000);
    assert_eq!(
        totals,
        Totals {
            samples_count: 4,
            tokens_count: 128,
            reward_micro: 2_500_000,
            exact_count: 2,
        }
    );
    let body = Body::CommitRollouts {
        unit: payload.unit,
        root: root(chain, payload),
        blob: BlobId::of(&bytes),
        blob_bytes: bytes.len() as u64,
        totals,
    };
    let signed = chain.sign(vec![(chain.key_of(payload.miner), body)]);
    let signed = signed[0].as_unverified().clone();
    assert!(signed.encode().len() <= 300, "a commitment is small");
    signed
}

/// Consensus orders it, the rules apply it.
fn block(chain: &mut Chain, unit: UnitId, signed: Unverified) {
    let bytes = signed.encode();
    let received = Unverified::decode(&bytes).unwrap();
    let events = chain.extend(vec![received.verify(chain.id).unwrap()]);
    assert!(matches!(events[..], [Event::UnitCommitted { unit: bound, .. }] if bound == unit));
    assert_eq!(chain.unit(unit).stage, unit::Stage::Committed);
}

/// Once enough validators hold the blob, a later beacon draws the audit and the auditor.
fn sample(chain: &mut Chain, unit: UnitId) {
    chain.wait(5);
    let draw = |chain: &Chain| chain.unit(unit).commitment.unwrap().draw;
    assert_eq!(draw(chain), Draw::Pending, "nobody attested the blob yet");
    chain.attest(&[0, 1, 2], &[unit]);
    chain.wait(1);
    assert_eq!(draw(chain), Draw::Pending, "the beacon is not known yet");
    chain.wait(1);
    assert_eq!(draw(chain), Draw::Drawn { rate: Micro::ONE });
    let audits = chain.unit(unit).audits;
    assert!(matches!(&audits[..], [audit] if audit.tier == Tier::One && audit.seats.len() == 1));
}

/// The auditor binds its verdict and its own sketch, the miner opens the sealed one, and the
/// auditor opens.
fn verdict(chain: &mut Chain, unit: UnitId, payload: &Payload, opened: Opened) {
    chain.opens = false;
    let auditor = chain.seats(unit)[0].clone();
    let (bind, open) = sketched_bodies(&auditor, unit, accepting(), Some(opened.sketch()));
    assert!(chain.block(vec![(auditor.clone(), bind)]).is_empty());
    let miner = chain.key_of(payload.miner);
    let beacon = run::beacon(&chain.view(), RUN, unit.step).unwrap();
    let (_, proof) = miner.vrf().prove(&plant::alpha(&beacon, unit));
    let opening = Opening {
        unit,
        leaves_root: payload.tree(&prompts(chain)).unwrap().root(),
        plant: None,
        plant_salt: Salts::derive(&miner, chain.id, unit).plant,
        proof,
        shown: Shown::Open {
            opened: opened.clone(),
        },
    };
    let openings = BoundedVec::new(vec![opening]).unwrap();
    chain.block(vec![(miner, Body::Open { openings })]);
    assert_eq!(chain.unit(unit).opening.sketch, Some(opened));
    let events = chain.block(vec![(auditor.clone(), open)]);
    let revealed = Event::VerdictRevealed {
        unit,
        auditor: auditor.address(),
        contradiction: None,
    };
    assert!(events.contains(&revealed), "{events:?}");
}

/// The unit is paid at once and vests later.
fn reward(chain: &mut Chain, unit: UnitId) {
    let paid = Amount::new(300);
    let accepted = Outcome::Accepted { paid };
    assert_eq!(chain.outcome(unit), Some(accepted));
    let miner = chain.unit(unit).miner;
    let balance = chain.balance(miner);
    let record: ledger_state::bond::Miner = chain.view().get(&miner).unwrap();
    assert_eq!((record.earned, record.vesting_total()), (paid, paid));
    let vests_at = record.vesting[0].vests_at;
    chain.wait_for(Height::new(vests_at.get() - 1));
    assert_eq!(chain.balance(miner), balance);
    chain.wait(1);
    assert_eq!(chain.balance(miner), balance + 300);
}

/// The step closes with what was accepted, and validators agree on what follows from it.
fn checkpoint(chain: &mut Chain, unit: UnitId) {
    assert!(chain.is_attesting(), "units that nobody bound are missed");
    let used = unit::accepted(&chain.view(), RUN, unit.step, UnitKind::Rollout);
    assert_eq!(used.iter().map(|(id, ..)| *id).collect::<Vec<_>>(), [unit]);
    let expected = chain.next_checkpoint();
    chain.attest_checkpoint();
    let agreed = run::agreed(&chain.view(), RUN, expected.step).unwrap();
    assert_eq!(agreed.checkpoint, expected);
    assert!(matches!(chain.run().stage, Stage::Opening { .. }));
}
