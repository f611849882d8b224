//! Block types of GGUF: a few shared scales and an integer of some bits for every value.
//!
//! The formulas are those of ggml's `dequantize_row_*`, in f32, every operation rounded; scales
//! are IEEE binary16. `d` scale, `m` minimum, `q` the value's integer, `s` and `t` a group's.
//!
//! | type | values | bytes | value |
//! |---|---|---|---|
//! | `Q4_0`, `Q5_0` | 32 | 18, 22 | `d (q - 8)`, `d (q - 16)` |
//! | `Q4_1`, `Q5_1` | 32 | 20, 24 | `(d q) + m` |
//! | `Q8_0` | 32 | 34 | `d q` |
//! | `Q4_K`, `Q5_K` | 256 | 144, 176 | `((d s) q) - (m t)` |
//! | `Q6_K` | 256 | 210 | `(d s) (q - 32)` |

use crate::weights::widen_f16;

/// How a tensor's values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockType {
    F32,
    F16,
    Bf16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q4K,
    Q5K,
    Q6K,
}

impl BlockType {
    const ALL: [Self; 11] = [
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q8_0,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
    ];

    /// The format's number, its name, and values and bytes in a block.
    fn row(self) -> (u32, &'static str, usize, usize) {
        match self {
            Self::F32 => (0, "F32", 1, 4),
            Self::F16 => (1, "F16", 1, 2),
            Self::Bf16 => (30, "BF16", 1, 2),
            Self::Q4_0 => (2, "Q4_0", 32, 18),
            Self::Q4_1 => (3, "Q4_1", 32, 20),
            Self::Q5_0 => (6, "Q5_0", 32, 22),
            Self::Q5_1 => (7, "Q5_1", 32, 24),
            Self::Q8_0 => (8, "Q8_0", 32, 34),
            Self::Q4K => (12, "Q4_K", 256, 144),
            Self::Q5K => (13, "Q5_K", 256, 176),
            Self::Q6K => (14, "Q6_K", 256, 210),
        }
    }

    /// The type that the format numbers so.
    pub(super) fn of(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.row().0 == code)
    }

    pub(super) fn name(self) -> &'static str {
        self.row().1
    }

    /// All names, for messages.
    pub(super) fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// Values in a block.
    pub(super) fn values(self) -> usize {
        self.row().2
    }

    /// Bytes in a block.
    pub(super) fn bytes(self) -> usize {
        self.row().3
    }

    /// Writes the values of whole blocks.
    pub(super) fn widen(self, data: &[u8], values: &mut [f32]) {
        let blocks = data.chunks_exact(self.bytes());
        for (block, out) in blocks.zip(values.chunks_exact_mut(self.values())) {
            match self {
                Self::F32 => out[0] = f32::from_le_bytes([block[0], block[1], block[2], block[3]]),
                Self::F16 => out[0] = half(block, 0),
                Self::Bf16 => out[0] = f32::from_le_bytes([0, 0, block[0], block[1]]),
                Self::Q4_0 => nibbles(&block[2..], 0, out, half(block, 0), Centre::At(8)),
                Self::Q4_1 => nibbles(&block[4..], 0, out, half(block, 0), minimum(block)),
                Self::Q5_0 => nibbles(
                    &block[6..],
                    word(block, 2),
                    out,
                    half(block, 0),
                    Centre::At(16),
                ),
                Self::Q5_1 => nibbles(
                    &block[8..],
                    word(block, 4),
                    out,
                    half(block, 0),
                    minimum(block),
                ),
                Self::Q8_0 => bytes(&block[2..], out, half(block, 0)),
                Self::Q4K => grouped(&block[4..16], None, &block[16..], out, scales(block)),
                Self::Q5K => {
                    grouped(
                        &block[4..16],
                        Some(&block[16..48]),
                        &block[48..],
                        out,
                        scales(block),
                    );
                }
                Self::Q6K => sixes(block, out),
            }
        }
    }
}

/// What turns an integer into a signed value.
#[derive(Clone, Copy)]
enum Centre {
    /// Subtracted from the integer.
    At(i16),
    /// Added to the scaled integer.
    Minimum(f32),
}

fn half(block: &[u8], at: usize) -> f32 {
    widen_f16(u16::from_le_bytes([block[at], block[at + 1]]))
}

fn word(block: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
}

fn minimum(block: &[u8]) -> Centre {
    Centre::Minimum(half(block, 2))
}

/// Scale and minimum of a block of 256.
fn scales(block: &[u8]) -> (f32, f32) {
    (half(block, 0), half(block, 2))
}

/// 32 integers: low nibbles of 16 bytes, then high nibbles, with fifth bits from `high`.
fn nibbles(data: &[u8], high: u32, out: &mut [f32], scale: f32, centre: Centre) {
    let fifth = |index: usize| u8::from(high >> index & 1 == 1) << 4;
    let value = |integer: u8| match centre {
        Centre::At(centre) => scale * f32::from(i16::from(integer) - centre),
        Centre::Minimum(minimum) => scale * f32::from(integer) + minimum,
    };
    for (index, &byte) in data[..16].iter().enumerate() {
        out[index] = value(byte & 15 | fifth(index));
        out[index + 16] = value(byte >> 4 | fifth(index + 16));
    }
}

/// 32 signed bytes.
fn bytes(data: &[u8], out: &mut [f32], scale: f32) {
    for (value, &byte) in out.iter_mut().zip(data) {
        *value = scale * f32::from(byte.cast_signed());
    }
}

/// The 6-bit scale and minimum of group `index` of 8, from 12 bytes.
fn group(packed: &[u8], index: usize) -> (f32, f32) {
    let (scale, minimum) = if index < 4 {
        (packed[index] & 63, packed[index + 4] & 63)
    } else {
        let low = packed[index + 4];
        (
            low & 15 | packed[index - 4] >> 6 << 4,
            low >> 4 | packed[index] >> 6 << 4,
        )
    };
    (f32::from(scale), f32::from(minimum))
}

/// 256 integers of 4 bits, or of 5 with the highest in `high`, in 8 groups.
fn grouped(packed: &[u8], high: Option<&[u8]>, data: &[u8], out: &mut [f32], own: (f32, f32)) {
    for (index, out) in out.chunks_exact_mut(32).enumerate() {
        let (scale, minimum) = group(packed, index);
        let (scale, minimum) = (own.0 * scale, own.1 * minimum);
        let data = &data[index / 2 * 32..][..32];
        for (position, (value, &byte)) in out.iter_mut().zip(data).enumerate() {
            let low = if index % 2 == 0 { byte & 15 } else { byte >> 4 };
            let fifth = high.map_or(0, |high| (high[position] >> index & 1) << 4);
            *value = scale * f32::from(low | fifth) - minimum;
        }
    }
}

/// 256 integers of 6 bits in 16 groups: 128 bytes of low nibbles, 64 of high pairs, 16 scales.
fn sixes(block: &[u8], out: &mut [f32]) {
    let own = half(block, 208);
    for (index, value) in out.iter_mut().enumerate() {
        // Each half of 128 has four quarters of 32, which share bytes.
        let (part, quarter, position) = (index / 128, index / 32 % 4, index % 32);
        let low = block[part * 64 + quarter % 2 * 32 + position];
        let low = if quarter < 2 { low & 15 } else { low >> 4 };
        let high = block[128 + part * 32 + position] >> (2 * quarter) & 3;
        let scale = block[192 + index / 16].cast_signed();
        let integer = i16::from(low | high << 4) - 32;
        *value = own * f32::from(scale) * f32::from(integer);
    }
}

#[cfg(test)]
mod tests;
