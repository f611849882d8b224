//! Numbers to test with, arrays on a device, and comparison by bits.

use engine::cuda::{Driver, Launch};

/// Random words of a seed.
pub(crate) fn words(count: usize, seed: u8) -> Vec<u32> {
    let mut bytes = vec![0; count * 4];
    blake3::Hasher::new_keyed(&[seed; 32])
        .finalize_xof()
        .fill(&mut bytes);
    let words = bytes.as_chunks::<4>().0.iter();
    words.map(|word| u32::from_le_bytes(*word)).collect()
}

/// Values between -1 and 1, among them zeros of both signs and subnormals.
pub(crate) fn values(count: usize, seed: u8) -> Vec<f32> {
    let value = |word: u32| match word % 31 {
        0 => 0.0,
        1 => -0.0,
        2 => f32::from_bits(word >> 12),
        3 => -f32::from_bits(word >> 12),
        _ => (word.cast_signed() as f32) / 2_147_483_648.0,
    };
    words(count, seed).into_iter().map(value).collect()
}

pub(crate) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Fails with the first difference.
#[track_caller]
pub(crate) fn assert_same(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: another length");
    for (index, (a, b)) in found.iter().zip(expected).enumerate() {
        assert_eq!(
            a.to_bits(),
            b.to_bits(),
            "{what}: element {index} is {a:e}, not {b:e}"
        );
    }
}

/// An array of plain numbers on a device.
pub(crate) struct Memory<'a> {
    device: &'a dyn Driver,
    pub(crate) address: u64,
    bytes: usize,
}

impl<'a> Memory<'a> {
    pub(crate) fn floats(device: &'a dyn Driver, values: &[f32]) -> Self {
        Self::words(device, &bits(values))
    }

    pub(crate) fn words(device: &'a dyn Driver, values: &[u32]) -> Self {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        Self::bytes(device, &bytes)
    }

    pub(crate) fn bytes(device: &'a dyn Driver, bytes: &[u8]) -> Self {
        let address = device.allocate(bytes.len()).unwrap();
        device.upload(address, bytes).unwrap();
        Self {
            device,
            address,
            bytes: bytes.len(),
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.bytes];
        self.device.download(self.address, &mut bytes).unwrap();
        bytes
    }

    pub(crate) fn to_words(&self) -> Vec<u32> {
        let bytes = self.to_bytes();
        let words = bytes.as_chunks::<4>().0.iter();
        words.map(|word| u32::from_le_bytes(*word)).collect()
    }

    pub(crate) fn to_floats(&self) -> Vec<f32> {
        let bytes = self.to_bytes();
        let words = bytes.as_chunks::<4>().0.iter();
        words.map(|word| f32::from_le_bytes(*word)).collect()
    }
}

impl Drop for Memory<'_> {
    fn drop(&mut self) {
        self.device.free(self.address);
    }
}

/// Runs a kernel.
pub(crate) fn launch(
    device: &dyn Driver,
    kernel: &'static str,
    grid: [u32; 3],
    threads: u32,
    arguments: &[u64],
) {
    let launch = Launch {
        kernel,
        grid,
        threads,
        arguments,
    };
    device.launch(launch).unwrap();
}
