//! A reinforcement unit's plan and traces, against what its miner seals.

use crate::scene::{SCENE, beacon, device, honest, segments};
use engine::trace::{
    dispute::{Claim, Dispute, Outcome, Side, answer, loss_name, question},
    plan::{Plan, Standing},
    tokens::{TokenList, shown},
    tree::Hashing,
};
use miner::{GradientInputs, World, gradient::reinforce};
use protocol::{
    codec::BoundedVec,
    gradient::State,
    rollout::{TOKENS_TAG, leaves},
};

/// The sums after each segment, and the plan.
fn planned(inputs: &GradientInputs<'_>) -> (Vec<Vec<f32>>, Plan) {
    let world = World::of(inputs.recipe).unwrap();
    let generation = inputs.generation.as_ref().unwrap();
    let groups = reinforce::groups(inputs.recipe, &world, generation);
    let mut sums = Vec::new();
    let mut keep = |bytes: &[u8]| {
        let (values, _) = bytes.as_chunks::<4>();
        sums.push(values.iter().copied().map(f32::from_le_bytes).collect());
        Ok(())
    };
    reinforce::learn(inputs, generation, &groups, &mut keep, &device()).unwrap();
    let plan = reinforce::plan(inputs.recipe, &world, generation).unwrap();
    (sums, plan)
}

fn claimed(sum: Option<&State>) -> Option<[u8; 32]> {
    sum.map(|state| *state.weights.as_bytes())
}

#[test]
fn traces_of_a_reinforcement_unit_end_in_the_sums_and_losses_that_its_miner_seals() {
    let beacon = beacon(4);
    let inputs = SCENE.reinforce_inputs(&beacon);
    let done = honest(&inputs).work;
    let world = World::of(inputs.recipe).unwrap();
    let generation = inputs.generation.as_ref().unwrap();
    let groups = reinforce::groups(inputs.recipe, &world, generation);
    let (sums, plan) = planned(&inputs);
    assert_eq!(plan.sums().tokens, done.payload.tokens_count);
    let (count, mut learned) = (segments(&inputs).end, 0);
    for segment in segments(&inputs) {
        let index = segment as usize;
        let start = index.checked_sub(1).map(|before| sums[before].as_slice());
        let part = (segment, start);
        let trace = reinforce::trace(&inputs, generation, part, &groups, &device()).unwrap();
        let results = Claim::of(&trace).results;
        assert_eq!(results[1], claimed(done.states.get(index)), "{segment}");
        let loss = done.payload.losses_micro.as_slice()[index];
        assert_eq!(results[0], Some(loss_name(loss)), "{segment}");
        // Of the plan alone follow all shapes, and every number that rewards are read for.
        let floor = inputs.recipe.reinforce.advantage_floor.get();
        let planned = plan.sequences(segment, count, floor);
        let program = trace.program().part().unwrap();
        assert_eq!(program.sequences, planned);
        assert_eq!(
            program.objective.normaliser.to_bits(),
            plan.normaliser().to_bits()
        );
        learned += planned.as_slice().len();
    }
    assert!(learned > 0, "no group was learned from");
}

/// The miner goes on from a wrong number, and an auditor that took the same segment shows it.
#[test]
fn a_false_sum_of_a_reinforcement_unit_is_led_to_the_number_that_is_wrong() {
    let beacon = beacon(4);
    let inputs = SCENE.reinforce_inputs(&beacon);
    let world = World::of(inputs.recipe).unwrap();
    let generation = inputs.generation.as_ref().unwrap();
    let groups = reinforce::groups(inputs.recipe, &world, generation);
    let part = (0, None);
    let honest = reinforce::trace(&inputs, generation, part, &groups, &device()).unwrap();
    let program = honest.program();
    for place in [program.table().end - 40, program.tensors().len() - 1] {
        let index = program.length(program.tensors()[place]) / 2;
        let mut liar = honest.clone();
        let numbers = liar.numbers_mut(place).unwrap();
        numbers.set(index, numbers.get(index).unwrap() + 0.5);
        let [weights, behaviour, _] = Claim::of(&honest).given;
        let mut dispute = Dispute::new(Claim {
            // Of the first part there is no sum before.
            given: [weights, behaviour, None],
            ..Claim::of(&liar)
        });
        while let Some(side) = dispute.turn() {
            match side {
                Side::Defendant => {
                    let answer = answer(&dispute, &liar).unwrap();
                    dispute.answer(program, &answer).unwrap();
                }
                Side::Challenger => {
                    let question = question(&dispute, &honest).unwrap();
                    dispute.question(program, &question).unwrap();
                }
            }
        }
        match dispute.outcome() {
            Some(Outcome::DefendantLied { number, .. }) => {
                assert_eq!((number.place as usize, number.index), (place, index));
            }
            other => panic!("{place}: {other:?}"),
        }
    }
}

