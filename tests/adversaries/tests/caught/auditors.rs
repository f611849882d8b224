use crate::judge_work;
use crate::scene::{SCENE, device, salts};
use adversaries::Cheat;
use miner::rollout;
use protocol::verdict::Verdict;

/// What an auditor says about an honest unit and about garbage, and how often it looked.
fn said(name: &str) -> ([Option<bool>; 2], usize) {
    let auditor: Cheat = name.parse().unwrap();
    let garbage: Cheat = "garbage".parse().unwrap();
    let task = SCENE.task();
    let inputs = SCENE.rollout_inputs(&task);
    let salts = salts(&task);
    let honest = rollout::execute(&inputs, &salts, &device()).unwrap();
    let forged = garbage.rollout(&inputs, &salts, &device()).unwrap();
    let mut looked = 0;
    let said = [honest, forged].map(|work| {
        let mut judge = || {
            looked += 1;
            judge_work(&work)
        };
        let verdict = auditor.verdict(task.unit, &mut judge);
        verdict.as_ref().map(Verdict::accepts)
    });
    (said, looked)
}

#[test]
fn dishonest_auditors_say_what_their_motive_wants() {
    assert_eq!(said("lazy-ok"), ([Some(true), Some(true)], 0));
    assert_eq!(said("lazy-fail"), ([Some(false), Some(false)], 0));
    assert_eq!(said("false-accuser"), ([Some(false), Some(false)], 2));
    assert_eq!(said("collude-ok"), ([Some(true), Some(true)], 2));
    assert_eq!(said("silent-winner"), ([None, None], 0));
    assert_eq!(said("self-audit"), ([Some(true), Some(true)], 0));
    assert_eq!(
        said("greedy"),
        ([Some(true), Some(false)], 2),
        "an honest auditor"
    );
}
