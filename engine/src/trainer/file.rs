//! Plain files of f32, little-endian: how weights and moments between inner steps travel.
//!
//! A file is named by its BLAKE3 hash, which is the root of a tree over its pieces, so that a
//! reader can check any piece of it alone.

use crate::weights::hash_values;

/// The bytes of values.
#[must_use]
pub fn write(values: &[f32]) -> Vec<u8> {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes());
    bytes.collect()
}

/// The values of a file; nothing if it ends inside of one.
#[must_use]
pub fn read(file: &[u8]) -> Option<Vec<f32>> {
    let (values, rest) = file.as_chunks::<4>();
    let values = values.iter().map(|bytes| f32::from_le_bytes(*bytes));
    rest.is_empty().then(|| values.collect())
}

/// What names the file of these values.
#[must_use]
pub fn name(values: &[f32]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hash_values(&mut hasher, values);
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_back_every_bit_and_is_named_by_its_hash() {
        let values = [
            0.0,
            -0.0,
            1.5,
            f32::NAN,
            f32::NEG_INFINITY,
            f32::MIN_POSITIVE,
        ];
        let bytes = write(&values);
        let back = read(&bytes).unwrap_or_default();
        let bits = |values: &[f32]| {
            values
                .iter()
                .map(|value| value.to_bits())
                .collect::<Vec<_>>()
        };
        assert_eq!(bits(&back), bits(&values));
        assert_eq!(name(&values), *blake3::hash(&bytes).as_bytes());
        assert_eq!(read(&bytes[1..]), None);
        assert_eq!(read(&[]), Some(Vec::new()));
    }
}