/// Of a rollout unit whose miner breaks a rule in one sample, the plan leaves out that group alone.
#[test]
fn a_plan_has_an_entry_for_every_sample_that_should_be_there() {
    let beacon = beacon(4);
    let mut inputs = SCENE.reinforce_inputs(&beacon);
    let (_, whole) = planned(&inputs);
    let reinforce = &inputs.recipe.reinforce;
    let samples = reinforce.samples_per_group_count as usize;
    let units = inputs.generation.as_ref().unwrap().rollouts.len();
    let groups = units * reinforce.groups_per_unit_count as usize;
    assert_eq!(whole.entries().len(), groups * samples + 1);

    // The second unit is empty, and a sample of the first has a token that the model lacks.
    let rollouts = &mut inputs.generation.as_mut().unwrap().rollouts;
    let mut payloads = rollouts.iter_mut().map(|(_, payload)| payload);
    let first = payloads.next().unwrap();
    let mut all = first.groups.as_slice().to_vec();
    let mut own = all[0].samples.as_slice().to_vec();
    let mut tokens = own[1].tokens.as_slice().to_vec();
    tokens[0] = 256;
    own[1].tokens = BoundedVec::new(tokens).unwrap();
    all[0].samples = BoundedVec::new(own).unwrap();
    first.groups = BoundedVec::new(all).unwrap();
    payloads.next().unwrap().groups = BoundedVec::default();

    let world = World::of(inputs.recipe).unwrap();
    let generation = inputs.generation.as_ref().unwrap();
    let plan = miner::gradient::reinforce::plan(inputs.recipe, &world, generation).unwrap();
    assert_eq!(plan.entries().len(), whole.entries().len());
    let left_out: Vec<bool> = plan
        .entries()
        .chunks_exact(samples)
        .map(|group| group[0].standing == Standing::LeftOut)
        .collect();
    assert_eq!(left_out, [true, false, true, true]);
    let second = &plan.entries()[samples..2 * samples];
    for (entry, before) in second.iter().zip(&whole.entries()[samples..]) {
        assert_eq!(entry.response_count, before.response_count);
        assert_eq!(entry.standing, before.standing);
    }
    assert_eq!(plan.name() == whole.name(), plan == whole);
    assert_ne!(plan, whole);
}

/// Every token that a unit learns from can be shown against the leaf that its miner committed to.
#[test]
fn a_leaf_opens_every_token_of_its_response() {
    let world = World::of(&SCENE.recipe).unwrap();
    let hashing = Hashing::tagged(TOKENS_TAG);
    let mut opened = 0;
    for (task, payload) in &SCENE.rollouts {
        let groups = payload.groups.as_slice();
        let prompts = world.prompts(task, u32::try_from(groups.len()).unwrap());
        let samples = groups.iter().flat_map(|group| group.samples.as_slice());
        for (leaf, sample) in leaves(payload, &prompts).unwrap().iter().zip(samples) {
            let list = TokenList {
                hashing,
                name: *leaf.tokens.as_bytes(),
                count: leaf.tokens_count,
            };
            let tokens = sample.tokens.as_slice();
            for (index, token) in (0..).zip(tokens) {
                let opening = shown(&hashing, tokens, index);
                assert_eq!(list.token(index, &opening), Some(*token));
                opened += 1;
            }
        }
    }
    assert!(opened > 0);
}
