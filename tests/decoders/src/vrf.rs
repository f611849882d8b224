//! Proofs of verifiable randomness: a public key of 32 bytes, a proof of 80, and an input.

use crate::Decoder;
use protocol::vrf::{PROOF_BYTES, Proof, Public, Secret};

pub(crate) const DECODER: Decoder = Decoder {
    name: "vrf",
    run,
    seeds: || {
        let secret = Secret::from_seed([7; 32]);
        let (_, proof) = secret.prove(b"cairn");
        let public = secret.public();
        vec![[public.as_bytes(), &proof.as_bytes()[..], b"cairn"].concat()]
    },
};

fn run(bytes: &[u8]) {
    let Some((key, rest)) = bytes.split_first_chunk::<32>() else {
        return;
    };
    let Some((proof, alpha)) = rest.split_first_chunk::<PROOF_BYTES>() else {
        return;
    };
    let (key, proof) = (Public::from_bytes(*key), Proof::from_bytes(*proof));
    let checked = key.check();
    if let Ok(output) = key.verify(alpha, &proof) {
        assert_eq!(checked, Ok(()));
        // Only the holder of the seed can make this; anything else is a forgery.
        let secret = Secret::from_seed([7; 32]);
        if key == secret.public() {
            assert_eq!(secret.prove(alpha).0, output);
        }
    }
}
