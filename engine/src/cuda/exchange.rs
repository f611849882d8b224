//! What leaves the device small: compressed updates and the largest activations.

use super::Error;
use super::driver::DriverError;
use super::memory::Device;
use crate::trainer::compress::{BLOCK_VALUES, encoded_length};
use crate::trainer::sparse::{CHUNK_VALUES, SHARE};
use crate::trainer::{CompressedUpdate, Feedback, SparseUpdate};

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

/// Words of a chunk's record: a count, a scale, and the values sent.
const RECORD_WORDS: usize = 2 + CHUNK_VALUES / SHARE;

/// As [`Feedback::compress`].
pub(crate) fn compress_sparse(
    device: &Device,
    feedback: &mut Feedback,
    update: &[f32],
    decay: f32,
) -> Result<SparseUpdate, Error> {
    let count = update.len();
    assert_eq!(count, feedback.lost().len(), "update of another length");
    let chunks = count.div_ceil(CHUNK_VALUES);
    let values = device.upload(update)?;
    let lost = device.upload(feedback.lost())?;
    let records = device.zeros::<u32>(chunks * RECORD_WORDS)?;
    let fault = device.upload(&[u64::MAX])?;
    let arguments = [
        (&values).into(),
        (&lost).into(),
        decay.into(),
        (&records).into(),
        (&fault).into(),
        (count as u64).into(),
    ];
    device.launch("compress_sparse", [chunks, 1, 1], 256, &arguments)?;
    if fault.read()? != [u64::MAX] {
        // The CPU says what is wrong with the value.
        return Ok(feedback.compress(update, decay)?);
    }
    let records = records.read()?;
    let sent = records.chunks_exact(RECORD_WORDS).map(|record| {
        let values = record[2..].iter().take(record[0] as usize);
        (record[1], values.copied().map(sent_value).collect())
    });
    let sent = SparseUpdate::of_chunks(count, sent);
    *feedback = Feedback::of(lost.read()?);
    Ok(sent)
}

/// Index in its chunk and code of a value as the kernel writes it.
fn sent_value(word: u32) -> (u16, i8) {
    let level = if word & 2 == 0 { 1 } else { 2 };
    let code = if word & 1 == 0 { level } else { -level };
    (u16::try_from(word >> 2).unwrap_or(u16::MAX), code)
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
