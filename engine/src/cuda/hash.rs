//! BLAKE3 of arrays that stay on the device: every chunk is a thread, every level a launch.

use super::driver::DriverError;
use super::memory::{Array, Device};

/// Bytes of a leaf of the tree.
const CHUNK_BYTES: usize = 1024;

/// BLAKE3 over `header` (shorter than a chunk) and one to three arrays of the same length, all
/// little-endian.
pub(crate) fn of(
    device: &Device,
    header: &[u8],
    arrays: &[&Array<f32>],
) -> Result<[u8; 32], DriverError> {
    let words = arrays[0].len();
    assert!(
        arrays.iter().all(|array| array.len() == words),
        "arrays of different lengths"
    );
    let bytes = header.len() + arrays.len() * words * 4;
    let mut count = bytes.div_ceil(CHUNK_BYTES).max(1);
    let header_array = device.upload(header)?;
    let mut level = device.array::<u32>(count * 8)?;
    let mut next = device.array::<u32>(count.div_ceil(2) * 8)?;
    let at = |index: usize| arrays.get(index).unwrap_or(&arrays[0]);
    let arguments = [
        (&header_array).into(),
        header.len().into(),
        (*at(0)).into(),
        (*at(1)).into(),
        (*at(2)).into(),
        (words as u64).into(),
        arrays.len().into(),
        (&level).into(),
        (count as u64).into(),
    ];
    device.launch("hash_chunks", [count.div_ceil(128), 1, 1], 128, &arguments)?;
    while count > 1 {
        let parents = count.div_ceil(2);
        let arguments = [(&level).into(), (&next).into(), (count as u64).into()];
        device.launch(
            "hash_parents",
            [parents.div_ceil(128), 1, 1],
            128,
            &arguments,
        )?;
        std::mem::swap(&mut level, &mut next);
        count = parents;
    }
    let mut words = [0_u32; 8];
    level.read_into(&mut words)?;
    let mut hash = [0; 32];
    for (bytes, word) in hash.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    Ok(hash)
}
