use crate::scene::{NO_ROOT, SCENE, beacon, device, done, honest, reason, segments};
use adversaries::{Cheat, Target, all};
use miner::GradientInputs;
use protocol::{codec::encode, verdict::Check};

#[test]
fn every_dishonest_gradient_is_caught_by_its_check() {
    let (pretrain, reinforce) = (beacon(3), beacon(4));
    caught("pretrain", &SCENE.pretrain_inputs(&pretrain));
    caught("reinforce", &SCENE.reinforce_inputs(&reinforce));
}

/// Each of these lies shows in every segment, so that any audit finds it.
fn caught(part: &str, inputs: &GradientInputs<'_>) {
    let honest = honest(inputs).work;
    for cheat in all().map(Cheat::always) {
        let lied = done(inputs, |salts, keep| {
            cheat.gradient(inputs, (salts, keep), &device())
        });
        let payload = &lied.work.payload;
        let root = payload.root().unwrap_or(NO_ROOT);
        SCENE.admit(inputs.unit, root, &encode(payload)).unwrap();
        let name = cheat.adversary().name();
        let needs_corpus = ["copied-gradient", "wrong-shard", "little-is-enough"].contains(&name);
        let only_pretrain = needs_corpus && part == "reinforce";
        if !cheat.lies_about(Target::Gradient) || only_pretrain {
            assert_eq!(lied.work, honest, "{cheat} is honest about {part}");
            continue;
        }
        for segment in segments(inputs) {
            let verdict = lied.judge(inputs, segment).verdict;
            let takes_half = name == "skip-steps" && part == "pretrain";
            let expected = match name {
                "scaled-gradient" | "inner-product" | "little-is-enough" => Check::Update,
                // One bad segment is found where it is, and there only.
                "backdoor" if segment + 1 < segments(inputs).end => {
                    assert_eq!(reason(&verdict), None, "{part} {cheat} {segment}");
                    continue;
                }
                // It goes on rightly from where it is, which is nowhere near the checkpoint.
                "stale-checkpoint" if segment > 0 => Check::Update,
                // The first half of the work is done, and what is sent is twice what it gave.
                "skip-steps" if takes_half && segment == 0 => Check::Update,
                _ => Check::Loss,
            };
            assert_eq!(reason(&verdict), Some(expected), "{part} {cheat} {segment}");
        }
    }
}
