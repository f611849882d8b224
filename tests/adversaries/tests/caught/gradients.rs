use crate::scene::{NO_ROOT, SCENE, beacon, device, judge_gradient, reason};
use adversaries::{Cheat, Target, all};
use miner::{GradientInputs, gradient};
use protocol::{codec::encode, verdict::Check};

#[test]
fn every_dishonest_gradient_is_caught_by_its_check() {
    let (pretrain, reinforce) = (beacon(3), beacon(4));
    caught("pretrain", &SCENE.pretrain_inputs(&pretrain));
    caught("reinforce", &SCENE.reinforce_inputs(&reinforce));
}

fn caught(part: &str, inputs: &GradientInputs<'_>) {
    let honest = gradient::execute(inputs, &device()).unwrap();
    for cheat in all().map(Cheat::always) {
        let payload = cheat.gradient(inputs, &device()).unwrap();
        let bytes = encode(&payload);
        SCENE.admit(inputs.unit, NO_ROOT, &bytes).unwrap();
        let name = cheat.adversary().name();
        let only_pretrain = name == "copied-gradient" && part == "reinforce";
        if !cheat.lies_about(Target::Gradient) || only_pretrain {
            assert_eq!(payload, honest, "{cheat} is honest about {part}");
            continue;
        }
        let verdict = judge_gradient(inputs, &payload);
        let expected = match name {
            "scaled-gradient" => Check::Update,
            _ => Check::Loss,
        };
        assert_eq!(reason(&verdict), Some(expected), "{part} {cheat}");
        let update = verdict.findings().last().unwrap();
        assert_eq!(update.holds(), name == "loss-liar", "{part} {cheat}");
    }
}
