//! The engine without a network.

use crate::ledger::MemoryApplication;
use ledger_consensus::{
    Application as _, CertificateError, HeightParams, SoloEngine, SoloError, Validator,
    ValidatorSet,
};
use protocol::{ChainId, Height, SigningKey};

const CHAIN: ChainId = ChainId::from_bytes([5; 32]);

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed([seed; 32])
}

fn set(powers: &[(u8, u64)]) -> ValidatorSet {
    let validator = |&(seed, power)| Validator {
        key: key(seed).address(),
        power,
    };
    ValidatorSet::new(powers.iter().map(validator).collect()).unwrap()
}

#[test]
fn solo_commits_blocks_with_certificates_that_verify() {
    let set = set(&[(1, 5)]);
    let application = MemoryApplication::new(HeightParams::new(set.clone()), 100);
    let mut engine = SoloEngine::new(application, CHAIN, key(1));
    for height in 1..=50 {
        let (committed, block_id) = engine.step(height * 200).unwrap();
        assert_eq!(committed, Height::new(height));
        assert_eq!(engine.application().tip(), (committed, block_id));
        let (_, certificate) = engine.application().block(committed).unwrap();
        assert_eq!(certificate.verify(CHAIN, &set), Ok(()));
    }
}

#[test]
fn solo_without_a_quorum_commits_nothing() {
    let params = HeightParams::new(set(&[(1, 2), (2, 1)]));
    let mut engine = SoloEngine::new(MemoryApplication::new(params, 100), CHAIN, key(1));
    let height = Height::new(1);
    let source = CertificateError::Power {
        height,
        power: 2,
        power_total: 3,
    };
    assert_eq!(
        engine.step(0),
        Err(SoloError::Certificate { height, source })
    );
    assert_eq!(engine.application().tip().0, Height::ZERO);
}
