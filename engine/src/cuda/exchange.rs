//! What leaves the device small: compressed updates and the largest activations.

use super::Error;
use super::driver::DriverError;
use super::memory::Device;
use crate::trainer::CompressedUpdate;
use crate::trainer::compress::{BLOCK_VALUES, encoded_length};

/// As [`CompressedUpdate::compress`].
pub(crate) fn compress(device: &Device, values: &[f32]) -> Result<CompressedUpdate, Error> {
    let array = device.upload(values)?;
    let bytes = device.array::<u8>(encoded_length(values.len()))?;
    let fault = device.upload(&[u64::MAX])?;
    let arguments = [
        (&array).into(),
        (&bytes).into(),
        (&fault).into(),
        (values.len() as u64).into(),
    ];
    let blocks = values.len().div_ceil(BLOCK_VALUES);
    device.launch("compress_update", [blocks, 1, 1], 256, &arguments)?;
    if fault.read()? != [u64::MAX] {
        // The CPU says what is wrong with the value.
        return Ok(CompressedUpdate::compress(values)?);
    }
    let update = CompressedUpdate::decode(&bytes.read()?, values.len());
    Ok(update.map_err(|error| DriverError {
        operation: "compress",
        reason: error.to_string(),
    })?)
}

/// The bfloat16 bits of `values`, and for every run of them that `ends` closes, the `count`
/// largest by magnitude, ties to the lower index, as (index in the run, bits) by index.
pub(crate) fn largest_activations(
    device: &Device,
    values: &[f32],
    ends: &[usize],
    count: usize,
) -> Result<Vec<Vec<(u32, u16)>>, DriverError> {
    let array = device.upload(values)?;
    let rounded = device.array::<u16>(values.len())?;
    let arguments = [
        (&array).into(),
        (&rounded).into(),
        (values.len() as u64).into(),
    ];
    device.each("round_bfloat16", values.len(), &arguments)?;
    let starts: Vec<u64> = std::iter::once(0)
        .chain(ends.iter().map(|&end| end as u64))
        .collect();
    let starts_array = device.upload(&starts)?;
    let found = device.zeros::<u64>(ends.len() * count)?;
    let arguments = [
        (&rounded).into(),
        (&starts_array).into(),
        count.into(),
        (&found).into(),
    ];
    device.launch("largest_activations", [ends.len(), 1, 1], 256, &arguments)?;
    let found = found.read()?;
    let point = |word: &u64| {
        let [a, b, c, d, e, f, ..] = word.to_le_bytes();
        (u32::from_le_bytes([c, d, e, f]), u16::from_le_bytes([a, b]))
    };
    let runs = starts.windows(2).zip(found.chunks_exact(count.max(1)));
    let points = runs.map(|(run, found)| {
        let length = usize::try_from(run[1] - run[0]).unwrap_or(usize::MAX);
        found.iter().take(length.min(count)).map(point).collect()
    });
    Ok(points.collect())
}
