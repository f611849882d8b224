use crate::judge_work;
use crate::scene::{SCENE, device, salts};
use adversaries::{Cheat, Target, all};
use miner::rollout::{self, Work};
use protocol::verdict::Check;

fn liars() -> impl Iterator<Item = Cheat> {
    let rollouts = all().filter(|adversary| adversary.targets().contains(&Target::Rollout));
    rollouts.map(Cheat::always)
}

fn sent_by(cheat: Cheat) -> Work {
    let task = SCENE.task();
    let inputs = SCENE.rollout_inputs(&task);
    let salts = salts(&task);
    cheat.rollout(&inputs, &salts, &device()).unwrap()
}

fn named(name: &str) -> Cheat {
    name.parse().unwrap()
}

#[test]
fn every_dishonest_payload_is_caught_by_its_check() {
    let expected = |name: &str| match name {
        // Rewards are for the right prompt, whatever was answered.
        "reward-liar" | "prompt-swap" => &[Check::Reward][..],
        "drop-low" => &[Check::Completeness],
        "zero-sketch" | "constant-sketch" | "copied-sketch" | "forged-sketch" => {
            &[Check::Activations]
        }
        // Rounded weights may draw the same tokens, and then only proofs tell.
        "low-precision" | "quant-8" | "quant-4" | "penitent" => {
            &[Check::Activations, Check::Sampling]
        }
        _ => &[Check::Sampling],
    };
    for cheat in liars() {
        let verdict = judge_work(&sent_by(cheat));
        assert!(!verdict.accepts(), "{cheat}");
        let reason = verdict.contradiction().unwrap();
        let checks = expected(cheat.adversary().name());
        assert!(
            checks.contains(&reason.check),
            "{cheat}: {:?}",
            verdict.findings()
        );
    }
}

#[test]
fn those_who_only_forge_proofs_draw_the_right_tokens() {
    for name in [
        "zero-sketch",
        "constant-sketch",
        "copied-sketch",
        "forged-sketch",
    ] {
        let verdict = judge_work(&sent_by(named(name)));
        let failed: Vec<Check> = verdict
            .findings()
            .iter()
            .filter(|finding| !finding.holds())
            .map(|finding| finding.check)
            .collect();
        assert_eq!(failed, [Check::Activations], "{name}");
    }
}

#[test]
fn drafts_that_are_read_by_the_right_model_have_the_right_proofs() {
    let verdict = judge_work(&sent_by(named("draft-prefill")));
    let measured = |check| {
        let mut findings = verdict.findings().iter();
        findings
            .find(|finding| finding.check == check)
            .unwrap()
            .measured
    };
    assert!(measured(Check::Sampling) > 0);
    assert_eq!(measured(Check::Activations), 0);
}

#[test]
fn rounded_weights_are_caught_by_activations_even_where_the_tokens_agree() {
    let verdict = judge_work(&sent_by(named("low-precision")));
    let measured = |check| {
        let mut findings = verdict.findings().iter();
        findings.find(|f| f.check == check).unwrap().measured
    };
    let samples = SCENE.recipe.reinforce.samples_per_group_count;
    assert!(measured(Check::Activations) >= u64::from(samples));
    assert!(measured(Check::Activations) > measured(Check::Sampling));
}

#[test]
fn who_lies_sometimes_is_honest_about_the_other_units() {
    let honest = {
        let task = SCENE.task();
        let inputs = SCENE.rollout_inputs(&task);
        rollout::execute(&inputs, &salts(&task), &device()).unwrap()
    };
    for cheat in liars() {
        let task = SCENE.task();
        let rare = cheat.sometimes(1);
        assert!(
            !rare.lies_in(task.unit),
            "one unit in a million, and this one"
        );
        let sent = rare
            .rollout(&SCENE.rollout_inputs(&task), &salts(&task), &device())
            .unwrap();
        assert_eq!(sent, honest, "{rare}");
    }
}
