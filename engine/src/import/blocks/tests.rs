//! Every block type against gguf-py.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use safetensors::SafeTensors;

#[test]
fn blocks_are_widened_to_the_bits_of_gguf_py() {
    let bytes = include_bytes!("../../../tests/golden/blocks.safetensors");
    let file = SafeTensors::deserialize(bytes).unwrap();
    let mut checked = 0;
    for kind in BlockType::ALL {
        let part = |part: &str| file.tensor(&format!("{}.{part}", kind.name()));
        let (Ok(blocks), Ok(values)) = (part("blocks"), part("values")) else {
            continue;
        };
        let expected = values.data().as_chunks::<4>().0.iter();
        let expected: Vec<u32> = expected.map(|word| u32::from_le_bytes(*word)).collect();
        let mut got = vec![0.0; expected.len()];
        assert_eq!(
            blocks.data().len() / kind.bytes() * kind.values(),
            got.len()
        );
        kind.widen(blocks.data(), &mut got);
        assert_eq!(crate::testing::bits(&got), expected, "{kind:?}");
        checked += 1;
    }
    assert_eq!(checked, 9);
}

#[test]
fn plain_types_are_widened_exactly() {
    let mut out = [0.0; 2];
    let data: Vec<u8> = [1.5_f32, -0.0]
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    BlockType::F32.widen(&data, &mut out);
    assert_eq!(
        crate::testing::bits(&out),
        crate::testing::bits(&[1.5, -0.0])
    );
    BlockType::Bf16.widen(&[0xc0, 0x3f, 0x00, 0x80], &mut out);
    assert_eq!(
        crate::testing::bits(&out),
        crate::testing::bits(&[1.5, -0.0])
    );
}
