//! Every adversary before the production verifier: which check finds it.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../../../../verifier/tests/audit/scene.rs"]
#[allow(dead_code, reason = "the verifier's own tests use the rest")]
mod scene;

mod auditors;
mod gradients;
mod names;
mod rollouts;

/// What an auditor finds in a miner's work once its seals are open.
fn judge_work(work: &miner::rollout::Work) -> protocol::verdict::Verdict {
    let task = scene::SCENE.task();
    let inputs = scene::SCENE.rollout_inputs(&task);
    let claimed = scene::SCENE.claimed_of(work);
    let blob = protocol::codec::encode(&work.payload);
    verifier::rollout::judge(&inputs, &claimed, &blob, &scene::device()).verdict
}
