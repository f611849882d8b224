//! Proofs over the activations of a real language model, where it is at hand: runs when
//! `CAIRN_SMOLLM2` names a directory made by `cairn model import`.

#![allow(clippy::unwrap_used, reason = "tests")]

use engine::{GenerationOptions, GenerationRequest, Parameters, Sampling, Threads, bf16_bits};
use engine::{generate, prefill};
use protocol::proof::toploc::{Activations, Layout, Proof, Rejection, Rule, Thresholds};
use protocol::proof::toploc::{build, verify, verify_bytes};

fn bf16(values: &[f32]) -> Vec<u16> {
    values.iter().map(|value| bf16_bits(*value)).collect()
}

/// Weights rounded to bfloat16: a miner that saves memory and says nothing.
fn rounded(model: &Parameters) -> Parameters {
    let mut rounded = model.clone();
    for value in rounded.as_mut_slice() {
        *value = f32::from_bits(u32::from(bf16_bits(*value)) << 16);
    }
    rounded
}

#[test]
fn proofs_over_real_activations_are_exact_and_tampering_shows() {
    let Some(directory) = std::env::var_os("CAIRN_SMOLLM2") else {
        eprintln!("CAIRN_SMOLLM2 is not set; nothing is proved");
        return;
    };
    let model = Parameters::from_directory(directory.as_ref()).unwrap();
    let threads = Threads::new(2);
    let request = GenerationRequest {
        prompt: (0..40).map(|index| 100 + 37 * index).collect(),
        seed: [3; 32],
    };
    let options = GenerationOptions {
        sampling: Sampling::Gumbel { temperature: 1.0 },
        tokens_max: 72,
        eos: u32::MAX,
    };
    let requests = std::slice::from_ref(&request);
    let generation = generate(&model, requests, &options, &threads)
        .unwrap()
        .remove(0);
    let layout = Layout {
        hidden: model.config().hidden_size,
        prefill_tokens: request.prompt.len(),
        chunk_tokens: 32,
        top_count: 128,
    };
    let mined = bf16(&generation.hidden);
    let proofs = build(&Activations::new(&mined, layout).unwrap()).unwrap();
    assert_eq!(proofs.len(), 1 + 71_usize.div_ceil(32));

    // The auditor computes all tokens in one pass, and its proofs are the same bytes.
    let mut all = request.prompt.clone();
    all.extend(&generation.tokens[..71]);
    let audited = |model: &Parameters, tokens: &[u32]| {
        bf16(
            &prefill(model, &[tokens], &threads)
                .unwrap()
                .remove(0)
                .hidden,
        )
    };
    let own = audited(&model, &all);
    let own = Activations::new(&own, layout).unwrap();
    for agreement in verify(&proofs, &own, Rule::Exact).unwrap() {
        assert_eq!(agreement.exponent_mismatches, 0);
        assert_eq!(agreement.mantissa.unwrap().mean_thousandths, 0);
    }

    // A flipped byte, another token, rounded weights.
    let mut bytes: Vec<Vec<u8>> = proofs.iter().map(Proof::to_bytes).collect();
    verify_bytes(&bytes, &own, Rule::Exact).unwrap();
    bytes[2][77] ^= 1;
    assert!(verify_bytes(&bytes, &own, Rule::Exact).is_err());
    let mut other = all.clone();
    other[45] += 1;
    let other = audited(&model, &other);
    let other = Activations::new(&other, layout).unwrap();
    let rejection = verify(&proofs, &other, Rule::Exact).unwrap_err();
    eprintln!("another token: {rejection}");
    let tolerant = verify(&proofs, &other, Rule::Tolerant(Thresholds::PAPER));
    eprintln!("another token, with tolerances: {tolerant:?}");
    let cheap = audited(&rounded(&model), &all);
    let cheap = build(&Activations::new(&cheap, layout).unwrap()).unwrap();
    let rejection: Rejection = verify(&cheap, &own, Rule::Exact).unwrap_err();
    eprintln!("rounded weights: {rejection}");
}
