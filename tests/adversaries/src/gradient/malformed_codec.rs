//! Bytes that no encoder writes.

use crate::{Adversary, Seals, Target};
use engine::Device;
use miner::{
    ExecuteError, GradientInputs,
    gradient::{self, Work},
};
use protocol::codec::Bytes;

/// Another hostile form for each index of a unit, in turn. The first is a byte too many.
#[derive(Debug)]
pub(super) struct MalformedCodec;

impl Adversary for MalformedCodec {
    fn name(&self) -> &'static str {
        "malformed-codec"
    }
    fn description(&self) -> &'static str {
        "Does the work, then sends an update that is no encoding, to break who reads it."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Gradient]
    }
    fn gradient(
        &self,
        inputs: &GradientInputs<'_>,
        (salts, keep): Seals<'_, '_>,
        device: &Device,
    ) -> Result<Work, ExecuteError> {
        let mut work = gradient::execute(inputs, salts, keep, device)?;
        let mut bytes = work.payload.update.as_slice().to_vec();
        match inputs.unit.index % 4 {
            0 => bytes.push(0),
            1 => bytes.truncate(bytes.len() / 2),
            // A scale and codes that no encoder writes, or a count beyond its limit.
            2 => {
                let hostile = [[u8::MAX; 4], [0x80; 4]].concat();
                bytes.splice(..hostile.len().min(bytes.len()), hostile);
            }
            _ => bytes.clear(),
        }
        work.payload.update = Bytes::new(bytes)?;
        Ok(work)
    }
}
