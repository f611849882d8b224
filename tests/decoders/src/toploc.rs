//! TOPLOC proofs, in bytes and in text, and their verification against activations.

use crate::Decoder;
use protocol::proof::toploc::{Activations, Layout, Proof, Rule, Thresholds, build, verify_bytes};

pub(crate) const DECODER: Decoder = Decoder {
    name: "toploc",
    run,
    seeds: || {
        let values = activations();
        let proofs = build(&Activations::new(&values, LAYOUT).unwrap()).unwrap();
        proofs.iter().map(Proof::to_bytes).collect()
    },
};

const LAYOUT: Layout = Layout {
    hidden: 8,
    prefill_tokens: 2,
    chunk_tokens: 4,
    top_count: 16,
};

/// Ten tokens of small bf16 values of both signs.
fn activations() -> Vec<u16> {
    (0..80_u16)
        .map(|i| 0x3F80 + i * 37 % 251 + (i % 2) * 0x8000)
        .collect()
}

fn run(bytes: &[u8]) {
    if let Ok(proof) = Proof::from_bytes(bytes) {
        assert_eq!(proof.to_bytes(), bytes);
        let text = proof.to_base64();
        assert_eq!(Proof::from_base64(&text), Ok(proof));
    }
    if let Ok(text) = str::from_utf8(bytes)
        && let Ok(proof) = Proof::from_base64(text)
    {
        assert_eq!(proof.to_base64(), text);
    }
    let values = activations();
    let activations = Activations::new(&values, LAYOUT).unwrap();
    let count = activations.chunks().len();
    for rule in [Rule::Exact, Rule::Tolerant(Thresholds::PAPER)] {
        drop(verify_bytes(&vec![bytes; count], &activations, rule));
    }
}
