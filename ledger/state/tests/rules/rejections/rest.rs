//! Accounts, bonds and checkpoints.

use super::Row;
use crate::support::{Chain, Setup, key, registration};
use ledger_state::Rejection;
use protocol::{
    Amount, Nonce, RunId, SigningKey, Step,
    checkpoint::{Checkpoint, Evaluation},
    class::ClassId,
    transaction::Body,
    vrf::Public,
};

pub(super) const ROWS: &[Row] = &[
    ("NonceMismatch", || numbered(1)),
    ("NonceMismatch", || numbered(u64::MAX)),
    ("NonceMismatch", replayed),
    ("BalanceTooLow", || transfer(50_001)),
    ("BalanceTooLow", || transfer(u64::MAX)),
    ("BalanceTooLow", || {
        fresh(registration(&key("miner", 0), 50_001))
    }),
    ("TransferOfNothing", || transfer(0)),
    ("AlreadyRegistered", || {
        let miner = key("miner", 0);
        registered().reject(miner.clone(), registration(&miner, 10_000))
    }),
    ("MinerUnknown", || fresh(Body::Resume)),
    ("BondTooLow", || {
        fresh(registration(&key("miner", 0), 9_999))
    }),
    ("RandomnessKeyInvalid", || {
        let (bond, vrf) = (Amount::new(10_000), Public::from_bytes([0; 32]));
        let class = ClassId::EXACT;
        fresh(Body::RegisterMiner { bond, vrf, class })
    }),
    ("ClassUnlisted", || {
        let (key, class) = (key("miner", 0), ClassId::new(1));
        let (bond, vrf) = (Amount::new(10_000), key.vrf().public());
        fresh(Body::RegisterMiner { bond, vrf, class })
    }),
    ("MinerNotIdle", || {
        registered().reject(key("miner", 0), Body::Resume)
    }),
    ("NotValidator", || attested_by(&key("miner", 0), |_| {})),
    ("NotValidator", || attested_by(&key("holder", 0), |_| {})),
    ("CheckpointNotDue", || {
        attested(|checkpoint| checkpoint.step = Step::new(2))
    }),
    ("CheckpointNotDue", || {
        attested(|checkpoint| checkpoint.step = Step::ZERO)
    }),
    ("CheckpointNotDue", || {
        attested(|checkpoint| checkpoint.run = RunId::new(1))
    }),
    ("CheckpointNotDue", before_the_step_is_settled),
    ("CheckpointAttestedBefore", attested_twice),
    ("EvaluationMismatch", || {
        attested(|checkpoint| {
            checkpoint.evaluation = Some(Evaluation {
                prompts_count: 4,
                exact_count: 4,
            });
        })
    }),
    ("EvaluationMismatch", without_a_due_evaluation),
];

fn fresh(body: Body) -> Rejection {
    Chain::start(&Setup::default()).reject(key("miner", 0), body)
}

fn transfer(amount: u64) -> Rejection {
    let (to, amount) = (key("miner", 1).address(), Amount::new(amount));
    fresh(Body::Transfer { to, amount })
}

fn numbered(nonce: u64) -> Rejection {
    let chain = Chain::start(&Setup::default());
    let (to, amount) = (key("miner", 1).address(), Amount::new(1));
    let body = Body::Transfer { to, amount };
    let signed = chain.sign_numbered(&key("miner", 0), Nonce::new(nonce), body);
    chain.reject_signed(vec![signed])
}

fn replayed() -> Rejection {
    let mut chain = Chain::start(&Setup::default());
    let (to, amount) = (key("miner", 1).address(), Amount::new(1));
    let signed = chain.sign(vec![(key("miner", 0), Body::Transfer { to, amount })]);
    chain.extend(signed.clone());
    chain.reject_signed(signed)
}

fn registered() -> Chain {
    let mut chain = Chain::start(&Setup::default());
    chain.register_miners();
    chain
}

/// A chain whose first checkpoint is due.
fn due() -> Chain {
    let mut chain = Chain::working(&Setup::default());
    chain.work_honestly();
    chain.wait_until("the end of the step", Chain::is_attesting);
    chain
}

fn attested_by(sender: &SigningKey, change: impl FnOnce(&mut Checkpoint)) -> Rejection {
    let chain = due();
    let mut checkpoint = chain.next_checkpoint();
    change(&mut checkpoint);
    chain.reject(sender.clone(), Body::AttestCheckpoint { checkpoint })
}

fn attested(change: impl FnOnce(&mut Checkpoint)) -> Rejection {
    attested_by(&key("operator", 0), change)
}

fn before_the_step_is_settled() -> Rejection {
    let chain = Chain::working(&Setup::default());
    let checkpoint = chain.next_checkpoint();
    chain.reject(key("operator", 0), Body::AttestCheckpoint { checkpoint })
}

fn attested_twice() -> Rejection {
    let mut chain = due();
    let checkpoint = chain.next_checkpoint();
    let body = Body::AttestCheckpoint { checkpoint };
    chain.block(vec![(key("operator", 0), body.clone())]);
    chain.reject(key("operator", 0), body)
}

fn without_a_due_evaluation() -> Rejection {
    let mut chain = Chain::working(&Setup::default());
    chain.honest_step();
    chain.work_honestly();
    chain.wait_until("the end of the step", Chain::is_attesting);
    let mut checkpoint = chain.next_checkpoint();
    assert!(checkpoint.evaluation.take().is_some());
    chain.reject(key("operator", 0), Body::AttestCheckpoint { checkpoint })
}
