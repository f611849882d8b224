//! Sparse pseudo-gradients: how many values there are comes first, in two bytes.

use crate::Decoder;
use engine::trainer::SparseUpdate;

pub(crate) const DECODER: Decoder = Decoder {
    name: "sparse_update",
    run,
    seeds: || [0, 1, 65, 300, 4097].map(seed).to_vec(),
};

fn seed(count: u16) -> Vec<u8> {
    let values: Vec<f32> = (0..count).map(|i| f32::from(i % 17) / 8.0 - 1.0).collect();
    let update = SparseUpdate::compress(&values).unwrap();
    [&count.to_le_bytes()[..], &update.encode()].concat()
}

fn run(bytes: &[u8]) {
    let Some((count, rest)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let count = usize::from(u16::from_le_bytes(*count));
    if let Ok(update) = SparseUpdate::decode(rest, count) {
        assert_eq!(update.encode(), rest);
        assert_eq!(update.value_count(), count);
        let values = update.decompress();
        assert_eq!(values.len(), count);
        assert!(values.iter().all(|value| value.is_finite()));
    }
}
