//! Transactions that make no sense, and some that do, from those who have nothing to lose.

use super::{actors::Behaviour, random::Random, world::DISHONEST, world::World};
use crate::support::{Chain, RUN, accepting, key, registration, rejecting};
use ledger_state::proposal;
use protocol::{
    Amount, BlobId, Height, ProposalId, SigningKey, Step,
    codec::{BoundedVec, Text},
    proposal::{Action, Choice, Payload, Weights},
    rollout::{Root, Totals},
    task::{UnitId, UnitKind},
    transaction::{Body, Unverified},
    verdict::Check,
};

/// A few wishes of strangers, liars, holders and the dishonest validator.
pub(super) fn wishes(world: &mut World) -> Vec<(SigningKey, Body)> {
    let mut senders = vec![key("stranger", 0), world.chain.operator(DISHONEST)];
    let indices = 0..world.behaviours.len();
    let liars = indices.filter(|index| world.behaviours[*index] == Behaviour::Liar);
    senders.extend(liars.map(|index| world.chain.miner(index)));
    senders.extend((0..4).map(|index| world.chain.holder(index)));
    let proposals = open_proposals(world);
    let step = world.chain.run().step;
    let height = world.chain.height();
    let random = &mut world.random;
    let mut wishes = Vec::new();
    for _ in 0..random.below(6) {
        let sender = random.pick(&senders).clone();
        let body = match random.below(10) {
            0 => registration(&sender, amount(random).get()),
            1 => Body::Resume,
            2 => commitment(random, step),
            3 => attestation(random, step),
            4 | 5 => verdict(&world.chain, random, step, &sender),
            6 => change(random, height),
            7 => vote(random, &proposals),
            8 => Body::Appeal {
                unit: unit(random, step),
            },
            _ => Body::Transfer {
                to: random.pick(&senders).address(),
                amount: amount(random),
            },
        };
        wishes.push((sender, body));
    }
    for index in 0..4 {
        if random.chance(15) {
            wishes.push((key("holder", index), vote(random, &proposals)));
        }
    }
    for (sender, body) in &wishes {
        check_flipped(world, sender, body);
    }
    wishes
}

fn open_proposals(world: &World) -> Vec<ProposalId> {
    let next = world.chain.height().next();
    let stored = proposal::all(&world.chain.view()).into_iter();
    let open = stored.filter(|(_, proposal)| proposal.accepts_votes(next));
    open.map(|(id, _)| id).collect()
}

/// No single changed bit leaves a valid transaction.
fn check_flipped(world: &mut World, sender: &SigningKey, body: &Body) {
    let signed = world.chain.sign(vec![(sender.clone(), body.clone())]);
    let mut bytes = signed[0].as_unverified().encode();
    let position = world.random.index(bytes.len());
    bytes[position] ^= 1 << world.random.below(8);
    if let Ok(read) = Unverified::decode(&bytes) {
        assert!(read.verify(world.chain.id).is_err(), "{body:?}");
    }
}

fn amount(random: &mut Random) -> Amount {
    Amount::new(match random.below(4) {
        0 => 0,
        1 => u64::MAX,
        _ => random.below(60),
    })
}

/// A unit that may exist, of this step or near it.
fn unit(random: &mut Random, step: Step) -> UnitId {
    let kinds = [UnitKind::Rollout, UnitKind::Gradient];
    let near = (step.get() + 1).saturating_sub(random.below(3));
    UnitId {
        run: RUN,
        step: Step::new(near),
        kind: *random.pick(&kinds),
        index: u32::try_from(random.below(8)).unwrap(),
    }
}

fn commitment(random: &mut Random, step: Step) -> Body {
    let samples_count = u32::try_from(random.below(6)).unwrap();
    Body::CommitRollouts {
        unit: unit(random, step),
        root: Root::from_bytes(random.bytes()),
        blob: BlobId::from_bytes(random.bytes()),
        blob_bytes: random.below(1_000),
        totals: Totals {
            samples_count,
            tokens_count: u32::MAX,
            reward_micro: random.below(5_000_000),
            exact_count: 1,
        },
    }
}

fn attestation(random: &mut Random, step: Step) -> Body {
    let units = (0..random.below(4)).map(|_| unit(random, step)).collect();
    let units = BoundedVec::new(units).unwrap();
    Body::AttestBlobs { units }
}

fn verdict(chain: &Chain, random: &mut Random, step: Step, sender: &SigningKey) -> Body {
    let id = unit(random, step);
    let said = match random.below(3) {
        0 => accepting(),
        1 => rejecting(Check::Update, random.below(3)),
        _ => protocol::verdict::Verdict::new(Vec::new()).unwrap(),
    };
    let (bind, open) = chain.audit_bodies(sender, id, said);
    if random.chance(50) { bind } else { open }
}

/// Changes that leave honest people time to be honest.
fn change(random: &mut Random, height: Height) -> Body {
    let choices = [
        ("audit-rate", 10_000 + random.below(900_000)),
        ("appeal-blocks", 4 + random.below(10)),
        ("appeal-bond", 1 + random.below(2_000)),
        ("newcomer-units", random.below(10)),
        ("whistle-blower", random.below(600_000)),
        ("silence-penalty", random.below(1_000)),
        ("vesting-blocks", 1 + random.below(60)),
        ("miner-bond-min", random.below(20_000)),
        ("audit-fault-penalty", random.below(50_000)),
        ("nonsense", 1),
    ];
    let (parameter, value) = *random.pick(&choices);
    let action = Action::SetParameter {
        parameter: Text::new(parameter).unwrap(),
        value,
    };
    Body::Propose {
        payload: Payload {
            title: Text::new("a change").unwrap(),
            summary: Text::default(),
            actions: BoundedVec::new(vec![action]).unwrap(),
            not_before: height.saturating_add(random.below(20)),
        },
        deposit: Amount::new(500 + random.below(2_000)),
    }
}

fn vote(random: &mut Random, proposals: &[ProposalId]) -> Body {
    let proposal = match proposals {
        [] => ProposalId::from_bytes(random.bytes()),
        _ => *random.pick(proposals),
    };
    let choices = [Choice::Yes, Choice::Yes, Choice::No, Choice::Abstain];
    let weights = Weights::all(*random.pick(&choices));
    Body::Vote { proposal, weights }
}
